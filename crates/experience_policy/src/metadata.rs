//! [`ModelMetadata`]: what a model file says about the recording that it was made for.

use crate::{HeadKind, ModelError, PolicyLayout};
use serde::Deserialize;

/// The prefix of the keys.
const PREFIX: &str = "bevy_experience.";

/// What a model file says about itself: the columns that it was trained on, and how its outputs are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetadata {
    /// The name of the recording.
    pub recording: String,
    /// The hash of its schema, 16 hexadecimal digits.
    pub schema_hash: String,
    /// The features, in order.
    pub features: Vec<String>,
    /// The number of bits of the action mask.
    pub action_mask: usize,
    /// The command that trained it.
    pub command: String,
    /// The version that the game records; `None` if the file is told by its content.
    pub version: Option<i64>,
    pub(crate) heads: Vec<HeadMetadata>,
}

/// A head of a model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct HeadMetadata {
    pub(crate) name: String,
    pub(crate) output: String,
    kind: String,
    #[serde(default)]
    shape: Vec<usize>,
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    labels: Vec<String>,
    /// The deviation of each element of a continuous head.
    #[serde(default)]
    pub(crate) std: Vec<Option<f64>>,
}

impl ModelMetadata {
    /// Parses the metadata of the file `path`, given as keys and values.
    ///
    /// # Errors
    /// When an entry is missing or cannot be read.
    pub fn parse<'a>(path: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ModelError> {
        let entries: Vec<_> = entries
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
            .collect();
        let find = |key: &str| entries.iter().find(|(known, _)| *known == key).map(|&(_, value)| value);
        let get = |key: &str| {
            find(key).ok_or_else(|| ModelError::NoMetadata {
                path: path.to_owned(),
                key: format!("{PREFIX}{key}"),
            })
        };
        let refuse = |key: &str, reason: String| ModelError::Metadata {
            path: path.to_owned(),
            key: format!("{PREFIX}{key}"),
            reason,
        };
        let format = get("format")?;
        if format != "1" {
            return Err(refuse("format", format!("it is `{format}`, and 1 is known")));
        }
        let features = serde_json::from_str(get("features")?).map_err(|error| refuse("features", error.to_string()))?;
        let heads = serde_json::from_str(get("heads")?).map_err(|error| refuse("heads", error.to_string()))?;
        let mask = get("action_mask")?;
        let version = find("version").map(|text| match text.trim().parse::<i64>() {
            Ok(version) if version > 0 => Ok(version),
            _ => Err(refuse("version", format!("`{text}` is not a number above 0"))),
        });
        Ok(Self {
            recording: get("recording")?.to_owned(),
            schema_hash: get("schema_hash")?.to_owned(),
            features,
            action_mask: mask
                .trim()
                .parse()
                .map_err(|_| refuse("action_mask", format!("`{mask}` is not a number")))?,
            command: find("command").unwrap_or_default().to_owned(),
            version: version.transpose()?,
            heads,
        })
    }

    /// What differs between the model and a layout ("here"), one sentence each. Empty if the model can act for it.
    ///
    /// Columns that a policy neither sees nor decides, such as info and reward terms, may differ.
    #[must_use]
    pub fn differences(&self, layout: &PolicyLayout) -> Vec<String> {
        /// More are only counted.
        const NAMED: usize = 5;
        let mut found = Vec::new();
        let mut name = |all: Vec<&String>, what: &str| {
            if !all.is_empty() {
                let more = all.len().saturating_sub(NAMED);
                let names: Vec<_> = all.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                found.push(format!("{what} {}{more}", names.join(", ")));
            }
        };
        let missing = |these: &'_ [String], those: &[String]| -> Vec<usize> {
            let known: std::collections::HashSet<_> = those.iter().collect();
            (0..these.len())
                .filter(|&index| !known.contains(&these[index]))
                .collect()
        };
        let only_here = missing(layout.features(), &self.features);
        let only_there = missing(&self.features, layout.features());
        name(
            only_here.iter().map(|&index| &layout.features()[index]).collect(),
            "the model lacks the features",
        );
        name(
            only_there.iter().map(|&index| &self.features[index]).collect(),
            "the recording lacks the features",
        );
        if found.is_empty() && self.features != layout.features() {
            let first = layout
                .features()
                .iter()
                .zip(&self.features)
                .position(|(here, there)| here != there);
            found.push(match first {
                Some(index) => format!(
                    "feature {index} is `{}` here and `{}` in the model",
                    layout.features()[index],
                    self.features[index]
                ),
                None => format!(
                    "{} features here and {} in the model",
                    layout.features().len(),
                    self.features.len()
                ),
            });
        }
        for head in layout.heads() {
            match self.heads.iter().find(|other| other.name == head.name) {
                None => found.push(format!("the model does not decide the action `{}`", head.name)),
                Some(other) => {
                    let here = describe(&head.kind, &head.shape);
                    let there = other.describe();
                    if here != there {
                        found.push(format!(
                            "the action `{}` is {here} here and {there} in the model",
                            head.name
                        ));
                    }
                }
            }
        }
        for other in &self.heads {
            if layout.head(&other.name).is_none() {
                found.push(format!("the recording has no action `{}`", other.name));
            }
        }
        if self.action_mask != layout.mask_width() {
            found.push(format!(
                "the action mask has {} bits here and {} in the model",
                layout.mask_width(),
                self.action_mask
            ));
        }
        found
    }
}

impl HeadMetadata {
    fn describe(&self) -> String {
        let kind = match (self.kind.as_str(), self.n) {
            ("discrete", Some(n)) => HeadKind::Discrete {
                n,
                labels: self.labels.clone(),
            },
            ("box", _) => HeadKind::Continuous { low: None, high: None },
            (other, _) => return format!("of the unknown kind `{other}`"),
        };
        describe(&kind, &self.shape)
    }
}

/// What a head decides, in words. Bounds may differ: values are clamped to those of the recording.
fn describe(kind: &HeadKind, shape: &[usize]) -> String {
    let kind = match kind {
        HeadKind::Discrete { n, labels } if labels.is_empty() => format!("one of {n}"),
        HeadKind::Discrete { labels, .. } => format!("one of {}", labels.join(", ")),
        HeadKind::Continuous { .. } => "a number".to_owned(),
    };
    if shape.is_empty() {
        kind
    } else {
        format!("{kind} with the shape {shape:?}")
    }
}
