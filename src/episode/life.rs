//! One player's life: when its episodes begin and end, and when a transition closes.

mod asked;
mod context;
mod finite;
mod rows;
mod span;

pub(super) use asked::Ended;
pub(super) use context::Context;
pub(crate) use context::{Clock, Rules};

use super::{DecisionTick, EpisodeStart, FinalObservation, RecordMode};
use crate::capture::diff;
use bevy_ecs::entity::Entity;
use core::sync::atomic::{AtomicU32, Ordering};
use experience_buffer::{
    Writer,
    pool::{PoolHandle, Stream},
};
use experience_core::{
    schema::RowLayout,
    transition::{EndReason, Outcome, StepHeader, StepKind},
};
use span::Span;
use std::sync::Arc;

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

impl StagedEnd {
    fn new(outcome: Outcome, reason: EndReason) -> Self {
        Self {
            outcome,
            reason,
            leaves: false,
            by_leaving: false,
            has_observation: false,
            has_action: false,
            between_ticks: false,
            sealed: false,
        }
    }
}

/// Where a life is written.
pub(super) enum Output {
    /// To a buffer of its own.
    Own(Box<OwnBuffer>),
    /// To the pool, as the stream of this number.
    Shared { stream: u32, handle: PoolHandle },
}

/// A buffer of a player's own.
pub(super) struct OwnBuffer {
    pub(super) writer: Writer,
    /// How many transitions were pushed, once the buffer is closed: the last of them may not have been stored.
    pub(super) transitions: Arc<AtomicU32>,
}

/// One player's life in one recording.
///
/// Every capture goes over all lives, so what it needs of most of them stands here, in one line of the processor's caches, and
/// everything else elsewhere.
#[repr(align(64))]
pub(super) struct Life {
    pub(super) entity: Entity,
    pub(super) agent_id: i64,
    /// `None` where recording is disabled, or there was no memory: then a life is lived, and nothing is written.
    output: Option<Output>,
    episode: u32,
    step: u32,
    ordinal: u32,
    /// The last capture that saw the player, modulo 2¹⁶.
    seen: u16,
    /// The recording's view: an episode is being written.
    open: bool,
    /// Whether an end waits for its capture.
    is_staged: bool,
    under_way: Box<UnderWay>,
}

/// What a life needs while something out of the ordinary happens to it, or its transitions take more than a capture.
struct UnderWay {
    /// The end that waits for its capture.
    staged: Option<StagedEnd>,
    /// The game's view: between a beginning and an end. It must not depend on what the recording could or could not
    /// write, because [`EpisodeEnded`](super::EpisodeEnded) does depend on it.
    alive: bool,
    begin_asked: bool,
    /// No episode begins until somebody takes that back.
    excluded: bool,
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
    /// How the last episode ended.
    ended: Option<Ended>,
}

const _: () = assert!(size_of::<Life>() == 64);

