//! [`ModelRequests`]: what a model asks of the game.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Something that a model asks of the game, besides the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRequest {
    /// To begin anew: all episodes end, and the world is set up as from this seed.
    Reset {
        /// `None` lets the game choose.
        seed: Option<u64>,
    },
    /// To exit.
    Exit,
}

/// The requests of a model that the game has not taken yet, and whether the last reset was possible. A model and the game share it.
#[derive(Debug, Default)]
pub struct ModelRequests {
    has_any: AtomicBool,
    queue: Mutex<Vec<ModelRequest>>,
    reset: Mutex<Option<bool>>,
}

impl ModelRequests {
    /// The most requests that wait. Further ones are ignored.
    const MAX_WAITING: usize = 16;

    /// Adds a request.
    pub fn push(&self, request: ModelRequest) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() < Self::MAX_WAITING && !queue.contains(&request) {
            queue.push(request);
        }
        self.has_any.store(true, Ordering::Release);
    }

    /// Takes all requests. Without any, it takes no lock.
    pub fn take(&self) -> Vec<ModelRequest> {
        if !self.has_any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        core::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The game has handled a reset. `was_reset` is false if it has no way to begin anew.
    pub fn answer_reset(&self, was_reset: bool) {
        *self.reset.lock().unwrap_or_else(PoisonError::into_inner) = Some(was_reset);
    }

    /// Takes what the game said about the last reset. `None` if it has not handled one since the last call.
    pub fn take_reset(&self) -> Option<bool> {
        self.reset.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
