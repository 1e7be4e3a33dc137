//! JSON Lines: a transition a line, with the names of the dataset's own columns.

use crate::{
    dataset::{DatasetError, Progress, RecordingData, atomic::Beside, progress::Meter},
    schema::{Column, Schema},
    transition::{StepBytes, Transition, values},
};
use serde_json::{Map, Value, json};
use std::{io::Write, path::Path};

/// Writes a recording as JSON Lines to the file `path`, which is replaced: a transition a line, as [`json_line`] has it.
///
/// # Errors
/// When the recording is damaged, or the file cannot be written.
pub fn to_jsonl(recording: &RecordingData, path: &Path, watch: &mut dyn FnMut(Progress)) -> Result<(), DatasetError> {
    let mut meter = Meter::new(recording.transitions()?, watch);
    let mut file = Beside::create(path)?;
    for episode in recording.episodes() {
        let episode = episode?;
        for transition in episode.transitions() {
            let line = Value::Object(json_line(transition)).to_string();
            file.write(|to| writeln!(to, "{line}"))?;
        }
        meter.add(episode.len());
    }
    file.land()
}

/// A transition as a JSON object, with the names of the dataset's columns.
///
/// Numbers that JSON lacks (NaN and the infinities) are `null`. `next_observation` is in every line, and `changed`, which
/// follows from the observations, in none. An action of one discrete choice is a number; others are lists, with a list or a
/// number for each part beside them, `action.<name>`.
#[must_use]
pub fn json_line(transition: Transition<'_>) -> Map<String, Value> {
    let schema = transition.episode().schema();
    let info = transition.episode().info();
    let mut line = Map::new();
    let mut put = |name: String, value: Value| line.insert(name, value);
    put("episode_id".into(), info.episode_id.into());
    put("agent_id".into(), info.agent_id.into());
    put("match_id".into(), transition.match_id().into());
    put("run".into(), info.run.get().into());
    put("step".into(), transition.step().into());
    put("tick".into(), transition.tick().into());
    put("ticks".into(), transition.ticks().into());
    put("timestamp".into(), transition.timestamp().into());
    put("observation".into(), transition.observation().into());
    let after = transition.after();
    if schema.is_single_discrete() {
        put(
            "action".into(),
            scalar_or_list(&schema.action()[0], after.action_bytes(0)),
        );
    } else if schema.action_width() > 0 {
        put("action".into(), transition.action().collect::<Vec<f64>>().into());
        for (index, column) in schema.action().iter().enumerate() {
            put(
                format!("action.{}", column.name),
                scalar_or_list(column, after.action_bytes(index)),
            );
        }
    }
    put("reward".into(), transition.reward().into());
    for (term, value) in schema.reward_terms().iter().zip(transition.reward_terms()) {
        put(format!("reward.{term}"), (*value).into());
    }
    put("next_observation".into(), transition.next_observation().into());
    put("terminated".into(), transition.terminated().into());
    put("truncated".into(), transition.truncated().into());
    put("end_reason".into(), json!(transition.end_reason()));
    if schema.action_mask_width() > 0 {
        put("action_mask".into(), mask(schema, transition.before()));
        put("next_action_mask".into(), mask(schema, after));
    }
    for (index, column) in schema.info().iter().enumerate() {
        put(
            format!("info.{}", column.name),
            scalar_or_list(column, after.info_bytes(index)),
        );
    }
    put("continues".into(), info.continues.into());
    line
}

fn mask(schema: &Schema, row: StepBytes<'_>) -> Value {
    (0..schema.action_mask_width()).map(|index| row.allows(index)).collect()
}

/// The values of a column in their own type: 64-bit integers keep all of their digits.
fn scalar_or_list(column: &Column, bytes: &[u8]) -> Value {
    use crate::schema::DType;
    let mut items: Vec<Value> = match column.dtype {
        DType::F32 | DType::F64 => values(column.dtype, bytes).map(Value::from).collect(),
        DType::Bool => bytes.iter().map(|byte| Value::from(*byte != 0)).collect(),
        DType::I64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|chunk| i64::from_ne_bytes(*chunk).into())
            .collect(),
        DType::U64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|chunk| u64::from_ne_bytes(*chunk).into())
            .collect(),
        _ => values(column.dtype, bytes)
            .map(|value| Value::from(value as i64))
            .collect(),
    };
    if column.shape.is_empty() && items.len() == 1 {
        items.remove(0)
    } else {
        Value::Array(items)
    }
}
