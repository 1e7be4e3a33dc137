//! The writer of one run: its shards and its account.

use super::{
    account::{RunAccount, RunStatus},
    batches::batches,
    card,
    dataset_sink::Settings,
    layout,
    lock::RunLock,
    partial, recovery,
    retention::{CommitClock, shards},
    run_start::{StartedRun, start_run},
    shard::{FinishedShard, ShardEncoder},
    shard_account::ShardAccount,
    shard_name::ShardName,
    tag_file::TagFile,
};
use crate::store::uploaded;
use core::fmt;
use experience_arrow::BatchEncoder;
use experience_core::{
    account::{RunReport, TagChange},
    schema::Schema,
    transition::Episode,
};
use experience_export::{MissingEpisodes, RecordingInfo, SinkError};
use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
};

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
    /// Committed shards whose files are gone.
    missing: Vec<ShardAccount>,
    /// Accepted episodes that could not be encoded.
    unencodable: MissingEpisodes,
    /// The last attempt to close the run has not committed every finished shard.
    is_unfinished: bool,
    /// `None` before the first shard is committed.
    clock: Option<CommitClock>,
    tags: TagFile,
    /// The size of the committed shards, in bytes.
    committed_bytes: u64,
    /// Episodes in committed shards.
    committed_episodes: u64,
    /// The thread that recovers earlier runs. It stops waiting for their leases when the sender is dropped.
    recovery: Option<(Sender<()>, JoinHandle<()>)>,
}

impl DatasetWriter {
    pub(super) fn open(settings: Settings, recording: &RecordingInfo) -> Result<Self, SinkError> {
        let encoder = BatchEncoder::new(recording.schema.clone())?;
        let label = settings.label.clone();
        let StartedRun { folder, lock, account } = start_run(&settings.root, settings.on_mismatch, recording, label)?;
        let mut writer = Self {
            tags: TagFile::new(&folder, recording.run),
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
            missing: Vec::new(),
            unencodable: MissingEpisodes::default(),
            is_unfinished: false,
            clock: None,
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
        let (stop, stopped) = mpsc::channel();
        let spawned = std::thread::Builder::new()
            .name("experience-recover".to_owned())
            .spawn(move || {
                recovery::recover_at_start(&folder, &schema, own, &stopped, || {
                    if let Err(error) = card::update(&root) {
                        tracing::warn!("cannot update the dataset card: {error}");
                    }
                });
            });
        match spawned {
            Ok(thread) => self.recovery = Some((stop, thread)),
            Err(error) => tracing::warn!("cannot start the recovery of earlier runs: {error}"),
        }
    }

    /// The number of accepted episodes, in order of acceptance, that are in committed shards.
    pub(super) fn committed_episodes(&self) -> u64 {
        self.committed_episodes
    }

    /// The folder of the recording.
    #[cfg(feature = "object_store")]
    pub(super) fn folder(&self) -> &std::path::Path {
        &self.folder
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
        self.lock.check_ownership(&self.folder, &self.account)?;
        self.encoder.accepts(episodes)?;
        // Fallible operations come before the first episode is accepted. Accepted episodes wait in memory if the disk fails later.
        self.commit_or_forget()?;
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

    /// Checks the ownership of the run for a call that saves its account.
    fn check_account(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let owned = self.lock.check_account(&self.folder, &self.account, report);
        if matches!(owned, Err(SinkError::RunRecovered { .. })) {
            // Rows that were not committed are in the shards of the recovery, from the journal.
            (self.open, self.finished) = (None, Vec::new());
        }
        owned
    }

    /// Appends changes of the tags of episodes.
    pub(super) fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        self.tags.append(changes)
    }

    /// Accepted episodes that are in no shard, and will not be: shards that are gone, and, after a close that has failed, those
    /// that could not be written.
    pub(super) fn missing(&self) -> MissingEpisodes {
        let mut missing = self.unencodable;
        for shard in &self.missing {
            missing.episodes += shard.episodes;
            missing.transitions += shard.transitions;
        }
        for shard in self.finished.iter().filter(|_| self.is_unfinished) {
            missing.episodes += shard.episodes();
            missing.transitions += shard.transitions();
        }
        missing
    }

    pub(super) fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.check_account(report)?;
        if let Some(replaced) = self.lock.renew_process(&self.folder, &mut self.account) {
            self.save_account(report)?;
            // Reported as a failure, so that it is counted. The next call succeeds.
            return Err(replaced);
        }
        let drained = if self.is_due() {
            self.finish()
        } else {
            self.open.as_mut().map_or(Ok(()), ShardEncoder::drain)
        };
        let committed = drained.and_then(|()| self.commit_or_forget());
        // The account lists the visible shards, so it is saved even if some shards are not committed yet.
        let saved = if self.account.is_current(report, self.saved_shards) {
            Ok(())
        } else {
            self.save_account(report)
        };
        committed.and(saved)
    }

