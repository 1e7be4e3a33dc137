//! One player's life: when its episodes begin and end, and when a transition closes.

use super::{DecisionTick, EpisodeStart, FinalObservation, NonFinite, RecordMode};
use crate::{
    buffer::Writer,
    capture::diff,
    export::{Count, Counters},
    schema::{DType, RowLayout, Schema},
    transition::{EndReason, Outcome, ReasonTable, StepHeader, StepKind},
};
use bevy_ecs::entity::Entity;
use core::sync::atomic::{AtomicU32, Ordering};
use crossbeam_queue::SegQueue;
use std::sync::Arc;

/// What the user asked of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) mode: RecordMode,
    pub(crate) every: u32,
    pub(crate) decision: DecisionTick,
    pub(crate) non_finite: NonFinite,
    pub(crate) on_despawn: Outcome,
    pub(crate) start: EpisodeStart,
    pub(crate) final_observation: FinalObservation,
    pub(crate) max_episode_steps: u32,
    /// Actions are read at the end of another schedule, not at capture.
    pub(crate) acts_early: bool,
}

impl Rules {
    /// Whether a transition's action is read before the capture that closes it.
    pub(super) fn keeps_action(&self) -> bool {
        self.acts_early || self.every > 1
    }
}

/// The time of a capture.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) tick: i64,
    /// Seconds since the run began.
    pub(crate) timestamp: f64,
}

/// What all lives of a recording share.
pub(super) struct Context {
    pub(super) schema: Arc<Schema>,
    pub(super) rules: Rules,
    pub(super) counters: Arc<Counters>,
    pub(super) reasons: Arc<ReasonTable>,
    /// Counts the episodes of the run, over all recordings.
    pub(super) episodes: Arc<AtomicU32>,
    /// Episodes that must leave no trace, for the exporter, in case their `Discard` row is overwritten.
    pub(super) discarded: Arc<SegQueue<u32>>,
    /// How often each feature was not finite.
    pub(super) non_finite_features: Box<[Count]>,
    /// Episodes that the game, or a player's leaving, ended.
    pub(super) ends: Count,
    /// Those among them that a despawn ended as terminated.
    pub(super) despawn_ends: Count,
    pub(super) clock: Clock,
}

impl Context {
    fn layout(&self) -> &RowLayout {
        self.schema.layout()
    }
}

/// Some ticks of a transition that is under way.
#[derive(Clone, Debug, Default)]
struct Span {
    ticks: u32,
    reward: f64,
    terms: Box<[f64]>,
    /// The last capture that added to it.
    until: Clock,
}

impl Span {
    fn new(terms: usize) -> Self {
        Self {
            terms: vec![0.0; terms].into(),
            ..Self::default()
        }
    }

    fn clear(&mut self) {
        self.ticks = 0;
        self.reward = 0.0;
        self.terms.fill(0.0);
    }

    /// Takes over everything in `other`, which is clear afterwards.
    fn absorb(&mut self, other: &mut Self) {
        self.ticks += other.ticks;
        self.reward += other.reward;
        for (sum, term) in self.terms.iter_mut().zip(&other.terms) {
            *sum += term;
        }
        self.until = other.until;
        other.clear();
    }
}

/// An end that waits for its capture.
#[derive(Clone, Debug)]
struct StagedEnd {
    outcome: Outcome,
    reason: EndReason,
    /// The player goes: it is despawned, or no longer of this recording.
    leaves: bool,
    /// Its going is what ended the episode: any word of the game's outweighs that.
    by_leaving: bool,
    /// The observation was read when the end was applied.
    has_observation: bool,
    /// The action was.
    has_action: bool,
    /// The end came between two ticks: no tick has passed since the last capture.
    between_ticks: bool,
    /// Rewards from here on are no longer this episode's.
    sealed: bool,
}

