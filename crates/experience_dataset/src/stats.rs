//! A recording in a few numbers.

use super::{DatasetError, columns::Reasons, shard::Shard};
use crate::arrow::Content;
use arrow_array::{
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use experience_core::schema::Schema;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// A recording in a few numbers; see [`RecordingData::stats`](super::RecordingData::stats).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordingStats {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Episodes that the world ended.
    pub terminated: u64,
    /// Episodes at whose end watching stopped.
    pub truncated: u64,
    /// The sum of an episode's rewards; `None` where there are no episodes.
    pub returns: Option<Summary>,
    /// The number of an episode's transitions; `None` where there are no episodes.
    pub lengths: Option<Summary>,
    /// How many episodes ended for each reason.
    pub reasons: BTreeMap<String, u64>,
}

/// Some numbers in three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// The summary of `count` numbers, of which `number` is the last and `before` the others'.
    fn with(before: Option<Self>, number: f64, count: u64) -> Self {
        let Some(before) = before else {
            return Self {
                min: number,
                mean: number,
                max: number,
            };
        };
        Self {
            min: before.min.min(number),
            mean: before.mean + (number - before.mean) / count as f64,
            max: before.max.max(number),
        }
    }
}

pub(super) fn stats(schema: &Arc<Schema>, shards: &[PathBuf]) -> Result<RecordingStats, DatasetError> {
    let mut stats = RecordingStats::default();
    for path in shards {
        add(&mut stats, &Shard::open(schema, path)?)?;
    }
    Ok(stats)
}

fn add(stats: &mut RecordingStats, shard: &Shard) -> Result<(), DatasetError> {
    let columns = [
        Content::EpisodeId,
        Content::Reward,
        Content::Terminated,
        Content::Truncated,
        Content::EndReason,
    ];
    // The open episode: its id, its return and its length.
    let mut open: Option<(i64, f64, u64)> = None;
    let cut_short = |id: i64| DatasetError::damaged(shard.path(), format!("episode {id} ends without an end"));
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let column = |content: Content| &batch[content.name(shard.schema()).as_str()];
        let ids = column(Content::EpisodeId).as_primitive::<Int64Type>();
        let rewards = column(Content::Reward).as_primitive::<Float64Type>();
        let [terminated, truncated] = [Content::Terminated, Content::Truncated].map(|flag| column(flag).as_boolean());
        let reasons = Reasons::new(column(Content::EndReason));
        for row in 0..batch.num_rows() {
            let (id, total, length) = open.take().unwrap_or((ids.value(row), 0.0, 0));
            if id != ids.value(row) {
                return Err(cut_short(id));
            }
            let (total, length) = (total + rewards.value(row), length + 1);
            stats.transitions += 1;
            if !terminated.value(row) && !truncated.value(row) {
                open = Some((id, total, length));
                continue;
            }
            stats.episodes += 1;
            if terminated.value(row) {
                stats.terminated += 1;
            } else {
                stats.truncated += 1;
            }
            stats.returns = Some(Summary::with(stats.returns, total, stats.episodes));
            stats.lengths = Some(Summary::with(stats.lengths, length as f64, stats.episodes));
            if let Some(reason) = reasons.get(row) {
                *stats.reasons.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
    open.map_or(Ok(()), |(id, ..)| Err(cut_short(id)))
}
