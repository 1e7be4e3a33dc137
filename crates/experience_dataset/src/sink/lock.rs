//! Lock files that show whether the process of a run is alive.
//!
//! A run holds a lock on a hidden file next to its account until it is closed. The operating system releases the lock when the
//! process ends, however it ends.

use super::layout;
use experience_core::transition::RunId;
use experience_export::disk;
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

/// The lock of a run, held until it is dropped.
#[derive(Debug)]
pub(super) struct RunLock {
    file: Option<File>,
    path: PathBuf,
}

/// Whether the process of a run that was not closed is alive.
pub(super) enum Claim {
    /// The process is dead, and the caller holds the lock.
    Dead(RunLock),
    /// The process is alive, or another process recovers the run.
    Alive,
    /// Unknown, because the lock file is missing: it could not be created, or was removed.
    Unclear,
}

impl RunLock {
    /// Takes the lock of a run if its process is dead.
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

    /// Creates and takes the lock of `run` in the folder `recording`.
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
            // Some file systems have no locks, or no space. An unclosed run without a lock counts as alive.
            file: locked
                .inspect_err(|error| tracing::debug!("cannot lock `{}`: {error}", path.display()))
                .ok(),
            path,
        }
    }

    /// Releases the lock and removes its file, once the account of the run says that the run is over.
    pub(super) fn remove(&mut self) {
        if self.file.take().is_some() {
            disk::remove_unfinished(&self.path);
        }
    }
}

/// Whether the process of `run` is known to be dead: its lock file exists and is not locked.
pub(super) fn is_dead(recording: &Path, run: RunId) -> bool {
    OpenOptions::new()
        .write(true)
        .open(path(recording, run))
        .is_ok_and(|file| file.try_lock().is_ok())
}

/// Takes the lock that guards the accounts of other runs in a recording; `None` if another process holds it.
pub(super) fn try_lock_retention(recording: &Path) -> Option<File> {
    let file = open_retention_lock(recording)?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

/// Waits for the lock that guards the accounts of other runs; `None` if the file system has no locks.
pub(super) fn lock_retention(recording: &Path) -> Option<File> {
    let file = open_retention_lock(recording)?;
    file.lock().is_ok().then_some(file)
}

fn open_retention_lock(recording: &Path) -> Option<File> {
    let path = recording.join(layout::RUNS).join(layout::RETENTION_LOCK);
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