impl Life {
    pub(super) fn new(context: &Context, entity: Entity, agent_id: i64, output: Option<Output>) -> Self {
        let terms = context.schema.reward_terms().len();
        let row = |wanted| vec![0; if wanted { context.layout().row_words() } else { 0 }].into_boxed_slice();
        Self {
            entity,
            agent_id,
            episode: 0,
            step: 0,
            ordinal: 0,
            seen: 0,
            open: false,
            is_staged: false,
            under_way: Box::new(UnderWay {
                staged: None,
                alive: true,
                begin_asked: false,
                excluded: false,
                decision: Span::new(terms),
                still: Span::new(terms),
                acted: row(output.is_some() && context.rules.keeps_action()),
                started: row(output.is_some() && context.rules.mode == RecordMode::OnChange),
                last: row(output.is_some()),
                blank: row(output.is_some()),
                ended: None,
            }),
            output,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether rows are written of this life at all.
    pub(super) fn is_recorded(&self) -> bool {
        self.output.is_some()
    }

    pub(super) fn is_staged(&self) -> bool {
        self.is_staged
    }

    /// The end that waits for its capture.
    fn staged(&self) -> Option<&StagedEnd> {
        // Nearly always there is none, and what is elsewhere need not be read.
        if self.is_staged {
            self.under_way.staged.as_ref()
        } else {
            None
        }
    }

    /// Takes the end that waits for its capture.
    fn take_staged(&mut self) -> Option<StagedEnd> {
        match core::mem::replace(&mut self.is_staged, false) {
            true => self.under_way.staged.take(),
            false => None,
        }
    }

    /// A capture sees the player.
    #[inline(always)]
    pub(super) fn see(&mut self, capture: u32) {
        self.seen = capture as u16;
    }

    /// Whether this capture was the last that saw the player.
    #[inline(always)]
    pub(super) fn was_seen(&self, capture: u32) -> bool {
        self.seen == capture as u16
    }

    pub(super) fn leaves(&self) -> bool {
        self.staged().is_some_and(|staged| staged.leaves)
    }

    /// Whether rewards given now belong to the open episode.
    pub(super) fn takes_rewards(&self) -> bool {
        self.open && !self.staged().is_some_and(|staged| staged.sealed)
    }

    /// Rows that can be pushed before one is lost that the exporter has not taken, if the buffer is the player's own.
    pub(super) fn free(&self) -> usize {
        match &self.output {
            Some(Output::Own(buffer)) => buffer.writer.free(),
            Some(Output::Shared { .. }) | None => usize::MAX,
        }
    }

    /// Adds to the reward of the transition under way; `term` is its place among the declared terms.
    pub(super) fn add_reward(&mut self, term: Option<usize>, amount: f64) {
        self.under_way.decision.reward += amount;
        if let Some(term) = term {
            self.under_way.decision.terms[term] += amount;
        }
    }

    /// Where an early reading of the action goes, if it is wanted now.
    pub(super) fn action_slot(&mut self, rules: &Rules) -> Option<&mut [u64]> {
        let wanted = self.under_way.decision.ticks == 0 || rules.decision == DecisionTick::Last;
        // An end between ticks is not led to by what is chosen in the next one.
        let staged = self.staged();
        let staged = staged.is_some_and(|staged| staged.has_action || staged.between_ticks);
        (self.open && wanted && !staged).then_some(&mut self.under_way.acted)
    }

    pub(super) fn ask_begin(&mut self) -> bool {
        let wanted = !self.under_way.alive || self.is_staged;
        self.under_way.begin_asked |= wanted;
        wanted
    }

    /// Notes an end. False when the player is between episodes already, or the end was noted before; then a stronger
    /// word replaces the weaker one.
    pub(super) fn stage(&mut self, outcome: Outcome, reason: &EndReason, leaves: bool, between_ticks: bool) -> bool {
        if let Some(staged) = &mut self.under_way.staged {
            let weaker = staged.outcome < outcome || (staged.outcome == outcome && staged.by_leaving);
            if weaker && !leaves {
                staged.outcome = outcome;
                staged.reason = reason.clone();
                staged.by_leaving = false;
            }
            staged.leaves |= leaves;
            return false;
        }
        if !self.under_way.alive && !leaves {
            return false;
        }
        let was_alive = self.under_way.alive;
        self.is_staged = true;
        self.under_way.staged = Some(StagedEnd {
            leaves,
            by_leaving: leaves,
            between_ticks,
            ..StagedEnd::new(outcome, reason.clone())
        });
        was_alive
    }

    /// Where the snapshot of a staged end goes: (row, whether the observation is wanted, whether the action is).
    pub(super) fn snapshot_slot(&mut self, rules: &Rules) -> Option<(&mut [u64], bool, bool)> {
        let staged = self.under_way.staged.as_ref()?;
        if !self.open {
            return None;
        }
        // Between ticks the coming capture is too late: by then the world has moved on.
        let at_trigger =
            staged.leaves || staged.between_ticks || rules.final_observation == FinalObservation::AtTrigger;
        let observation = at_trigger && !staged.has_observation;
        let action = !rules.acts_early && !staged.has_action;
        (observation || action).then_some((&mut self.under_way.last, observation, action))
    }

    /// The snapshot was taken.
    pub(super) fn snapshot_taken(&mut self, rules: &Rules, layout: &RowLayout, observation: bool, action: bool) {
        let Some(staged) = &mut self.under_way.staged else {
            return;
        };
        staged.has_observation |= observation;
        staged.has_action |= action;
        let wanted = self.under_way.decision.ticks == 0 || rules.decision == DecisionTick::Last;
        if action && !self.under_way.acted.is_empty() && wanted && !staged.between_ticks {
            diff::copy_action(layout, &self.under_way.last, &mut self.under_way.acted);
        }
    }

    /// A tick begins: rewards from here on do not belong to an episode that ended before it.
    pub(super) fn seal(&mut self) {
        if let Some(staged) = &mut self.under_way.staged {
            staged.sealed |= staged.between_ticks;
        }
    }

    pub(super) fn ended_between_ticks(&self) -> bool {
        self.staged().is_some_and(|staged| staged.between_ticks)
    }

    /// Whether the next capture has nothing to do but to [`step`](Self::step), where every tick is a decision.
    #[inline]
    pub(super) fn goes_on(&self, rules: &Rules) -> bool {
        self.open && !self.is_staged && self.step + 1 < rules.max_episode_steps
    }

    /// Whether it writes to this shard, or to a buffer of its own where `None`.
    #[inline]
    pub(super) fn writes_to(&self, shard: Option<usize>) -> bool {
        match &self.output {
            Some(Output::Shared { handle, .. }) => shard == Some(handle.shard()),
            Some(Output::Own(_)) => shard.is_none(),
            None => false,
        }
    }

    /// Closes the transition of one tick, where that is all there is to do: fills in the header of its row, but for the match,
    /// which is there. Where the row goes.
    #[inline(always)]
    pub(super) fn step(&mut self, clock: Clock, reward: f64, header: &mut StepHeader) -> Option<&mut Output> {
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        header.tick = clock.tick;
        header.timestamp = clock.timestamp;
        header.reward = reward;
        header.agent_id = self.agent_id;
        header.episode = self.episode;
        header.continues = 0;
        header.ordinal = self.ordinal;
        header.ticks = 1;
        header.set_outcome(None, 0);
        header.set_kind(StepKind::Transition);
        header.stream = self.stream();
        self.output.as_mut()
    }

    /// Where it is written, if it is.
    pub(super) fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    /// Writes the row of a [`step`](Self::step).
    pub(super) fn push_step(&mut self, context: &Context, row: &mut [u64]) {
        context.counters.recorded.add(1);
        self.push(context, row);
    }

    /// The buffer of the player's own, if it has one.
    #[inline]
    pub(super) fn own_buffer(&mut self) -> Option<&mut OwnBuffer> {
        match &mut self.output {
            Some(Output::Own(buffer)) => Some(buffer),
            Some(Output::Shared { .. }) | None => None,
        }
    }

    /// One capture: `row` holds what the player sees and does now. `None` where the player was not seen.
    pub(super) fn capture(&mut self, context: &Context, mut row: Option<&mut [u64]>) {
        if let Some(staged) = self.take_staged() {
            self.publish(context, &staged, row.as_deref_mut());
            let at_once = context.rules.start == EpisodeStart::AtOnce || self.under_way.begin_asked;
            self.under_way.alive = !staged.leaves && at_once;
            self.under_way.begin_asked = false;
        } else if self.open {
            match row {
                Some(row) if context.paused => self.pause(context, row),
                Some(row) => self.advance(context, row),
                None => {}
            }
            return;
        } else if self.under_way.begin_asked {
            self.under_way.alive = true;
            self.under_way.begin_asked = false;
        }
        if let (true, Some(row)) = (self.under_way.alive && !self.under_way.excluded, row) {
            self.begin(context, row, 0);
        }
    }

    /// Throws the open episode away.
    pub(super) fn discard(&mut self, context: &Context) {
        if !core::mem::replace(&mut self.open, false) {
            return;
        }
        context.discarded.push(self.episode);
        let mut row = core::mem::take(&mut self.under_way.blank);
        row.fill(0);
        StepHeader::of_mut(&mut row).set_kind(StepKind::Discard);
        self.under_way.decision.clear();
        self.under_way.still.clear();
        self.push(context, &mut row);
        self.under_way.blank = row;
    }

    /// The process ends: what is under way is closed as far as it is known without looking at the world.
    pub(super) fn shut_down(&mut self, context: &Context, row: Option<&mut [u64]>) {
        if let Some(staged) = self.take_staged() {
            self.publish(context, &staged, None);
        }
        if !self.open {
            return;
        }
        let under_way = self.under_way.decision.ticks + self.under_way.still.ticks > 0;
        let reason = EndReason::SHUTDOWN;
        match row {
            Some(row) if under_way => {
                if context.rules.keeps_action() {
                    diff::copy_action(context.layout(), &self.under_way.acted, row);
                }
                self.close(context, row, Some((Outcome::Truncated, &reason)));
            }
            _ => {
                if self.under_way.still.ticks > 0 {
                    // Nothing changed since, so the observation is the one it started from.
                    self.close_still(context);
                }
                self.end_where_it_stands(context, Outcome::Truncated, &reason);
            }
        }
    }

    /// The number of the player's rows among those of others in one buffer.
    #[inline]
    fn stream(&self) -> u32 {
        match self.output {
            Some(Output::Shared { stream, .. }) => stream,
            Some(Output::Own(_)) | None => 0,
        }
    }

    /// Lets go of the buffer; what is in it can still be drained. The stream that ends, where the buffer is shared.
    pub(super) fn close_buffer(&mut self) -> Option<Stream> {
        match self.output.take()? {
            Output::Own(buffer) => {
                // Before the buffer is closed, which the drop of its writer does.
                buffer.transitions.store(self.ordinal, Ordering::Release);
                None
            }
            Output::Shared { handle, stream } => Some(Stream {
                shard: handle.shard(),
                number: stream,
                transitions: self.ordinal,
            }),
        }
    }
}
