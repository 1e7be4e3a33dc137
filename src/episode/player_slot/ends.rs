//! Episode ends in the player state machine: published, forced by the recording, or discarded.

use super::{ColdState, PlayerSlot, pending_end::PendingEnd, set_step};
use crate::{
    capture::diff,
    episode::{RecordMode, context::RecordingContext},
};
use experience_core::transition::{EndReason, Outcome, StepHeader, StepKind};

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::episode) struct EpisodeEnd {
    /// The run's number of the episode.
    pub(in crate::episode) episode: u32,
    /// Transitions of the episode.
    pub(in crate::episode) steps: u32,
    pub(in crate::episode) outcome: Outcome,
    /// The reason's code in the recording's [`WordTable`](experience_core::transition::WordTable).
    pub(in crate::episode) reason_code: u16,
}

impl PlayerSlot {
    /// How the last episode ended, if one did since the player joined.
    pub(in crate::episode) fn last_end(&self) -> Option<EpisodeEnd> {
        self.cold.last_end
    }

    /// Closes the open episode in this slot, without a row. Returns the code of the reason.
    pub(super) fn close_episode(&mut self, context: &RecordingContext, outcome: Outcome, reason: &EndReason) -> u16 {
        let reason_code = context.words.reason_code(reason);
        self.cold.last_end = Some(EpisodeEnd {
            episode: self.episode,
            steps: self.step,
            outcome,
            reason_code,
        });
        self.state.set_open(false);
        reason_code
    }

    /// Publishes a pending end. `row` is the player as encoded by this capture; `None` if it was not read.
    pub(super) fn publish_end(&mut self, context: &RecordingContext, end: &PendingEnd, row: Option<&mut [u64]>) {
        if !self.state.is_open() {
            return;
        }
        context.published_ends.add(1);
        if end.caused_by_leaving && end.outcome == Outcome::Terminated {
            context.terminated_despawns.add(1);
        }
        self.end_episode(context, end, row);
    }

    /// Ends the open episode at the observation in `row`, because recording is paused. The player
    /// stays in its episode of the game.
    pub(super) fn end_for_pause(&mut self, context: &RecordingContext, row: &mut [u64]) {
        let end = PendingEnd::new(Outcome::Truncated, EndReason::PAUSED);
        self.end_episode(context, &end, Some(row));
    }

    fn end_episode(&mut self, context: &RecordingContext, end: &PendingEnd, row: Option<&mut [u64]>) {
        let mut end = end.clone();
        if end.held_for.is_none() {
            self.complete_end(context, &mut end, row);
        }
        let mut final_row = core::mem::take(&mut self.cold.final_row);
        if !end.has_observation {
            // The final observation is unknown, so the ticks since the last row have no successor.
            self.end_at_last_row(context, end.outcome, &end.reason);
        } else if context.rules.decides_on_demand {
            self.close_decision(context, &mut final_row, end.has_acted, (end.outcome, &end.reason));
        } else {
            self.end_with_final_row(context, &end, &mut final_row);
        }
        self.cold.final_row = final_row;
    }

    /// Adds the tick in which an episode ended, and completes its final row. `row` is the player as encoded by this capture;
    /// `None` if it was not read.
    pub(super) fn complete_end(&mut self, context: &RecordingContext, end: &mut PendingEnd, row: Option<&mut [u64]>) {
        let layout = context.layout();
        let decides_on_demand = context.rules.decides_on_demand;
        let takes_action = self.takes_action(&context.rules);
        if decides_on_demand {
            self.cold.open_decision.until = context.time;
        } else if !end.is_between_ticks {
            self.cold.open_decision.add_tick(context.time);
        }
        // `FinalObservation::AtCapture`, or a pause. With decisions on demand only the capture that pauses reads players.
        if let Some(row) = row.filter(|_| !end.has_observation && (context.paused || !decides_on_demand)) {
            let final_row = &mut self.cold.final_row;
            diff::copy_observation(layout, row, final_row);
            if !end.has_action {
                diff::copy_action(layout, row, final_row);
            }
            let match_id = StepHeader::of(row).match_id();
            StepHeader::of_mut(final_row).set_match_id(match_id);
            end.has_observation = true;
            end.has_acted = self.cold.request.is_some_and(|request| {
                let differs = self.has_other_action(layout, row);
                request.has_acted(context.signals_decisions, request.is_written, differs) == Some(true)
            });
        }
        if context.rules.keeps_actions() && !end.has_action && !end.is_between_ticks {
            let cold = &mut *self.cold;
            if cold.has_kept_action {
                diff::copy_action(layout, &cold.kept_action, &mut cold.final_row);
            }
            if takes_action && !cold.action_row.is_empty() {
                diff::copy_action(layout, &cold.final_row, &mut cold.action_row);
            }
        }
        if context.rules.stores_action() && !decides_on_demand && self.cold.open_decision.ticks > 0 {
            diff::copy_action(layout, &self.cold.action_row, &mut self.cold.final_row);
        }
        // An action that is read from now on did not lead to the end.
        end.has_action = true;
    }

