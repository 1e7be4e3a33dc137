//! The summary in the footer of a shard: a document of JSON whose arrays of numbers are base64.
//!
//! The layout is documented in `docs/src/dataset.md`.

use super::{ClassCounts, ShardSummary, moments::Moments};
use base64::{Engine, engine::general_purpose::STANDARD};
use experience_core::schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The key of the summary in the metadata of a Parquet footer.
pub(crate) const SUMMARY_KEY: &str = "bevy_experience.summary";

/// The version of the layout. Summaries of other versions are not read.
const VERSION: u32 = 1;

/// A longer summary is not written: every reader of a file reads its footer.
///
/// A feature takes 43 bytes, so that rows of up to 6,000 features have one.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// Bytes of a feature, and of a class, in a summary, at least.
pub(super) const FEATURE_BYTES: usize = 4 * size_of::<f64>() * 4 / 3;
pub(super) const CLASS_BYTES: usize = 2;

#[derive(Serialize, Deserialize)]
struct Footer {
    version: u32,
    transitions: u64,
    observation: Block,
    action: Vec<Classes>,
    controllers: BTreeMap<String, u64>,
    unlabelled: u64,
    reward: Block,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The classes of one value of the action.
#[derive(Serialize, Deserialize)]
struct Classes {
    index: usize,
    counts: Vec<u64>,
    others: u64,
}

/// The moments of some columns, as arrays in base64 of little-endian `f64`.
#[derive(Serialize, Deserialize)]
struct Block {
    /// The number of values that are not finite, by the index of their column.
    non_finite: BTreeMap<usize, u64>,
    min: String,
    max: String,
    mean: String,
    squares: String,
    /// A bit for each column whose values are 0 and 1 alone, lowest bit first.
    binary: String,
}

impl Block {
    fn new(columns: &[Moments]) -> Self {
        let numbers = |value: fn(&Moments) -> f64| {
            let bytes: Vec<u8> = columns.iter().flat_map(|column| value(column).to_le_bytes()).collect();
            STANDARD.encode(bytes)
        };
        let bits = columns.chunks(8).map(|columns| {
            let flags = columns.iter().enumerate();
            flags.fold(0_u8, |bits, (bit, column)| bits | u8::from(column.is_binary) << bit)
        });
        let non_finite = columns.iter().enumerate().filter(|(_, column)| column.non_finite > 0);
        Self {
            non_finite: non_finite.map(|(index, column)| (index, column.non_finite)).collect(),
            min: numbers(|column| column.min),
            max: numbers(|column| column.max),
            mean: numbers(|column| column.mean),
            squares: numbers(|column| column.squares),
            binary: STANDARD.encode(bits.collect::<Vec<u8>>()),
        }
    }

