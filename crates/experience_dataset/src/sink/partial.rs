//! The folder `partial/` of a recording: files that will be shards in `data/` and are not complete.
//!
//! Loaders open every file in `data/`: pyarrow and pandas all but those whose names begin with `_` or `.`, polars and a glob
//! `*` all of them. So a shard is written in `partial/`, and renamed into `data/` when it is complete. Both folders are on one
//! file system, so the rename is atomic. The first shard of a run creates `partial/`, and the close of the run removes it.

use super::layout;
use experience_export::disk::{self, atomic::AtomicFile};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How often the folder is created, if other processes that close their runs remove it before the file is in it.
const ATTEMPTS: usize = 8;

/// The path of the shard `name` of the folder `recording` while it is written.
pub(crate) fn path(recording: &Path, name: &str) -> PathBuf {
    recording
        .join(layout::PARTIAL)
        .join(format!("{name}{}", layout::UNFINISHED))
}

/// Begins the shard `name` of the folder `recording`.
pub(crate) fn create(recording: &Path, name: &str) -> io::Result<AtomicFile> {
    let shard = recording.join(layout::DATA).join(name);
    in_folder(recording, |_| AtomicFile::create_as(&shard, path(recording, name)))
}

/// Begins a file that replaces the committed `shard` of the folder `recording`.
pub(crate) fn replace(recording: &Path, shard: &Path) -> io::Result<AtomicFile> {
    in_folder(recording, |folder| AtomicFile::create_in(shard, folder))
}

/// Calls `create` with the folder, which is created if it is missing.
fn in_folder(recording: &Path, create: impl Fn(&Path) -> io::Result<AtomicFile>) -> io::Result<AtomicFile> {
    let folder = recording.join(layout::PARTIAL);
    for _ in 1..ATTEMPTS {
        match create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            created => return created,
        }
        match disk::create_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    create(&folder)
}

/// Removes the folder, if it is empty.
pub(crate) fn remove_if_empty(recording: &Path) {
    // Fails while files are in it.
    let _ = fs::remove_dir(recording.join(layout::PARTIAL));
}
