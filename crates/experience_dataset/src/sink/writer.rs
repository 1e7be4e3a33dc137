//! One run's writing of one recording.

use super::{
    Settings,
    account::{RunAccount, RunStatus},
    batches::batches,
    card, layout,
    lock::RunLock,
    place, recovery, retention,
    shard::{FinishedShard, OpenShard, ShardAccount},
};
use crate::arrow::BatchEncoder;
use core::fmt;
use experience_core::{account::RunReport, schema::Schema, transition::Episode};
use experience_export::{RecordingInfo, SinkError};
use std::{fs, path::PathBuf, sync::Arc, thread::JoinHandle};

/// Writes shards and the account of the run.
pub(super) struct DatasetWriter {
    settings: Settings,
    folder: PathBuf,
    schema: Arc<Schema>,
    /// Held while the run goes on.
    lock: RunLock,
    encoder: BatchEncoder,
    account: RunAccount,
    /// How many shards the account's file names.
    noted: usize,
    /// How many shards were begun.
    shards: u32,
    open: Option<OpenShard>,
    /// Shards that the disk did not take yet, oldest first.
    finished: Vec<FinishedShard>,
    /// What the shards that found their places take.
    landed_bytes: u64,
    /// Episodes in shards that found their place.
    landed: u64,
    /// Brings what earlier processes left into shards.
    recovering: Option<JoinHandle<()>>,
}

impl DatasetWriter {
    pub(super) fn open(settings: Settings, recording: &RecordingInfo) -> Result<Self, SinkError> {
        let encoder = BatchEncoder::new(recording.schema.clone())?;
        let folder = place::prepare(&settings.root, &recording.schema, settings.others)?;
        let account = RunAccount::new(recording, settings.seed, settings.build.clone());
        // Before the account: whoever sees that asks whether the run is alive.
        let mut lock = RunLock::take(&folder, recording.run);
        account.reserve(&folder).inspect_err(|_| lock.remove())?;
        let mut writer = Self {
            lock,
            schema: recording.schema.clone(),
            settings,
            folder,
            encoder,
            account,
            noted: 0,
            shards: 0,
            open: None,
            finished: Vec::new(),
            landed_bytes: 0,
            landed: 0,
            recovering: None,
        };
        writer.update_card();
        if writer.settings.recover {
            writer.begin_recovery();
        }
        Ok(writer)
    }

    /// Brings what earlier processes left into shards, on a thread of its own: nothing that is recorded now waits for that.
    fn begin_recovery(&mut self) {
        let (root, folder, schema) = (self.settings.root.clone(), self.folder.clone(), self.schema.clone());
        let own = self.account.run;
        let begun = std::thread::Builder::new()
            .name("experience-recover".to_owned())
            .spawn(move || {
                if !recovery::at_start(&folder, &schema, own) {
                    return;
                }
                if let Err(error) = card::update(&root) {
                    tracing::warn!("the dataset card is not up to date: {error}");
                }
            });
        match begun {
            Ok(thread) => self.recovering = Some(thread),
            Err(error) => tracing::warn!("what earlier processes left is not recovered now: {error}"),
        }
    }

    /// How many of the episodes that it took, in their order, are in shards that readers see.
    pub(super) fn landed(&self) -> u64 {
        self.landed
    }

    /// Where the journal of the run belongs.
    pub(super) fn journal_folder(&self) -> PathBuf {
        recovery::journal_of(&self.folder, self.account.run)
    }

