//! Writes a selection of a recording's episodes to the recordings of new datasets.

use super::{
    DatasetError, RecordingData, RunAccount, RunStatus, ShardAccount,
    dataset_builder::save_account,
    episode_table::{EpisodeTable, open},
    progress::ProgressMeter,
    shard_packer::{PackedShard, ShardPacker, pack},
    validate::{ShardState, shard_state},
};
use crate::{
    sink::{layout, partial, tag_file},
    store::source,
};
use experience_arrow::BatchEncoder;
use experience_core::transition::RunId;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// A recording of which episodes are selected. None of its runs is being recorded, and its shards are as they were written.
pub(super) struct SelectionSource<'a> {
    pub(super) recording: &'a RecordingData,
    pub(super) table: EpisodeTable,
    accounts: Vec<RunAccount>,
    shards: Vec<PathBuf>,
}

/// The folder of a recording in a new dataset, and what is written to it.
pub(super) struct SelectionTarget {
    pub(super) folder: PathBuf,
    /// A description of the selection, for the accounts.
    pub(super) selection: String,
}

/// The episodes and transitions of a run in its shards.
#[derive(Clone, Copy, Default)]
struct RunEpisodes {
    kept: (u64, u64),
    /// Those that were discarded after they had ended.
    discarded: (u64, u64),
}

/// What was written to a [`SelectionTarget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SelectedCounts {
    pub(super) episodes: u64,
    pub(super) transitions: u64,
    pub(super) shards: u64,
}

impl<'a> SelectionSource<'a> {
    /// Reads the accounts and the table of episodes of `recording`.
    ///
    /// # Errors
    /// If a run is being recorded or must be recovered, or if an account or a shard is damaged.
    pub(super) fn read(recording: &'a RecordingData, meter: &mut ProgressMeter) -> Result<Self, DatasetError> {
        let accounts = recording.runs()?;
        for account in &accounts {
            if let Some(reason) = unfinished(recording.path(), account) {
                return Err(DatasetError::unsuitable(&account.path(recording.path()), reason));
            }
        }
        let shards = recording.shards()?;
        for account in &accounts {
            check_shards(recording, account.run, &account.shards)?;
        }
        let table = EpisodeTable::read(recording, &shards, meter)?;
        let known: HashSet<i64> = accounts.iter().map(|account| account.run.get()).collect();
        if let Some(episode) = table.episodes.iter().find(|episode| !known.contains(&episode.run)) {
            let reason = format!(
                "it holds episode {} of run {:08x}, which has no account; restore the account from a copy, or move the shards of \
                 the run out of the dataset",
                episode.id, episode.run
            );
            return Err(DatasetError::unsuitable(recording.path(), reason));
        }
        Ok(Self {
            recording,
            table,
            accounts,
            shards,
        })
    }

    /// Writes each episode to the target that `part_of` returns for its id, or to none. It returns none for episodes that were
    /// discarded.
    pub(super) fn write(
        &self,
        targets: &[SelectionTarget],
        shard_bytes: usize,
        part_of: impl Fn(i64) -> Option<usize>,
        meter: &mut ProgressMeter,
    ) -> Result<Vec<SelectedCounts>, DatasetError> {
        let recording = self.recording;
        let encoder = BatchEncoder::new(recording.schema().clone())
            .map_err(|error| DatasetError::write(recording.path(), error))?;
        let lengths = self.table.lengths();
        let mut packers: Vec<_> = targets
            .iter()
            .map(|target| ShardPacker::new(&target.folder, &lengths, shard_bytes))
            .collect();
        for path in &self.shards {
            let shard = open(recording, path)?;
            pack(&shard, &encoder, &mut packers, &part_of, |rows| meter.add(rows))?;
        }
        let mut found: BTreeMap<i64, RunEpisodes> = BTreeMap::new();
        for episode in &self.table.episodes {
            let run = found.entry(episode.run).or_default();
            let (episodes, transitions) = if episode.is_discarded {
                &mut run.discarded
            } else {
                &mut run.kept
            };
            *episodes += 1;
            *transitions += episode.transitions;
        }
        let mut counts = Vec::new();
        for (part, (target, packer)) in targets.iter().zip(packers).enumerate() {
            counts.push(self.finish(target, packer.finish()?, &found, &|id| part_of(id) == Some(part))?);
        }
        Ok(counts)
    }

    /// Commits the shards of a target, and writes its accounts and tags.
    fn finish(
        &self,
        target: &SelectionTarget,
        packed: Vec<PackedShard>,
        found: &BTreeMap<i64, RunEpisodes>,
        is_selected: &dyn Fn(i64) -> bool,
    ) -> Result<SelectedCounts, DatasetError> {
        let mut counts = SelectedCounts::default();
        let mut shards: HashMap<i64, Vec<_>> = HashMap::new();
        for mut shard in packed {
            let path = target.folder.join(layout::DATA).join(&shard.account.file);
            shard.file.commit().map_err(DatasetError::io("write", &path))?;
            counts.shards += 1;
            counts.episodes += shard.account.episodes;
            counts.transitions += shard.account.transitions;
            shards.entry(shard.run.get()).or_default().push(shard.account);
        }
        partial::remove_if_empty(&target.folder);
        for account in &self.accounts {
            let (mut account, run) = (account.clone(), account.run);
            let path = account.path(self.recording.path());
            let shards = shards.remove(&run.get()).unwrap_or_default();
            let found = found.get(&run.get()).copied().unwrap_or_default();
            let (episodes, transitions) = found.discarded;
            account.discard(episodes, transitions);
            account
                .select(shards, found.kept, &target.selection)
                .map_err(|reason| DatasetError::unsuitable(&path, reason))?;
            account.account.tags.retain(|tag| is_selected(tag.episode_id));
            save_account(&target.folder, &account)?;
            let mut tags = self.recording.run_tags(run)?;
            tags.retain(|tag| is_selected(tag.episode_id));
            if !tags.is_empty() {
                let path = tag_file::path(&target.folder, run);
                tag_file::replace(&path, tags).map_err(DatasetError::io("write", &path))?;
            }
        }
        Ok(counts)
    }
}

/// Why the shards of a run may not be all of its data yet, and the remedy.
pub(super) fn unfinished(recording: &Path, account: &RunAccount) -> Option<String> {
    let has_journal = layout::journal_folder(recording, account.run).exists()
        || layout::segments_folder(recording, account.run).exists();
    match account.status {
        RunStatus::Running => Some(format!(
            "run {} is being recorded, or its process died: wait until the game has ended, or run `experience recover` if it died",
            account.run
        )),
        RunStatus::Journaled => Some(format!(
            "run {} has episodes in segments, which are no shards yet: run `experience recover`",
            account.run
        )),
        _ if has_journal => Some(format!(
            "run {} has rows in a journal, which are in no shard yet: run `experience recover`",
            account.run
        )),
        _ => None,
    }
}

/// Compares `shards` of a run, which are rewritten, with the checksums in its account. A shard that is damaged would get a new
/// checksum, and the damage would be hidden.
pub(super) fn check_shards(recording: &RecordingData, run: RunId, shards: &[ShardAccount]) -> Result<(), DatasetError> {
    for shard in shards {
        let Some(name) = shard.name(run) else { continue };
        let path = name.path(recording.path());
        if source::exists(&path)
            && let ShardState::Damaged(reason) = shard_state(recording, &path, shard)?
        {
            return Err(DatasetError::damaged(&path, reason));
        }
    }
    Ok(())
}
