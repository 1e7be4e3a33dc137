//! What can be wrong with a dataset.

use std::path::{Path, PathBuf};

/// Why a dataset could not be read, or not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was being done: `open`, `list`, `read`.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds something else.
    #[error("`{}` is not a dataset: {reason}; name the folder that a recording was written to", path.display())]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What is missing in it.
        reason: &'static str,
    },
    /// The dataset has no recording of this name.
    #[error("`{}` has no recording `{name}`; it has {}", path.display(), known.join(", "))]
    NoSuchRecording {
        /// The dataset's folder.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// The folders of the recordings that there are.
        known: Vec<String>,
    },
    /// A file could not be made, for a reason that is not the file system's.
    #[error("cannot write `{}`: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A file holds something else than it should.
    #[error("`{}` is damaged: {reason}; restore it from a copy, or move it out of the dataset", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
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

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
