//! Where episodes go.
//!
//! A [`Sink`] lives on a thread of its own and never sees the game: it may block, fail or panic without a frame being
//! lost. Everything that reaches a sink is a whole [`Episode`].

mod memory;

pub use memory::MemorySink;

use experience_core::{
    account::RunReport,
    schema::Schema,
    transition::{Episode, RunId},
};
use std::{borrow::Cow, path::PathBuf, sync::Arc, time::SystemTime};

/// Takes the episodes of one recording.
///
/// The exporter calls, on a thread that the sink has for itself: [`open`](Self::open) once, then [`write`](Self::write) and
/// [`flush`](Self::flush) any number of times, then [`close`](Self::close) once. What fails is tried again, each of them, if
/// the error [may pass](SinkError::may_pass). A sink that panics is never called again.
pub trait Sink: Send + 'static {
    /// What the sink is, for messages and reports: `dataset data/arena`.
    fn describe(&self) -> Cow<'_, str>;

    /// Checks, while the app is being set up, that [`open`](Self::open) can be expected to succeed.
    ///
    /// # Errors
    /// What is wrong, and what to do. The app that is being set up panics with it.
    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        let _ = schema;
        Ok(())
    }

    /// Prepares to take episodes.
    ///
    /// # Errors
    /// What is wrong, and what to do. Everything meant for this sink is then counted as dropped.
    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError>;

    /// Takes whole episodes. Each episode is accepted or refused as one.
    ///
    /// # Errors
    /// When none of `episodes` was taken: they are offered again, or in the end counted as dropped.
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError>;

    /// Makes what was written visible to readers as far as the sink can, and takes note of the run so far.
    ///
    /// # Errors
    /// When something that [`write`](Self::write) took could not be brought to where it goes.
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError>;

    /// Bytes that this run's episodes take on a disk; 0 for a sink that keeps none there. It is asked after each flush.
    fn disk_bytes(&self) -> u64 {
        0
    }

    /// How many of the first `taken` episodes, in the order in which it took them, the sink has for good: they are still there
    /// when the process dies. All of them, unless it says otherwise. Asked after each [`write`](Self::write) and
    /// [`flush`](Self::flush); the others are kept in the [journal](crate::journal).
    fn durable(&self, taken: u64) -> u64 {
        taken
    }

    /// A folder for the [journal](crate::journal) of the run, where whoever opens such a sink again finds it; asked once, after
    /// [`open`](Self::open). `None` unless the sink says otherwise: then what is in memory dies with the process. Of several
    /// sinks of a recording, one has the journal; if that one fails for good, the journal stays as it is.
    fn journal_folder(&self) -> Option<PathBuf> {
        None
    }

    /// Finishes: everything taken is visible to readers when this returns.
    ///
    /// # Errors
    /// When something that [`write`](Self::write) took could not be brought to where it goes.
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError>;
}

/// What a sink needs to know of the recording that it serves.
#[derive(Clone, Debug)]
pub struct RecordingInfo {
    /// The columns of its episodes.
    pub schema: Arc<Schema>,
    /// The run that records.
    pub run: RunId,
    /// Ticks in a second of game time, where the recording has a fixed tick.
    pub tick_rate: Option<f64>,
    /// When the run began.
    pub started: SystemTime,
    /// The folder of the buffers' files, where they lie in files: rows there outlive the process, too.
    pub buffers: Option<PathBuf>,
}

/// Why a sink could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was being done: `create`, `write to`, `rename`.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds something else.
    #[error("`{}` is not a dataset: {reason}; name an empty or a new folder", path.display())]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// The recording's folder holds other columns, and the sink was told to refuse that.
    #[error(
        "`{}` holds other columns than this recording (here) has: {}; name another folder, or allow one beside it",
        path.display(),
        differences.join("; ")
    )]
    OtherSchema {
        /// The recording's folder, "there".
        path: PathBuf,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// The sink's bounded queue is full: whoever reads it is slower than the game.
    #[error("the channel is full: its reader is slower than the game")]
    Full,
    /// Whoever reads the sink is gone.
    #[error("the channel's reader is gone")]
    Disconnected,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl SinkError {
    /// Whether a disk is full. Recording is paused then, and the sink is tried again until there is room.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Whether it may go well another time. A channel is refused at once: its reader decides how much waits.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Other(_))
    }
}
