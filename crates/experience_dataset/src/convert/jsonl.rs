//! Converts a recording to JSON Lines, one transition per line, with the names of the dataset's columns.

use crate::{DatasetError, Progress, RecordingData, progress::ProgressMeter};
use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use experience_arrow::match_dtype;
use experience_core::{
    schema::{Column, ColumnList, DType, Schema},
    transition::{StepBytes, Transition},
};
use experience_export::disk::{self, atomic::AtomicFile};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Writes a recording as JSON Lines, a [`JsonLine`] for each transition, to the file `path`, which is created or replaced.
///
/// `watch` is called with the progress.
///
/// # Errors
/// If the recording is damaged, `path` is a folder or a device, or the file cannot be written.
pub fn to_jsonl(recording: &RecordingData, path: &Path, watch: &mut dyn FnMut(Progress)) -> Result<(), DatasetError> {
    // A folder cannot be replaced by a file, and a device must not be.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(DatasetError::write(path, "it exists and is no file; name a new file"));
    }
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let folder = disk::parent(path);
    disk::create_folders(folder).map_err(DatasetError::io("create", folder))?;
    let mut file = BufWriter::new(AtomicFile::create(path).map_err(DatasetError::io("create", path))?);
    for episode in recording.episodes() {
        let episode = episode?;
        for transition in episode.transitions() {
            serde_json::to_writer(&mut file, &JsonLine(transition))
                .map_err(io::Error::from)
                .and_then(|()| file.write_all(b"\n"))
                .map_err(DatasetError::io("write", path))?;
        }
        meter.add(episode.len());
    }
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|mut file| file.commit())
        .map_err(DatasetError::io("write", path))
}

/// A transition as a JSON object, with the names of the dataset's columns.
///
/// The ids `episode_id`, `agent_id`, `match_id`, `run` and `continues` are strings of decimal digits, because jq, JavaScript and
/// other readers convert numbers to `f64`, which rounds those beyond 2^53. Integers in the columns of the game are numbers with all
/// of their digits. Non-finite numbers are `null`; all others are exact. `next_observation` is in every line, and `changed`, which follows from
/// the observations, in none. A single discrete action is a number; other actions are lists, with each action column in its own
/// type and shape in `action.<name>`. The bytes of an image are a string of base64 in `observation.<name>`, and those of the final
/// observation in `next_observation.<name>` of an episode's last line. The entities of a list are objects in `observation.<list>` and
/// `next_observation.<list>`, in addition to their values in the observation.
#[derive(Clone, Copy, Debug)]
pub struct JsonLine<'a>(pub Transition<'a>);

impl Serialize for JsonLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let transition = self.0;
        let (schema, info) = (transition.episode().schema(), transition.episode().info());
        let (before, after) = (transition.before(), transition.after());
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("episode_id", &Id(info.episode_id))?;
        line.serialize_entry("agent_id", &Id(info.agent_id))?;
        line.serialize_entry("match_id", &transition.match_id().map(Id))?;
        line.serialize_entry("run", &Id(info.run.get()))?;
        line.serialize_entry("step", &transition.step())?;
        line.serialize_entry("tick", &transition.tick())?;
        line.serialize_entry("ticks", &transition.ticks())?;
        line.serialize_entry("timestamp", &transition.timestamp())?;
        if schema.observation_width() > 0 {
            line.serialize_entry("observation", transition.observation())?;
        }
        for (index, image) in schema.images().iter().enumerate() {
            line.serialize_entry(&format!("observation.{}", image.name), &Base64(transition.image(index)))?;
        }
        let lists: Vec<_> = schema.lists().collect();
        for list in &lists {
            let entities = ListEntities(list, transition.observation());
            line.serialize_entry(&format!("observation.{}", list.name()), &entities)?;
        }
        let values = |column, bytes| ColumnValues { column, bytes };
        if schema.is_single_discrete() {
            line.serialize_entry("action", &values(&schema.action()[0], after.action_bytes(0)))?;
        } else if schema.action_width() > 0 {
            line.serialize_entry("action", &transition.action().collect::<Vec<f64>>())?;
            for (index, column) in schema.action().iter().enumerate() {
                let name = format!("action.{}", column.name);
                line.serialize_entry(&name, &values(column, after.action_bytes(index)))?;
            }
        }
        line.serialize_entry("reward", &transition.reward())?;
        for (term, value) in schema.reward_terms().iter().zip(transition.reward_terms()) {
            line.serialize_entry(&format!("reward.{term}"), value)?;
        }
        if schema.observation_width() > 0 {
            line.serialize_entry("next_observation", transition.next_observation())?;
        }
        for (index, image) in schema.images().iter().enumerate() {
            let last = transition.is_last().then(|| Base64(transition.next_image(index)));
            line.serialize_entry(&format!("next_observation.{}", image.name), &last)?;
        }
        for list in &lists {
            let entities = ListEntities(list, transition.next_observation());
            line.serialize_entry(&format!("next_observation.{}", list.name()), &entities)?;
        }
        line.serialize_entry("terminated", &transition.terminated())?;
        line.serialize_entry("truncated", &transition.truncated())?;
        line.serialize_entry("end_reason", &transition.end_reason())?;
        if schema.action_mask_width() > 0 {
            line.serialize_entry("action_mask", &mask(schema, before))?;
            line.serialize_entry("next_action_mask", &mask(schema, after))?;
        }
        for (index, column) in schema.info().iter().enumerate() {
            let name = format!("info.{}", column.name);
            line.serialize_entry(&name, &values(column, after.info_bytes(index)))?;
        }
        line.serialize_entry("continues", &info.continues.map(Id))?;
        line.serialize_entry("controller", &transition.controller())?;
        line.end()
    }
}

/// The entities in a list, each an object with its features.
struct ListEntities<'a>(&'a ColumnList, &'a [f32]);

impl Serialize for ListEntities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(list, observation) = self;
        serializer.collect_seq(list.present(observation).map(|values| Entity(list.features(), values)))
    }
}

struct Entity<'a>(&'a [String], &'a [f32]);

impl Serialize for Entity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The first feature is the mask, and all of these entities are present.
        serializer.collect_map(self.0.iter().zip(self.1).skip(1))
    }
}

/// Bytes, as a string of base64 with padding.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// An id, as a string.
struct Id(i64);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn mask(schema: &Schema, row: StepBytes<'_>) -> Vec<bool> {
    (0..schema.action_mask_width()).map(|index| row.allows(index)).collect()
}

/// The values of a column in their own type, which keeps all digits of 64-bit integers.
struct ColumnValues<'a> {
    column: &'a Column,
    bytes: &'a [u8],
}

impl Serialize for ColumnValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macro_rules! numbers {
            ($native:ty, $arrow:ty) => {{
                let mut numbers = self
                    .bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| <$native>::from_ne_bytes(*bytes));
                match (self.column.shape.is_empty(), numbers.len()) {
                    (true, 1) => numbers.next().serialize(serializer),
                    _ => serializer.collect_seq(numbers),
                }
            }};
        }
        match_dtype!(
            self.column.dtype,
            numbers,
            match (self.column.shape.is_empty(), self.bytes) {
                (true, [byte]) => (*byte != 0).serialize(serializer),
                (_, bytes) => serializer.collect_seq(bytes.iter().map(|byte| *byte != 0)),
            }
        )
    }
}
