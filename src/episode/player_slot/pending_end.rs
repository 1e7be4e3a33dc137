//! Pending episode ends: requested between captures, published by the next capture.
//!
//! Contract, true final observation: an observer only stages an end here, together with the observation at that moment.
//! The capture publishes it, with all reward given until then. If several ends are requested, the strongest is
//! published.

use super::PlayerSlot;
use crate::{
    capture::{RowParts, diff},
    episode::{ActionRead, DecisionTick, FinalObservation, context::CaptureRules},
};
use experience_core::{
    schema::RowLayout,
    transition::{EndReason, Outcome, StepHeader},
};

/// An end that the next capture publishes.
#[derive(Clone, Debug)]
pub(super) struct PendingEnd {
    pub(super) outcome: Outcome,
    pub(super) reason: EndReason,
    /// The player is being despawned, or lost the recording's marker.
    pub(super) is_leaving: bool,
    /// The episode ends only because the player leaves. An end that the game requests replaces this one.
    pub(super) caused_by_leaving: bool,
    /// The final observation was read when the end was requested.
    pub(super) has_observation: bool,
    /// The action was read when the end was requested.
    pub(super) has_action: bool,
    /// The player has acted on its open request. Only if the game requests each decision.
    pub(super) has_acted: bool,
    /// No tick has begun between the last capture and the request.
    pub(super) is_between_ticks: bool,
    /// Captures since the end, if it is held back for late rewards.
    pub(super) held_for: Option<u32>,
    /// Rewards given from now on do not belong to the episode.
    pub(super) rewards_sealed: bool,
}

impl PendingEnd {
    pub(super) fn new(outcome: Outcome, reason: EndReason) -> Self {
        Self {
            outcome,
            reason,
            is_leaving: false,
            caused_by_leaving: false,
            has_observation: false,
            has_action: false,
            has_acted: false,
            is_between_ticks: false,
            held_for: None,
            rewards_sealed: false,
        }
    }
}

impl PlayerSlot {
    pub(in crate::episode) fn has_pending_end(&self) -> bool {
        self.state.has_pending_end()
    }

    pub(super) fn pending_end(&self) -> Option<&PendingEnd> {
        // The flag is in the slot's cache line. The end itself is not, and is rarely set.
        if self.state.has_pending_end() {
            self.cold.pending_end.as_ref()
        } else {
            None
        }
    }

    pub(super) fn take_pending_end(&mut self) -> Option<PendingEnd> {
        if self.state.set_pending_end(false) {
            self.cold.pending_end.take()
        } else {
            None
        }
    }

    pub(in crate::episode) fn is_leaving(&self) -> bool {
        self.pending_end().is_some_and(|end| end.is_leaving)
    }

    pub(in crate::episode) fn has_end_between_ticks(&self) -> bool {
        self.pending_end().is_some_and(|end| end.is_between_ticks)
    }

    /// Stages an end. Returns true if it ends the player's episode of the game. Returns false if the player is between
    /// episodes, or an end is already pending, whose outcome is replaced if the new one is stronger.
    pub(in crate::episode) fn request_end(
        &mut self,
        outcome: Outcome,
        reason: &EndReason,
        is_leaving: bool,
        is_between_ticks: bool,
    ) -> bool {
        if let Some(pending) = &mut self.cold.pending_end {
            if pending.held_for.is_some() {
                // The episode has ended before. The player can still leave.
                pending.is_leaving |= is_leaving;
                return false;
            }
            let is_weaker = pending.outcome < outcome || (pending.outcome == outcome && pending.caused_by_leaving);
            if is_weaker && !is_leaving {
                pending.outcome = outcome;
                pending.reason = reason.clone();
                pending.caused_by_leaving = false;
            }
            pending.is_leaving |= is_leaving;
            return false;
        }
        let in_game_episode = self.cold.in_game_episode;
        if !in_game_episode && !is_leaving {
            return false;
        }
        self.state.set_pending_end(true);
        self.cold.pending_end = Some(PendingEnd {
            is_leaving,
            caused_by_leaving: is_leaving,
            is_between_ticks,
            ..PendingEnd::new(outcome, reason.clone())
        });
        in_game_episode
    }

