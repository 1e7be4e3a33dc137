//! Monitor of full disks: which writers of a recording wait for disk space.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// The sinks and the journal of a recording whose disk is full. Recording is paused while the list is not empty.
#[derive(Debug, Default)]
pub(super) struct StorageMonitor {
    /// Number of names. Read at every capture.
    full: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl StorageMonitor {
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire) > 0
    }

    /// The writer that has waited longest, by its description.
    pub(super) fn first_full(&self) -> Option<String> {
        self.names().first().cloned()
    }

    pub(super) fn set_full(&self, name: &str) {
        let mut names = self.names();
        names.push(name.to_owned());
        self.full.store(names.len(), Ordering::Release);
    }

    pub(super) fn set_free(&self, name: &str) {
        let mut names = self.names();
        if let Some(index) = names.iter().position(|known| known == name) {
            names.remove(index);
        }
        self.full.store(names.len(), Ordering::Release);
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
