//! Iterates over the episodes of a recording.

use super::{
    DatasetError,
    columns::EpisodeColumns,
    shard::{ShardBatches, ShardReader},
};
use core::{fmt, ops::Range};
use experience_arrow::columns::BatchColumns;
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind, WordTable},
};
use parquet::arrow::arrow_reader::RowSelection;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

/// An iterator over the episodes of a recording, shard by shard; see
/// [`RecordingData::episodes`](super::RecordingData::episodes).
pub struct Episodes {
    schema: Arc<Schema>,
    /// The error of listing the shards, which is returned first.
    list_error: Option<DatasetError>,
    shards: vec::IntoIter<PathBuf>,
    /// Episodes that are skipped.
    discarded: HashSet<i64>,
    current: Option<ShardEpisodes>,
}

impl Episodes {
    /// The episodes in shards, without those that were discarded.
    pub(super) fn new(schema: Arc<Schema>, files: Result<(Vec<PathBuf>, HashSet<i64>), DatasetError>) -> Self {
        let ((shards, discarded), list_error) = match files {
            Ok(files) => (files, None),
            Err(error) => (Default::default(), Some(error)),
        };
        Self {
            schema,
            list_error,
            shards: shards.into_iter(),
            discarded,
            current: None,
        }
    }
}