    fn end_with_final_row(&mut self, context: &RecordingContext, end: &PendingEnd, final_row: &mut [u64]) {
        let (outcome, reason) = (end.outcome, &end.reason);
        if context.rules.mode == RecordMode::OnChange && self.cold.open_decision.ticks > 0 {
            self.close_unchanged_if_action_differs(context, final_row);
        }
        if !self.state.is_open() {
            return;
        }
        let ColdState {
            open_decision,
            unchanged_decisions,
            ..
        } = &mut *self.cold;
        if open_decision.ticks + unchanged_decisions.ticks == 0 {
            return self.end_at_last_row(context, outcome, reason);
        }
        if open_decision.ticks == 0 {
            open_decision.until = unchanged_decisions.until;
        }
        self.close_transition(context, final_row, Some((outcome, reason)));
    }

    /// Ends the open episode at the last written row, without another transition. The exporter adds the reward given
    /// since then to the last transition.
    pub(in crate::episode) fn end_at_last_row(
        &mut self,
        context: &RecordingContext,
        outcome: Outcome,
        reason: &EndReason,
    ) {
        if !self.state.is_open() {
            return;
        }
        let reason_code = self.close_episode(context, outcome, reason);
        if self.step == 0 {
            context.counters.empty_episodes.add(1);
        }
        let ColdState {
            open_decision,
            unchanged_decisions,
            ..
        } = &mut *self.cold;
        // Both end up cleared, so either can hold the sum. `unchanged_decisions` may have no terms, see
        // `close_unchanged`.
        open_decision.absorb(unchanged_decisions);
        let mut row = core::mem::take(&mut self.cold.scratch_row);
        row.fill(0);
        set_step(StepHeader::of_mut(&mut row), StepKind::End, context.time, 0);
        StepHeader::of_mut(&mut row).set_outcome(Some(outcome), reason_code);
        self.cold.open_decision.write_reward(context.layout(), &mut row);
        self.cold.open_decision.clear();
        self.push(context, &mut row);
        self.cold.scratch_row = row;
    }

    /// Discards the open episode. Contract, consent: no sink receives its rows, and no reader or sampler returns them.
    pub(in crate::episode) fn discard_episode(&mut self, context: &RecordingContext) {
        if !self.state.set_open(false) {
            return;
        }
        context.discarded_episodes.push(self.episode);
        let mut row = core::mem::take(&mut self.cold.scratch_row);
        row.fill(0);
        StepHeader::of_mut(&mut row).set_kind(StepKind::Discard);
        self.cold.open_decision.clear();
        self.cold.unchanged_decisions.clear();
        self.push(context, &mut row);
        self.cold.scratch_row = row;
        // The pool hides the rows of the episode when it stores its `Discard` row. A dedicated buffer does not link the rows of
        // an episode, and hides all of its rows.
        if let Some(writer) = self.dedicated_writer() {
            writer.hide();
        }
    }

    /// Closes the open episode when recording ends. `row` is the player as encoded now; `None` without a world. `has_acted`
    /// states whether the player has acted on its open request.
    pub(in crate::episode) fn shut_down(
        &mut self,
        context: &RecordingContext,
        row: Option<&mut [u64]>,
        has_acted: bool,
    ) {
        if let Some(end) = self.take_pending_end() {
            self.publish_end(context, &end, None);
        }
        if !self.state.is_open() {
            return;
        }
        let reason = EndReason::SHUTDOWN;
        let ticks = self.cold.open_decision.ticks + self.cold.unchanged_decisions.ticks;
        match row {
            Some(row) if context.rules.decides_on_demand => {
                self.cold.open_decision.until = context.time;
                self.close_decision(context, row, has_acted, (Outcome::Truncated, &reason));
            }
            Some(row) if ticks > 0 => {
                if context.rules.stores_action() {
                    diff::copy_action(context.layout(), &self.cold.action_row, row);
                }
                self.close_transition(context, row, Some((Outcome::Truncated, &reason)));
            }
            _ => {
                if self.cold.unchanged_decisions.ticks > 0 {
                    // Nothing changed, so the final observation equals the one at which the transition began.
                    self.close_unchanged(context);
                }
                self.end_at_last_row(context, Outcome::Truncated, &reason);
            }
        }
    }
}
