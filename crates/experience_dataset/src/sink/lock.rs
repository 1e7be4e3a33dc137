//! Which runs are alive.
//!
//! A run holds a lock on a hidden file beside its account for as long as it goes on. The system lets go of it when the process
//! ends, however it ends.

use super::layout;
use experience_core::transition::RunId;
use experience_export::disk;
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

/// What can be told of a run that did not end in order.
pub(super) enum Claim {
    /// Its process died, and its lock is taken.
    Dead(RunLock),
    /// Its process is alive, or another one is recovering it.
    Alive,
    /// It has no lock: one could not be made, or it was removed.
    Unclear,
}

impl RunLock {
    /// Takes the lock of a run whose process died.
    pub(super) fn claim(recording: &Path, run: RunId) -> Claim {
        let path = path(recording, run);
        let Ok(file) = OpenOptions::new().write(true).open(&path) else {
            return Claim::Unclear;
        };
        match file.try_lock() {
            Ok(()) => Claim::Dead(Self { file: Some(file), path }),
            Err(TryLockError::WouldBlock) => Claim::Alive,
            Err(TryLockError::Error(_)) => Claim::Unclear,
        }
    }

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

/// A lock that one process at a time holds while it changes accounts of others in a recording; `None` where another does.
pub(super) fn cleaning(recording: &Path) -> Option<File> {
    let file = cleaning_file(recording)?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

/// The same, when nobody else holds it any more. `None` where the file system knows no locks.
pub(super) fn wait_for_cleaning(recording: &Path) -> Option<File> {
    let file = cleaning_file(recording)?;
    file.lock().is_ok().then_some(file)
}

fn cleaning_file(recording: &Path) -> Option<File> {
    let path = recording.join(layout::RUNS).join(layout::CLEANING);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .ok()
}

fn path(recording: &Path, run: RunId) -> PathBuf {
    recording.join(layout::RUNS).join(layout::lock_name(run))
}
