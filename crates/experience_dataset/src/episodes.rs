//! Rows of a shard become episodes again.

use super::{
    DatasetError,
    columns::Columns,
    shard::{Batches, Shard},
};
use core::fmt;
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use parquet::arrow::arrow_reader::RowSelection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

/// The episodes of a recording, shard by shard.
pub struct Episodes {
    schema: Arc<Schema>,
    /// Why there are no shards to read; told first.
    failed: Option<DatasetError>,
    shards: vec::IntoIter<PathBuf>,
    current: Option<ShardEpisodes>,
}

impl Episodes {
    pub(super) fn new(schema: Arc<Schema>, shards: Result<Vec<PathBuf>, DatasetError>) -> Self {
        let (shards, failed) = match shards {
            Ok(shards) => (shards, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            schema,
            failed,
            shards: shards.into_iter(),
            current: None,
        }
    }
}

impl Iterator for Episodes {
    type Item = Result<Episode, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        loop {
            if let Some(shard) = &mut self.current {
                match shard.next() {
                    Some(Ok(episode)) => return Some(Ok(episode)),
                    // What follows the damage cannot be trusted; the next shard can.
                    Some(Err(error)) => {
                        self.current = None;
                        return Some(Err(error));
                    }
                    None => self.current = None,
                }
            }
            let path = self.shards.next()?;
            match Shard::open(&self.schema, &path).and_then(|shard| ShardEpisodes::new(&shard, None)) {
                Ok(shard) => self.current = Some(shard),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl fmt::Debug for Episodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Episodes")
            .field("shards", &self.shards.as_slice())
            .finish_non_exhaustive()
    }
}

/// The episodes of one shard, or of some whole episodes' rows in it.
pub(super) struct ShardEpisodes {
    schema: Arc<Schema>,
    path: PathBuf,
    batches: Batches,
    columns: Option<Columns>,
    row: usize,
    open: Option<OpenEpisode>,
}

impl ShardEpisodes {
    pub(super) fn new(shard: &Shard, selection: Option<RowSelection>) -> Result<Self, DatasetError> {
        Ok(Self {
            schema: shard.schema().clone(),
            path: shard.path().to_owned(),
            batches: shard.batches(&shard.all(), selection)?,
            columns: None,
            row: 0,
            open: None,
        })
    }
}

impl Iterator for ShardEpisodes {
    type Item = Result<Episode, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(columns) = self.columns.as_ref().filter(|columns| self.row < columns.step.len()) else {
                match self.batches.next() {
                    Some(Ok(batch)) => match Columns::new(&self.schema, &batch) {
                        Ok(columns) => (self.columns, self.row) = (Some(columns), 0),
                        Err(reason) => return Some(Err(DatasetError::damaged(&self.path, reason))),
                    },
                    Some(Err(error)) => return Some(Err(error)),
                    None => return self.open.take().map(|open| Err(open.cut_short(&self.path))),
                }
                continue;
            };
            let open = self
                .open
                .get_or_insert_with(|| OpenEpisode::begin(&self.schema, columns, self.row));
            let taken = open.take(columns, self.row);
            self.row += 1;
            match taken {
                Ok(None) => {}
                Ok(Some((outcome, reason))) => return self.open.take().map(|open| Ok(open.end(outcome, reason))),
                Err(reason) => {
                    self.open = None;
                    return Some(Err(DatasetError::damaged(&self.path, reason)));
                }
            }
        }
    }
}

/// An episode whose last row is still to come.
struct OpenEpisode {
    schema: Arc<Schema>,
    info: EpisodeInfo,
    rows: Vec<u64>,
    steps: usize,
}

impl OpenEpisode {
    fn begin(schema: &Arc<Schema>, columns: &Columns, row: usize) -> Self {
        let info = info(columns, row);
        let mut open = Self {
            schema: schema.clone(),
            info,
            rows: Vec::new(),
            steps: 0,
        };
        let header = open.push(StepKind::Begin);
        // An episode's counter is the lower half of its id.
        header.continues = info.continues.map_or(0, |id| (id as u32).wrapping_add(1));
        open
    }

