//! A table of a recording's episodes: who played them, how they ended, and what they returned.

use super::{DatasetError, RecordingData, columns::WordColumn, progress::ProgressMeter, shard::ShardReader};
use experience_arrow::columns::{ColumnId, value_at};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
};

/// One episode, of which the words are indexes of [`EpisodeTable::words`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EpisodeEntry {
    pub(super) id: i64,
    pub(super) agent: i64,
    pub(super) run: i64,
    /// The match of its first transition.
    pub(super) match_id: Option<i64>,
    pub(super) continues: Option<i64>,
    pub(super) terminated: bool,
    pub(super) reason: Option<u32>,
    pub(super) transitions: u64,
    pub(super) total_reward: f64,
    /// The index of [`EpisodeTable::controllers`].
    pub(super) controllers: u32,
    /// It was discarded after it had ended, and belongs to no selection.
    pub(super) is_discarded: bool,
}

/// All episodes of a recording, in the order of its shards. It takes about 100 bytes an episode.
#[derive(Debug, Default)]
pub(super) struct EpisodeTable {
    pub(super) episodes: Vec<EpisodeEntry>,
    /// End reasons and controllers.
    pub(super) words: Vec<String>,
    /// The sets of controllers of which each controlled at least one transition of an episode; `None` where a transition has
    /// none.
    pub(super) controllers: Vec<BTreeSet<Option<u32>>>,
}

impl EpisodeTable {
    /// Reads the narrow columns of all shards.
    ///
    /// # Errors
    /// If a shard cannot be read, is damaged or was removed since the folder was listed, or if an episode has no first or last row.
    pub(super) fn read(
        recording: &RecordingData,
        shards: &[std::path::PathBuf],
        meter: &mut ProgressMeter,
    ) -> Result<Self, DatasetError> {
        let mut reader = TableReader {
            discarded: recording.discarded()?,
            ..TableReader::default()
        };
        for path in shards {
            let shard = open(recording, path)?;
            reader.add_shard(&shard, meter)?;
        }
        let mut seen = HashSet::new();
        match reader.table.episodes.iter().find(|episode| !seen.insert(episode.id)) {
            Some(twice) => Err(DatasetError::unsuitable(
                recording.path(),
                format!(
                    "episode {} is in it twice; `experience validate` names its files: move one of them out of the dataset",
                    twice.id
                ),
            )),
            None => Ok(reader.table),
        }
    }

    /// The episodes that were not discarded.
    pub(super) fn kept(&self) -> impl Iterator<Item = &EpisodeEntry> + Clone {
        self.episodes.iter().filter(|episode| !episode.is_discarded)
    }

    /// The index of a word, if an episode has it.
    pub(super) fn word(&self, word: &str) -> Option<u32> {
        let index = self.words.iter().position(|known| known == word)?;
        u32::try_from(index).ok()
    }

    /// The number of transitions of each episode, by its id.
    pub(super) fn lengths(&self) -> HashMap<i64, u64> {
        let lengths = self.episodes.iter().map(|episode| (episode.id, episode.transitions));
        lengths.collect()
    }
}

/// Opens a shard whose rows must all be read.
pub(super) fn open(recording: &RecordingData, path: &Path) -> Result<ShardReader, DatasetError> {
    ShardReader::open(recording.schema(), path)?.ok_or_else(|| {
        DatasetError::write(
            path,
            "another process removed the shard while it was read; repeat the command, or wait until the process has ended",
        )
    })
}

#[derive(Default)]
struct TableReader {
    table: EpisodeTable,
    words: HashMap<String, u32>,
    sets: HashMap<BTreeSet<Option<u32>>, u32>,
    discarded: HashSet<i64>,
    open: Option<OpenEntry>,
}

struct OpenEntry {
    entry: EpisodeEntry,
    controllers: BTreeSet<Option<u32>>,
    /// The controller of the last row, to which most others are equal.
    last: Option<u32>,
}

