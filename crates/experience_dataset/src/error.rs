//! [`DatasetError`]: files that cannot be read, are damaged, or have another schema.

use experience_export::{SinkError, disk::remedy};
use std::path::{Path, PathBuf};

/// An error of reading or writing a dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file system operation failed.
    #[error("cannot {action} `{}`: {source}{}", path.display(), remedy(source))]
    Io {
        /// The operation: `open`, `list`, `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The path is not a dataset.
    #[error(
        "`{}` is not a dataset: {reason}; a dataset is the folder given to `DatasetSink::new`, and each folder with an \
         `experience.json` in it is a recording",
        path.display()
    )]
    NotADataset {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The path is within a dataset: the folder of a recording, or a file or folder in it.
    #[error(
        "`{}` belongs to the recording `{recording}` of a dataset: open the dataset, `{}`, and choose the recording in it",
        path.display(), dataset.display()
    )]
    WithinDataset {
        /// The path.
        path: PathBuf,
        /// The dataset's folder.
        dataset: PathBuf,
        /// The folder name of the recording.
        recording: String,
    },
    /// The folder has datasets in it, and is not one itself.
    #[error(
        "`{}` is not a dataset, and has datasets in it: open one of them: {}",
        path.display(),
        datasets.iter().map(|dataset| format!("`{}`", dataset.display())).collect::<Vec<_>>().join(", ")
    )]
    HoldsDatasets {
        /// The folder.
        path: PathBuf,
        /// The first ten datasets in it, sorted.
        datasets: Vec<PathBuf>,
    },
    /// The dataset has no recording of this name.
    #[error("`{}` has no recording `{name}`; it has {}", path.display(), known.join(", "))]
    NoSuchRecording {
        /// The dataset's folder.
        path: PathBuf,
        /// The requested name.
        name: String,
        /// The folder names of the existing recordings.
        known: Vec<String>,
    },
    /// The recording has no episode that a query selects.
    #[error("`{}` has no episode with {query}: `experience info` lists its runs, and `RecordingData::episodes` its episodes", path.display())]
    NoSuchEpisode {
        /// The recording's folder.
        path: PathBuf,
        /// What was looked for.
        query: String,
    },
    /// The episode that a query selects is larger than the query allows.
    #[error(
        "the episode in `{}` has {transitions} transitions, of which the selected ones take {bytes} bytes of memory, more than {max_bytes}: \
         read a part of it with `EpisodeQuery::steps`, or allow more with `EpisodeQuery::max_bytes`",
        path.display()
    )]
    EpisodeTooLarge {
        /// The shard.
        path: PathBuf,
        /// The number of its transitions.
        transitions: u64,
        /// The size of those that are selected.
        bytes: u64,
        /// The maximum.
        max_bytes: u64,
    },
    /// The episode that a query selects has none of the steps that it selects.
    #[error("the episode in `{}` has {transitions} transitions, and none of the steps from {step} on that are selected", path.display())]
    NoSuchStep {
        /// The shard.
        path: PathBuf,
        /// The number of its transitions.
        transitions: u64,
        /// The first step that is selected.
        step: u64,
    },
    /// A file or folder could not be written, for a reason other than the file system.
    #[error("cannot write `{}`: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The reason and the remedy.
        reason: String,
    },
    /// A recording or a file does not suit the operation.
    #[error("cannot use `{}`: {reason}", path.display())]
    Unsuitable {
        /// The recording or the file.
        path: PathBuf,
        /// The reason and the remedy.
        reason: String,
    },
    /// A selection has no episode, or names a value that no episode has. Nothing was written.
    #[error("nothing of `{}` was selected, so nothing was written: {reason}", path.display())]
    NoMatch {
        /// The recording.
        path: PathBuf,
        /// What is not in it, and what is.
        reason: String,
    },
    /// The columns of a shard are not those of its recording.
    #[error(
        "`{}` has another schema than its recording: {reason}; write its columns with their names, types and list lengths, or move \
         it out of the dataset",
        path.display()
    )]
    OtherSchema {
        /// The shard.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The content of a file is invalid.
    #[error("`{}` is damaged: {reason}; restore it from a copy, or move it out of the dataset", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is invalid in it.
        reason: String,
    },
}

impl DatasetError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// An error of reading the content of a file. A file that is too short, too long or a folder is damaged; other errors are of
    /// the system.
    pub(super) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(_) if source.kind() != std::io::ErrorKind::IsADirectory => Self::io("read", path)(source),
            None if crate::store::source::is_store_error(&source) => Self::io("read", path)(source),
            _ => Self::damaged(path, source.to_string()),
        }
    }

    pub(super) fn write(path: &Path, reason: impl ToString) -> Self {
        Self::Write {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn unsuitable(path: &Path, reason: impl ToString) -> Self {
        Self::Unsuitable {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn no_match(path: &Path, reason: impl Into<String>) -> Self {
        Self::NoMatch {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// An error of writing to `path` as a sink does.
    pub(super) fn sink(path: &Path) -> impl FnOnce(SinkError) -> Self {
        move |error| match error {
            SinkError::Io { action, path, source } => Self::Io { action, path, source },
            other => Self::write(path, other),
        }
    }

    pub(super) fn other_schema(path: &Path, reason: impl Into<String>) -> Self {
        Self::OtherSchema {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// The damage of a file. Other errors, as of the file system, are returned: they say nothing about the data.
pub(super) fn damage(error: DatasetError) -> Result<String, DatasetError> {
    match error {
        DatasetError::Damaged { reason, .. } => Ok(reason),
        DatasetError::OtherSchema { reason, .. } => Ok(format!("it has another schema: {reason}")),
        other => Err(other),
    }
}
