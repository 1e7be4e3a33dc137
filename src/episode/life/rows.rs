//! What a life writes: beginnings, transitions and ends.

use super::{Context, Life, Output, StagedEnd, UnderWay, finite, span::Span};
use crate::{
    capture::diff,
    episode::{DecisionTick, RecordMode},
};
use core::sync::atomic::Ordering;
use experience_core::transition::{EndReason, Outcome, StepHeader, StepKind};

impl Life {
    /// A tick of an open episode that goes on.
    pub(super) fn advance(&mut self, context: &Context, row: &mut [u64]) {
        let rules = &context.rules;
        self.under_way.decision.ticks += 1;
        self.under_way.decision.until = context.clock;
        if !rules.acts_early
            && rules.every > 1
            && (self.under_way.decision.ticks == 1 || rules.decision == DecisionTick::Last)
        {
            diff::copy_action(context.layout(), row, &mut self.under_way.acted);
        }
        if self.under_way.decision.ticks < rules.every {
            return;
        }
        if rules.keeps_action() {
            diff::copy_action(context.layout(), &self.under_way.acted, row);
        }
        if rules.mode == RecordMode::OnChange {
            self.close_still_if_acted_otherwise(context, row);
            if self.open && diff::same_observation(context.layout(), &self.under_way.started, row) {
                if self.under_way.still.ticks == 0 {
                    diff::copy_action(context.layout(), row, &mut self.under_way.started);
                }
                self.under_way.still.absorb(&mut self.under_way.decision);
                return;
            }
        }
        if self.open {
            self.close(context, row, None);
        }
    }

    /// Whether, if nothing of the player changed since the last capture, this capture has nothing to do but to
    /// [`stay`](Self::stay).
    #[inline]
    pub(in crate::episode) fn may_stay(&self, captures: u32) -> bool {
        // The first still decision tells with which action the stretch is lived.
        self.open && !self.is_staged && self.was_seen(captures.wrapping_sub(1)) && self.under_way.still.ticks > 0
    }

    /// Takes a tick at which nothing changed to those before it.
    pub(in crate::episode) fn stay(&mut self, context: &Context) {
        let UnderWay { decision, still, .. } = &mut *self.under_way;
        decision.ticks += 1;
        decision.until = context.clock;
        still.absorb(decision);
    }

    /// Still decisions that were taken with another action are a transition of their own, which led nowhere new.
    fn close_still_if_acted_otherwise(&mut self, context: &Context, row: &[u64]) {
        if self.under_way.still.ticks > 0 && !diff::same_action(context.layout(), &self.under_way.started, row) {
            self.close_still(context);
        }
    }

    pub(super) fn close_still(&mut self, context: &Context) {
        let under_way = core::mem::take(&mut self.under_way.decision);
        self.under_way.decision = core::mem::take(&mut self.under_way.still);
        let mut started = core::mem::take(&mut self.under_way.started);
        self.write_transition(context, &mut started, None);
        self.under_way.started = started;
        self.under_way.still = core::mem::replace(&mut self.under_way.decision, under_way);
    }

    /// Closes the transition under way at the observation in `row`, which also holds its action.
    pub(super) fn close(&mut self, context: &Context, row: &mut [u64], outcome: Option<(Outcome, &EndReason)>) {
        if self.under_way.still.ticks > 0 {
            // The action is the one that the whole stretch was lived with; its info was taken with it.
            diff::copy_action(context.layout(), &self.under_way.started, row);
            let mut decision = core::mem::take(&mut self.under_way.decision);
            self.under_way.still.absorb(&mut decision);
            core::mem::swap(&mut self.under_way.decision, &mut self.under_way.still);
            self.under_way.still = decision;
        }
        self.write_transition(context, row, outcome);
    }

