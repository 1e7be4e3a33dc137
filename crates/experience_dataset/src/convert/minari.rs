//! Converts a recording to a Minari dataset: `metadata.json`, and an HDF5 file with a group for each episode.
//!
//! ```text
//! <root>/<id>/data/metadata.json
//! <root>/<id>/data/main_data.hdf5
//!   episode_0                 attributes id, total_steps, and of this crate episode_id, agent_id, run, end_reason, controller
//!     observations            [T + 1, N] f32, including the final observation; with lists or images, a group with their parts:
//!       observation           [T + 1, N] f32, the features outside of lists
//!       observation.<list>    [T + 1, capacity, features] f32
//!       observation.<list>_mask [T + 1, capacity] i8
//!       observation.<image>   [T + 1, H, W, C] u8
//!     actions                 [T], [T, M], or a group with a dataset for each action column
//!     rewards                 [T] f64
//!     terminations            [T] bool
//!     truncations             [T] bool
//!     infos/                  each [T + 1]: tick, action_mask, the info columns, and `reward.<term>`
//! ```
//!
//! With images the observation space is a `Dict` of the same names.
//!
//! The action space is `Discrete` for a single discrete action, `MultiDiscrete` for several, a `Box` for `f32` columns alone,
//! and otherwise a `Dict` of the columns, in which a scalar that is not discrete has the shape `[1]`. Infos have the index of
//! Gymnasium: the info and the reward terms of an action are at the step that it led to, `t + 1`, and `action_mask` is at its
//! observation. At index 0, where no action led, infos of actions are 0.

mod hdf5;
mod observations;
mod spaces;

pub use observations::MinariObservations;

use crate::{DatasetError, Progress, RecordingData, dataset_builder::create_folder, progress::ProgressMeter};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, Outcome, StepBytes, Transition, values},
};
use experience_export::disk::{self, atomic::AtomicFile};
use hdf5::{Hdf5Types, link_name};
use hdf5_pure::{AttrValue, FileBuilder, FormatError, GroupBuilder};
use observations::ObservationFormat;
use serde_json::{Value, json};
use spaces::{column_space, packed_space, shape};
use std::{
    io::{BufWriter, IntoInnerError},
    path::{Path, PathBuf},
};

/// The version of Minari whose format is written.
const MINARI: &str = "0.5.0";

/// Writes a recording as the Minari dataset `id` (`arena/fighter-v0`) to the folder `root`, the value of
/// `MINARI_DATASETS_PATH`. Returns the folder of the new dataset. `observations` is the format of observations with lists.
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
    observations: MinariObservations,
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
    let observation = ObservationFormat::of(schema, observations);
    let hdf5 = |error: FormatError| DatasetError::write(&to, error);
    let types = Hdf5Types::new().map_err(hdf5)?;
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut file = FileBuilder::new();
    let (mut episodes, mut steps) = (0_u64, 0_u64);
    for episode in recording.episodes() {
        let episode = episode?;
        let mut group = file.create_group(&format!("episode_{episodes}"));
        write_episode(&mut group, &episode, episodes, (&observation, &action), &types);
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
        "observation_space": observation.space().to_string(),
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
                    let rows = episode
                        .transitions()
                        .map(|transition| transition.after().action_bytes(index));
                    if let Space::Discrete { .. } = column.space {
                        let actions = rows.flat_map(|bytes| values(column.dtype, bytes));
                        let actions: Vec<i64> = actions.map(|action| action as i64).collect();
                        let mut extents = vec![steps];
                        extents.extend(column.shape.iter().map(|extent| *extent as u64));
                        columns
                            .create_dataset(name)
                            .with_i64_data(&actions)
                            .with_shape(&extents);
                    } else {
                        types.write(&mut columns, name, column, rows, shape(column));
                    }
                }
                group.add_group(columns.finish());
            }
        }
    }
}

fn write_episode(
    group: &mut GroupBuilder,
    episode: &Episode,
    index: u64,
    (observation, action): (&ObservationFormat, &ActionFormat),
    types: &Hdf5Types,
) {
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
    let controllers: Vec<&str> = episode.controllers().iter().map(|(_, label)| &**label).collect();
    if !controllers.is_empty() {
        // Several, in the order in which they first acted, where another took over.
        group.set_attr(
            "controller",
            AttrValue::String(controllers.join(", ").replace('\0', "\u{fffd}")),
        );
    }
    let rows = || (0..=episode.len()).map(|index| episode.row(index));
    observation.write(group, episode, types);
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
    for (index, name) in info_names(schema) {
        let column = &schema.info()[index];
        let rows = rows().map(|row| row.info_bytes(index));
        types.write(&mut infos, &name, column, rows, &column.shape);
    }
    for (index, term) in schema.reward_terms().iter().enumerate() {
        let values: Vec<f32> = rows().map(|row| row.reward_terms()[index]).collect();
        infos.create_dataset(&reward_name(term)).with_f32_data(&values);
    }
    group.add_group(infos.finish());
}

/// The index of each info column with values, and its name in `infos`. A column that has the name of another entry is prefixed
/// with `info.`, because a duplicate name would make the file unreadable.
fn info_names(schema: &Schema) -> Vec<(usize, String)> {
    let terms = schema.reward_terms().iter().map(|term| reward_name(term));
    let mut taken: Vec<String> = ["tick", "action_mask"]
        .map(str::to_owned)
        .into_iter()
        .chain(terms)
        .collect();
    let columns = schema.info().iter().enumerate();
    let columns = columns.filter(|(_, column)| column.width() > 0);
    let (clashing, mut names): (Vec<_>, Vec<_>) = columns
        .map(|(index, column)| (index, link_name(&column.name)))
        .partition(|(_, name)| taken.contains(name));
    taken.extend(names.iter().map(|(_, name)| name.clone()));
    for (index, mut name) in clashing {
        while taken.contains(&name) {
            name.insert_str(0, "info.");
        }
        taken.push(name.clone());
        names.push((index, name));
    }
    names
}

fn reward_name(term: &str) -> String {
    format!("reward.{}", link_name(term))
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