/// One player's life in one recording.
pub(super) struct Life {
    pub(super) entity: Entity,
    pub(super) agent_id: i64,
    /// `None` where recording is disabled: then a life is lived, and nothing is written.
    writer: Option<Writer>,
    /// The game's view: between a beginning and an end. It must not depend on what the recording could or could not
    /// write, because [`EpisodeEnded`](super::EpisodeEnded) does depend on it.
    alive: bool,
    /// The recording's view: an episode is being written.
    open: bool,
    begin_asked: bool,
    staged: Option<StagedEnd>,
    episode: u32,
    step: u32,
    ordinal: u32,
    /// The decision that is under way: since the last time that the player's action was looked at.
    decision: Span,
    /// Decisions that changed nothing and so were not written yet. Only with [`RecordMode::OnChange`].
    still: Span,
    /// The action of the decision that is under way, where it is not read at the capture that closes it.
    acted: Box<[u64]>,
    /// The observation that the transition under way started from, and the action of `still`.
    started: Box<[u64]>,
    /// What was read when an end was staged.
    last: Box<[u64]>,
    /// Where a row without an observation is put together.
    blank: Box<[u64]>,
    /// The last capture that saw the player.
    pub(super) seen: u64,
}

impl Life {
    pub(super) fn new(context: &Context, entity: Entity, agent_id: i64, writer: Option<Writer>) -> Self {
        let terms = context.schema.reward_terms().len();
        let row = |wanted| vec![0; if wanted { context.layout().row_words() } else { 0 }].into_boxed_slice();
        Self {
            entity,
            agent_id,
            alive: true,
            open: false,
            begin_asked: false,
            staged: None,
            episode: 0,
            step: 0,
            ordinal: 0,
            decision: Span::new(terms),
            still: Span::new(terms),
            acted: row(writer.is_some() && context.rules.keeps_action()),
            started: row(writer.is_some() && context.rules.mode == RecordMode::OnChange),
            last: row(writer.is_some()),
            blank: row(writer.is_some()),
            writer,
            seen: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether rows are written of this life at all.
    pub(super) fn is_recorded(&self) -> bool {
        self.writer.is_some()
    }

    pub(super) fn is_staged(&self) -> bool {
        self.staged.is_some()
    }

    pub(super) fn leaves(&self) -> bool {
        self.staged.as_ref().is_some_and(|staged| staged.leaves)
    }

    /// Whether rewards given now belong to the open episode.
    pub(super) fn takes_rewards(&self) -> bool {
        self.open && !self.staged.as_ref().is_some_and(|staged| staged.sealed)
    }

    /// Rows that can be pushed before one is lost that the exporter has not taken.
    pub(super) fn free(&self) -> usize {
        self.writer.as_ref().map_or(usize::MAX, Writer::free)
    }

    /// Adds to the reward of the transition under way; `term` is its place among the declared terms.
    pub(super) fn add_reward(&mut self, term: Option<usize>, amount: f64) {
        self.decision.reward += amount;
        if let Some(term) = term {
            self.decision.terms[term] += amount;
        }
    }

    /// Where an early reading of the action goes, if it is wanted now.
    pub(super) fn action_slot(&mut self, rules: &Rules) -> Option<&mut [u64]> {
        let wanted = self.decision.ticks == 0 || rules.decision == DecisionTick::Last;
        let staged = self.staged.as_ref().is_some_and(|staged| staged.has_action);
        (self.open && wanted && !staged).then_some(&mut self.acted)
    }

    pub(super) fn ask_begin(&mut self) -> bool {
        let wanted = !self.alive || self.staged.is_some();
        self.begin_asked |= wanted;
        wanted
    }

    /// Notes an end. False when the player is between episodes already, or the end was noted before; then a stronger
    /// word replaces the weaker one.
    pub(super) fn stage(&mut self, outcome: Outcome, reason: &EndReason, leaves: bool, between_ticks: bool) -> bool {
        if let Some(staged) = &mut self.staged {
            let weaker = staged.outcome < outcome || (staged.outcome == outcome && staged.by_leaving);
            if weaker && !leaves {
                staged.outcome = outcome;
                staged.reason = reason.clone();
                staged.by_leaving = false;
            }
            staged.leaves |= leaves;
            return false;
        }
        if !self.alive && !leaves {
            return false;
        }
        let was_alive = self.alive;
        self.staged = Some(StagedEnd {
            outcome,
            reason: reason.clone(),
            leaves,
            by_leaving: leaves,
            has_observation: false,
            has_action: false,
            between_ticks,
            sealed: false,
        });
        was_alive
    }

    /// Where the snapshot of a staged end goes: (row, whether the observation is wanted, whether the action is).
    pub(super) fn snapshot_slot(&mut self, rules: &Rules) -> Option<(&mut [u64], bool, bool)> {
        let staged = self.staged.as_ref()?;
        if !self.open {
            return None;
        }
        // Between ticks the coming capture is too late: by then the world has moved on.
        let at_trigger =
            staged.leaves || staged.between_ticks || rules.final_observation == FinalObservation::AtTrigger;
        let observation = at_trigger && !staged.has_observation;
        let action = !rules.acts_early && !staged.has_action;
        (observation || action).then_some((&mut self.last, observation, action))
    }

    /// The snapshot was taken.
    pub(super) fn snapshot_taken(&mut self, rules: &Rules, layout: &RowLayout, observation: bool, action: bool) {
        let Some(staged) = &mut self.staged else { return };
        staged.has_observation |= observation;
        staged.has_action |= action;
        let wanted = self.decision.ticks == 0 || rules.decision == DecisionTick::Last;
        if action && !self.acted.is_empty() && wanted && !staged.between_ticks {
            diff::copy_action(layout, &self.last, &mut self.acted);
        }
    }

    /// A tick begins: rewards from here on do not belong to an episode that ended before it.
    pub(super) fn seal(&mut self) {
        if let Some(staged) = &mut self.staged {
            staged.sealed |= staged.between_ticks;
        }
    }

    pub(super) fn ended_between_ticks(&self) -> bool {
        self.staged.as_ref().is_some_and(|staged| staged.between_ticks)
    }

    /// One capture: `row` holds what the player sees and does now. `None` where the player was not seen.
    pub(super) fn capture(&mut self, context: &Context, mut row: Option<&mut [u64]>) {
        if let Some(staged) = self.staged.take() {
            self.publish(context, &staged, row.as_deref_mut());
            self.alive = !staged.leaves && (context.rules.start == EpisodeStart::AtOnce || self.begin_asked);
            self.begin_asked = false;
        } else if self.open {
            if let Some(row) = row {
                self.advance(context, row);
            }
            return;
        } else if self.begin_asked {
            self.alive = true;
            self.begin_asked = false;
        }
        if let (true, Some(row)) = (self.alive, row) {
            self.begin(context, row, 0);
        }
    }

    /// A tick of an open episode that goes on.
    fn advance(&mut self, context: &Context, row: &mut [u64]) {
        let rules = &context.rules;
        self.decision.ticks += 1;
        self.decision.until = context.clock;
        if !rules.acts_early && rules.every > 1 && (self.decision.ticks == 1 || rules.decision == DecisionTick::Last) {
            diff::copy_action(context.layout(), row, &mut self.acted);
        }
        if self.decision.ticks < rules.every {
            return;
        }
        if rules.keeps_action() {
            diff::copy_action(context.layout(), &self.acted, row);
        }
        if rules.mode == RecordMode::OnChange {
            self.close_still_if_acted_otherwise(context, row);
            if self.open && diff::same_observation(context.layout(), &self.started, row) {
                if self.still.ticks == 0 {
                    diff::copy_action(context.layout(), row, &mut self.started);
                }
                self.still.absorb(&mut self.decision);
                return;
            }
        }
        if self.open {
            self.close(context, row, None);
        }
    }

    /// Still decisions that were taken with another action are a transition of their own, which led nowhere new.
    fn close_still_if_acted_otherwise(&mut self, context: &Context, row: &[u64]) {
        if self.still.ticks > 0 && !diff::same_action(context.layout(), &self.started, row) {
            self.close_still(context);
        }
    }

    fn close_still(&mut self, context: &Context) {
        let under_way = core::mem::take(&mut self.decision);
        self.decision = core::mem::take(&mut self.still);
        let mut started = core::mem::take(&mut self.started);
        self.write_transition(context, &mut started, None);
        self.started = started;
        self.still = core::mem::replace(&mut self.decision, under_way);
    }

    /// Closes the transition under way at the observation in `row`, which also holds its action.
    fn close(&mut self, context: &Context, row: &mut [u64], outcome: Option<(Outcome, &EndReason)>) {
        if self.still.ticks > 0 {
            // The action is the one that the whole stretch was lived with; its info was taken with it.
            diff::copy_action(context.layout(), &self.started, row);
            let mut decision = core::mem::take(&mut self.decision);
            self.still.absorb(&mut decision);
            core::mem::swap(&mut self.decision, &mut self.still);
            self.still = decision;
        }
        self.write_transition(context, row, outcome);
    }

    /// Writes what `decision` holds as a transition to `row`.
    fn write_transition(&mut self, context: &Context, row: &mut [u64], outcome: Option<(Outcome, &EndReason)>) {
        let at = self.decision.until;
        let header = StepHeader::of_mut(row);
        header.set_kind(StepKind::Transition);
        header.tick = at.tick;
        header.timestamp = at.timestamp;
        header.reward = self.decision.reward;
        header.ticks = self.decision.ticks;
        header.continues = 0;
        header.set_outcome(None, 0);
        let terms = context.layout().reward_terms();
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(row)[terms]);
        for (value, sum) in out.iter_mut().zip(&self.decision.terms) {
            *value = *sum as f32;
        }
        self.decision.clear();
        context.counters.recorded.add(1);
        if !make_finite(context, row) {
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
            self.open = false;
        }
        self.push(row);
        if split {
            let continues = self.episode + 1;
            self.begin(context, row, continues);
        } else if self.open && !self.started.is_empty() {
            self.started.copy_from_slice(row);
        }
    }

    /// Begins an episode at the observation in `row`. It waits for an observation that is finite, where it must be.
    fn begin(&mut self, context: &Context, row: &mut [u64], continues: u32) {
        if self.writer.is_none() || !make_observation_finite(context, row) {
            return;
        }
        self.episode = context.episodes.fetch_add(1, Ordering::Relaxed);
        self.step = 0;
        self.decision.clear();
        self.still.clear();
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
        self.push(row);
        if !self.started.is_empty() {
            self.started.copy_from_slice(row);
        }
    }

    /// Publishes a staged end. `row` is what the player sees now, if it was seen.
    fn publish(&mut self, context: &Context, staged: &StagedEnd, row: Option<&mut [u64]>) {
        if !self.open {
            return;
        }
        context.ends.add(1);
        if staged.by_leaving && staged.outcome == Outcome::Terminated {
            context.despawn_ends.add(1);
        }
        if !staged.between_ticks {
            self.decision.ticks += 1;
            self.decision.until = context.clock;
        }
        let mut last = core::mem::take(&mut self.last);
        self.end(context, staged, &mut last, row);
        self.last = last;
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
        if context.rules.keeps_action() && self.decision.ticks > 0 {
            diff::copy_action(layout, &self.acted, last);
        }
        if context.rules.mode == RecordMode::OnChange && self.decision.ticks > 0 {
            self.close_still_if_acted_otherwise(context, last);
        }
        if !self.open {
            return;
        }
        if self.decision.ticks + self.still.ticks == 0 {
            return self.end_where_it_stands(context, end.0, end.1);
        }
        if self.decision.ticks == 0 {
            self.decision.until = self.still.until;
        }
        self.close(context, last, Some(end));
    }

    /// Ends the open episode at the last row that was written: no transition is invented. Reward that was given since
    /// still came of the last action.
    pub(super) fn end_where_it_stands(&mut self, context: &Context, outcome: Outcome, reason: &EndReason) {
        if !core::mem::replace(&mut self.open, false) {
            return;
        }
        if self.step == 0 {
            context.counters.empty_episodes.add(1);
        }
        let mut row = core::mem::take(&mut self.blank);
        row.fill(0);
        let header = StepHeader::of_mut(&mut row);
        header.set_kind(StepKind::End);
        header.set_outcome(Some(outcome), context.reasons.code(reason));
        header.tick = context.clock.tick;
        header.timestamp = context.clock.timestamp;
        header.reward = self.decision.reward + self.still.reward;
        let terms = context.layout().reward_terms();
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(&mut row)[terms]);
        for (index, value) in out.iter_mut().enumerate() {
            let term = |span: &Span| span.terms.get(index).copied().unwrap_or(0.0);
            *value = (term(&self.decision) + term(&self.still)) as f32;
        }
        self.decision.clear();
        self.still.clear();
        self.push(&mut row);
        self.blank = row;
    }

