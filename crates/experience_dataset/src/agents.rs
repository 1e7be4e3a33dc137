//! The agents of a recording and their totals, read from the narrow columns of its shards.

use super::{DatasetError, RecordingData, shard::ShardReader};
use experience_arrow::columns::ColumnId;
use experience_core::account::AgentTotals;
use std::collections::{BTreeMap, HashSet};

/// The totals of each agent. Reads five columns.
pub(super) fn totals(recording: &RecordingData) -> Result<BTreeMap<i64, AgentTotals>, DatasetError> {
    let discarded = recording.discarded()?;
    let columns = [
        ColumnId::EpisodeId,
        ColumnId::AgentId,
        ColumnId::Reward,
        ColumnId::Terminated,
        ColumnId::Truncated,
    ];
    let mut totals = BTreeMap::<i64, AgentTotals>::new();
    for path in recording.shards()? {
        let Some(shard) = ShardReader::open(recording.schema(), &path)? else {
            continue;
        };
        for batch in shard.batches(&columns, None)? {
            let batch = batch?;
            let batch = shard.columns(&batch);
            let (agents, rewards) = (batch.i64(ColumnId::AgentId), batch.f64(ColumnId::Reward));
            let (ids, is_last) = (batch.i64(ColumnId::EpisodeId), batch.is_last());
            for row in (0..batch.rows()).filter(|row| !discarded.contains(&ids.value(*row))) {
                let totals = totals.entry(agents.value(row)).or_default();
                totals.transitions += 1;
                totals.episodes += u64::from(is_last.value(row));
                totals.total_reward += rewards.value(row);
            }
        }
    }
    Ok(totals)
}

/// Adds the agents of a shard. Reads one column.
pub(super) fn collect(shard: &ShardReader, agents: &mut HashSet<i64>) -> Result<(), DatasetError> {
    // The rows of an episode are contiguous, so most rows have the agent of the row before.
    let mut last = None;
    for batch in shard.batches(&[ColumnId::AgentId], None)? {
        for &agent in shard.columns(&batch?).i64(ColumnId::AgentId).values() {
            if last.replace(agent) != Some(agent) {
                agents.insert(agent);
            }
        }
    }
    Ok(())
}
