//! The writer of one run: its shards and its account.

use super::{
    Settings,
    account::{RunAccount, RunStatus},
    batches::batches,
    card, layout,
    lock::RunLock,
    partial, recording_folder, recovery, retention,
    shard::{FinishedShard, ShardAccount, ShardEncoder},
};
use core::fmt;
use experience_arrow::BatchEncoder;
use experience_core::{account::RunReport, schema::Schema, transition::Episode};
use experience_export::{RecordingInfo, SinkError};
use std::{fs, path::PathBuf, sync::Arc, thread::JoinHandle};

/// Writes the shards of one run of a recording, and keeps the account of the run up to date.
pub(super) struct DatasetWriter {
    settings: Settings,
    folder: PathBuf,
    schema: Arc<Schema>,
    /// Held until the run is closed.
    lock: RunLock,
    encoder: BatchEncoder,
    account: RunAccount,
    /// The number of shards that the account's file lists.
    saved_shards: usize,
    /// The index of the next shard.
    next_shard: u32,
    open: Option<ShardEncoder>,
    /// Finished shards that are not committed yet, oldest first.
    finished: Vec<FinishedShard>,
    /// The size of the committed shards, in bytes.
    committed_bytes: u64,
    /// Episodes in committed shards.
    committed_episodes: u64,
    /// The thread that recovers earlier runs.
    recovery: Option<JoinHandle<()>>,
}

impl DatasetWriter {
    pub(super) fn open(settings: Settings, recording: &RecordingInfo) -> Result<Self, SinkError> {
        let encoder = BatchEncoder::new(recording.schema.clone())?;
        let folder = recording_folder::open_or_create(&settings.root, &recording.schema, settings.on_mismatch)?;
        let account = RunAccount::new(recording, settings.seed, settings.build.clone());
        // Taken before the account exists: a process that finds an account checks the lock.
        let mut lock = RunLock::take(&folder, recording.run);
        account.reserve(&folder).inspect_err(|_| lock.remove())?;
        let mut writer = Self {
            lock,
            schema: recording.schema.clone(),
            settings,
            folder,
            encoder,
            account,
            saved_shards: 0,
            next_shard: 0,
            open: None,
            finished: Vec::new(),
            committed_bytes: 0,
            committed_episodes: 0,
            recovery: None,
        };
        writer.update_card();
        if writer.settings.recover {
            writer.spawn_recovery();
        }
        Ok(writer)
    }

    /// Recovers earlier runs on a thread of its own, so that this run does not wait for it.
    fn spawn_recovery(&mut self) {
        let (root, folder, schema) = (self.settings.root.clone(), self.folder.clone(), self.schema.clone());
        let own = self.account.run;
        let spawned = std::thread::Builder::new()
            .name("experience-recover".to_owned())
            .spawn(move || {
                if !recovery::recover_at_start(&folder, &schema, own) {
                    return;
                }
                if let Err(error) = card::update(&root) {
                    tracing::warn!("cannot update the dataset card: {error}");
                }
            });
        match spawned {
            Ok(thread) => self.recovery = Some(thread),
            Err(error) => tracing::warn!("cannot start the recovery of earlier runs: {error}"),
        }
    }

    /// The number of accepted episodes, in order of acceptance, that are in committed shards.
    pub(super) fn committed_episodes(&self) -> u64 {
        self.committed_episodes
    }

    /// The folder of the run's journal.
    pub(super) fn journal_folder(&self) -> PathBuf {
        layout::journal_folder(&self.folder, self.account.run)
    }

