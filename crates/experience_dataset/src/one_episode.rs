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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeQuery {
    run: Option<RunId>,
    episode: Option<i64>,
    agent: Option<i64>,
    skipped: usize,
    steps: Option<(usize, usize)>,
    max_bytes: u64,
}

/// The maximum size of an episode that is read at once, unless a query allows more.
const MAX_BYTES: u64 = 256 << 20;

impl Default for EpisodeQuery {
    fn default() -> Self {
        Self {
            run: None,
            episode: None,
            agent: None,
            skipped: 0,
            steps: None,
            max_bytes: MAX_BYTES,
        }
    }
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

    /// Only the transitions of these steps of the episode, or those of them that it has. The part is an episode of its own: its steps are
    /// counted from 0, and it is truncated with [`EndReason::SPLIT`](experience_core::transition::EndReason::SPLIT) where the episode goes on.
    ///
    /// Long episodes are read part by part:
    ///
    /// ```no_run
    /// # use experience_dataset::{Dataset, DatasetError, EpisodeQuery};
    /// # use experience_core::transition::EndReason;
    /// let recording = Dataset::open("data/arena")?.recording("fighter")?.clone();
    /// let mut first = 0;
    /// loop {
    ///     let part = recording.episode(&EpisodeQuery::new().agent(3).steps(first..first + 10_000))?;
    ///     first += part.len();
    ///     if *part.reason() != EndReason::SPLIT {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), DatasetError>(())
    /// ```
    #[must_use]
    pub fn steps(self, steps: Range<usize>) -> Self {
        Self {
            steps: Some((steps.start, steps.end)),
            ..self
        }
    }

    /// The size in bytes of the episode, or of its part, up to which it is read: 256 MiB by default. All of it is in memory.
    #[must_use]
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
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
            // The episode was found.
            Err(error @ (DatasetError::EpisodeTooLarge { .. } | DatasetError::NoSuchStep { .. })) => return Err(error),
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
    let part = part(shard, query, rows.len())?;
    // With the row whose observation is the last of the part.
    let with_next = rows.start + part.start..rows.end.min((rows.start + part.end).saturating_add(1));
    let selection = RowSelection::from_consecutive_ranges(core::iter::once(with_next), all);
    ShardEpisodes::of_part(shard, selection, part)?.next().transpose()
}

/// The steps that are read of an episode of `len` transitions.
fn part(shard: &ShardReader, query: &EpisodeQuery, len: usize) -> Result<Range<usize>, DatasetError> {
    let (start, end) = query.steps.unwrap_or((0, len));
    let end = end.min(len);
    let (path, transitions) = (shard.path().to_owned(), len as u64);
    if start >= end {
        return Err(DatasetError::NoSuchStep {
            path,
            transitions,
            step: start as u64,
        });
    }
    let bytes = (end - start + 1) as u64 * shard.schema().layout().row_bytes() as u64;
    if bytes > query.max_bytes {
        return Err(DatasetError::EpisodeTooLarge {
            path,
            transitions,
            bytes,
            max_bytes: query.max_bytes,
        });
    }
    Ok(start..end)
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
