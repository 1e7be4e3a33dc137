//! [`DatasetSink`], which writes episodes to shards.

use super::{
    SchemaMismatch, encoding::ShardEncoding, folder_claim::FolderClaim, recording_folder, writer::DatasetWriter,
};
use crate::store::DatasetAddress;
#[cfg(feature = "object_store")]
use crate::store::{
    remote_target::{MAX_DURATION, RemoteTarget},
    upload_status::UploadStatus,
};
use core::time::Duration;
use experience_core::{
    account::{RunReport, TagChange},
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::{MissingEpisodes, RecordingInfo, RunLabel, Sink, SinkError};
use parquet::basic::ZstdLevel;
use std::{borrow::Cow, path::PathBuf};

/// Writes episodes to a dataset on disk.
///
/// ```
/// use experience_dataset::DatasetSink;
/// use core::time::Duration;
///
/// let sink = DatasetSink::new("data/arena").with_shard_age(Duration::from_secs(60)).with_seed(7);
/// ```
///
/// A shard is committed when it reaches a limit of size, age or episodes, and at the close. Rows that are not in a committed
/// shard yet are in the [journal](experience_export::journal). When the sink is opened, a background thread recovers the
/// journals of earlier processes that died. If the disk is full or fails, accepted episodes stay in memory, and every
/// [`write`](Sink::write) and [`flush`](Sink::flush) tries again; until that succeeds, no more episodes are accepted. A shard of
/// which a write or a sync has failed is copied to a new file; if what was written cannot be read back, the call returns
/// [`SinkError::Lost`], and the worker writes the episodes again.
#[derive(Debug)]
pub struct DatasetSink {
    description: String,
    settings: Settings,
    writer: Option<DatasetWriter>,
    claim: Option<FolderClaim>,
    /// Why the address cannot be written to.
    refused: Option<String>,
    /// The store that the run is uploaded to. Its root is a folder on the disk then.
    #[cfg(feature = "object_store")]
    remote: Option<RemoteTarget>,
    /// Episodes in committed shards of the run that was closed and is being uploaded.
    closed_episodes: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) root: PathBuf,
    pub(super) encoding: ShardEncoding,
    pub(super) shard_bytes: usize,
    pub(super) shard_age: Duration,
    pub(super) shard_episodes: usize,
    pub(super) keep_bytes: Option<u64>,
    pub(super) on_mismatch: SchemaMismatch,
    pub(super) label: RunLabel,
    pub(super) recover: bool,
}

