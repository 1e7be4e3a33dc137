//! [`ExperienceFile`]: the schema of a recording as JSON, with its names, spaces and units.

use super::{Column, ColumnList, Schema, Space};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The version of the layout of datasets and of the columns.
const FORMAT: u32 = 1;

/// The content of a dataset's `experience.json`, which describes a recording to readers in other languages.
///
/// ```
/// use experience_core::schema::{Column, ExperienceFile, Schema};
///
/// let schema = Schema::new("walker").with_observation([Column::feature("x")]);
/// let json = ExperienceFile::new(&schema).to_json();
/// assert_eq!(ExperienceFile::from_json(&json)?.schema, schema);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExperienceFile {
    format: u32,
    /// The name of the recording.
    recording: String,
    /// The schema's hash, 16 hexadecimal digits.
    schema_hash: String,
    /// The schema.
    pub schema: Schema,
    /// Names, spaces and units that follow from the schema, for readers that do not derive them.
    #[serde(flatten)]
    derived: serde_json::Map<String, Value>,
}

impl ExperienceFile {
    /// The description of `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let mut derived = json!({
            "features": schema.feature_names(),
            "observation_space": box_space(schema.observation()),
            "action_space": action_space(schema),
            "action_parts": action_parts(schema),
            "next_observation": if schema.has_wide_observation() { "last_row" } else { "every_row" },
            "units": {
                "tick": "ticks of the game since the run began",
                "ticks": "ticks",
                "timestamp": "seconds since the run began",
                "changed": "one bit for each feature of the observation, lowest bit first",
            },
        });
        // Absent without images, so that the file is the one of a version that does not know them.
        if !schema.images().is_empty() {
            derived["image_spaces"] = image_spaces(schema);
        }
        let lists: Vec<_> = schema.lists().map(|list| list_description(&list)).collect();
        if !lists.is_empty() {
            derived["lists"] = lists.into();
        }
        Self {
            format: FORMAT,
            recording: schema.name().to_owned(),
            schema_hash: format!("{:016x}", schema.hash()),
            schema: schema.clone(),
            derived: match derived {
                Value::Object(derived) => derived,
                _ => serde_json::Map::new(),
            },
        }
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// The reason why it is invalid, or of another format.
    pub fn from_json(content: &[u8]) -> Result<Self, String> {
        let format = serde_json::from_slice::<FormatVersion>(content).map_err(|error| error.to_string())?;
        if format.format != FORMAT {
            return Err(format!(
                "its format is {}, and this version of the crate knows only {FORMAT}",
                format.format
            ));
        }
        let read: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        if read.schema_hash != format!("{:016x}", read.schema.hash()) {
            return Err("its schema does not have the hash that it lists".to_owned());
        }
        Ok(read)
    }

    /// The content of the file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a schema holds only strings, numbers and lists");
        json.push(b'\n');
        json
    }
}

/// Parsed before the rest, so that a newer format is not mistaken for damage.
#[derive(Deserialize)]
struct FormatVersion {
    format: u32,
}

/// The location of a list in an observation: `observation[start:stop]` has the shape `[capacity, len(features)]`.
fn list_description(list: &ColumnList) -> Value {
    let elements = list.elements();
    json!({
        "name": list.name(),
        "start": elements.start,
        "stop": elements.end,
        "capacity": list.capacity(),
        "features": list.features(),
        "overflow": list.overflow_index(),
    })
}

/// The Gymnasium space of the column `action`: one discrete choice, or all values packed into floats.
fn action_space(schema: &Schema) -> Value {
    match schema.action() {
        [column] if schema.is_single_discrete() => column_space(column, "int64"),
        columns => box_space(columns),
    }
}

/// The Gymnasium space of each action column, by name.
fn action_parts(schema: &Schema) -> Value {
    let parts = schema
        .action()
        .iter()
        .map(|column| (column.name.clone(), column_space(column, column.dtype.numpy_name())));
    json!({ "type": "Dict", "spaces": parts.collect::<serde_json::Map<_, _>>() })
}

/// The Gymnasium space of each image, by the name of its column in the dataset.
fn image_spaces(schema: &Schema) -> Value {
    let spaces = schema.images().iter().map(|image| {
        let space = column_space(image, image.dtype.numpy_name());
        (format!("observation.{}", image.name), space)
    });
    json!({ "type": "Dict", "spaces": spaces.collect::<serde_json::Map<_, _>>() })
}

fn column_space(column: &Column, dtype: &str) -> Value {
    match &column.space {
        Space::Discrete { n, .. } if column.shape.is_empty() => json!({ "type": "Discrete", "n": n, "dtype": dtype }),
        Space::Discrete { n, .. } => {
            json!({ "type": "Box", "dtype": dtype, "shape": column.shape, "low": 0, "high": n.saturating_sub(1) })
        }
        Space::Box { low, high } => {
            json!({ "type": "Box", "dtype": dtype, "shape": column.shape, "low": low, "high": high })
        }
    }
}

/// All columns as one flat `Box`. A missing bound is `null`.
fn box_space(columns: &[Column]) -> Value {
    let bounds = |column: &Column| match column.space {
        Space::Box { low, high } => (low, high),
        Space::Discrete { n, .. } => (Some(0.0), Some(n.saturating_sub(1) as f64)),
    };
    let (low, high): (Vec<_>, Vec<_>) = columns
        .iter()
        .flat_map(|column| core::iter::repeat_n(bounds(column), column.width()))
        .unzip();
    json!({ "type": "Box", "dtype": "float32", "shape": [low.len()], "low": low, "high": high })
}
