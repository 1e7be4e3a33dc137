//! Converts a recording to a Minari dataset: `metadata.json`, and an HDF5 file with a group for each episode.
//!
//! ```text
//! <root>/<id>/data/metadata.json
//! <root>/<id>/data/main_data.hdf5
//!   episode_0                 attributes id, total_steps, and of this crate episode_id, agent_id, run, end_reason
//!     observations            [T + 1, N] f32, including the final observation
//!     actions                 [T], [T, M], or a group with a dataset for each action column
//!     rewards                 [T] f64
//!     terminations            [T] bool
//!     truncations             [T] bool
//!     infos/                  each [T + 1]
//! ```
//!
//! The action space is `Discrete` for a single discrete action, `MultiDiscrete` for several, a `Box` for `f32` columns alone,
//! and otherwise a `Dict` of the columns. Infos have the index of Gymnasium: the info of an action is at the step that it led
//! to, `t + 1`, and `action_mask` at its observation.

use crate::{
    DatasetError, Progress, RecordingData, dataset_builder::create_folder, progress::ProgressMeter,
    sink::experience::dtype_name,
};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, Outcome, StepBytes, Transition, values},
};
use experience_export::disk::{self, atomic::AtomicFile};
use hdf5_pure::{
    AttrValue, Datatype, EnumTypeBuilder, FileBuilder, FormatError, GroupBuilder, make_f32_type, make_f64_type,
    make_i8_type, make_i16_type, make_i32_type, make_i64_type, make_u8_type, make_u16_type, make_u32_type,
    make_u64_type,
};
use serde_json::{Value, json};
use std::{
    io::{BufWriter, IntoInnerError},
    path::{Path, PathBuf},
};

/// The version of Minari whose format is written.
const MINARI: &str = "0.5.0";

/// Writes a recording as the Minari dataset `id` (`arena/fighter-v0`) to the folder `root`, the value of
/// `MINARI_DATASETS_PATH`. Returns the folder of the new dataset.
///
/// The whole dataset is in memory until it is written. `watch` is called with the progress.
///
/// # Errors
/// If the recording is damaged, has no action or no episode, or has two action columns of one name; if `id` is not a valid
/// Minari id; or if the folder is not empty or cannot be written.
pub fn to_minari(
    recording: &RecordingData,
    root: &Path,
    id: &str,
    watch: &mut dyn FnMut(Progress),
) -> Result<PathBuf, DatasetError> {
    let to = root.join(id);
    let refused = |reason: String| DatasetError::write(&to, reason);
    if !is_id(id) {
        return Err(DatasetError::write(
            root,
            format!(
                "`{id}` is not a valid Minari id; it must be like `arena/fighter-v0`, of letters, digits, `_` and `-`"
            ),
        ));
    }
    let schema = recording.schema();
    let action = ActionFormat::of(schema).map_err(refused)?;
    let hdf5 = |error: FormatError| DatasetError::write(&to, error);
    let types = Hdf5Types::new().map_err(hdf5)?;
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut file = FileBuilder::new();
    let (mut episodes, mut steps) = (0_u64, 0_u64);
    for episode in recording.episodes() {
        let episode = episode?;
        let mut group = file.create_group(&format!("episode_{episodes}"));
        write_episode(&mut group, &episode, episodes, &action, &types);
        file.add_group(group.finish());
        episodes += 1;
        steps += episode.len() as u64;
        meter.add(episode.len());
    }
    if episodes == 0 {
        return Err(refused("the recording has no episode".to_owned()));
    }
    let folder = create_folder(&to)?;
    let data = folder.temporary_path().join("data");
    disk::create_folders(&data).map_err(DatasetError::io("create", &data))?;
    let path = data.join("main_data.hdf5");
    let mut main = BufWriter::new(AtomicFile::create(&path).map_err(DatasetError::io("create", &path))?);
    file.finish_to(&mut main)
        .map_err(|error| DatasetError::write(&to, error))?;
    main.into_inner()
        .map_err(IntoInnerError::into_error)
        .and_then(|mut main| main.commit())
        .map_err(DatasetError::io("write", &path))?;
    let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let metadata = json!({
        "total_episodes": episodes,
        "total_steps": steps,
        "data_format": "hdf5",
        // Minari stores spaces as JSON within strings.
        "observation_space": observation_space(schema).to_string(),
        "action_space": action.space(schema).to_string(),
        "dataset_id": id,
        "minari_version": MINARI,
        // Minari takes a missing value for `true`.
        "jpeg_encoding": false,
        "dataset_size": (bytes as f64 / 1e6 * 10.0).round() / 10.0,
        "description": format!("Recording `{}`, schema {:016x}, recorded by bevy_experience.", schema.name(), schema.hash()),
        "author": [],
        "author_email": [],
        "requirements": [],
    });
    let path = data.join("metadata.json");
    disk::replace(&path, format!("{metadata:#}\n").as_bytes()).map_err(DatasetError::io("write", &path))?;
    folder.commit().map_err(DatasetError::io("create", &to))?;
    Ok(to)
}