impl TableReader {
    fn add_shard(&mut self, shard: &ShardReader, meter: &mut ProgressMeter) -> Result<(), DatasetError> {
        let columns = [
            ColumnId::EpisodeId,
            ColumnId::AgentId,
            ColumnId::MatchId,
            ColumnId::Run,
            ColumnId::Step,
            ColumnId::Reward,
            ColumnId::Terminated,
            ColumnId::Truncated,
            ColumnId::EndReason,
            ColumnId::Continues,
            ColumnId::Controller,
        ];
        for batch in shard.batches(&columns, None)? {
            let batch = batch?;
            let view = shard.columns(&batch);
            let (ids, steps) = (view.i64(ColumnId::EpisodeId), view.i32(ColumnId::Step));
            let (agents, runs) = (view.i64(ColumnId::AgentId), view.i64(ColumnId::Run));
            let (matches, continues) = (view.i64(ColumnId::MatchId), view.i64(ColumnId::Continues));
            let (rewards, terminated) = (view.f64(ColumnId::Reward), view.bool(ColumnId::Terminated));
            let reasons = WordColumn::new(view.array(ColumnId::EndReason));
            let controllers = WordColumn::new(view.array(ColumnId::Controller));
            let is_last = view.is_last();
            for row in 0..view.rows() {
                let (id, step) = (ids.value(row), steps.value(row));
                let is_discarded = step == 0 && self.discarded.contains(&id);
                let controller = controllers.get(row).map(|word| self.word(word));
                if let Some(open) = &self.open
                    && open.entry.id != id
                {
                    return Err(missing_end(shard, open.entry.id));
                }
                let open = self.open.get_or_insert_with(|| OpenEntry {
                    entry: EpisodeEntry {
                        id,
                        agent: agents.value(row),
                        run: runs.value(row),
                        match_id: value_at(matches, row),
                        continues: value_at(continues, row),
                        terminated: false,
                        reason: None,
                        transitions: 0,
                        total_reward: 0.0,
                        controllers: 0,
                        is_discarded,
                    },
                    controllers: BTreeSet::from([controller]),
                    last: controller,
                });
                if u64::try_from(step) != Ok(open.entry.transitions) {
                    let reason = format!(
                        "episode {id} has step {step} where step {} should be",
                        open.entry.transitions
                    );
                    return Err(DatasetError::damaged(shard.path(), reason));
                }
                open.entry.transitions += 1;
                open.entry.total_reward += rewards.value(row);
                if open.last != controller {
                    open.controllers.insert(controller);
                    open.last = controller;
                }
                if is_last.value(row)
                    && let Some(mut open) = self.open.take()
                {
                    open.entry.terminated = terminated.value(row);
                    open.entry.reason = reasons.get(row).map(|word| self.word(word));
                    open.entry.controllers = self.set(open.controllers);
                    self.table.episodes.push(open.entry);
                }
            }
            meter.add(batch.num_rows());
        }
        match self.open.take() {
            Some(open) => Err(missing_end(shard, open.entry.id)),
            None => Ok(()),
        }
    }

    fn word(&mut self, word: &str) -> u32 {
        if let Some(known) = self.words.get(word) {
            return *known;
        }
        let index = u32::try_from(self.table.words.len()).unwrap_or(u32::MAX);
        self.table.words.push(word.to_owned());
        self.words.insert(word.to_owned(), index);
        index
    }

    fn set(&mut self, controllers: BTreeSet<Option<u32>>) -> u32 {
        if let Some(known) = self.sets.get(&controllers) {
            return *known;
        }
        let index = u32::try_from(self.table.controllers.len()).unwrap_or(u32::MAX);
        self.table.controllers.push(controllers.clone());
        self.sets.insert(controllers, index);
        index
    }
}

fn missing_end(shard: &ShardReader, episode: i64) -> DatasetError {
    DatasetError::damaged(shard.path(), format!("episode {episode} has no last row"))
}
