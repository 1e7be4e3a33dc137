//! A folder of Parquet files that trainers open.
//!
//! ```text
//! data/arena/
//!   README.md                         the dataset card, with a config for each recording
//!   fighter/
//!     experience.json                 the schema and its hash, spaces, units
//!     data/<run>-00000.parquet        whole episodes, with the columns of `sink::arrow`
//!     runs/<run>.json                 what the run recorded and what became of it
//!     journal/<run>/                  what is not in shards yet, while the run goes on, or after its process died
//! ```
//!
//! Every file belongs to one run, so any number of processes may write one dataset at once. A shard has another name
//! until it is whole and on the disk: readers see all of it or nothing. While a run goes on it holds a lock on the hidden file
//! `runs/.<run>.lock`, which tells it from one whose process died.

mod account;
mod batches;
pub(crate) mod card;
pub(crate) mod encoding;
pub(crate) mod experience;
pub(crate) mod files;
pub(crate) mod layout;
mod lock;
pub(crate) mod place;
pub(crate) mod recovery;
mod retention;
mod shard;
mod spool;
mod writer;

pub use account::{AgentCounts, Retired, RunAccount, RunStatus};
pub use recovery::{RecoveredRun, Recovery};
pub use shard::ShardAccount;

use core::time::Duration;
use encoding::Encoding;
use experience_core::account::RunReport;
use experience_core::{schema::Schema, transition::Episode};
use experience_export::{RecordingInfo, Sink, SinkError};
use parquet::basic::ZstdLevel;
use std::{borrow::Cow, path::PathBuf};
use writer::DatasetWriter;

/// Writes episodes into a dataset on disk.
///
/// ```
/// use experience_dataset::DatasetSink;
/// use core::time::Duration;
///
/// let sink = DatasetSink::new("data/arena").with_shard_age(Duration::from_secs(60)).with_seed(7);
/// ```
///
/// Shards are finished when they are big or old enough, and at the close. What is not in them yet is in the
/// [journal](experience_export::journal): where an earlier process died, the sink brings what that one left into shards, beside its own work,
/// when it is opened. Where the disk is full or gone, what was taken already stays in memory and is tried again at every
/// [`write`](Sink::write) and [`flush`](Sink::flush); until it has found its place nothing more is taken.
#[derive(Debug)]
pub struct DatasetSink {
    description: String,
    settings: Settings,
    writer: Option<DatasetWriter>,
}

#[derive(Clone, Debug)]
struct Settings {
    root: PathBuf,
    encoding: Encoding,
    shard_bytes: usize,
    shard_age: Duration,
    shard_episodes: usize,
    keep_bytes: Option<u64>,
    others: OtherSchema,
    seed: Option<u64>,
    build: Option<String>,
    recover: bool,
}

/// What to do where the recording's folder holds other columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherSchema {
    Sibling,
    Refuse,
}

impl DatasetSink {
    /// A sink that writes to the folder `path`, which is made where it does not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let mut root = path.into();
        if root.as_os_str().is_empty() {
            // The folder that the process is in, which deserves the same checks as any other.
            root.push(".");
        }
        Self {
            description: format!("dataset {}", root.display()),
            settings: Settings {
                root,
                encoding: Encoding::default(),
                shard_bytes: 128 << 20,
                shard_age: Duration::from_secs(5 * 60),
                shard_episodes: usize::MAX,
                keep_bytes: None,
                others: OtherSchema::Sibling,
                seed: None,
                build: None,
                recover: true,
            },
            writer: None,
        }
    }

    /// Finishes a shard when it has about this many bytes; 128 MiB unless told. Loaders like few large files.
    #[must_use]
    pub fn with_shard_bytes(mut self, bytes: usize) -> Self {
        self.settings.shard_bytes = bytes;
        self
    }

    /// Finishes a shard, at the next write or flush, when it was begun this long ago; 5 minutes unless told.
    ///
    /// [`Duration::ZERO`] finishes one at every write.
    #[must_use]
    pub fn with_shard_age(mut self, age: Duration) -> Self {
        self.settings.shard_age = age;
        self
    }

    /// Finishes a shard when it has at least this many episodes; as many as fit unless told. What is handed over together is in
    /// one shard, so it may have some more.
    #[must_use]
    pub fn with_shard_episodes(mut self, episodes: usize) -> Self {
        self.settings.shard_episodes = episodes;
        self
    }

    /// Keeps about the last so many bytes of the recording; all of it unless told.
    ///
    /// Whenever a shard is finished, the oldest go until no more than `bytes` are left: shards of this run, and of runs that have
    /// ended or whose process died. Those of a run that is alive are not counted and never go; its own sink sees to them. The
    /// newest shard stays, however large it is. What went still counts as exported, and
    /// [`RunAccount::retired`](crate::RunAccount::retired) says how much it was.
    #[must_use]
    pub fn with_keep_bytes(mut self, bytes: u64) -> Self {
        self.settings.keep_bytes = Some(bytes);
        self
    }

    /// Sets Zstandard's level, from 1 (fast) to 22 (small); 1 unless told.
    ///
    /// On rows of 40 features, level 3 takes twice and level 9 five times as long as level 1, for shards that are 2 and 4 %
    /// smaller.
    ///
    /// # Panics
    /// When there is no such level.
    #[must_use]
    #[track_caller]
    pub fn with_compression_level(mut self, level: i32) -> Self {
        self.settings.encoding.level = match ZstdLevel::try_new(level) {
            Ok(level) => level,
            Err(_) => panic!("there is no compression level {level}; choose one from 1 to 22"),
        };
        self
    }

    /// Closes a row group when it has this many rows; 65,536 unless told. An episode is never divided between two.
    #[must_use]
    pub fn with_row_group_rows(mut self, rows: usize) -> Self {
        self.settings.encoding.row_group_rows = rows;
        self
    }

    /// Refuses to record where the recording's folder holds other columns, instead of writing to a folder beside it.
    #[must_use]
    pub fn refuse_other_schema(mut self) -> Self {
        self.settings.others = OtherSchema::Refuse;
        self
    }

    /// Notes the seed of the game's random numbers in the run's account.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Notes the build of the game, such as a commit or a version, in the run's account.
    #[must_use]
    pub fn with_build(mut self, build: impl Into<String>) -> Self {
        self.settings.build = Some(build.into());
        self
    }

    /// Leaves alone what earlier processes that died have left in the recording. `experience recover`, or
    /// [`Dataset::recover`](crate::Dataset::recover), brings that into shards at another time.
    #[must_use]
    pub fn without_recovery(mut self) -> Self {
        self.settings.recover = false;
        self
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
        super::arrow::BatchEncoder::new(schema.clone().into_shared())?;
        place::check(&self.settings.root, schema, self.settings.others)
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.writer = Some(DatasetWriter::open(self.settings.clone(), recording)?);
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.writer()?.write(episodes)
    }

    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.writer()?.flush(report)
    }

    fn disk_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, DatasetWriter::disk_bytes)
    }

    fn durable(&self, _: u64) -> u64 {
        self.writer.as_ref().map_or(0, DatasetWriter::landed)
    }

    fn journal_folder(&self) -> Option<PathBuf> {
        self.writer.as_ref().map(DatasetWriter::journal_folder)
    }

    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.writer()?.close(report)?;
        self.writer = None;
        Ok(())
    }
}
