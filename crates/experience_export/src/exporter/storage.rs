//! Waiting for room on a disk.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Who, of those that write a recording, waits for room on a disk. While anybody does, recording is paused.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// Read at every capture.
    waiting: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl Storage {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// What waits, as it describes itself.
    pub(super) fn waiting(&self) -> Option<String> {
        self.names().first().cloned()
    }

    pub(super) fn wait(&self, name: &str) {
        let mut names = self.names();
        names.push(name.to_owned());
        self.waiting.store(names.len(), Ordering::Release);
    }

    pub(super) fn go_on(&self, name: &str) {
        let mut names = self.names();
        if let Some(place) = names.iter().position(|known| known == name) {
            names.remove(place);
        }
        self.waiting.store(names.len(), Ordering::Release);
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
