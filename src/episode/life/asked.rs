//! What somebody who watches may ask of a life, between captures.
//!
//! The game is not told of any of it, and does not notice: whether a player is between episodes is its own view of the
//! player, and stays as it is.

use super::{Context, Life};
use experience_core::transition::{EndReason, Outcome};

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::episode) struct Ended {
    /// The run's number of the episode.
    pub(in crate::episode) episode: u32,
    pub(in crate::episode) steps: u32,
    pub(in crate::episode) outcome: Outcome,
    /// The code of the reason.
    pub(in crate::episode) reason: u16,
}

impl Life {
    pub(super) fn note_end(&mut self, context: &Context, outcome: Outcome, reason: &EndReason) {
        self.under_way.ended = Some(Ended {
            episode: self.episode,
            steps: self.step,
            outcome,
            reason: context.reasons.code(reason),
        });
    }

    pub(in crate::episode) fn agent_id(&self) -> i64 {
        self.agent_id
    }

    /// The run's number of the open episode, or of the last one.
    pub(in crate::episode) fn episode(&self) -> u32 {
        self.episode
    }

    /// Transitions of the open episode so far.
    pub(in crate::episode) fn steps(&self) -> u32 {
        self.step
    }

    pub(in crate::episode) fn last_end(&self) -> Option<Ended> {
        self.under_way.ended
    }

    pub(in crate::episode) fn is_excluded(&self) -> bool {
        self.under_way.excluded
    }

    pub(in crate::episode) fn set_excluded(&mut self, excluded: bool) {
        self.under_way.excluded = excluded;
    }
}
