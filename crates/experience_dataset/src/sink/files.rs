//! Files of a dataset, and errors that name them.

use experience_export::{SinkError, disk};
use std::{io, path::Path};

/// Turns what the system said about `path` into an error that names it.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Replaces the file at `path`: a reader sees the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), SinkError> {
    disk::replace(path, content).map_err(failed("write", path))
}

/// Creates the file at `path` with all its content at once; `false` where there is one already.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<bool, SinkError> {
    disk::create(path, content).map_err(failed("create", path))
}

/// Whether files can be made in `folder`. Nothing stays behind.
pub(crate) fn probe(folder: &Path) -> Result<(), SinkError> {
    disk::probe(folder).map_err(failed("write to the folder", folder))
}