impl DatasetSink {
    /// A sink that writes to the folder `path`, which is created if it is missing.
    ///
    /// With the feature `object_store`, `path` may be the address of an object store: `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. Credentials are those of the environment, as the store's own tools take them. The run is written to
    /// a folder on the disk ([`with_staging`](Self::with_staging)), and a thread uploads what is finished. An address that cannot be
    /// written to is refused when the recording is added.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let (mut root, refused) = match DatasetAddress::resolve(&path) {
            Ok(root) => (root, None),
            Err(reason) => (PathBuf::new(), Some(reason)),
        };
        #[cfg(feature = "object_store")]
        let remote = match DatasetAddress::parse(&root) {
            Ok(DatasetAddress::Store(address)) => Some(RemoteTarget::new(address)),
            _ => None,
        };
        if root.as_os_str().is_empty() {
            // The working directory, with a path that can be checked like any other.
            root.push(".");
        }
        Self {
            description: match refused {
                // An address that holds credentials is not repeated.
                Some(_) => "dataset at a refused address".to_owned(),
                None => format!("dataset {}", root.display()),
            },
            refused,
            #[cfg(feature = "object_store")]
            remote,
            closed_episodes: None,
            settings: Settings {
                root,
                encoding: ShardEncoding::default(),
                shard_bytes: 128 << 20,
                shard_age: Duration::from_secs(5 * 60),
                shard_episodes: usize::MAX,
                keep_bytes: None,
                on_mismatch: SchemaMismatch::Sibling,
                label: RunLabel::default(),
                recover: true,
            },
            writer: None,
            claim: None,
        }
    }

    /// Commits a shard when it has about this many bytes; 128 MiB by default. Data loaders are fastest with few large files.
    #[must_use]
    pub fn with_shard_bytes(mut self, bytes: usize) -> Self {
        self.settings.shard_bytes = bytes;
        self
    }

    /// Commits a shard, at the next write or flush, when it was created this long ago; 5 minutes by default.
    ///
    /// [`Duration::ZERO`] commits one at every write.
    #[must_use]
    pub fn with_shard_age(mut self, age: Duration) -> Self {
        self.settings.shard_age = age;
        self
    }

    /// Commits a shard when it has at least this many episodes; unlimited by default. Episodes of one [`write`](Sink::write)
    /// are in one shard, so it may have some more.
    #[must_use]
    pub fn with_shard_episodes(mut self, episodes: usize) -> Self {
        self.settings.shard_episodes = episodes;
        self
    }

    /// Limits the size of the recording, in bytes; unlimited by default.
    ///
    /// Whenever a shard is committed, the oldest shards are deleted until at most `bytes` are left: shards of this run, and of
    /// runs that are closed, recovered, or whose process died. Shards of other live runs are neither counted nor deleted; their
    /// own sinks do that. Where the recording's folder `data` is a link to another folder, which other datasets may share, only
    /// shards of this run are counted and deleted. The newest shard is kept, however large it is. Deleted transitions still count as exported, and
    /// [`RunAccount::retired`](crate::RunAccount::retired) counts them.
    ///
    /// Shards are in the order in which they were committed, which their accounts state as
    /// [`ShardAccount::committed`](crate::ShardAccount::committed); those of one run are in the order of their numbers. Times
    /// of the file system do not count. A clock that is set back between two runs does not change the order: a run's clock
    /// begins after the last shard of the runs before it. Shards of version 0.1.0 count as committed when their run began.
    #[must_use]
    pub fn with_keep_bytes(mut self, bytes: u64) -> Self {
        self.settings.keep_bytes = Some(bytes);
        self
    }

    /// Sets the Zstandard level, from 1 (fast) to 22 (small); 1 by default.
    ///
    /// On rows of 40 features, level 3 takes twice and level 9 five times as long as level 1, for shards that are 2 and 4 %
    /// smaller.
    ///
    /// # Panics
    /// If `level` is not in that range.
    #[must_use]
    #[track_caller]
    pub fn with_compression_level(mut self, level: i32) -> Self {
        self.settings.encoding.level = match ZstdLevel::try_new(level) {
            Ok(level) => level,
            Err(_) => panic!("compression level {level} is out of range; choose one from 1 to 22"),
        };
        self
    }

    /// Closes a row group before it has more than this many rows; 65,536 by default. A row group ends between two episodes,
    /// also where one of them is longer. An episode of more than 32 MiB is divided among several.
    #[must_use]
    pub fn with_row_group_rows(mut self, rows: usize) -> Self {
        self.settings.encoding.row_group_rows = rows;
        self
    }

    /// Refuses to record if the recording's folder holds another schema, instead of writing to a sibling folder.
    #[must_use]
    pub fn refuse_other_schema(mut self) -> Self {
        self.settings.on_mismatch = SchemaMismatch::Refuse;
        self
    }

    /// Stores the seed of the game's random numbers in the run's account.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.label.seed = Some(seed);
        self
    }

    /// Stores the build of the game, such as a commit or a version, in the run's account.
    #[must_use]
    pub fn with_build(mut self, build: impl Into<String>) -> Self {
        self.settings.label.build = Some(build.into());
        self
    }

    /// Does not recover the journals of earlier processes that died. `experience recover`, or
    /// [`Dataset::recover`](crate::Dataset::recover), recovers them at another time.
    #[must_use]
    pub fn without_recovery(mut self) -> Self {
        self.settings.recover = false;
        self
    }

    /// Sets the folder in which runs wait for their upload; by default `bevy_experience/uploads` in the folder for the state of
    /// programs (`$XDG_STATE_HOME`, `~/.local/state`, `%LOCALAPPDATA%`). It must be on a disk that outlives the process, and with
    /// containers the container. Without an object store it has no effect.
    #[cfg(feature = "object_store")]
    #[must_use]
    pub fn with_staging(mut self, folder: impl Into<PathBuf>) -> Self {
        if let Some(remote) = &mut self.remote {
            remote.staging = folder.into();
        }
        self
    }

    /// Limits the bytes of finished shards that wait for their upload; 8 GiB by default. At the limit the disk counts as full: the
    /// recording is paused, and no captured step is lost, until shards were uploaded.
    #[cfg(feature = "object_store")]
    #[must_use]
    pub fn with_staging_bytes(mut self, bytes: u64) -> Self {
        if let Some(remote) = &mut self.remote {
            remote.staging_bytes = bytes;
        }
        self
    }

    /// Sets the time between two signs of life of the run in an object store, one request each; a minute by default. A reader takes
    /// a run for dead after three of them.
    #[cfg(feature = "object_store")]
    #[must_use]
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        if let Some(remote) = &mut self.remote {
            remote.heartbeat = interval.clamp(Duration::from_millis(10), MAX_DURATION);
        }
        self
    }

    /// Sets how long the end of the run waits for its last uploads; 8 seconds by default. What is not uploaded by then waits on the
    /// disk for the next game, or for `experience recover`, and `Experience::close` returns false. `ExportSettings::close_timeout`
    /// bounds the wait too.
    #[cfg(feature = "object_store")]
    #[must_use]
    pub fn with_upload_wait(mut self, wait: Duration) -> Self {
        if let Some(remote) = &mut self.remote {
            remote.upload_wait = wait.min(MAX_DURATION);
        }
        self
    }

    /// The state of the uploads; `None` for a folder. Take it before the sink is given to a recording.
    #[cfg(feature = "object_store")]
    #[must_use]
    pub fn upload_status(&self) -> Option<UploadStatus> {
        Some(self.remote.as_ref()?.status.clone())
    }

    fn check_address(&self) -> Result<(), SinkError> {
        match &self.refused {
            Some(reason) => Err(SinkError::Other(reason.clone())),
            None => Ok(()),
        }
    }

    /// Sets the folder that the run is written to.
    fn set_root(&mut self, run: RunId) {
        #[cfg(feature = "object_store")]
        if let Some(remote) = &self.remote {
            self.settings.root = remote.root(run);
        }
        let _ = run;
    }

    fn writer(&mut self) -> Result<&mut DatasetWriter, SinkError> {
        self.writer
            .as_mut()
            .ok_or_else(|| SinkError::Other(format!("{} is not open", self.description)))
    }
}