    /// The moments of `width` columns of `rows` rows.
    fn moments(&self, what: &str, width: usize, rows: u64) -> Result<Vec<Moments>, String> {
        let bytes = |name: &str, text: &str, len: usize| match STANDARD.decode(text) {
            Ok(bytes) if bytes.len() == len => Ok(bytes),
            Ok(bytes) => Err(format!(
                "`{name}` of its {what} has {} bytes and should have {len}",
                bytes.len()
            )),
            Err(error) => Err(format!("`{name}` of its {what} is no base64: {error}")),
        };
        let numbers = |name: &str, text: &str| -> Result<Vec<f64>, String> {
            let bytes = bytes(name, text, width * size_of::<f64>())?;
            let numbers: Vec<f64> = bytes
                .as_chunks()
                .0
                .iter()
                .map(|chunk| f64::from_le_bytes(*chunk))
                .collect();
            match numbers.iter().find(|number| !number.is_finite()) {
                None => Ok(numbers),
                Some(number) => Err(format!("`{name}` of its {what} has a value of {number}")),
            }
        };
        let [min, max] = [("min", &self.min), ("max", &self.max)].map(|(name, text)| numbers(name, text));
        let [mean, squares] =
            [("mean", &self.mean), ("squares", &self.squares)].map(|(name, text)| numbers(name, text));
        let (min, max, mean, squares) = (min?, max?, mean?, squares?);
        let binary = bytes("binary", &self.binary, width.div_ceil(8))?;
        if let Some((index, count)) = self
            .non_finite
            .iter()
            .find(|(index, count)| **index >= width || **count > rows)
        {
            return Err(format!(
                "it counts {count} values that are not finite in column {index} of its {what}"
            ));
        }
        let columns = (0..width).map(|index| {
            let non_finite = self.non_finite.get(&index).copied().unwrap_or(0);
            let moments = Moments {
                count: rows - non_finite,
                non_finite,
                min: min[index],
                max: max[index],
                mean: mean[index],
                squares: squares[index],
                is_binary: binary[index / 8] >> (index % 8) & 1 != 0,
            };
            let slack = 1e-9 * moments.min.abs().max(moments.max.abs());
            let is_ordered = moments.min - slack <= moments.mean && moments.mean <= moments.max + slack;
            if !is_ordered || moments.squares < 0.0 {
                return Err(format!("column {index} of its {what} has moments that no numbers have"));
            }
            Ok(moments)
        });
        columns.collect()
    }
}

impl ShardSummary {
    /// The document. `None` if it would be too long, or if a sum is not finite.
    pub(super) fn to_footer(&self) -> Option<String> {
        if !self.observation.iter().chain(&self.reward).all(Moments::is_finite) {
            return None;
        }
        let footer = Footer {
            version: VERSION,
            transitions: self.transitions,
            observation: Block::new(&self.observation),
            action: self
                .classes
                .iter()
                .map(|action| Classes {
                    index: action.index,
                    counts: action.counts.clone(),
                    others: action.others,
                })
                .collect(),
            controllers: self.controllers.clone(),
            unlabelled: self.unlabelled,
            reward: Block::new(&self.reward),
        };
        serde_json::to_string(&footer)
            .ok()
            .filter(|text| text.len() <= MAX_BYTES)
    }

    /// Reads the document of a shard of `rows` rows. `None` if it is of another version.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn from_footer(schema: &Schema, rows: u64, text: &str) -> Result<Option<Self>, String> {
        let damaged = |error: serde_json::Error| format!("it cannot be read: {error}");
        if serde_json::from_str::<Version>(text).map_err(damaged)?.version != VERSION {
            return Ok(None);
        }
        let footer: Footer = serde_json::from_str(text).map_err(damaged)?;
        if footer.transitions != rows {
            return Err(format!(
                "it counts {} transitions, and the shard has {rows}",
                footer.transitions
            ));
        }
        let mut summary = Self::new(schema);
        summary.transitions = rows;
        summary.observation = footer
            .observation
            .moments("observation", summary.observation.len(), rows)?;
        summary.reward = footer.reward.moments("reward", summary.reward.len(), rows)?;
        let is_same = |(expected, found): (&ClassCounts, &Classes)| {
            let counts = found.counts.iter().chain([&found.others]);
            let total = counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
            expected.index == found.index && expected.counts.len() == found.counts.len() && total == rows
        };
        if summary.classes.len() != footer.action.len() || !summary.classes.iter().zip(&footer.action).all(is_same) {
            return Err("its classes of actions do not count each transition once".to_owned());
        }
        for (action, found) in summary.classes.iter_mut().zip(footer.action) {
            (action.counts, action.others) = (found.counts, found.others);
        }
        let labelled = footer.controllers.values().chain([&footer.unlabelled]);
        if labelled.fold(0_u64, |sum, count| sum.saturating_add(*count)) != rows {
            return Err("its controllers do not count each transition once".to_owned());
        }
        (summary.controllers, summary.unlabelled) = (footer.controllers, footer.unlabelled);
        Ok(Some(summary))
    }
}
