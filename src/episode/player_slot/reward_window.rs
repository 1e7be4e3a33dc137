//! Reward window: the end of an episode is held back, so that late rewards count to its last step.
//!
//! Contract, true final observation: the final observation, the action and the duration are those of the tick in which the episode
//! ended. Only its reward is open until the window closes.

use super::PlayerSlot;
use crate::episode::{
    EpisodeStart,
    context::{CaptureRules, RecordingContext},
};

impl PlayerSlot {
    /// Whether a pending end is held back.
    pub(in crate::episode) fn holds_end(&self) -> bool {
        self.pending_end().is_some_and(|end| end.held_for.is_some())
    }

    /// Whether the player has left, and its end is held back.
    pub(in crate::episode) fn has_departed(&self) -> bool {
        self.holds_end() && self.is_leaving()
    }

    /// Publishes the end of a player that left and that is held back.
    pub(in crate::episode) fn release_end(&mut self, context: &RecordingContext) {
        if self.has_departed() {
            self.publish_pending_end(context, None);
        }
    }

    /// Whether the player stays without an episode after its pending end, as far as is known.
    pub(super) fn stays_out(&self, rules: &CaptureRules) -> bool {
        let waits = rules.start == EpisodeStart::OnEvent && !self.cold.begin_requested;
        self.pending_end().is_some_and(|end| end.is_leaving || waits)
    }

    /// Holds a pending end back for another capture. Returns false if the capture publishes it. `row` is the player as encoded by
    /// this capture; `None` if it was not read.
    pub(super) fn hold_end(&mut self, context: &RecordingContext, row: Option<&mut [u64]>) -> bool {
        let window = context.rules.reward_window;
        if window == 0 || !self.state.is_open() || context.paused || !self.stays_out(&context.rules) {
            return false;
        }
        let Some(mut end) = self.take_pending_end() else {
            return false;
        };
        let captures = end.held_for.map_or(0, |captures| captures + 1);
        if captures == 0 {
            self.cold.in_game_episode = false;
            self.complete_end(context, &mut end, row);
        }
        end.held_for = Some(captures);
        self.state.set_pending_end(true);
        self.cold.pending_end = Some(end);
        captures < window
    }
}