    /// Takes the next transition. Says how the episode ended, if it did.
    fn take(&mut self, columns: &Columns, row: usize) -> Result<Option<(Outcome, EndReason)>, String> {
        let id = self.info.episode_id;
        if info(columns, row) != self.info {
            return Err(format!("episode {id} ends without an end"));
        }
        let step = columns.step.value(row);
        if usize::try_from(step) != Ok(self.steps) {
            return Err(format!(
                "episode {id} has step {step} where step {} should be",
                self.steps
            ));
        }
        if self.info.run.get() != columns.run.value(row) {
            return Err(format!(
                "episode {id} is of run {}, which is no run",
                columns.run.value(row)
            ));
        }
        let ticks = u32::try_from(columns.ticks.value(row)).map_err(|_| format!("episode {id} runs backwards"))?;

        let (tick, timestamp) = (columns.tick.value(row), columns.timestamp.value(row));
        let match_id = columns.match_id.is_valid_then(row);
        let before = self.last();
        let header = StepHeader::of_mut(before);
        (header.tick, header.timestamp) = (tick, timestamp);
        header.set_match_id(match_id);
        columns.write_before(row, bytemuck::cast_slice_mut(before));
        let pace = self.pace(tick, timestamp);

        let header = self.push(StepKind::Transition);
        // Both stand until the next row says it better; no row follows the last.
        header.tick = tick.saturating_add(i64::from(ticks));
        header.timestamp = timestamp + pace * f64::from(ticks);
        header.ticks = ticks;
        header.reward = columns.reward.value(row);
        header.set_match_id(match_id);
        columns.write_outcome(row, bytemuck::cast_slice_mut(self.last()));
        self.steps += 1;

        let outcome = match (columns.terminated.value(row), columns.truncated.value(row)) {
            (false, false) => return Ok(None),
            (true, false) => Outcome::Terminated,
            (false, true) => Outcome::Truncated,
            (true, true) => return Err(format!("episode {id} is both terminated and truncated")),
        };
        if !columns.write_after(row, bytemuck::cast_slice_mut(self.last())) {
            return Err(format!("episode {id} has no final observation"));
        }
        let reason = columns
            .reason(row)
            .ok_or_else(|| format!("episode {id} ends without a reason"))?;
        Ok(Some((outcome, EndReason::from(reason.to_owned()))))
    }

    fn end(self, outcome: Outcome, reason: EndReason) -> Episode {
        Episode::new(self.schema, self.info, self.rows, outcome, reason)
    }

    fn cut_short(&self, path: &Path) -> DatasetError {
        DatasetError::damaged(path, format!("episode {} ends without an end", self.info.episode_id))
    }

    /// Seconds in a tick, as far as the episode tells; 0 in its first step.
    fn pace(&self, tick: i64, timestamp: f64) -> f64 {
        let first = StepHeader::of(&self.rows);
        if tick > first.tick {
            (timestamp - first.timestamp) / tick.saturating_sub(first.tick) as f64
        } else {
            0.0
        }
    }

    fn push(&mut self, kind: StepKind) -> &mut StepHeader {
        let words = self.schema.layout().row_words();
        self.rows.resize(self.rows.len() + words, 0);
        let (info, ordinal) = (self.info, self.steps as u32);
        let header = StepHeader::of_mut(self.last());
        *header = StepHeader::new(kind);
        header.agent_id = info.agent_id;
        header.episode = info.episode_id as u32;
        header.ordinal = ordinal;
        header
    }

    fn last(&mut self) -> &mut [u64] {
        let start = self.rows.len() - self.schema.layout().row_words();
        &mut self.rows[start..]
    }
}

fn info(columns: &Columns, row: usize) -> EpisodeInfo {
    EpisodeInfo {
        episode_id: columns.episode_id.value(row),
        agent_id: columns.agent_id.value(row),
        run: RunId::from_bits(columns.run.value(row) as u32),
        continues: columns.continues.is_valid_then(row),
    }
}

/// The value of a row, where there is one.
trait Nullable {
    fn is_valid_then(&self, row: usize) -> Option<i64>;
}

impl Nullable for arrow_array::Int64Array {
    fn is_valid_then(&self, row: usize) -> Option<i64> {
        use arrow_array::Array;
        self.is_valid(row).then(|| self.value(row))
    }
}
