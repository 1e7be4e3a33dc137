//! `experience.json`: the schema of a recording, with its names, spaces and units. Written once and never changed.

use super::layout;
use crate::store::source;
use experience_core::schema::{Column, ColumnList, DType, Schema, Space};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{io, path::Path};

/// The version of the folder's layout and of the columns.
const FORMAT: u32 = 1;

/// The content of `experience.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExperienceFile {
    format: u32,
    /// The name of the recording, which the folder's name encodes.
    recording: String,
    /// The schema's hash, 16 hexadecimal digits.
    schema_hash: String,
    pub(crate) schema: Schema,
    /// Names, spaces and units that follow from the schema, for readers that do not derive them.
    #[serde(flatten)]
    derived: serde_json::Map<String, Value>,
}

/// An `experience.json` that could not be read.
#[derive(Debug)]
pub(crate) enum ExperienceFileError {
    Io(io::Error),
    /// The content is invalid, for this reason.
    Damaged(String),
}

impl ExperienceFile {
    pub(super) fn new(schema: &Schema) -> Self {
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

    /// Reads the file in the folder of a recording.
    pub(crate) fn read(recording: &Path) -> Result<Self, ExperienceFileError> {
        let content = source::read(&recording.join(layout::EXPERIENCE)).map_err(ExperienceFileError::Io)?;
        Self::parse(&content)
    }

    /// Parses the content of the file.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, ExperienceFileError> {
        let format = serde_json::from_slice::<FormatVersion>(content)
            .map_err(|error| ExperienceFileError::Damaged(error.to_string()))?;
        if format.format != FORMAT {
            return Err(ExperienceFileError::Damaged(format!(
                "its format is {}, and this version of the crate knows only {FORMAT}",
                format.format
            )));
        }
        let read: Self =
            serde_json::from_slice(content).map_err(|error| ExperienceFileError::Damaged(error.to_string()))?;
        if read.schema_hash != format!("{:016x}", read.schema.hash()) {
            return Err(ExperienceFileError::Damaged(
                "its schema does not have the hash that it lists".to_owned(),
            ));
        }
        Ok(read)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
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
        .map(|column| (column.name.clone(), column_space(column, dtype_name(column.dtype))));
    json!({ "type": "Dict", "spaces": parts.collect::<serde_json::Map<_, _>>() })
}

/// The Gymnasium space of each image, by the name of its column in the dataset.
fn image_spaces(schema: &Schema) -> Value {
    let spaces = schema.images().iter().map(|image| {
        let space = column_space(image, dtype_name(image.dtype));
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

/// The `NumPy` name of a type.
pub(crate) fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::U8 => "uint8",
        DType::U16 => "uint16",
        DType::U32 => "uint32",
        DType::U64 => "uint64",
        DType::Bool => "bool",
    }
}