impl Iterator for Episodes {
    type Item = Result<Episode, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.list_error.take() {
            return Some(Err(error));
        }
        loop {
            if let Some(shard) = &mut self.current {
                match shard.next() {
                    Some(Ok(episode)) if self.discarded.contains(&episode.info().episode_id) => continue,
                    Some(Ok(episode)) => return Some(Ok(episode)),
                    // Rows after the damage are not trusted. The next shard is independent of them.
                    Some(Err(error)) => {
                        self.current = None;
                        return Some(Err(error));
                    }
                    None => self.current = None,
                }
            }
            let path = self.shards.next()?;
            let shard = ShardReader::open(&self.schema, &path);
            match shard.and_then(|shard| shard.map(|shard| ShardEpisodes::new(&shard, None)).transpose()) {
                Ok(shard) => self.current = shard,
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

/// An iterator over the episodes of one shard, or of a selection of its rows that holds whole episodes.
pub(super) struct ShardEpisodes {
    schema: Arc<Schema>,
    path: PathBuf,
    batches: ShardBatches,
    columns: Option<EpisodeColumns>,
    row: usize,
    open: Option<OpenEpisode>,
    /// The steps that are read, if the selection holds a part of one episode.
    part: Option<Range<usize>>,
}

impl ShardEpisodes {
    pub(super) fn new(shard: &ShardReader, selection: Option<RowSelection>) -> Result<Self, DatasetError> {
        Ok(Self {
            schema: shard.schema().clone(),
            path: shard.path().to_owned(),
            batches: shard.batches(&shard.episode_columns(), selection)?,
            columns: None,
            row: 0,
            open: None,
            part: None,
        })
    }

    /// The steps `part` of one episode. `rows` are those of the steps, and the next row if the episode has one: its observation is the
    /// last of the part.
    pub(super) fn of_part(shard: &ShardReader, rows: RowSelection, part: Range<usize>) -> Result<Self, DatasetError> {
        Ok(Self {
            part: Some(part),
            ..Self::new(shard, Some(rows))?
        })
    }
}

impl Iterator for ShardEpisodes {
    type Item = Result<Episode, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(columns) = self.columns.as_ref().filter(|columns| self.row < columns.len()) else {
                match self.batches.next() {
                    Some(Ok(batch)) => {
                        let columns = EpisodeColumns::new(&self.schema, BatchColumns::new(&self.schema, &batch));
                        (self.columns, self.row) = (Some(columns), 0);
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    None => return self.open.take().map(|open| Err(open.missing_end(&self.path))),
                }
                continue;
            };
            let open = self
                .open
                .get_or_insert_with(|| OpenEpisode::begin(&self.schema, columns, self.row, self.part.as_ref()));
            if self.part.as_ref().is_some_and(|part| open.steps == part.len()) {
                let ended = self.open.take()?.end_part(columns, self.row);
                return Some(ended.map_err(|reason| DatasetError::damaged(&self.path, reason)));
            }
            let pushed = open.push_transition(columns, self.row);
            self.row += 1;
            match pushed {
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

/// An episode whose last row was not read yet.
struct OpenEpisode {
    schema: Arc<Schema>,
    info: EpisodeInfo,
    rows: Vec<u64>,
    /// The step of the first row in its episode.
    first: usize,
    steps: usize,
    /// The labels of the controller codes in `rows`.
    controllers: Vec<(u16, Box<str>)>,
}

impl OpenEpisode {
    fn begin(schema: &Arc<Schema>, columns: &EpisodeColumns, row: usize, part: Option<&Range<usize>>) -> Self {
        let info = info(columns, row);
        let rows = part.map_or(0, |part| part.len() + 1);
        let mut open = Self {
            schema: schema.clone(),
            info,
            rows: Vec::with_capacity(rows * schema.layout().row_words()),
            first: part.map_or(0, |part| part.start),
            steps: 0,
            controllers: Vec::new(),
        };
        let header = open.push_row(StepKind::Begin);
        // The lower half of an episode id is its number.
        header.set_continues(info.continues.map(|id| id as u32));
        open
    }

    /// Adds the next transition. Returns how the episode ended, if this is its last.
    fn push_transition(
        &mut self,
        columns: &EpisodeColumns,
        row: usize,
    ) -> Result<Option<(Outcome, EndReason)>, String> {
        let id = self.info.episode_id;
        self.check_step(columns, row)?;
        if self.info.run.get() != columns.run.value(row) {
            return Err(format!(
                "episode {id} is of run {}, which is not a valid run",
                columns.run.value(row)
            ));
        }
        let ticks = u32::try_from(columns.ticks.value(row))
            .map_err(|_| format!("episode {id} has a transition of negative duration"))?;

        let (tick, timestamp) = (columns.tick.value(row), columns.timestamp.value(row));
        let match_id = columns.match_id(row);
        let before = self.last();
        let header = StepHeader::of_mut(before);
        (header.tick, header.timestamp) = (tick, timestamp);
        header.set_match_id(match_id);
        columns.decode_before(row, bytemuck::cast_slice_mut(before));
        let seconds_per_tick = self.seconds_per_tick(tick, timestamp);

        let controller = columns.controller(row).map_or(0, |label| self.controller_code(label));
        let header = self.push_row(StepKind::Transition);
        header.set_controller(controller);
        // Estimates, which the next row replaces. They remain in the last row, whose own time is not in the data.
        header.tick = tick.saturating_add(i64::from(ticks));
        header.timestamp = timestamp + seconds_per_tick * f64::from(ticks);
        header.ticks = ticks;
        header.reward = columns.reward.value(row);
        header.set_match_id(match_id);
        columns.decode_outcome(row, bytemuck::cast_slice_mut(self.last()));
        self.steps += 1;

        let outcome = match (columns.terminated.value(row), columns.truncated.value(row)) {
            (false, false) => return Ok(None),
            (true, false) => Outcome::Terminated,
            (false, true) => Outcome::Truncated,
            (true, true) => return Err(format!("episode {id} is both terminated and truncated")),
        };
        let next = columns.decode_after(row, bytemuck::cast_slice_mut(self.last()));
        if !next.is_complete() {
            return Err(format!("episode {id} has no final observation"));
        }
        let reason = columns
            .reason(row)
            .ok_or_else(|| format!("episode {id} ends without a reason"))?;
        Ok(Some((outcome, EndReason::from(reason.to_owned()))))
    }

    /// Checks that a row is the next of the episode.
    fn check_step(&self, columns: &EpisodeColumns, row: usize) -> Result<(), String> {
        let id = self.info.episode_id;
        if info(columns, row) != self.info {
            return Err(format!("episode {id} has no last row"));
        }
        let (step, expected) = (columns.step.value(row), self.first + self.steps);
        if usize::try_from(step) == Ok(expected) {
            return Ok(());
        }
        Err(format!("episode {id} has step {step} where step {expected} should be"))
    }

    /// Ends a part before `row`, whose observation is its last.
    fn end_part(mut self, columns: &EpisodeColumns, row: usize) -> Result<Episode, String> {
        self.check_step(columns, row)?;
        let last = self.last();
        let header = StepHeader::of_mut(last);
        (header.tick, header.timestamp) = (columns.tick.value(row), columns.timestamp.value(row));
        columns.decode_before(row, bytemuck::cast_slice_mut(last));
        Ok(self.end(Outcome::Truncated, EndReason::SPLIT))
    }

    fn end(self, outcome: Outcome, reason: EndReason) -> Episode {
        Episode::new(self.schema, self.info, self.rows, outcome, reason).with_controllers(self.controllers)
    }

    /// The code of a controller in this episode.
    fn controller_code(&mut self, label: &str) -> u16 {
        let last = StepHeader::of(self.last()).controller();
        let is_last = |(code, known): &&(u16, Box<str>)| *code == last && **known == *label;
        let known = self.controllers.iter().find(is_last);
        let known = known.or_else(|| self.controllers.iter().find(|(_, known)| **known == *label));
        if let Some((code, _)) = known {
            return *code;
        }
        // A damaged file could have any number of labels. The last code is that of all beyond the maximum.
        let code = (self.controllers.len() as u16 + 1).min(WordTable::MAX_CODE);
        let label = if code < WordTable::MAX_CODE { label } else { "other" };
        if usize::from(code) > self.controllers.len() {
            self.controllers.push((code, label.into()));
        }
        code
    }

    fn missing_end(&self, path: &Path) -> DatasetError {
        DatasetError::damaged(path, format!("episode {} has no last row", self.info.episode_id))
    }

    /// The mean duration of a tick since the episode began, in seconds; 0 in its first step.
    fn seconds_per_tick(&self, tick: i64, timestamp: f64) -> f64 {
        let first = StepHeader::of(&self.rows);
        if tick > first.tick {
            (timestamp - first.timestamp) / tick.saturating_sub(first.tick) as f64
        } else {
            0.0
        }
    }

    fn push_row(&mut self, kind: StepKind) -> &mut StepHeader {
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

fn info(columns: &EpisodeColumns, row: usize) -> EpisodeInfo {
    EpisodeInfo {
        episode_id: columns.episode_id.value(row),
        agent_id: columns.agent_id.value(row),
        run: RunId::from_bits(columns.run.value(row) as u32),
        continues: columns.continues(row),
    }
}
