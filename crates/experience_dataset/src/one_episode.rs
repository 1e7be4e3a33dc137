//! Finds one episode of a recording.

use super::{DatasetError, RecordingData, episodes::ShardEpisodes, shard::ShardReader};
use core::{fmt, ops::Range};
use experience_arrow::columns::ColumnId;
use experience_core::transition::{Episode, RunId};
use parquet::arrow::arrow_reader::RowSelection;

/// Selects episodes for [`RecordingData::episode`]: all of them, unless restricted.
///
/// ```
/// use experience_dataset::EpisodeQuery;
///
/// let query = EpisodeQuery::new().agent(3).skip(1);
/// assert_eq!(query.to_string(), "the agent 3, after 1 more");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpisodeQuery {
    run: Option<RunId>,
    episode: Option<i64>,
    agent: Option<i64>,
    skipped: usize,
}

impl EpisodeQuery {
    /// All episodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only episodes of this run.
    #[must_use]
    pub fn run(self, run: RunId) -> Self {
        Self { run: Some(run), ..self }
    }

    /// Only the episode with this id.
    #[must_use]
    pub fn episode(self, episode: i64) -> Self {
        Self {
            episode: Some(episode),
            ..self
        }
    }

    /// Only episodes of this agent.
    #[must_use]
    pub fn agent(self, agent: i64) -> Self {
        Self {
            agent: Some(agent),
            ..self
        }
    }

    /// Not the first `count` of the selected episodes.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        Self { skipped: count, ..self }
    }

    /// The ids that are selected, with their columns.
    fn ids(&self) -> impl Iterator<Item = (ColumnId, i64)> {
        [
            (ColumnId::Run, self.run.map(RunId::get)),
            (ColumnId::EpisodeId, self.episode),
            (ColumnId::AgentId, self.agent),
        ]
        .into_iter()
        .filter_map(|(column, id)| Some((column, id?)))
    }
}

impl fmt::Display for EpisodeQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.run.map(|run| format!("the run {run}")));
        parts.extend(self.episode.map(|episode| format!("the id {episode}")));
        parts.extend(self.agent.map(|agent| format!("the agent {agent}")));
        let all = if parts.is_empty() {
            "any id".to_owned()
        } else {
            parts.join(" and ")
        };
        match self.skipped {
            0 => f.write_str(&all),
            skipped => write!(f, "{all}, after {skipped} more"),
        }
    }
}

/// The first episode that `query` selects.
pub(super) fn find(recording: &RecordingData, query: &EpisodeQuery) -> Result<Episode, DatasetError> {
    let mut skipped = query.skipped;
    let mut first_error = None;
    for path in recording.shards()? {
        let found = ShardReader::open(recording.schema(), &path).and_then(|shard| match shard {
            Some(shard) => find_in_shard(&shard, query, &mut skipped),
            None => Ok(None),
        });
        match found {
            Ok(Some(episode)) => return Ok(episode),
            Ok(None) => {}
            // The other shards are independent of it.
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| DatasetError::NoSuchEpisode {
        path: recording.path().to_owned(),
        query: query.to_string(),
    }))
}

fn find_in_shard(
    shard: &ShardReader,
    query: &EpisodeQuery,
    skipped: &mut usize,
) -> Result<Option<Episode>, DatasetError> {
    let is_outside = |(column, id): (ColumnId, i64)| {
        let bounds = shard.bounds(column);
        bounds.is_some_and(|(min, max)| id < min || id > max)
    };
    if query.ids().any(is_outside) {
        return Ok(None);
    }
    let Some((rows, all)) = find_rows(shard, query, skipped)? else {
        return Ok(None);
    };
    let selection = RowSelection::from_consecutive_ranges(core::iter::once(rows), all);
    ShardEpisodes::new(shard, Some(selection))?.next().transpose()
}

/// The rows of the episode, and the number of all rows of the shard.
fn find_rows(
    shard: &ShardReader,
    query: &EpisodeQuery,
    skipped: &mut usize,
) -> Result<Option<(Range<usize>, usize)>, DatasetError> {
    let columns = [ColumnId::Run, ColumnId::EpisodeId, ColumnId::AgentId, ColumnId::Step];
    let all = usize::try_from(shard.rows()).unwrap_or(usize::MAX);
    let mut row_number = 0;
    let mut start = None;
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let batch = shard.columns(&batch);
        let steps = batch.i32(ColumnId::Step);
        for row in 0..batch.rows() {
            if steps.value(row) == 0 {
                if let Some(start) = start {
                    return Ok(Some((start..row_number, all)));
                }
                if query.ids().all(|(column, id)| batch.i64(column).value(row) == id) {
                    match skipped.checked_sub(1) {
                        Some(rest) => *skipped = rest,
                        None => start = Some(row_number),
                    }
                }
            }
            row_number += 1;
        }
    }
    Ok(start.map(|start| (start..row_number, all)))
}
