//! Decisions on demand in the player state machine: a step begins at a request and ends at the next one.
//!
//! Contract, timing: captures add ticks and rewards to the open step, and write no row. The row of a request has the tick of the
//! next capture, so `ticks` is the number of captures between two requests.

use super::PlayerSlot;
use crate::{
    capture::diff,
    episode::{EpisodeStart, context::RecordingContext},
};
use bevy_ecs::change_detection::Tick;
use experience_core::{
    schema::RowLayout,
    transition::{EndReason, Outcome, StepHeader},
};

/// The request that began the open step of a player.
///
/// `ColdState::action_row` has the action at the request, and after the decision the action that was decided on.
#[derive(Clone, Copy, Debug)]
pub(in crate::episode) struct DecisionRequest {
    /// The world's change tick before the request: the action was written since then if its change tick is newer.
    pub(in crate::episode) since: Tick,
    /// [`DecisionMade`](crate::episode::DecisionMade) was triggered.
    pub(in crate::episode) is_made: bool,
    /// Whether the action was written since, as far as is known, as of the capture that pauses.
    pub(super) is_written: Option<bool>,
    /// The controller that has acted on the request, if another one took over since, and the change tick before that.
    pub(super) acted_by: Option<(u16, Tick)>,
}

impl DecisionRequest {
    /// Whether the player has acted since the request. `None` if that is not known. `signals_decisions` states whether the game
    /// triggers [`DecisionMade`](crate::episode::DecisionMade), `written` whether the action was written since, as far as is known,
    /// and `differs` whether it has another value.
    pub(in crate::episode) fn has_acted(
        self,
        signals_decisions: bool,
        written: Option<bool>,
        differs: bool,
    ) -> Option<bool> {
        if self.is_made || signals_decisions {
            return Some(self.is_made);
        }
        // Values are compared as well, because a write can bypass change detection.
        if differs { Some(true) } else { written }
    }
}

impl PlayerSlot {
    /// The request of the open step.
    pub(in crate::episode) fn open_request(&self) -> Option<DecisionRequest> {
        self.cold.request.filter(|_| self.state.is_open())
    }

    /// Records whether the action was written since the open request, before the capture that pauses ends the episode.
    pub(in crate::episode) fn set_action_written(&mut self, is_written: Option<bool>) {
        if let Some(request) = &mut self.cold.request {
            request.is_written = is_written;
        }
    }

    /// Whether the action in `row` differs from the action at the open request.
    pub(in crate::episode) fn has_other_action(&self, layout: &RowLayout, row: &[u64]) -> bool {
        !diff::same_action(layout, row, &self.cold.action_row)
    }

    /// The row to copy the action into that the player has decided on, and not its controller. `None` without an open request.
    pub(in crate::episode) fn make_decision(&mut self) -> Option<&mut [u64]> {
        if !self.state.is_open() || self.state.has_pending_end() {
            return None;
        }
        self.cold.request.as_mut()?.is_made = true;
        let acted_by = self.state.controller();
        StepHeader::of_mut(&mut self.cold.action_row).set_controller(acted_by);
        Some(&mut self.cold.action_row)
    }

    /// Handles a request. `row` is the player as encoded now; `None` if it was not read. `has_acted` states whether the player
    /// has acted on the open request. Returns false if the request is ignored.
    pub(in crate::episode) fn request_decision(
        &mut self,
        context: &RecordingContext,
        row: Option<&mut [u64]>,
        has_acted: bool,
        since: Tick,
    ) -> bool {
        let continues = self.state.is_open() && !self.state.has_pending_end();
        if continues && !has_acted {
            return false;
        }
        if !continues {
            self.publish_pending_end(context, None);
        }
        let Some(row) = row else { return true };
        if continues {
            self.take_action(context.layout(), row);
            self.cold.open_decision.until = context.time;
            self.close_transition(context, row, None);
        } else if !self.cold.action_row.is_empty() {
            diff::copy_action(context.layout(), row, &mut self.cold.action_row);
        }
        // Also after a transition with a value that is not finite, which has ended the episode.
        if !self.state.is_open() && self.cold.in_game_episode && !self.cold.is_excluded {
            self.begin_episode(context, row, None);
        }
        self.cold.request = self.state.is_open().then_some(DecisionRequest {
            since,
            is_made: false,
            is_written: None,
            acted_by: None,
        });
        true
    }

    /// Publishes a pending end, and brings the player into its next episode of the game if that begins now.
    pub(in crate::episode) fn publish_pending_end(&mut self, context: &RecordingContext, row: Option<&mut [u64]>) {
        if let Some(end) = self.take_pending_end() {
            self.publish_end(context, &end, row);
            let begins = context.rules.start == EpisodeStart::AtOnce || self.cold.begin_requested;
            self.cold.in_game_episode = !end.is_leaving && begins;
            self.cold.begin_requested = false;
        } else if !self.state.is_open() && self.cold.begin_requested {
            self.cold.in_game_episode = true;
            self.cold.begin_requested = false;
        }
    }

    /// Sets the action of `row` to the one that the player has decided on, and keeps the action that `row` had.
    fn take_action(&mut self, layout: &RowLayout, row: &mut [u64]) {
        let is_made = self.is_decision_made();
        let current = StepHeader::of(row).action_controller();
        let kept = StepHeader::of_mut(&mut self.cold.action_row);
        if is_made {
            StepHeader::of_mut(row).set_controller(kept.action_controller());
            kept.set_controller(current);
        } else {
            let acted_by = self
                .cold
                .request
                .and_then(|request| request.acted_by)
                .map_or(current, |(controller, _)| controller);
            StepHeader::of_mut(row).set_controller(acted_by);
            kept.set_controller(acted_by);
        }
        let range = layout.action().start..layout.info().end;
        let current = &mut bytemuck::cast_slice_mut::<_, u8>(row)[range.clone()];
        let kept = &mut bytemuck::cast_slice_mut::<_, u8>(&mut self.cold.action_row)[range];
        if is_made {
            current.swap_with_slice(kept);
        } else {
            kept.copy_from_slice(current);
        }
    }

    /// Whether [`DecisionMade`](crate::episode::DecisionMade) was triggered for the open request.
    pub(super) fn is_decision_made(&self) -> bool {
        self.cold.request.is_some_and(|request| request.is_made)
    }

    /// Ends the open episode with the transition of the open request, whose observation and action are in `row`, or at its last
    /// row if the player has not acted on it.
    pub(super) fn close_decision(
        &mut self,
        context: &RecordingContext,
        row: &mut [u64],
        has_acted: bool,
        (outcome, reason): (Outcome, &EndReason),
    ) {
        if !has_acted || self.cold.request.is_none() {
            return self.end_at_last_row(context, outcome, reason);
        }
        self.take_action(context.layout(), row);
        self.close_transition(context, row, Some((outcome, reason)));
    }
}
