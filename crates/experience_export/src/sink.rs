//! The trait [`Sink`], a destination of episodes, and its error.
//!
//! A sink runs on a worker thread: it may block, fail or panic without delaying the game.

mod memory;
mod parts;

pub use memory::MemorySink;
pub use parts::PartBatch;

use crate::disk::remedy;
use experience_core::{
    account::{RunReport, TagChange},
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

    /// Checks, before the recording starts, that no earlier run with the id `run` is in the way of this one. Called after
    /// [`check`](Self::check).
    ///
    /// # Errors
    /// The problem and its remedy. The plugin of `bevy_experience` panics with it.
    fn check_run(&mut self, schema: &Schema, run: RunId) -> Result<(), SinkError> {
        let _ = (schema, run);
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

    /// Whether the sink also takes transitions as they happen: [`write_parts`](Self::write_parts) is called then. Called once,
    /// before [`open`](Self::open). By default not.
    fn takes_parts(&self) -> bool {
        false
    }

    /// Takes transitions as they happen, also those of open episodes. They are in addition to the whole episodes that
    /// [`write`](Self::write) gets, and are not part of the account.
    ///
    /// A transition is given out when the next one is captured or its episode has ended, because an end between two ticks sets its
    /// flags. Transitions of an episode that is discarded later may be among them. The batches do not wait in the journal: while the
    /// sink's queue is full, transitions are [missed](PartBatch::missed_transitions).
    ///
    /// # Errors
    /// When the transitions could not be taken.
    fn write_parts(&mut self, batch: &PartBatch) -> Result<(), SinkError> {
        let _ = batch;
        Ok(())
    }

    /// Makes the accepted episodes visible to readers as far as the sink can. `report` is the account of the run so far.
    ///
    /// # Errors
    /// When an accepted episode could not be stored or sent.
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError>;

    /// Stores changes of the tags of episodes, in the order in which they were made. Called before [`flush`](Self::flush) and
    /// [`close`](Self::close), if there are new ones. By default they are ignored.
    ///
    /// # Errors
    /// When the changes could not be stored. They are offered again.
    fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        let _ = changes;
        Ok(())
    }

    /// Accepted episodes that are no longer stored, such as those of a file that another process has removed; by default none.
    /// They count as dropped. Called after each [`write`](Self::write), [`flush`](Self::flush) and [`close`](Self::close), also
    /// after those that failed.
    fn missing(&self) -> MissingEpisodes {
        MissingEpisodes::default()
    }

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

    /// The label of the run, which the [journal](crate::journal) holds too: if the sink's account is lost, a recovery makes it anew
    /// from the journal. Called once, after [`open`](Self::open). By default the run has none.
    fn run_label(&self) -> RunLabel {
        RunLabel::default()
    }

    /// Ends the run: all accepted episodes are visible to readers when this returns. `report` is the final account.
    ///
    /// # Errors
    /// When an accepted episode could not be stored or sent.
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError>;
}

/// Accepted episodes that a sink no longer stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingEpisodes {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
}

/// What a game states about a run, for the account of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunLabel {
    /// The seed of the game's random numbers.
    pub seed: Option<u64>,
    /// The build of the game, such as a commit or a version.
    pub build: Option<String>,
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
    #[error("cannot {action} `{}`: {source}{}", path.display(), remedy(source))]
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
        "`{}` (there) holds other columns than this recording (here): {}; name another folder, or remove \
         `refuse_other_schema`, so that it is written beside the other",
        path.display(),
        differences.join("; ")
    )]
    OtherSchema {
        /// The recording's folder: "there" in `differences`.
        path: PathBuf,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// Accepted episodes are gone: a write or a sync of their file failed, and the file does not hold them.
    ///
    /// The sink has forgotten every accepted episode that is not [durable](Sink::durable), and counts further ones from there. The
    /// worker offers the forgotten ones again, in their order, before the next call. It reads them from the
    /// [journal](crate::journal); those that are not there are counted as dropped.
    #[error("`{}` does not hold what was written to it: {reason}", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// How that is known.
        reason: String,
    },
    /// The run's id was used before, or by another sink.
    #[error(
        "run {run} already {does} to `{}`; if `ExperiencePlugin::run` is set, give each process another id or `None` (`experience \
         recover` recovers a run whose process died); give each recording, and each sink of one, a dataset of its own or another \
         name",
        path.display()
    )]
    RunExists {
        /// The run.
        run: RunId,
        /// The recording's folder.
        path: PathBuf,
        /// `writes` if the run is not closed, `wrote` if it is over.
        does: &'static str,
    },
    /// Another process took the run for dead and recovered it. The rest of the run is dropped.
    #[error(
        "run {run} of `{}` was recovered by another process, which took this one for dead; restart the game to begin another run",
        path.display()
    )]
    RunRecovered {
        /// The run.
        run: RunId,
        /// The recording's folder.
        path: PathBuf,
    },
    /// The sink's bounded channel is full: its receiver is slower than the game.
    #[error("the channel is full: its receiver is slower than the game")]
    Full,
    /// The receiver of the sink's channel was dropped.
    #[error("the channel's receiver was dropped")]
    Disconnected,
    /// Episodes that the sink had accepted are no longer stored. They count as dropped.
    #[error("{} transitions in {} episodes are gone: {reason}", missing.transitions, missing.episodes)]
    Missing {
        /// The episodes.
        missing: MissingEpisodes,
        /// What happened to them.
        reason: String,
    },
    /// Another error, as a message.
    #[error("{0}")]
    Other(String),
}

impl SinkError {
    /// Whether a disk is full, or a quota or a limit of file sizes is reached. Recording is paused then, and the call is retried until the disk has space.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Whether a retry may succeed. False for channels: the receiver decides how many batches wait.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Lost { .. } | Self::Other(_))
    }
}