impl Sink for DatasetSink {
    fn describe(&self) -> Cow<'_, str> {
        self.description.as_str().into()
    }

    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        self.check_address()?;
        experience_arrow::BatchEncoder::new(schema.clone().into_shared())?;
        #[cfg(feature = "object_store")]
        if let Some(remote) = &self.remote {
            recording_folder::check_new(&remote.folder())?;
            return remote.check();
        }
        recording_folder::check(&self.settings.root, schema, self.settings.on_mismatch)
    }

    fn check_run(&mut self, schema: &Schema, run: RunId) -> Result<(), SinkError> {
        self.set_root(run);
        FolderClaim::renew(&mut self.claim, &self.settings.root, schema, run)
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.check_address()?;
        self.set_root(recording.run);
        #[cfg(feature = "object_store")]
        if let Some(remote) = &mut self.remote {
            remote.keep_bytes = self.settings.keep_bytes;
            remote.refuse_other_schema = self.settings.on_mismatch == SchemaMismatch::Refuse;
            remote.uploads_earlier = self.settings.recover;
            let settings = Settings {
                // Shards in the store are counted and deleted by the uploader.
                keep_bytes: None,
                // Each run has a folder of its own.
                recover: false,
                ..self.settings.clone()
            };
            let writer = DatasetWriter::open(settings, recording)?;
            let started = remote.start(writer.folder(), recording.run);
            self.writer = Some(writer);
            return started;
        }
        self.writer = Some(DatasetWriter::open(self.settings.clone(), recording)?);
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        #[cfg(feature = "object_store")]
        if let Some(remote) = &self.remote {
            remote.check_space()?;
        }
        self.writer()?.write(episodes)
    }

    fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        self.writer()?.write_tags(changes)
    }

    fn missing(&self) -> MissingEpisodes {
        self.writer
            .as_ref()
            .map_or(MissingEpisodes::default(), DatasetWriter::missing)
    }

    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let flushed = self.writer()?.flush(report);
        #[cfg(feature = "object_store")]
        if let Some(remote) = &self.remote {
            remote.wake();
        }
        flushed
    }

    fn disk_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, DatasetWriter::disk_bytes)
    }

    fn durable(&self, _: u64) -> u64 {
        let open = self.writer.as_ref().map(DatasetWriter::committed_episodes);
        open.or(self.closed_episodes).unwrap_or(0)
    }

    fn journal_folder(&self) -> Option<PathBuf> {
        self.writer.as_ref().map(DatasetWriter::journal_folder)
    }

    fn run_label(&self) -> RunLabel {
        self.settings.label.clone()
    }

    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        // Repeated for the rest of the uploads.
        if self.closed_episodes.is_none() {
            let writer = self.writer()?;
            writer.close(report)?;
            self.closed_episodes = Some(writer.committed_episodes());
            self.writer = None;
        }
        #[cfg(feature = "object_store")]
        if let Some(remote) = &mut self.remote {
            remote.finish()?;
        }
        self.closed_episodes = None;
        Ok(())
    }
}
