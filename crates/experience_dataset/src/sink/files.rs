//! Atomic writes into a dataset, with errors that name the file.

use experience_export::{SinkError, disk};
use std::{io, path::Path};

/// Turns an I/O error of `action` on `path` into a [`SinkError`] that names both.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Whether the system refused to open a file that exists: a read-only disk, too many open files, a lack of permission. Other
/// errors mean that the file is missing, or damaged.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error().is_some() && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Replaces the file at `path` atomically: a reader sees the old content or the new.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), SinkError> {
    disk::replace(path, content).map_err(io_error("write", path))
}

/// Creates the file at `path` with `content` atomically. Returns `false`, and changes nothing, if the file exists.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<bool, SinkError> {
    disk::create(path, content).map_err(io_error("create", path))
}

/// Removes a file. One that is gone is no error.
pub(crate) fn remove(path: &Path) -> Result<(), SinkError> {
    match disk::remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Checks that a file can be created in `folder`, and removes it again.
pub(crate) fn probe(folder: &Path) -> Result<(), SinkError> {
    disk::probe(folder).map_err(io_error("write to the folder", folder))
}

/// The same, for a folder whose files other processes read.
pub(crate) fn probe_name(folder: &Path) -> Result<(), SinkError> {
    disk::probe_name(folder).map_err(io_error("write to the folder", folder))
}