    /// Accepts all of `episodes`. After an error none of them is accepted.
    pub(super) fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        if episodes.is_empty() {
            return Ok(());
        }
        self.encoder.accepts(episodes)?;
        // Fallible operations come before the first episode is accepted. Accepted episodes wait in memory if the disk fails later.
        self.commit_finished()?;
        self.shard()?.drain()?;
        for slices in batches(episodes) {
            let batch = self.encoder.encode_slices(&slices)?;
            let shard = self.shard()?;
            shard.write(&batch, &slices)?;
            if let Err(error) = shard.drain() {
                tracing::warn!("{error}; trying again");
            }
        }
        // After the last batch: a new shard that cannot be created must not refuse the rest of an accepted call.
        if self.is_due() {
            self.finish()?;
            if let Err(error) = self.commit_finished() {
                tracing::warn!("{error}; trying again");
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let drained = if self.is_due() {
            self.finish()
        } else {
            self.open.as_mut().map_or(Ok(()), ShardEncoder::drain)
        };
        let committed = drained.and_then(|()| self.commit_finished());
        // The account lists the visible shards, so it is saved even if some shards are not committed yet.
        let saved = if self.account.is_current(report, self.saved_shards) {
            Ok(())
        } else {
            self.save_account(report)
        };
        committed.and(saved)
    }

    pub(super) fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let committed = self.finish().and_then(|()| self.commit_finished());
        if committed.is_ok() {
            self.account.status = RunStatus::Closed;
            self.account.buffers = None;
        } else {
            let lost: u64 = self.finished.iter().map(FinishedShard::transitions).sum();
            tracing::error!("{lost} transitions could not be written to `{}`", self.folder.display());
        }
        partial::remove_if_empty(&self.folder);
        let saved = self.save_account(report);
        if let Some(recovery) = self.recovery.take() {
            // The thread logs its own errors. It ends soon: it copies at most what an earlier process had in memory.
            let _ = recovery.join();
            // Retention was skipped while the recovery held the lock, and recovered shards take space too.
            self.enforce_retention();
        }
        self.update_card();
        let closed = committed.and(saved);
        if closed.is_ok() {
            self.lock.remove();
        }
        closed
    }

    fn save_account(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.account.update(&self.folder, report)?;
        self.saved_shards = self.account.shards.len();
        Ok(())
    }

    /// The open shard, which is created if there is none.
    fn shard(&mut self) -> Result<&mut ShardEncoder, SinkError> {
        if self.open.is_none() {
            let name = layout::shard_name(self.account.run, self.next_shard);
            let shard = ShardEncoder::create(
                &self.folder,
                name,
                self.encoder.arrow_schema(),
                self.settings.encoding.clone(),
            )?;
            self.next_shard += 1;
            self.open = Some(shard);
        }
        Ok(self.open.as_mut().expect("the shard was created above"))
    }

    /// Whether the open shard has reached a limit.
    fn is_due(&self) -> bool {
        let settings = &self.settings;
        let is_due = |shard: &ShardEncoder| {
            shard.bytes() >= settings.shard_bytes
                || shard.age() >= settings.shard_age
                || shard.episodes() >= settings.shard_episodes as u64
        };
        self.open.as_ref().is_some_and(is_due)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if let Some(shard) = self.open.take() {
            self.finished.push(shard.finish()?);
        }
        Ok(())
    }

    /// Commits the finished shards, oldest first.
    fn commit_finished(&mut self) -> Result<(), SinkError> {
        let mut has_committed = false;
        while let Some(shard) = self.finished.first_mut() {
            let account = shard.commit()?;
            self.committed_episodes += account.episodes;
            self.account.shards.push(account);
            self.finished.remove(0);
            has_committed = true;
        }
        if has_committed {
            self.enforce_retention();
            let data = self.folder.join(layout::DATA);
            let shards = self.account.shards.iter();
            let bytes =
                |shard: &ShardAccount| fs::metadata(data.join(&shard.file)).map_or(0, |metadata| metadata.len());
            self.committed_bytes = shards.map(bytes).sum();
        }
        Ok(())
    }

    /// The size of the run's shards on the disk, the open one included, in bytes.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.committed_bytes + self.open.as_ref().map_or(0, |shard| shard.bytes() as u64)
    }

    /// Deletes the oldest shards beyond the limit. A recording that is too large is no reason to lose new data.
    fn enforce_retention(&mut self) {
        let Some(max_bytes) = self.settings.keep_bytes else {
            return;
        };
        match retention::enforce(&self.folder, &self.schema, &mut self.account, max_bytes) {
            // The account was saved, with shards that its file did not list before.
            Ok(true) => self.saved_shards = self.account.shards.len(),
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot remove old shards of `{}`: {error}", self.folder.display()),
        }
    }

    /// A dataset without its card still loads, shard by shard, so an error here is only logged.
    fn update_card(&self) {
        if let Err(error) = card::update(&self.settings.root) {
            tracing::warn!("cannot update the dataset card: {error}");
        }
    }
}

impl fmt::Debug for DatasetWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetWriter")
            .field("folder", &self.folder)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
