//! Summary statistics of a recording's episodes.

use super::{DatasetError, columns::WordColumn, shard::ShardReader};
use experience_arrow::columns::ColumnId;
use experience_core::schema::Schema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

/// Summary statistics of a recording; see [`RecordingData::stats`](super::RecordingData::stats).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordingStats {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Episodes that were terminated.
    pub terminated: u64,
    /// Episodes that were truncated.
    pub truncated: u64,
    /// Sums of an episode's rewards; `None` if there are no episodes.
    pub returns: Option<Summary>,
    /// Numbers of an episode's transitions; `None` if there are no episodes.
    pub lengths: Option<Summary>,
    /// The number of episodes with each end reason.
    pub reasons: BTreeMap<String, u64>,
}

/// Minimum, mean and maximum of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The minimum.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The maximum.
    pub max: f64,
}

impl Summary {
    /// The summary of `count` numbers: those in `before`, and `number`.
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

pub(super) fn stats(
    schema: &Arc<Schema>,
    shards: &[PathBuf],
    discarded: &HashSet<i64>,
) -> Result<RecordingStats, DatasetError> {
    let mut stats = RecordingStats::default();
    for path in shards {
        if let Some(shard) = ShardReader::open(schema, path)? {
            add(&mut stats, &shard, discarded)?;
        }
    }
    Ok(stats)
}

fn add(stats: &mut RecordingStats, shard: &ShardReader, discarded: &HashSet<i64>) -> Result<(), DatasetError> {
    let columns = [
        ColumnId::EpisodeId,
        ColumnId::Reward,
        ColumnId::Terminated,
        ColumnId::Truncated,
        ColumnId::EndReason,
    ];
    // The open episode: its id, its return and its length.
    let mut open: Option<(i64, f64, u64)> = None;
    let missing_end = |id: i64| DatasetError::damaged(shard.path(), format!("episode {id} has no last row"));
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let batch = shard.columns(&batch);
        let (ids, rewards) = (batch.i64(ColumnId::EpisodeId), batch.f64(ColumnId::Reward));
        let (terminated, truncated) = (batch.bool(ColumnId::Terminated), batch.bool(ColumnId::Truncated));
        let reasons = WordColumn::new(batch.array(ColumnId::EndReason));
        for row in 0..batch.rows() {
            let (id, total, length) = open.take().unwrap_or((ids.value(row), 0.0, 0));
            if id != ids.value(row) {
                return Err(missing_end(id));
            }
            let (total, length) = (total + rewards.value(row), length + 1);
            if !terminated.value(row) && !truncated.value(row) {
                open = Some((id, total, length));
                continue;
            }
            if discarded.contains(&id) {
                continue;
            }
            stats.transitions += length;
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
    open.map_or(Ok(()), |(id, ..)| Err(missing_end(id)))
}
