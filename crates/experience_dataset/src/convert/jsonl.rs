//! JSON Lines: a transition a line, with the names of the dataset's own columns.

use crate::{DatasetError, Progress, RecordingData, atomic::Beside, progress::Meter};
use experience_core::{
    schema::{Column, DType, Schema},
    transition::{StepBytes, Transition},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{io::Write, path::Path};

/// Writes a recording as JSON Lines to the file `path`, which is replaced: a [`JsonLine`] for each transition.
///
/// `watch` is told how far it is.
///
/// # Errors
/// When the recording is damaged, or the file cannot be written.
pub fn to_jsonl(recording: &RecordingData, path: &Path, watch: &mut dyn FnMut(Progress)) -> Result<(), DatasetError> {
    let mut meter = Meter::new(recording.transitions()?, watch);
    let mut file = Beside::create(path)?;
    for episode in recording.episodes() {
        let episode = episode?;
        for transition in episode.transitions() {
            file.write(|to| {
                serde_json::to_writer(&mut *to, &JsonLine(transition))?;
                to.write_all(b"\n")
            })?;
        }
        meter.add(episode.len());
    }
    file.land()
}

/// A transition as a JSON object, with the names of the dataset's columns.
///
/// Numbers that JSON lacks (NaN and the infinities) are `null`; all others read back as what they were. `next_observation` is
/// in every line, and `changed`, which follows from the observations, in none. An action of one discrete choice is a number;
/// others are lists, with each part in its own type and shape beside them, `action.<name>`.
#[derive(Clone, Copy, Debug)]
pub struct JsonLine<'a>(pub Transition<'a>);

impl Serialize for JsonLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let transition = self.0;
        let (schema, info) = (transition.episode().schema(), transition.episode().info());
        let (before, after) = (transition.before(), transition.after());
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("episode_id", &info.episode_id)?;
        line.serialize_entry("agent_id", &info.agent_id)?;
        line.serialize_entry("match_id", &transition.match_id())?;
        line.serialize_entry("run", &info.run.get())?;
        line.serialize_entry("step", &transition.step())?;
        line.serialize_entry("tick", &transition.tick())?;
        line.serialize_entry("ticks", &transition.ticks())?;
        line.serialize_entry("timestamp", &transition.timestamp())?;
        line.serialize_entry("observation", transition.observation())?;
        let part = |column, bytes| Part { column, bytes };
        if schema.is_single_discrete() {
            line.serialize_entry("action", &part(&schema.action()[0], after.action_bytes(0)))?;
        } else if schema.action_width() > 0 {
            line.serialize_entry("action", &transition.action().collect::<Vec<f64>>())?;
            for (index, column) in schema.action().iter().enumerate() {
                let name = format!("action.{}", column.name);
                line.serialize_entry(&name, &part(column, after.action_bytes(index)))?;
            }
        }
        line.serialize_entry("reward", &transition.reward())?;
        for (term, value) in schema.reward_terms().iter().zip(transition.reward_terms()) {
            line.serialize_entry(&format!("reward.{term}"), value)?;
        }
        line.serialize_entry("next_observation", transition.next_observation())?;
        line.serialize_entry("terminated", &transition.terminated())?;
        line.serialize_entry("truncated", &transition.truncated())?;
        line.serialize_entry("end_reason", &transition.end_reason())?;
        if schema.action_mask_width() > 0 {
            line.serialize_entry("action_mask", &mask(schema, before))?;
            line.serialize_entry("next_action_mask", &mask(schema, after))?;
        }
        for (index, column) in schema.info().iter().enumerate() {
            let name = format!("info.{}", column.name);
            line.serialize_entry(&name, &part(column, after.info_bytes(index)))?;
        }
        line.serialize_entry("continues", &info.continues)?;
        line.end()
    }
}

fn mask(schema: &Schema, row: StepBytes<'_>) -> Vec<bool> {
    (0..schema.action_mask_width()).map(|index| row.allows(index)).collect()
}

/// The values of a column in their own type: 64-bit integers keep all of their digits.
struct Part<'a> {
    column: &'a Column,
    bytes: &'a [u8],
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macro_rules! numbers {
            ($type:ty) => {{
                let mut numbers = self
                    .bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| <$type>::from_ne_bytes(*bytes));
                match (self.column.shape.is_empty(), numbers.len()) {
                    (true, 1) => numbers.next().serialize(serializer),
                    _ => serializer.collect_seq(numbers),
                }
            }};
        }
        match self.column.dtype {
            DType::F32 => numbers!(f32),
            DType::F64 => numbers!(f64),
            DType::I8 => numbers!(i8),
            DType::I16 => numbers!(i16),
            DType::I32 => numbers!(i32),
            DType::I64 => numbers!(i64),
            DType::U8 => numbers!(u8),
            DType::U16 => numbers!(u16),
            DType::U32 => numbers!(u32),
            DType::U64 => numbers!(u64),
            DType::Bool => match (self.column.shape.is_empty(), self.bytes) {
                (true, [byte]) => (*byte != 0).serialize(serializer),
                (_, bytes) => serializer.collect_seq(bytes.iter().map(|byte| *byte != 0)),
            },
        }
    }
}
