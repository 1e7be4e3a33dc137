//! Episode beginnings and transitions in the player state machine, and the rows that they write.
//!
//! Contract, alignment: a transition's row holds the action, its reward, and the next observation.
//! Contract, timing: with a decision interval, or with [`RecordMode::OnChange`], several captures form one transition.

use super::{ColdState, PlayerSlot, match_key, non_finite, set_step};
use crate::{
    capture::diff,
    episode::{DecisionTick, RecordMode, context::RecordingContext},
};
use core::sync::atomic::Ordering;
use experience_core::transition::{EndReason, Outcome, StepHeader, StepKind};

impl PlayerSlot {
    /// Begins an episode at the observation in `row`. Does nothing if the observation must be finite and is not, so
    /// that the next capture tries again.
    pub(super) fn begin_episode(&mut self, context: &RecordingContext, row: &mut [u64], continues: Option<u32>) {
        if self.output.is_none() || context.paused || !non_finite::sanitize_observation(context, row) {
            return;
        }
        self.episode = context.episode_counter.fetch_add(1, Ordering::Relaxed);
        self.step = 0;
        self.cold.open_decision.clear();
        self.cold.unchanged_decisions.clear();
        let header = StepHeader::of_mut(row);
        self.cold.match_key = match_key(header);
        set_step(header, StepKind::Begin, context.time, 0);
        header.reward = 0.0;
        header.set_continues(continues);
        // The first observation has no action.
        let action_start = context.layout().action().start;
        bytemuck::cast_slice_mut::<_, u8>(row)[action_start..].fill(0);
        self.state.set_open(true);
        self.push(context, row);
        self.keep_base_row(row);
    }

    /// Adds a tick to an open episode without a pending end.
    pub(super) fn advance(&mut self, context: &RecordingContext, row: &mut [u64]) {
        let rules = &context.rules;
        let stays_in_match = self.stays_in_match(rules, StepHeader::of(row));
        let cold = &mut *self.cold;
        cold.open_decision.add_tick(context.time);
        // Otherwise each tick is a decision, and its action is in the row.
        if rules.stores_action() {
            if !rules.reads_actions_early()
                && rules.decision_interval > 1
                && (cold.open_decision.ticks == 1 || rules.decision_tick == DecisionTick::Last)
            {
                diff::copy_action(context.layout(), row, &mut cold.action_row);
            }
            // A decision that is not complete is closed where the match ends.
            if cold.open_decision.ticks < rules.decision_interval && stays_in_match {
                return;
            }
            diff::copy_action(context.layout(), &cold.action_row, row);
        }
        if rules.mode == RecordMode::OnChange {
            self.close_unchanged_if_action_differs(context, row);
            let ColdState {
                open_decision,
                unchanged_decisions,
                base_row,
                ..
            } = &mut *self.cold;
            if self.state.is_open() && stays_in_match && diff::same_observation(context.layout(), base_row, row) {
                if unchanged_decisions.ticks == 0 {
                    diff::copy_action(context.layout(), row, base_row);
                }
                unchanged_decisions.absorb(open_decision);
                return;
            }
        }
        if self.state.is_open() {
            self.close_transition(context, row, None);
        }
    }

    /// Whether a capture at which no component of the player changed can call [`skip_read`](Self::skip_read) instead of
    /// encoding the player.
    #[inline]
    pub(in crate::episode) fn can_skip_read(&self, capture: u32) -> bool {
        // The action of the unchanged decisions is known only after the first of them was read.
        self.state.is_open()
            && !self.state.has_pending_end()
            && self.was_captured(capture.wrapping_sub(1))
            && self.cold.unchanged_decisions.ticks > 0
            && StepHeader::of(&self.cold.base_row).action_controller() == self.state.controller()
    }

    /// Adds a tick without changes.
    pub(in crate::episode) fn skip_read(&mut self, context: &RecordingContext) {
        let ColdState {
            open_decision,
            unchanged_decisions,
            ..
        } = &mut *self.cold;
        open_decision.add_tick(context.time);
        unchanged_decisions.absorb(open_decision);
    }

    /// Writes the unchanged decisions as a separate transition if their action or its controller differs from that in `row`. Its
    /// next observation equals its first.
    #[inline(always)]
    pub(super) fn close_unchanged_if_action_differs(&mut self, context: &RecordingContext, row: &[u64]) {
        if self.cold.unchanged_decisions.ticks == 0 {
            return;
        }
        let base_row = &self.cold.base_row;
        let [ours, other] = [base_row, row].map(|row| StepHeader::of(row).action_controller());
        if ours != other || !diff::same_action(context.layout(), base_row, row) {
            self.close_unchanged(context);
        }
    }

    /// Writes the unchanged decisions as a transition, and leaves the open decision unmodified.
    #[inline(never)]
    pub(super) fn close_unchanged(&mut self, context: &RecordingContext) {
        let in_progress = core::mem::take(&mut self.cold.open_decision);
        self.cold.open_decision = core::mem::take(&mut self.cold.unchanged_decisions);
        let mut base_row = core::mem::take(&mut self.cold.base_row);
        self.write_transition(context, &mut base_row, None);
        self.cold.base_row = base_row;
        self.cold.unchanged_decisions = core::mem::replace(&mut self.cold.open_decision, in_progress);
    }

    /// Closes the transition in progress at the observation in `row`, which also holds the action.
    pub(super) fn close_transition(
        &mut self,
        context: &RecordingContext,
        row: &mut [u64],
        end: Option<(Outcome, &EndReason)>,
    ) {
        let ColdState {
            open_decision,
            unchanged_decisions,
            base_row,
            ..
        } = &mut *self.cold;
        if unchanged_decisions.ticks > 0 {
            // All unchanged decisions have this action. Its info was read with it.
            diff::copy_action(context.layout(), base_row, row);
            unchanged_decisions.absorb(open_decision);
            core::mem::swap(open_decision, unchanged_decisions);
        }
        self.write_transition(context, row, end);
    }

    /// Completes `row` as a transition with the sums of `open_decision`, and pushes it.
    fn write_transition(&mut self, context: &RecordingContext, row: &mut [u64], end: Option<(Outcome, &EndReason)>) {
        let open_decision = &mut self.cold.open_decision;
        set_step(
            StepHeader::of_mut(row),
            StepKind::Transition,
            open_decision.until,
            open_decision.ticks,
        );
        open_decision.write_reward(context.layout(), row);
        open_decision.clear();
        context.counters.recorded.add(1);
        if !non_finite::sanitize_row(context, row) {
            context.counters.non_finite.add(1);
            self.end_at_last_row(context, Outcome::Truncated, &EndReason::NON_FINITE);
            return;
        }
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        let is_too_long = self.step >= context.rules.max_episode_steps;
        let is_split = end.is_none() && (is_too_long || !self.stays_in_match(&context.rules, StepHeader::of(row)));
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
            let continues = Some(self.episode);
            self.begin_episode(context, row, continues);
        } else if self.state.is_open() {
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
