//! [`StagedRun`]: a run of a recording on the disk that is uploaded to a store.
//!
//! Everything that is uploaded follows from the files in the folder of the recording, so a pass can be repeated by any process after
//! any failure. Its order keeps three promises:
//!
//! - An account names a shard after the store has confirmed the shard, so readers find what an account names.
//! - A shard is removed from the disk after its record is durable and the account in the store names it.
//! - The record of a shard holds the ids of its episodes, so a recovery writes none of them again.

mod over;
mod remote_folder;

use super::{
    address::StoreAddress,
    client::{Put, StoreClient, UploadError},
    error::{StoreError, StoreErrorKind},
    key::{DatasetKey, RecordingFolder},
    store_account::{Composed, compose},
    store_retention::StoreRetention,
    upload_status::UploadStatus,
    uploaded::{self, StoredState, UploadedShard},
};
use crate::sink::{
    RunAccount, RunStatus, ShardAccount,
    experience::{self, ExperienceFileError},
    layout,
    read::for_each_batch,
    shard_name::ShardName,
    tag_file,
};
use experience_arrow::columns::ColumnId;
use experience_core::{schema::Schema, transition::RunId};
use experience_export::disk;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// A run that is uploaded.
#[derive(Debug)]
pub(crate) struct StagedRun {
    /// The folder of the recording on the disk.
    folder: PathBuf,
    run: RunId,
    /// The dataset in the store.
    dataset: StoreAddress,
    client: Arc<StoreClient>,
    heartbeat: Duration,
    refuse_other_schema: bool,
    retention: Option<StoreRetention>,
    status: UploadStatus,
    schema: Arc<Schema>,
    /// The folder of the recording in the store, once it is known.
    remote: Option<String>,
    /// Records of shards that were uploaded; read once.
    records: Option<BTreeMap<ShardName, UploadedShard>>,
    /// Shards whose files differ from their checksums, which are not uploaded.
    damaged: BTreeSet<ShardName>,
    /// The account that was uploaded, and when.
    account: Option<(RunAccount, Instant)>,
    /// The length of the tags that were uploaded.
    tags: u64,
    failures: u64,
}

/// What a [`StagedRun`] is made of.
#[derive(Clone, Debug)]
pub(crate) struct UploadPlan {
    pub(crate) dataset: StoreAddress,
    pub(crate) client: Arc<StoreClient>,
    pub(crate) heartbeat: Duration,
    pub(crate) refuse_other_schema: bool,
    pub(crate) keep_bytes: Option<u64>,
}

/// What is left of a run after a pass that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The run goes on.
    Open,
    /// The run is closed, and all of it is in the store.
    Complete,
    /// The run is closed, and shards of it are damaged on the disk.
    Damaged,
}

/// Why a pass has failed.
#[derive(Debug)]
pub(crate) enum PassError {
    /// A file or folder on the disk.
    Disk(&'static str, PathBuf, io::Error),
    /// An object in the store, by its address.
    Store(String, StoreError),
    /// Another reason, and its remedy.
    Other(String),
}

impl core::fmt::Display for PassError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Disk(action, path, error) => write!(f, "cannot {action} `{}`: {error}", path.display()),
            Self::Store(object, error) => write!(f, "cannot write `{object}`: {error}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl PassError {
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, Self::Store(_, error) if error.kind() == StoreErrorKind::Stopped)
    }

    /// Whether a repetition cannot succeed until the address, the store, the credentials or the file are changed.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Disk(..) => false,
            Self::Store(_, error) => error.is_lasting(),
            Self::Other(_) => true,
        }
    }
}

fn on_disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PassError {
    move |error| PassError::Disk(action, path.to_owned(), error)
}

