//! Which runs are alive.
//!
//! A run holds a lock on a hidden file beside its account for as long as it goes on. The system lets go of it when the process
//! ends, however it ends.

use super::layout;
use crate::{disk, transition::RunId};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

/// The lock of a run that is alive.
#[derive(Debug)]
pub(super) struct RunLock {
    file: Option<File>,
    path: PathBuf,
}

impl RunLock {
    /// Takes the lock of `run` in the folder of its recording.
    pub(super) fn take(recording: &Path, run: RunId) -> Self {
        let path = path(recording, run);
        let locked = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| {
                file.try_lock()?;
                Ok(file)
            });
        Self {
            // Some file systems know no locks, or have no room. A run without a lock that did not end in order is taken for
            // one that is alive.
            file: locked
                .inspect_err(|error| tracing::debug!("cannot lock `{}`: {error}", path.display()))
                .ok(),
            path,
        }
    }

    /// The run has ended, and its account says so.
    pub(super) fn remove(&mut self) {
        if self.file.take().is_some() {
            disk::remove_unfinished(&self.path);
        }
    }
}

/// Whether the process of `run` died: its lock is there, and nobody holds it.
pub(super) fn is_dead(recording: &Path, run: RunId) -> bool {
    // A lock that is gone may be one that could not be made.
    OpenOptions::new()
        .write(true)
        .open(path(recording, run))
        .is_ok_and(|file| file.try_lock().is_ok())
}

/// A lock that one process at a time holds while it removes shards of a recording; `None` where another does.
pub(super) fn cleaning(recording: &Path) -> Option<File> {
    let path = recording.join(layout::RUNS).join(layout::CLEANING);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .ok()?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

fn path(recording: &Path, run: RunId) -> PathBuf {
    recording.join(layout::RUNS).join(layout::lock_name(run))
}
