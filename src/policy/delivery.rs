//! What a [`PolicySlot`] tells its model of the actions before, and what the model asks of the game.

use super::slot::PolicySlot;
use experience_policy::{ModelRequest, ModelRequests, OutcomeBatch, Progress};
use std::sync::Arc;

impl PolicySlot {
    /// Whether the model is told what becomes of its actions.
    pub(crate) fn needs_outcomes(&self) -> bool {
        self.needs_outcomes
    }

    /// The ends of episodes that the model is told next.
    pub(crate) fn outcomes_mut(&mut self) -> &mut OutcomeBatch {
        self.observations.outcomes_mut()
    }

    /// Collects what the player that was observed last has got since its last decision.
    pub(crate) fn observe_progress(&mut self, progress: Progress, terms: &[f32]) {
        self.observations.push_progress(progress, terms);
    }

    /// Whether the model has been told all that was collected for the last decision.
    pub(crate) fn has_delivered(&self) -> bool {
        !self.is_undelivered
    }

    /// Whether the model has got another version since the last call.
    pub(crate) fn take_new_version(&mut self) -> bool {
        core::mem::take(&mut self.has_new_version)
    }

    /// Takes what the model asks of the game. Resets are kept until the next capture. Returns whether the game shall exit.
    pub(crate) fn take_requests(&mut self) -> bool {
        let mut exits = false;
        for request in self.requests.iter().flat_map(|requests| requests.take()) {
            match request {
                ModelRequest::Reset { seed } => self.reset = Some(seed),
                ModelRequest::Exit => exits = true,
                _ => {}
            }
        }
        exits
    }

    /// Takes the reset that the model has asked for.
    pub(crate) fn take_reset(&mut self) -> Option<(Option<u64>, Arc<ModelRequests>)> {
        let seed = self.reset.take()?;
        self.requests.clone().map(|requests| (seed, requests))
    }
}
