//! Beginnings and transitions of an episode, as rows.
//!
//! Contract, alignment: a transition's row holds the action, the reward that came of it, and the observation that it led to.
//! Contract, timing: with a decision interval, or with [`RecordMode::OnChange`], several captures add up to one transition.

use super::{ColdState, PlayerSlot, non_finite, set_step};
use crate::{
    capture::diff,
    episode::{DecisionTick, RecordMode, context::RecordingContext},
};
use core::sync::atomic::Ordering;
use experience_core::transition::{EndReason, Outcome, StepHeader, StepKind};

impl PlayerSlot {
    /// Begins an episode at the observation in `row`. Waits for the next capture if the observation has to be finite and is
    /// not.
    pub(super) fn begin_episode(&mut self, context: &RecordingContext, row: &mut [u64], continues: u32) {
        if self.output.is_none() || context.paused || !non_finite::sanitize_observation(context, row) {
            return;
        }
        self.episode = context.episode_counter.fetch_add(1, Ordering::Relaxed);
        self.step = 0;
        self.cold.decision.clear();
        self.cold.unchanged.clear();
        let header = StepHeader::of_mut(row);
        set_step(header, StepKind::Begin, context.time, 0);
        header.reward = 0.0;
        header.continues = continues;
        // No action led to the first observation.
        let action_start = context.layout().action().start;
        bytemuck::cast_slice_mut::<_, u8>(row)[action_start..].fill(0);
        self.is_open = true;
        self.push(context, row);
        self.keep_base_row(row);
    }

    /// Adds a tick to an open episode that goes on.
    pub(super) fn advance(&mut self, context: &RecordingContext, row: &mut [u64]) {
        let rules = &context.rules;
        let cold = &mut *self.cold;
        cold.decision.add_tick(context.time);
        if !rules.acts_early && rules.every > 1 && (cold.decision.ticks == 1 || rules.decision == DecisionTick::Last) {
            diff::copy_action(context.layout(), row, &mut cold.action_row);
        }
        if cold.decision.ticks < rules.every {
            return;
        }
        if rules.keeps_action() {
            diff::copy_action(context.layout(), &cold.action_row, row);
        }
        if rules.mode == RecordMode::OnChange {
            self.close_unchanged_if_action_differs(context, row);
            let ColdState {
                decision,
                unchanged,
                base_row,
                ..
            } = &mut *self.cold;
            if self.is_open && diff::same_observation(context.layout(), base_row, row) {
                if unchanged.ticks == 0 {
                    diff::copy_action(context.layout(), row, base_row);
                }
                unchanged.absorb(decision);
                return;
            }
        }
        if self.is_open {
            self.close_transition(context, row, None);
        }
    }

    /// Whether a capture at which no component of the player changed can call [`skip_read`](Self::skip_read) instead of
    /// encoding the player.
    #[inline]
    pub(in crate::episode) fn can_skip_read(&self, capture: u32) -> bool {
        // The action of an unchanged stretch is known only after its first decision was read.
        self.is_open
            && !self.has_pending_end
            && self.was_captured(capture.wrapping_sub(1))
            && self.cold.unchanged.ticks > 0
    }

    /// Adds a tick at which nothing changed.
    pub(in crate::episode) fn skip_read(&mut self, context: &RecordingContext) {
        let ColdState {
            decision, unchanged, ..
        } = &mut *self.cold;
        decision.add_tick(context.time);
        unchanged.absorb(decision);
    }

    /// Unchanged decisions that were taken with another action become a transition of their own, which led back to the same
    /// observation.
    pub(super) fn close_unchanged_if_action_differs(&mut self, context: &RecordingContext, row: &[u64]) {
        if self.cold.unchanged.ticks > 0 && !diff::same_action(context.layout(), &self.cold.base_row, row) {
            self.close_unchanged(context);
        }
    }

    /// Writes the unchanged decisions as a transition, and leaves the decision in progress as it is.
    pub(super) fn close_unchanged(&mut self, context: &RecordingContext) {
        let in_progress = core::mem::take(&mut self.cold.decision);
        self.cold.decision = core::mem::take(&mut self.cold.unchanged);
        let mut base_row = core::mem::take(&mut self.cold.base_row);
        self.write_transition(context, &mut base_row, None);
        self.cold.base_row = base_row;
        self.cold.unchanged = core::mem::replace(&mut self.cold.decision, in_progress);
    }

    /// Closes the transition in progress at the observation in `row`, which also holds the action.
    pub(super) fn close_transition(
        &mut self,
        context: &RecordingContext,
        row: &mut [u64],
        end: Option<(Outcome, &EndReason)>,
    ) {
        let ColdState {
            decision,
            unchanged,
            base_row,
            ..
        } = &mut *self.cold;
        if unchanged.ticks > 0 {
            // The whole stretch was taken with this action. Its info was read with it.
            diff::copy_action(context.layout(), base_row, row);
            unchanged.absorb(decision);
            core::mem::swap(decision, unchanged);
        }
        self.write_transition(context, row, end);
    }

    /// Completes `row` to a transition with the sums of `decision`, and pushes it.
    fn write_transition(&mut self, context: &RecordingContext, row: &mut [u64], end: Option<(Outcome, &EndReason)>) {
        let decision = &mut self.cold.decision;
        set_step(
            StepHeader::of_mut(row),
            StepKind::Transition,
            decision.until,
            decision.ticks,
        );
        decision.write_reward(context.layout(), row);
        decision.clear();
        context.counters.recorded.add(1);
        if !non_finite::sanitize_row(context, row) {
            context.counters.non_finite.add(1);
            self.end_at_last_row(context, Outcome::Truncated, &EndReason::NON_FINITE);
            return;
        }
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        let is_split = end.is_none() && self.step >= context.rules.max_episode_steps;
        let end = if is_split {
            Some((Outcome::Truncated, &EndReason::SPLIT))
        } else {
            end
        };
        if let Some((outcome, reason)) = end {
            let reason_code = self.close_episode(context, outcome, reason);
            StepHeader::of_mut(row).set_outcome(Some(outcome), reason_code);
        }
        self.push(context, row);
        if is_split {
            let continues = self.episode + 1;
            self.begin_episode(context, row, continues);
        } else if self.is_open {
            self.keep_base_row(row);
        }
    }

    /// Keeps the observation at which the next transition begins, if observations are compared.
    fn keep_base_row(&mut self, row: &[u64]) {
        if !self.cold.base_row.is_empty() {
            self.cold.base_row.copy_from_slice(row);
        }
    }
}
