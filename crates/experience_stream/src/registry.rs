//! [`Registry`]: the recordings of one server.

use crate::recording::StreamedRecording;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The recordings of one server, in the order in which they were opened.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Vec<Arc<StreamedRecording>>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<StreamedRecording>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a recording, in place of an earlier one with its name that is closed. False if that is not closed.
    pub(crate) fn add(&self, recording: Arc<StreamedRecording>) -> bool {
        let mut recordings = self.lock();
        match recordings.iter_mut().find(|other| other.name == recording.name) {
            Some(other) if !other.is_closed() => return false,
            Some(other) => *other = recording,
            None => recordings.push(recording),
        }
        true
    }

    pub(crate) fn recordings(&self) -> Vec<Arc<StreamedRecording>> {
        self.lock().clone()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<StreamedRecording>> {
        self.lock().iter().find(|recording| recording.name == name).cloned()
    }
}