    /// The row to encode the final observation into, and the parts of it to encode now; `None` if there are none.
    ///
    /// `is_last_chance` is set if the next capture is too late.
    pub(in crate::episode) fn final_row_request(
        &mut self,
        rules: &CaptureRules,
        is_last_chance: bool,
    ) -> Option<(&mut [u64], RowParts)> {
        let end = self.cold.pending_end.as_ref()?;
        if !self.state.is_open() {
            return None;
        }
        // The next capture is too late for a player that leaves, and between ticks: the state changes before it.
        let at_trigger = is_last_chance
            || end.is_leaving
            || end.is_between_ticks
            || rules.final_observation == FinalObservation::AtTrigger;
        let parts = RowParts {
            observation: at_trigger && !end.has_observation,
            action: rules.action_read == ActionRead::AtCapture && !end.has_action,
        };
        (parts.observation || parts.action).then_some((&mut self.cold.final_row, parts))
    }

    /// Records which parts of the final row were read.
    pub(in crate::episode) fn final_row_read(&mut self, rules: &CaptureRules, layout: &RowLayout, parts: RowParts) {
        let takes_action = self.takes_action(rules);
        let Some(end) = &mut self.cold.pending_end else {
            return;
        };
        end.has_observation |= parts.observation;
        end.has_action |= parts.action;
        if rules.decides_on_demand {
            return;
        }
        if parts.action && !self.cold.action_row.is_empty() && takes_action && !end.is_between_ticks {
            diff::copy_action(layout, &self.cold.final_row, &mut self.cold.action_row);
        }
    }

    /// Sets the parts of the final row that are in `row` and were not read before.
    pub(in crate::episode) fn set_final_row(
        &mut self,
        rules: &CaptureRules,
        layout: &RowLayout,
        row: &[u64],
        read: RowParts,
    ) {
        let Some(end) = self.cold.pending_end.as_ref().filter(|_| self.state.is_open()) else {
            return;
        };
        let parts = RowParts {
            observation: read.observation && !end.has_observation,
            action: read.action && !end.has_action,
        };
        if parts.observation {
            diff::copy_observation(layout, row, &mut self.cold.final_row);
            let match_id = StepHeader::of(row).match_id();
            StepHeader::of_mut(&mut self.cold.final_row).set_match_id(match_id);
        }
        if parts.action {
            diff::copy_action(layout, row, &mut self.cold.final_row);
        }
        self.final_row_read(rules, layout, parts);
    }

    /// Whether the action that was read with the final observation differs from the action at the open request.
    pub(in crate::episode) fn has_other_final_action(&self, layout: &RowLayout) -> bool {
        !diff::same_action(layout, &self.cold.final_row, &self.cold.action_row)
    }

    /// Records whether the player has acted on its open request.
    pub(in crate::episode) fn set_acted(&mut self, has_acted: bool) {
        if let Some(end) = &mut self.cold.pending_end {
            end.has_acted = has_acted;
        }
    }

    /// The row to copy an early-read action into, if the action of this tick is recorded.
    pub(in crate::episode) fn early_action_row(&mut self, rules: &CaptureRules) -> Option<&mut [u64]> {
        // An action chosen after the end did not cause it.
        let action_is_final = self
            .pending_end()
            .is_some_and(|end| end.has_action || end.is_between_ticks);
        (self.state.is_open() && self.takes_action(rules) && !action_is_final).then_some(&mut self.cold.action_row)
    }

    /// Keeps an action that was read in the other loop. Returns the row to copy it into.
    pub(in crate::episode) fn kept_action_row(&mut self) -> Option<&mut [u64]> {
        self.cold.has_kept_action = !self.cold.kept_action.is_empty();
        self.cold.has_kept_action.then_some(&mut self.cold.kept_action)
    }

    /// Forgets the action that was read in the other loop: a read follows, or recording is paused.
    pub(in crate::episode) fn forget_action(&mut self) {
        self.cold.has_kept_action = false;
    }

    /// Copies the action that was read in the other loop to the row of a capture.
    pub(in crate::episode) fn copy_kept_action(&self, layout: &RowLayout, row: &mut [u64]) {
        if self.cold.has_kept_action {
            diff::copy_action(layout, &self.cold.kept_action, row);
        }
    }

    /// Whether the current tick provides the action of the open decision.
    pub(super) fn takes_action(&self, rules: &CaptureRules) -> bool {
        self.cold.open_decision.ticks == 0 || rules.decision_tick == DecisionTick::Last
    }

    /// A tick begins: rewards given from now on do not belong to an episode that ended before it.
    pub(in crate::episode) fn seal_rewards(&mut self, rules: &CaptureRules) {
        let is_window_open = rules.reward_window > 0 && self.stays_out(rules);
        if let Some(end) = &mut self.cold.pending_end {
            end.rewards_sealed |= end.is_between_ticks && !is_window_open;
        }
    }
}
