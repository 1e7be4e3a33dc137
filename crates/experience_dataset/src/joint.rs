//! Who was where: all players of a match at one tick.

use super::{DatasetError, episodes::ShardEpisodes, shard::Shard};
use crate::arrow::Content;
use arrow_array::{
    Array,
    cast::AsArray,
    types::{Int32Type, Int64Type},
};
use core::ops::Range;
use experience_core::transition::{Episode, RunId, Transition};
use parquet::arrow::arrow_reader::RowSelection;

/// A player's part in the joint state of a match; see [`RecordingData::joint`](super::RecordingData::joint).
#[derive(Clone, Debug)]
pub struct PlayerAt {
    episode: Episode,
    step: usize,
}

impl PlayerAt {
    /// The transition that was under way.
    #[must_use]
    pub fn transition(&self) -> Transition<'_> {
        self.episode.transition(self.step)
    }

    /// The whole episode, with what came before and after.
    #[must_use]
    pub fn episode(&self) -> &Episode {
        &self.episode
    }
}

/// A tick of a match of a run.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) run: RunId,
    pub(super) match_id: Option<i64>,
    pub(super) tick: i64,
}

/// The players of one shard at a moment.
///
/// Finds the episodes by their small columns first, and then reads only their rows.
pub(super) fn players(shard: &Shard, moment: Moment) -> Result<Vec<PlayerAt>, DatasetError> {
    let outside = |(least, greatest): (i64, i64)| moment.run.get() < least || moment.run.get() > greatest;
    if shard.bounds(Content::Run).is_some_and(outside)
        || shard
            .bounds(Content::Tick)
            .is_some_and(|(least, _)| moment.tick < least)
    {
        return Ok(Vec::new());
    }
    let (found, rows) = find(shard, moment)?;
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
            _ => return Err(DatasetError::damaged(shard.path(), "an episode is not in one piece")),
        }
    }
    Ok(players)
}

/// The rows of each episode that has a transition under way at the moment, and which of them it is; and the number of all rows.
fn find(shard: &Shard, moment: Moment) -> Result<(Vec<(Range<usize>, usize)>, usize), DatasetError> {
    let columns = [
        Content::Run,
        Content::MatchId,
        Content::Step,
        Content::Tick,
        Content::Ticks,
    ];
    let mut found = Vec::new();
    let mut rows = 0;
    let mut start = 0;
    let mut hit = None;
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let longs = |content: Content| batch[content.name(shard.schema()).as_str()].as_primitive::<Int64Type>();
        let ints = |content: Content| batch[content.name(shard.schema()).as_str()].as_primitive::<Int32Type>();
        let (runs, matches, ticks) = (longs(Content::Run), longs(Content::MatchId), longs(Content::Tick));
        let (steps, lasted) = (ints(Content::Step), ints(Content::Ticks));
        for row in 0..batch.num_rows() {
            if steps.value(row) == 0 {
                found.extend(hit.take().map(|step| (start..rows, step)));
                start = rows;
            }
            let match_id = matches.is_valid(row).then(|| matches.value(row));
            let from = ticks.value(row);
            let until = from.saturating_add(i64::from(lasted.value(row)));
            if runs.value(row) == moment.run.get()
                && match_id == moment.match_id
                && (from == moment.tick || (from..until).contains(&moment.tick))
            {
                hit = Some(rows - start);
            }
            rows += 1;
        }
    }
    found.extend(hit.map(|step| (start..rows, step)));
    Ok((found, rows))
}