impl StagedRun {
    /// The run in `folder`, the folder of a recording.
    pub(crate) fn open(folder: PathBuf, run: RunId, plan: UploadPlan, status: UploadStatus) -> Result<Self, PassError> {
        let schema = experience::read(&folder).map_err(|error| match error {
            ExperienceFileError::Io(error) => PassError::Disk("read", folder.join(layout::EXPERIENCE), error),
            ExperienceFileError::Damaged(reason) => PassError::Other(format!(
                "`{}` is damaged: {reason}",
                folder.join(layout::EXPERIENCE).display()
            )),
        })?;
        Ok(Self {
            folder,
            run,
            dataset: plan.dataset,
            client: plan.client,
            heartbeat: plan.heartbeat,
            refuse_other_schema: plan.refuse_other_schema,
            retention: plan.keep_bytes.map(StoreRetention::new),
            status,
            schema: schema.schema.into_shared(),
            remote: None,
            records: None,
            damaged: BTreeSet::new(),
            account: None,
            tags: 0,
            failures: 0,
        })
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Uploads what is finished.
    pub(crate) fn pass(&mut self) -> Result<Progress, PassError> {
        let passed = self.try_pass();
        self.status.update(|counts| match &passed {
            Ok(_) if self.damaged.is_empty() => (counts.last_error, counts.is_stuck) = (None, false),
            // The error of the damaged shard stays.
            Ok(_) => counts.is_stuck = false,
            Err(error) if error.is_stop() => {}
            Err(error) => {
                self.failures += 1;
                counts.failures += 1;
                counts.last_error = Some(error.to_string());
            }
        });
        passed
    }

    fn try_pass(&mut self) -> Result<Progress, PassError> {
        let account = RunAccount::read(&self.folder, self.run);
        let mut account = account.map_err(on_disk("read the account in", &self.folder))?;
        if self.records.is_none() {
            let records = uploaded::read_all(&self.folder, self.run);
            self.records = Some(records.map_err(on_disk("read the records of uploads in", &self.folder))?);
        }
        let is_over = matches!(account.status, RunStatus::Closed | RunStatus::Recovered);
        if is_over {
            self.count_missing(&mut account)?;
        }
        let listed: BTreeSet<ShardName> = account.shards.iter().filter_map(|shard| shard.name(self.run)).collect();
        self.damaged.retain(|name| listed.contains(name));
        self.count(&account);
        let remote = self.remote_folder()?;
        let remote = RecordingFolder::parse(&remote)
            .ok_or_else(|| PassError::Other(format!("`{remote}` is not the name of a recording's folder")))?;
        if is_over && self.is_in_store(remote, &account)? {
            return Ok(Progress::Complete);
        }
        let mut shards = account.shards.clone();
        shards.sort_by_key(|shard| shard.name(self.run));
        let mut unread = None;
        for shard in &shards {
            let Some(name) = shard.name(self.run) else { continue };
            if self.is_stored(name) || self.damaged.contains(&name) {
                continue;
            }
            match self.upload_shard(remote, name, shard) {
                Ok(()) => {}
                // A shard that cannot be read now is no reason to keep the others waiting.
                Err(error @ PassError::Disk(..)) => {
                    unread.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.count(&account);
            // After each shard, because the account is also the sign of life, and the disk may be full.
            self.upload_account(remote, &account)?;
            self.remove_uploaded([name])?;
        }
        self.upload_account(remote, &account)?;
        self.remove_uploaded(listed)?;
        self.enforce_retention(remote, &account)?;
        if let Some(error) = unread {
            return Err(error);
        }
        Ok(match is_over {
            true if !self.damaged.is_empty() => Progress::Damaged,
            true if self.compose(&account).account.upload.is_none() => Progress::Complete,
            _ => Progress::Open,
        })
    }

    fn is_stored(&self, name: ShardName) -> bool {
        self.records.as_ref().is_some_and(|records| records.contains_key(&name))
    }

    /// Updates the counts of pending shards.
    fn count(&self, account: &RunAccount) {
        let names = account.shards.iter().filter_map(|shard| shard.name(self.run));
        let pending: Vec<_> = names.filter(|name| !self.is_stored(*name)).collect();
        let bytes = pending
            .iter()
            .map(|name| fs::metadata(name.path(&self.folder)).map_or(0, |file| file.len()));
        let bytes = bytes.sum();
        let records = self.records.iter().flat_map(BTreeMap::values);
        let (uploaded, size) = records.fold((0, 0), |(count, size): (u64, u64), record| {
            (count + 1, size.saturating_add(record.bytes))
        });
        self.status.update(|counts| {
            (counts.pending_shards, counts.pending_bytes) = (pending.len() as u64, bytes);
            (counts.uploaded_shards, counts.uploaded_bytes) = (uploaded, size);
        });
    }

    fn store_error(&self, key: DatasetKey<'_>) -> impl FnOnce(StoreError) -> PassError {
        let object = format!("{}/{}", self.dataset, key.relative());
        move |error| PassError::Store(object, error)
    }

    fn upload_shard(
        &mut self,
        remote: RecordingFolder<'_>,
        name: ShardName,
        shard: &ShardAccount,
    ) -> Result<(), PassError> {
        let path = name.path(&self.folder);
        let mut record = match describe(&path, &self.schema, shard) {
            Ok(record) => record,
            Err(error) => match fs::File::open(&path) {
                // Another process has removed it, which the writer of the run counts, or the next pass once the run is over.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(()),
                // A shard that cannot be opened is not damaged.
                Err(refused) => return Err(PassError::Disk("read", path, refused)),
                Ok(_) => {
                    self.mark_damaged(name, &error.to_string());
                    return Ok(());
                }
            },
        };
        let key = DatasetKey::Shard(remote, name);
        let in_bucket = key.in_bucket(&self.dataset);
        let stored = match self.client.put_file(&in_bucket, &path, shard.checksum) {
            Ok(stored) => stored,
            Err(UploadError::Disk(error)) => return Err(PassError::Disk("read", path, error)),
            Err(UploadError::Store(error)) => return Err(self.store_error(key)(error)),
            Err(UploadError::Damaged(reason)) => {
                self.mark_damaged(name, &reason);
                return Ok(());
            }
        };
        let found = self.client.head(&in_bucket).map_err(self.store_error(key))?;
        let is_other = stored.e_tag.is_some() && found.e_tag.is_some() && stored.e_tag != found.e_tag;
        if found.size != stored.size || is_other {
            let reason = "the store does not hold what was uploaded; it is uploaded again";
            return Err(self.store_error(key)(StoreError::new(
                StoreErrorKind::Unavailable,
                reason,
            )));
        }
        record.bytes = stored.size;
        uploaded::write(&self.folder, name, &record)
            .map_err(on_disk("write the record of an upload in", &self.folder))?;
        self.records.get_or_insert_default().insert(name, record);
        Ok(())
    }

    /// A damaged shard stays on the disk, and the run is never complete.
    fn mark_damaged(&mut self, name: ShardName, reason: &str) {
        let path = name.path(&self.folder);
        tracing::error!(
            "`{}` is damaged and not uploaded: {reason}; restore it from a copy, or remove it, so that its transitions count as \
             dropped",
            path.display()
        );
        self.damaged.insert(name);
        self.status.update(|counts| {
            counts.failures += 1;
            counts.last_error = Some(format!("`{}` is damaged: {reason}", path.display()));
        });
    }

    fn upload_tags(&mut self, remote: RecordingFolder<'_>) -> Result<(), PassError> {
        let path = tag_file::path(&self.folder, self.run);
        let len = fs::metadata(&path).map_or(0, |file| file.len());
        if len == 0 || len == self.tags {
            return Ok(());
        }
        let tags = disk::read(&path).map_err(on_disk("read", &path))?;
        let read = tags.len() as u64;
        let key = DatasetKey::Tags(remote, self.run);
        let put = self.client.put(&key.in_bucket(&self.dataset), tags, Put::Replace);
        put.map_err(self.store_error(key))?;
        self.tags = read;
        Ok(())
    }

    fn compose(&self, account: &RunAccount) -> Composed {
        let empty = BTreeMap::new();
        let records = self.records.as_ref().unwrap_or(&empty);
        compose(account, &self.folder, records, self.heartbeat, self.failures)
    }

    fn upload_account(&mut self, remote: RecordingFolder<'_>, account: &RunAccount) -> Result<(), PassError> {
        let composed = self.compose(account);
        let is_current = self
            .account
            .as_ref()
            .is_some_and(|(uploaded, when)| match composed.account.upload {
                // Counts change at each flush. They are uploaded with each shard and at each sign of life.
                Some(_) => composed.lists_same(uploaded) && when.elapsed() < self.heartbeat,
                None => composed.account == *uploaded,
            });
        if is_current {
            return Ok(());
        }
        self.upload_tags(remote)?;
        let key = DatasetKey::Account(remote, self.run);
        let put = self
            .client
            .put(&key.in_bucket(&self.dataset), composed.account.to_json(), Put::Replace);
        put.map_err(self.store_error(key))?;
        self.account = Some((composed.account, Instant::now()));
        Ok(())
    }

    /// Removes the files of those of the shards `names` that the account in the store names.
    fn remove_uploaded(&self, names: impl IntoIterator<Item = ShardName>) -> Result<(), PassError> {
        for name in names {
            let path = name.path(&self.folder);
            if self.is_stored(name) && path.exists() {
                disk::remove(&path).map_err(on_disk("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Deletes the oldest shards in the store beyond the limit.
    fn enforce_retention(&mut self, remote: RecordingFolder<'_>, account: &RunAccount) -> Result<(), PassError> {
        let Some(mut retention) = self.retention.take() else {
            return Ok(());
        };
        let mut records = self.records.take().unwrap_or_default();
        let outcome = retention.choose(&self.client, &self.dataset, remote, self.run, &mut records);
        let chosen = outcome.inspect(|own| {
            for name in own {
                if let Some(record) = records.get_mut(name) {
                    record.state = StoredState::Retiring;
                }
            }
        });
        self.records = Some(records);
        self.retention = Some(retention);
        match chosen {
            Ok(_) => {}
            Err(error) if error.kind() == StoreErrorKind::Stopped => {
                return Err(self.store_error(DatasetKey::Account(remote, self.run))(error));
            }
            // A recording that is too large is no reason to stop the uploads.
            Err(error) => {
                tracing::warn!("cannot delete old shards of `{}`: {error}", self.dataset);
                return Ok(());
            }
        }
        let retiring = self.records.iter().flatten();
        let retiring: Vec<_> = retiring
            .filter(|(_, record)| record.state == StoredState::Retiring)
            .map(|(name, _)| *name)
            .collect();
        if retiring.is_empty() {
            return Ok(());
        }
        // Also those of an earlier pass, whose records may not have been written.
        self.write_records(&retiring)?;
        self.upload_account(remote, account)?;
        for name in &retiring {
            let key = DatasetKey::Shard(remote, *name);
            self.client
                .delete(&key.in_bucket(&self.dataset))
                .map_err(self.store_error(key))?;
            if let Some(record) = self.records.get_or_insert_default().get_mut(name) {
                record.state = StoredState::Retired;
            }
        }
        self.write_records(&retiring)?;
        self.upload_account(remote, account)
    }

    fn write_records(&self, names: &[ShardName]) -> Result<(), PassError> {
        for name in names {
            if let Some(record) = self.records.as_ref().and_then(|records| records.get(name)) {
                uploaded::write(&self.folder, *name, record)
                    .map_err(on_disk("write the record of an upload in", &self.folder))?;
            }
        }
        Ok(())
    }
}

/// The record of a shard, with the ids of its episodes.
fn describe(path: &Path, schema: &Schema, shard: &ShardAccount) -> Result<UploadedShard, Box<dyn core::error::Error>> {
    let (mut episodes, mut last_tick): (Vec<i64>, Option<i64>) = (Vec::new(), None);
    for_each_batch(path, schema, &[ColumnId::EpisodeId, ColumnId::Tick], |batch| {
        episodes.extend(batch.i64(ColumnId::EpisodeId).values());
        episodes.dedup();
        last_tick = last_tick.max(batch.i64(ColumnId::Tick).values().iter().max().copied());
    })?;
    episodes.sort_unstable();
    episodes.dedup();
    Ok(UploadedShard {
        shard: shard.clone(),
        episodes,
        last_tick,
        bytes: 0,
        state: StoredState::Stored,
    })
}
