//! The joint state of a match: the transitions of all its players at one tick.

use super::{DatasetError, episodes::ShardEpisodes, shard::ShardReader};
use core::ops::Range;
use experience_arrow::columns::{ColumnId, value_at};
use experience_core::transition::{Episode, RunId, Transition};
use parquet::arrow::arrow_reader::RowSelection;

/// One player in the joint state of a match; see [`RecordingData::joint`](super::RecordingData::joint).
#[derive(Clone, Debug)]
pub struct PlayerAt {
    episode: Episode,
    step: usize,
}

impl PlayerAt {
    /// The transition that includes the tick.
    #[must_use]
    pub fn transition(&self) -> Transition<'_> {
        self.episode.transition(self.step)
    }

    /// The whole episode of the transition.
    #[must_use]
    pub fn episode(&self) -> &Episode {
        &self.episode
    }
}

/// Identifies a joint state: a tick of a match of a run.
#[derive(Clone, Copy)]
pub(super) struct JointKey {
    pub(super) run: RunId,
    pub(super) match_id: Option<i64>,
    pub(super) tick: i64,
}

/// The players of one shard in a joint state.
///
/// Finds the episodes in the columns of ids and ticks, and reads the other columns of these episodes alone.
pub(super) fn players(shard: &ShardReader, key: JointKey) -> Result<Vec<PlayerAt>, DatasetError> {
    let is_outside = |(min, max): (i64, i64)| key.run.get() < min || key.run.get() > max;
    if shard.bounds(ColumnId::Run).is_some_and(is_outside)
        || shard.bounds(ColumnId::Tick).is_some_and(|(min, _)| key.tick < min)
    {
        return Ok(Vec::new());
    }
    let (found, rows) = find(shard, key)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = found.iter().map(|(rows, _)| rows.clone());
    let selection = RowSelection::from_consecutive_ranges(ranges, rows);
    let mut steps = found.iter().map(|(_, step)| *step);
    let mut players = Vec::with_capacity(found.len());
    for episode in ShardEpisodes::new(shard, Some(selection))? {
        let (episode, step) = (episode?, steps.next());
        match step {
            Some(step) if step < episode.len() => players.push(PlayerAt { episode, step }),
            _ => {
                return Err(DatasetError::damaged(
                    shard.path(),
                    "the rows of an episode are not contiguous",
                ));
            }
        }
    }
    Ok(players)
}

/// The row range of each episode with a transition in the joint state, and the step of that transition; and the number of all
/// rows in the shard.
fn find(shard: &ShardReader, key: JointKey) -> Result<(Vec<(Range<usize>, usize)>, usize), DatasetError> {
    let columns = [
        ColumnId::Run,
        ColumnId::MatchId,
        ColumnId::Step,
        ColumnId::Tick,
        ColumnId::Ticks,
    ];
    let mut found = Vec::new();
    let mut rows = 0;
    let mut start = 0;
    let mut hit = None;
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let batch = shard.columns(&batch);
        let (runs, ticks) = (batch.i64(ColumnId::Run), batch.i64(ColumnId::Tick));
        let match_ids = batch.i64(ColumnId::MatchId);
        let (steps, durations) = (batch.i32(ColumnId::Step), batch.i32(ColumnId::Ticks));
        for row in 0..batch.rows() {
            if steps.value(row) == 0 {
                found.extend(hit.take().map(|step| (start..rows, step)));
                start = rows;
            }
            let from = ticks.value(row);
            let until = from.saturating_add(i64::from(durations.value(row)));
            if runs.value(row) == key.run.get()
                && value_at(match_ids, row) == key.match_id
                && (from == key.tick || (from..until).contains(&key.tick))
            {
                hit = Some(rows - start);
            }
            rows += 1;
        }
    }
    found.extend(hit.map(|step| (start..rows, step)));
    Ok((found, rows))
}
