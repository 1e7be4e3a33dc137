//! [`DatasetError`]: files that cannot be read, are damaged, or have another schema.

use std::path::{Path, PathBuf};

/// An error of reading or writing a dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file system operation failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The operation: `open`, `list`, `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The folder is not a dataset.
    #[error("`{}` is not a dataset: {reason}; name the folder that a recording was written to", path.display())]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
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
    /// A file or folder could not be written, for a reason other than the file system.
    #[error("cannot write `{}`: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The reason and the remedy.
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

    pub(super) fn write(path: &Path, reason: impl ToString) -> Self {
        Self::Write {
            path: path.to_owned(),
            reason: reason.to_string(),
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
