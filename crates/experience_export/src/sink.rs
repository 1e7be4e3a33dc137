//! The trait [`Sink`], a destination of episodes, and its error.
//!
//! A sink runs on a worker thread: it may block, fail or panic without delaying the game.

mod memory;

pub use memory::MemorySink;

use experience_core::{
    account::RunReport,
    schema::Schema,
    transition::{Episode, RunId},
};
use std::{borrow::Cow, path::PathBuf, sync::Arc};
use web_time::SystemTime;

/// A destination of the episodes of one recording.
///
/// Each sink has a worker thread. It calls [`open`](Self::open) once, then [`write`](Self::write) and [`flush`](Self::flush)
/// any number of times, then [`close`](Self::close) once. A call that fails is retried if its error [may
/// pass](SinkError::may_pass). A sink that panics is not called again.
pub trait Sink: Send + 'static {
    /// Name of the sink in messages and reports, such as `dataset data/arena`.
    fn describe(&self) -> Cow<'_, str>;

    /// Checks, before the recording starts, that [`open`](Self::open) can be expected to succeed.
    ///
    /// # Errors
    /// The problem and its remedy. The plugin of `bevy_experience` panics with it.
    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        let _ = schema;
        Ok(())
    }

    /// Prepares for [`write`](Self::write).
    ///
    /// # Errors
    /// The problem and its remedy. All episodes are then counted as dropped for this sink.
    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError>;

    /// Accepts `episodes`, all or none of them.
    ///
    /// # Errors
    /// When none of them was accepted. They are offered again, and counted as dropped when retries end.
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError>;

    /// Makes the accepted episodes visible to readers as far as the sink can. `report` is the account of the run so far.
    ///
    /// # Errors
    /// When an accepted episode could not be stored or sent.
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError>;

    /// Bytes of this run's episodes on disk; 0 for a sink that stores none there. Called after each flush.
    fn disk_bytes(&self) -> u64 {
        0
    }

    /// Number of durable episodes among the `taken` episodes that were accepted, counted from the first: they outlive the
    /// process. By default all of them. Called after each [`write`](Self::write) and [`flush`](Self::flush). The
    /// [journal](crate::journal) holds the others.
    fn durable(&self, taken: u64) -> u64 {
        taken
    }

    /// Folder for the [journal](crate::journal) of the run, from which a later sink can recover it. Called once, after
    /// [`open`](Self::open). By default `None`: rows in memory are lost if the process dies. Of several sinks of a recording,
    /// the first with a folder hosts the journal. If that sink is retired, the journal is abandoned and its files remain.
    fn journal_folder(&self) -> Option<PathBuf> {
        None
    }

    /// Ends the run: all accepted episodes are visible to readers when this returns. `report` is the final account.
    ///
    /// # Errors
    /// When an accepted episode could not be stored or sent.
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError>;
}

/// Metadata of a recording, for its sinks.
#[derive(Clone, Debug)]
pub struct RecordingInfo {
    /// Schema of its episodes.
    pub schema: Arc<Schema>,
    /// The run that records.
    pub run: RunId,
    /// Ticks in a second of game time, where the recording has a fixed tick.
    pub tick_rate: Option<f64>,
    /// When the run began.
    pub started: SystemTime,
    /// Folder of the buffers' files, whose rows outlive the process too. `None` where the buffers are not in files.
    pub buffers: Option<PathBuf>,
}

/// Error of a [`Sink`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// A file system operation failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The operation: `create`, `write to`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the file system.
        source: std::io::Error,
    },
    /// The folder has other content than a dataset.
    #[error("`{}` is not a dataset: {reason}; name an empty or a new folder", path.display())]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What the folder contains.
        reason: String,
    },
    /// The recording's folder holds another schema, and the sink is configured to refuse that.
    #[error(
        "`{}` (there) holds other columns than this recording (here): {}; name another folder, or allow a sibling folder",
        path.display(),
        differences.join("; ")
    )]
    OtherSchema {
        /// The recording's folder: "there" in `differences`.
        path: PathBuf,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// The sink's bounded channel is full: its receiver is slower than the game.
    #[error("the channel is full: its receiver is slower than the game")]
    Full,
    /// The receiver of the sink's channel was dropped.
    #[error("the channel's receiver was dropped")]
    Disconnected,
    /// Another error, as a message.
    #[error("{0}")]
    Other(String),
}

impl SinkError {
    /// Whether a disk is full. Recording is paused then, and the call is retried until the disk has space.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Whether a retry may succeed. False for channels: the receiver decides how many batches wait.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Other(_))
    }
}