    /// Takes all of `episodes`, or none of them and says why.
    pub(super) fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        if episodes.is_empty() {
            return Ok(());
        }
        self.encoder.accepts(episodes)?;
        // Whatever can fail is tried before anything is taken. What is taken waits in memory if the disk fails now.
        self.land()?;
        self.shard()?.drain()?;
        for parts in batches(episodes) {
            let batch = self.encoder.encode_parts(&parts)?;
            let shard = self.shard()?;
            shard.write(&batch, &parts)?;
            if let Err(error) = shard.drain() {
                tracing::warn!("{error}; trying again");
            }
        }
        // Only now: a shard that cannot be begun must not refuse the second half of what came together.
        if self.is_due() {
            self.finish()?;
            if let Err(error) = self.land() {
                tracing::warn!("{error}; trying again");
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let landed = if self.is_due() {
            self.finish()
        } else {
            self.open.as_mut().map_or(Ok(()), OpenShard::drain)
        };
        let landed = landed.and_then(|()| self.land());
        // The account says what is visible, so it is brought up to date whether or not all of it is.
        let noted = if self.account.says(report, self.noted) {
            Ok(())
        } else {
            self.note(report)
        };
        landed.and(noted)
    }

    pub(super) fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let landed = self.finish().and_then(|()| self.land());
        if landed.is_ok() {
            self.account.status = RunStatus::Closed;
            self.account.buffers = None;
        } else {
            let lost: u64 = self.finished.iter().map(FinishedShard::transitions).sum();
            tracing::error!(
                "{lost} transitions did not find their place in `{}`",
                self.folder.display()
            );
        }
        let noted = self.note(report);
        if let Some(recovering) = self.recovering.take() {
            // It has said what went wrong; and it is done soon, for all that it does is copy what an earlier process had in memory.
            let _ = recovering.join();
            // While it was at work it alone changed the accounts of others, and what it recovered takes room, too.
            self.keep_last();
        }
        self.update_card();
        let closed = landed.and(noted);
        if closed.is_ok() {
            self.lock.remove();
        }
        closed
    }

    fn note(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.account.write(&self.folder, report)?;
        self.noted = self.account.shards.len();
        Ok(())
    }

    /// The open shard, which is begun where there is none.
    fn shard(&mut self) -> Result<&mut OpenShard, SinkError> {
        if self.open.is_none() {
            let name = layout::shard_name(self.account.run, self.shards);
            let shard = OpenShard::create(
                &self.folder.join(layout::DATA),
                name,
                self.encoder.arrow_schema(),
                self.settings.encoding.clone(),
            )?;
            self.shards += 1;
            self.open = Some(shard);
        }
        Ok(self.open.as_mut().expect("it was just begun"))
    }

    /// Whether the open shard is big or old enough.
    fn is_due(&self) -> bool {
        let settings = &self.settings;
        let due = |shard: &OpenShard| {
            shard.bytes() >= settings.shard_bytes
                || shard.age() >= settings.shard_age
                || shard.episodes() >= settings.shard_episodes as u64
        };
        self.open.as_ref().is_some_and(due)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if let Some(shard) = self.open.take() {
            self.finished.push(shard.finish()?);
        }
        Ok(())
    }

    /// Brings finished shards to their places, oldest first.
    fn land(&mut self) -> Result<(), SinkError> {
        let mut landed = false;
        while let Some(shard) = self.finished.first_mut() {
            let account = shard.land()?;
            self.landed += account.episodes;
            self.account.shards.push(account);
            self.finished.remove(0);
            landed = true;
        }
        if landed {
            self.keep_last();
            let data = self.folder.join(layout::DATA);
            let shards = self.account.shards.iter();
            let bytes = |shard: &ShardAccount| fs::metadata(data.join(&shard.file)).map_or(0, |found| found.len());
            self.landed_bytes = shards.map(bytes).sum();
        }
        Ok(())
    }

    /// What the run's shards take on the disk, with the one that is open.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.landed_bytes + self.open.as_ref().map_or(0, |shard| shard.bytes() as u64)
    }

    /// Makes room, where that is wanted. More than was wanted is no reason to lose data.
    fn keep_last(&mut self) {
        let Some(keep) = self.settings.keep_bytes else { return };
        match retention::keep_last(&self.folder, &self.schema, &mut self.account, keep) {
            // The file was written, with shards that it did not name before.
            Ok(true) => self.noted = self.account.shards.len(),
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot remove old shards of `{}`: {error}", self.folder.display()),
        }
    }

    /// A dataset without its card still loads, shard by shard: the card is no reason to lose data.
    fn update_card(&self) {
        if let Err(error) = card::update(&self.settings.root) {
            tracing::warn!("the dataset card is not up to date: {error}");
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