    /// Throws the open episode away.
    pub(super) fn discard(&mut self, context: &Context) {
        if !core::mem::replace(&mut self.open, false) {
            return;
        }
        context.discarded.push(self.episode);
        let mut row = core::mem::take(&mut self.blank);
        row.fill(0);
        StepHeader::of_mut(&mut row).set_kind(StepKind::Discard);
        self.decision.clear();
        self.still.clear();
        self.push(&mut row);
        self.blank = row;
    }

    /// The process ends: what is under way is closed as far as it is known without looking at the world.
    pub(super) fn shut_down(&mut self, context: &Context, row: Option<&mut [u64]>) {
        if let Some(staged) = self.staged.take() {
            self.publish(context, &staged, None);
        }
        if !self.open {
            return;
        }
        let under_way = self.decision.ticks + self.still.ticks > 0;
        let reason = EndReason::SHUTDOWN;
        match row {
            Some(row) if under_way => {
                if context.rules.keeps_action() {
                    diff::copy_action(context.layout(), &self.acted, row);
                }
                self.close(context, row, Some((Outcome::Truncated, &reason)));
            }
            _ => {
                if self.still.ticks > 0 {
                    // Nothing changed since, so the observation is the one it started from.
                    self.close_still(context);
                }
                self.end_where_it_stands(context, Outcome::Truncated, &reason);
            }
        }
    }