    /// Writes what `decision` holds as a transition to `row`.
    fn write_transition(&mut self, context: &Context, row: &mut [u64], outcome: Option<(Outcome, &EndReason)>) {
        let at = self.under_way.decision.until;
        let header = StepHeader::of_mut(row);
        header.set_kind(StepKind::Transition);
        header.tick = at.tick;
        header.timestamp = at.timestamp;
        header.reward = self.under_way.decision.reward;
        header.ticks = self.under_way.decision.ticks;
        header.continues = 0;
        header.set_outcome(None, 0);
        let terms = context.layout().reward_terms();
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(row)[terms]);
        for (value, sum) in out.iter_mut().zip(&self.under_way.decision.terms) {
            *value = *sum as f32;
        }
        self.under_way.decision.clear();
        context.counters.recorded.add(1);
        if !finite::make_row_finite(context, row) {
            context.counters.non_finite.add(1);
            self.end_where_it_stands(context, Outcome::Truncated, &EndReason::NON_FINITE);
            return;
        }
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        let split = outcome.is_none() && self.step >= context.rules.max_episode_steps;
        let outcome = if split {
            Some((Outcome::Truncated, &EndReason::SPLIT))
        } else {
            outcome
        };
        if let Some((outcome, reason)) = outcome {
            StepHeader::of_mut(row).set_outcome(Some(outcome), context.reasons.code(reason));
            self.note_end(context, outcome, reason);
            self.open = false;
        }
        self.push(context, row);
        if split {
            let continues = self.episode + 1;
            self.begin(context, row, continues);
        } else if self.open && !self.under_way.started.is_empty() {
            self.under_way.started.copy_from_slice(row);
        }
    }

    /// Begins an episode at the observation in `row`. It waits for an observation that is finite, where it must be.
    pub(super) fn begin(&mut self, context: &Context, row: &mut [u64], continues: u32) {
        if self.output.is_none() || context.paused || !finite::make_observation_finite(context, row) {
            return;
        }
        self.episode = context.episodes.fetch_add(1, Ordering::Relaxed);
        self.step = 0;
        self.under_way.decision.clear();
        self.under_way.still.clear();
        let header = StepHeader::of_mut(row);
        header.set_kind(StepKind::Begin);
        header.tick = context.clock.tick;
        header.timestamp = context.clock.timestamp;
        header.reward = 0.0;
        header.ticks = 0;
        header.continues = continues;
        header.set_outcome(None, 0);
        // No action led here.
        let start = context.layout().action().start;
        bytemuck::cast_slice_mut::<_, u8>(row)[start..].fill(0);
        self.open = true;
        self.push(context, row);
        if !self.under_way.started.is_empty() {
            self.under_way.started.copy_from_slice(row);
        }
    }

    /// Publishes a staged end. `row` is what the player sees now, if it was seen.
    pub(super) fn publish(&mut self, context: &Context, staged: &StagedEnd, row: Option<&mut [u64]>) {
        if !self.open {
            return;
        }
        context.ends.add(1);
        if staged.by_leaving && staged.outcome == Outcome::Terminated {
            context.despawn_ends.add(1);
        }
        self.end_at(context, staged, row);
    }

    /// Ends the open episode at the observation in `row`, because recording is paused. The game's own view of the
    /// player's life is none of that.
    pub(super) fn pause(&mut self, context: &Context, row: &mut [u64]) {
        let staged = StagedEnd::new(Outcome::Truncated, EndReason::PAUSED);
        self.end_at(context, &staged, Some(row));
    }

    fn end_at(&mut self, context: &Context, staged: &StagedEnd, row: Option<&mut [u64]>) {
        if !staged.between_ticks {
            self.under_way.decision.ticks += 1;
            self.under_way.decision.until = context.clock;
        }
        let mut last = core::mem::take(&mut self.under_way.last);
        self.end(context, staged, &mut last, row);
        self.under_way.last = last;
    }

    fn end(&mut self, context: &Context, staged: &StagedEnd, last: &mut [u64], row: Option<&mut [u64]>) {
        let end = (staged.outcome, &staged.reason);
        let layout = context.layout();
        match (staged.has_observation, row) {
            (true, _) => {}
            // What the player sees now is what the user wanted as the final observation.
            (false, Some(row)) => {
                diff::copy_observation(layout, row, last);
                if !staged.has_action {
                    diff::copy_action(layout, row, last);
                }
                let match_id = StepHeader::of(row).match_id();
                StepHeader::of_mut(last).set_match_id(match_id);
            }
            // Nothing tells what the player saw last: the ticks since have no successor.
            (false, None) => return self.end_where_it_stands(context, end.0, end.1),
        }
        if context.rules.keeps_action() && self.under_way.decision.ticks > 0 {
            diff::copy_action(layout, &self.under_way.acted, last);
        }
        if context.rules.mode == RecordMode::OnChange && self.under_way.decision.ticks > 0 {
            self.close_still_if_acted_otherwise(context, last);
        }
        if !self.open {
            return;
        }
        if self.under_way.decision.ticks + self.under_way.still.ticks == 0 {
            return self.end_where_it_stands(context, end.0, end.1);
        }
        if self.under_way.decision.ticks == 0 {
            self.under_way.decision.until = self.under_way.still.until;
        }
        self.close(context, last, Some(end));
    }

    /// Ends the open episode at the last row that was written: no transition is invented. Reward that was given since
    /// still came of the last action.
    pub(in crate::episode) fn end_where_it_stands(&mut self, context: &Context, outcome: Outcome, reason: &EndReason) {
        if !core::mem::replace(&mut self.open, false) {
            return;
        }
        self.note_end(context, outcome, reason);
        if self.step == 0 {
            context.counters.empty_episodes.add(1);
        }
        let mut row = core::mem::take(&mut self.under_way.blank);
        row.fill(0);
        let header = StepHeader::of_mut(&mut row);
        header.set_kind(StepKind::End);
        header.set_outcome(Some(outcome), context.reasons.code(reason));
        header.tick = context.clock.tick;
        header.timestamp = context.clock.timestamp;
        header.reward = self.under_way.decision.reward + self.under_way.still.reward;
        let terms = context.layout().reward_terms();
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(&mut row)[terms]);
        for (index, value) in out.iter_mut().enumerate() {
            let term = |span: &Span| span.terms.get(index).copied().unwrap_or(0.0);
            *value = (term(&self.under_way.decision) + term(&self.under_way.still)) as f32;
        }
        self.under_way.decision.clear();
        self.under_way.still.clear();
        self.push(context, &mut row);
        self.under_way.blank = row;
    }

    pub(super) fn push(&mut self, context: &Context, row: &mut [u64]) {
        let header = StepHeader::of_mut(row);
        header.agent_id = self.agent_id;
        header.episode = self.episode;
        header.ordinal = self.ordinal;
        header.stream = self.stream();
        // Only `close_buffer` closes, and it takes the output away.
        let _ = match &mut self.output {
            Some(Output::Own(buffer)) => buffer.writer.push(row),
            Some(Output::Shared { handle, .. }) => context.pool().push(handle, row),
            None => Ok(()),
        };
    }
}