    pub(super) fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.check_account(report)?;
        let committed = self.finish().and_then(|()| self.commit_or_forget());
        self.is_unfinished = committed.is_err();
        if committed.is_ok() {
            self.account.status = RunStatus::Closed;
            self.account.forget_process();
        } else if !self.finished.is_empty() {
            let lost: u64 = self.finished.iter().map(FinishedShard::transitions).sum();
            tracing::error!("{lost} transitions could not be written to `{}`", self.folder.display());
        }
        let saved = self.save_account(report);
        if let Some((stop, recovery)) = self.recovery.take() {
            drop(stop);
            // The thread logs its own errors. It ends soon: it copies at most what an earlier process had in memory.
            let _ = recovery.join();
            // Retention was skipped while the recovery held the lock, and recovered shards take space too.
            self.enforce_retention();
        }
        // The recovery has written there too.
        partial::remove_if_empty(&self.folder);
        self.update_card();
        committed.and(saved)?;
        self.lock.remove();
        let missing = self.missing();
        if missing == MissingEpisodes::default() {
            return Ok(());
        }
        let reason = format!(
            "{} finished shards of `{}` are gone",
            self.missing.len(),
            self.folder.display()
        );
        Err(SinkError::Missing { missing, reason })
    }

    fn save_account(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.check_shards();
        let mut report = report.clone();
        let missing = self.missing();
        report.set_missing(missing.episodes, missing.transitions);
        self.account.update(&self.folder, &report)?;
        self.saved_shards = self.account.shards.len();
        Ok(())
    }

    /// Removes the shards from the account whose files are gone, and lists those again that have returned.
    fn check_shards(&mut self) {
        let data = self.folder.join(layout::DATA);
        let (folder, run) = (&self.folder, self.account.run);
        let is_gone = |shard: &ShardAccount| {
            // Any other error does not mean that the file is gone.
            let found = shard.name(run).map(|name| fs::metadata(name.path(folder)));
            found.is_some_and(|found| found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
                && !shard.name(run).is_some_and(|name| uploaded::is_uploaded(folder, name))
        };
        let known = self.missing.len();
        self.account.shards.append(&mut self.missing);
        self.missing = self.account.shards.extract_if(.., |shard| is_gone(shard)).collect();
        self.account.sort_shards();
        if self.missing.len() > known {
            let missing = self.missing();
            tracing::error!(
                "{} finished shards of run {} are gone from `{}`: another process has removed them; their {} transitions in {} \
                 episodes are counted as dropped",
                self.missing.len(),
                self.account.run,
                data.display(),
                missing.transitions,
                missing.episodes
            );
        }
    }

    /// The open shard, which is created if there is none.
    fn shard(&mut self) -> Result<&mut ShardEncoder, SinkError> {
        if self.open.is_none() {
            let name = ShardName::new(self.account.run, self.next_shard);
            let shard = ShardEncoder::create(
                &self.folder,
                name.to_string(),
                &self.encoder,
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
            let (episodes, transitions) = (shard.episodes(), shard.transitions());
            let finished = shard.finish().inspect_err(|_| {
                self.unencodable.episodes += episodes;
                self.unencodable.transitions += transitions;
            })?;
            self.finished.push(finished);
        }
        Ok(())
    }

    /// Commits the finished shards. A shard that lost its content is forgotten, with all episodes that were accepted after those
    /// in it: they are accepted again in their order.
    fn commit_or_forget(&mut self) -> Result<(), SinkError> {
        let committed = self.commit_finished();
        if matches!(committed, Err(SinkError::Lost { .. })) {
            self.finished.clear();
            self.open = None;
        }
        committed
    }

    /// Commits the finished shards, oldest first.
    fn commit_finished(&mut self) -> Result<(), SinkError> {
        let mut has_committed = false;
        while let Some(shard) = self.finished.first_mut() {
            let mut account = shard.commit()?;
            let clock = self.clock.get_or_insert_with(|| CommitClock::begin(&self.folder));
            account.committed = Some(clock.now());
            self.committed_episodes += account.episodes;
            self.account.shards.push(account);
            self.finished.remove(0);
            has_committed = true;
        }
        if has_committed {
            self.enforce_retention();
            let shards = self.account.shards.iter();
            let paths = shards.filter_map(|shard| Some(shard.name(self.account.run)?.path(&self.folder)));
            self.committed_bytes = paths
                .map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()))
                .sum();
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
        match shards::enforce(&self.folder, &self.schema, &mut self.account, max_bytes) {
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