    /// Lets go of the buffer; what is in it can still be drained.
    pub(super) fn close_buffer(&mut self) {
        self.writer = None;
    }

    fn push(&mut self, row: &mut [u64]) {
        let header = StepHeader::of_mut(row);
        header.agent_id = self.agent_id;
        header.episode = self.episode;
        header.ordinal = self.ordinal;
        if let Some(writer) = &mut self.writer {
            // Only `close_buffer` closes, and it takes the writer away.
            let _ = writer.push(row);
        }
    }
}

/// Applies the recording's rule for values that are not finite to the whole row. False when it must not be written.
fn make_finite(context: &Context, row: &mut [u64]) -> bool {
    let mut finite = make_observation_finite(context, row);
    let Some(replacement) = replacement(context) else {
        return true;
    };
    let mut check = |value: &mut f64| {
        if !value.is_finite() {
            *value = replacement.map_or(*value, f64::from);
            finite &= replacement.is_some();
        }
    };
    check(&mut StepHeader::of_mut(row).reward);
    let layout = context.layout();
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    for (column, &start) in context.schema.action().iter().zip(layout.action_offsets()) {
        let bytes = &mut bytes[start..start + column.width() * column.dtype.size()];
        match column.dtype {
            DType::F64 => bytemuck::cast_slice_mut::<_, f64>(bytes)
                .iter_mut()
                .for_each(&mut check),
            DType::F32 => {
                for value in bytemuck::cast_slice_mut::<_, f32>(bytes) {
                    let mut wide = f64::from(*value);
                    check(&mut wide);
                    *value = wide as f32;
                }
            }
            _ => {}
        }
    }
    for value in bytemuck::cast_slice_mut::<_, f32>(&mut bytes[layout.reward_terms()]) {
        let mut wide = f64::from(*value);
        check(&mut wide);
        *value = wide as f32;
    }
    finite
}

/// The same for the observation alone.
fn make_observation_finite(context: &Context, row: &mut [u64]) -> bool {
    let Some(replacement) = replacement(context) else {
        return true;
    };
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    let observation: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[context.layout().observation()]);
    // Without an early way out the loop vectorises; nearly always there is nothing to find.
    if !observation.iter().fold(false, |bad, value| bad | !value.is_finite()) {
        return true;
    }
    for (value, count) in observation.iter_mut().zip(&context.non_finite_features) {
        if !value.is_finite() {
            count.add(1);
            *value = replacement.unwrap_or(*value);
        }
    }
    replacement.is_some()
}

/// What takes the place of a value that is not finite: `None` where it may stay, `Some(None)` where nothing does.
fn replacement(context: &Context) -> Option<Option<f32>> {
    match context.rules.non_finite {
        NonFinite::Keep => None,
        NonFinite::EndEpisode => Some(None),
        NonFinite::Replace(value) => Some(Some(value)),
    }
}