/// Whether `id` is a valid Minari id: `namespace/name-v0`, with any number of namespaces.
fn is_id(id: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let version = id
        .rsplit_once("-v")
        .map(|(name, version)| (!name.ends_with('/') && !name.is_empty(), version));
    id.split('/').all(is_part)
        && version.is_some_and(|(named, version)| {
            named && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// The format of actions in Minari.
enum ActionFormat {
    Discrete,
    MultiDiscrete,
    Packed,
    /// A dataset for each column, with these names.
    Columns(Vec<String>),
}

impl ActionFormat {
    fn of(schema: &Schema) -> Result<Self, String> {
        let columns = schema.action();
        if schema.action_width() == 0 {
            return Err("the recording has no action, and Minari requires one".to_owned());
        }
        let is_discrete = |column: &Column| matches!(column.space, Space::Discrete { .. });
        if schema.is_single_discrete() {
            return Ok(Self::Discrete);
        }
        if columns.iter().all(is_discrete) {
            return Ok(Self::MultiDiscrete);
        }
        if columns
            .iter()
            .all(|column| !is_discrete(column) && column.dtype == DType::F32)
        {
            return Ok(Self::Packed);
        }
        let mut names: Vec<String> = Vec::new();
        for column in columns {
            let name = link_name(&column.name);
            if names.contains(&name) {
                return Err(format!("two action columns are called `{name}`"));
            }
            names.push(name);
        }
        Ok(Self::Columns(names))
    }

    fn space(&self, schema: &Schema) -> Value {
        let alternatives = |column: &Column| match column.space {
            Space::Discrete { n, .. } => n,
            Space::Box { .. } => 0,
        };
        match self {
            Self::Discrete => {
                json!({ "type": "Discrete", "dtype": "int64", "start": 0, "n": alternatives(&schema.action()[0]) })
            }
            Self::MultiDiscrete => {
                let each = schema
                    .action()
                    .iter()
                    .flat_map(|column| core::iter::repeat_n(alternatives(column), column.width()));
                let nvec: Vec<u64> = each.collect();
                json!({ "type": "MultiDiscrete", "dtype": "int64", "nvec": nvec, "start": vec![0; nvec.len()] })
            }
            Self::Packed => packed_space(schema.action(), schema.action_width()),
            Self::Columns(names) => {
                let spaces = names
                    .iter()
                    .zip(schema.action())
                    .map(|(name, column)| (name.clone(), column_space(column)));
                json!({ "type": "Dict", "subspaces": spaces.collect::<serde_json::Map<_, _>>() })
            }
        }
    }

    fn write(&self, group: &mut GroupBuilder, episode: &Episode, types: &Hdf5Types) {
        let schema = episode.schema();
        let steps = episode.len() as u64;
        let numbers = || episode.transitions().flat_map(Transition::action);
        match self {
            Self::Discrete => {
                let actions: Vec<i64> = numbers().map(|action| action as i64).collect();
                group.create_dataset("actions").with_i64_data(&actions);
            }
            Self::MultiDiscrete => {
                let actions: Vec<i64> = numbers().map(|action| action as i64).collect();
                let width = schema.action_width() as u64;
                group
                    .create_dataset("actions")
                    .with_i64_data(&actions)
                    .with_shape(&[steps, width]);
            }
            Self::Packed => {
                let values: Vec<f32> = numbers().map(|value| value as f32).collect();
                let width = schema.action_width() as u64;
                group
                    .create_dataset("actions")
                    .with_f32_data(&values)
                    .with_shape(&[steps, width]);
            }
            Self::Columns(names) => {
                let mut columns = group.create_group("actions");
                for (index, (name, column)) in names.iter().zip(schema.action()).enumerate() {
                    if let Space::Discrete { .. } = column.space
                        && column.shape.is_empty()
                    {
                        let actions: Vec<i64> = episode
                            .transitions()
                            .flat_map(|transition| values(column.dtype, transition.after().action_bytes(index)))
                            .map(|action| action as i64)
                            .collect();
                        columns.create_dataset(name).with_i64_data(&actions);
                        continue;
                    }
                    let rows = episode
                        .transitions()
                        .map(|transition| transition.after().action_bytes(index));
                    types.write(&mut columns, name, column, rows, steps);
                }
                group.add_group(columns.finish());
            }
        }
    }
}

fn write_episode(group: &mut GroupBuilder, episode: &Episode, index: u64, action: &ActionFormat, types: &Hdf5Types) {
    let schema = episode.schema();
    let (steps, info) = (episode.len() as u64, episode.info());
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    for (name, value) in [
        ("id", index),
        ("total_steps", i64::try_from(steps).unwrap_or(i64::MAX)),
        ("episode_id", info.episode_id),
        ("agent_id", info.agent_id),
        ("run", info.run.get()),
    ] {
        group.set_attr(name, AttrValue::I64(value));
    }
    group.set_attr(
        "end_reason",
        AttrValue::String(episode.reason().as_str().replace('\0', "\u{fffd}")),
    );
    let rows = || (0..=episode.len()).map(|index| episode.row(index));
    let observations: Vec<f32> = rows().flat_map(|row| row.observation().iter().copied()).collect();
    let shape = [steps + 1, schema.observation_width() as u64];
    group
        .create_dataset("observations")
        .with_f32_data(&observations)
        .with_shape(&shape);
    action.write(group, episode, types);
    let rewards: Vec<f64> = episode.transitions().map(Transition::reward).collect();
    group.create_dataset("rewards").with_f64_data(&rewards);
    for (name, outcome) in [
        ("terminations", Outcome::Terminated),
        ("truncations", Outcome::Truncated),
    ] {
        let mut flags = vec![0_u8; episode.len()];
        flags[episode.len() - 1] = u8::from(episode.outcome() == outcome);
        group
            .create_dataset(name)
            .with_raw_data(types.bool.clone(), flags, steps);
    }
    let mut infos = group.create_group("infos");
    let ticks: Vec<i64> = rows().map(|row| row.header().tick).collect();
    infos.create_dataset("tick").with_i64_data(&ticks);
    if schema.action_mask_width() > 0 {
        let width = schema.action_mask_width();
        let allowed = |row: StepBytes<'_>| {
            (0..width)
                .map(|alternative| u8::from(row.allows(alternative)))
                .collect::<Vec<_>>()
        };
        let bits: Vec<u8> = rows().flat_map(allowed).collect();
        let values = bits.len() as u64;
        let shape = [steps + 1, width as u64];
        infos
            .create_dataset("action_mask")
            .with_raw_data(types.bool.clone(), bits, values)
            .with_shape(&shape);
    }
    for (index, column) in schema
        .info()
        .iter()
        .enumerate()
        .filter(|(_, column)| column.width() > 0)
    {
        let name = link_name(&column.name);
        // A duplicate name would make the file unreadable.
        if !["tick", "action_mask"].contains(&name.as_str()) {
            types.write(
                &mut infos,
                &name,
                column,
                rows().map(|row| row.info_bytes(index)),
                steps + 1,
            );
        }
    }
    group.add_group(infos.finish());
}

/// Escapes a name for one HDF5 link, so that it is not a path.
fn link_name(name: &str) -> String {
    let mut link = String::with_capacity(name.len());
    for sign in name.chars() {
        match sign {
            '/' | '\0' | '%' => link.push_str(&format!("%{:02X}", u32::from(sign))),
            _ => link.push(sign),
        }
    }
    match link.as_str() {
        "" => "%empty".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => link,
    }
}

/// Little-endian HDF5 types.
struct Hdf5Types {
    /// An enumeration of one byte, as `h5py` writes bools.
    bool: Datatype,
}

impl Hdf5Types {
    fn new() -> Result<Self, FormatError> {
        let bool = EnumTypeBuilder::with_base(make_i8_type())
            .value("FALSE", 0)
            .value("TRUE", 1)
            .build()?;
        Ok(Self { bool })
    }

    fn of(&self, dtype: DType) -> Datatype {
        match dtype {
            DType::F32 => make_f32_type(),
            DType::F64 => make_f64_type(),
            DType::I8 => make_i8_type(),
            DType::I16 => make_i16_type(),
            DType::I32 => make_i32_type(),
            DType::I64 => make_i64_type(),
            DType::U8 => make_u8_type(),
            DType::U16 => make_u16_type(),
            DType::U32 => make_u32_type(),
            DType::U64 => make_u64_type(),
            DType::Bool => self.bool.clone(),
        }
    }

    /// Writes the rows of a column in its own type and shape.
    fn write<'a>(
        &self,
        group: &mut GroupBuilder,
        name: &str,
        column: &Column,
        rows: impl Iterator<Item = &'a [u8]>,
        count: u64,
    ) {
        let mut bytes: Vec<u8> = rows.flatten().copied().collect();
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(column.dtype.size()).for_each(<[u8]>::reverse);
        }
        let mut shape = vec![count];
        shape.extend(column.shape.iter().map(|extent| *extent as u64));
        let values = count * column.width() as u64;
        group
            .create_dataset(name)
            .with_raw_data(self.of(column.dtype), bytes, values)
            .with_shape(&shape);
    }
}

fn observation_space(schema: &Schema) -> Value {
    packed_space(schema.observation(), schema.observation_width())
}

/// All columns as one flat `Box`.
fn packed_space(columns: &[Column], width: usize) -> Value {
    let each = columns
        .iter()
        .flat_map(|column| core::iter::repeat_n(bounds(column), column.width()));
    let (low, high): (Vec<_>, Vec<_>) = each.unzip();
    json!({ "type": "Box", "dtype": "float32", "shape": [width], "low": low, "high": high })
}

fn column_space(column: &Column) -> Value {
    let dtype = dtype_name(column.dtype);
    if let Space::Discrete { n, .. } = column.space
        && column.shape.is_empty()
    {
        return json!({ "type": "Discrete", "dtype": "int64", "start": 0, "n": n });
    }
    let (low, high) = bounds(column);
    let nested = |bound: Value| {
        column
            .shape
            .iter()
            .rev()
            .fold(bound, |inner, extent| Value::Array(vec![inner; *extent]))
    };
    json!({ "type": "Box", "dtype": dtype, "shape": column.shape, "low": nested(low), "high": nested(high) })
}

/// The minimum and the maximum of a column. Minari reads infinite bounds of floats from strings; integers have the bounds of
/// their type.
fn bounds(column: &Column) -> (Value, Value) {
    let (low, high) = match column.space {
        Space::Box { low, high } => (low, high),
        Space::Discrete { n, .. } => (Some(0.0), Some(n.saturating_sub(1) as f64)),
    };
    let (type_min, type_max): (Value, Value) = match column.dtype {
        DType::F32 | DType::F64 => (json!("-Infinity"), json!("Infinity")),
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::I64 => (i64::MIN.into(), i64::MAX.into()),
        DType::U8 => (0.into(), u8::MAX.into()),
        DType::U16 => (0.into(), u16::MAX.into()),
        DType::U32 => (0.into(), u32::MAX.into()),
        DType::U64 => (0.into(), u64::MAX.into()),
        DType::Bool => (0.into(), 1.into()),
    };
    let exact = |bound: f64| match column.dtype {
        DType::F32 | DType::F64 => json!(bound),
        _ => json!(bound as i64),
    };
    let or_type_bound = |bound: Option<f64>, none: Value| bound.filter(|bound| bound.is_finite()).map_or(none, exact);
    (or_type_bound(low, type_min), or_type_bound(high, type_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_paths() {
        for id in ["fighter-v0", "arena/fighter-v12", "a/b/c_d-e-v0"] {
            assert!(is_id(id), "{id}");
        }
        for id in [
            "",
            "fighter",
            "fighter-v",
            "fighter-vx",
            "../x-v0",
            "/x-v0",
            "a//x-v0",
            "a/-v0",
            "x\0-v0",
            "\u{1f980}-v0",
            ".-v0",
        ] {
            assert!(!is_id(id), "{id}");
        }
        let names = ["", ".", "..", "a/b", "a\0b", "a%2Fb", "\u{1f980}"].map(link_name);
        assert_eq!(
            names,
            ["%empty", "%2E", "%2E%2E", "a%2Fb", "a%00b", "a%252Fb", "\u{1f980}"]
        );
    }
}
