//! Per-player episode state machine: turns the captures of one player into the rows of its episodes.
//!
//! [`PlayerSlot::capture`] handles every state transition. [`PlayerSlot::fast_step`] handles the common case, one more
//! transition of an open episode, and is called by the recorder's fast path.

mod accumulator;
mod controller;
mod ends;
mod non_finite;
mod on_demand;
mod pending_end;
mod reward_window;
mod slot_state;
mod steps;

pub(super) use ends::EpisodeEnd;
pub(super) use on_demand::DecisionRequest;

use super::{
    EpisodeStart, RecordMode,
    context::{CaptureRules, CaptureTime, RecordingContext},
};
use accumulator::StepAccumulator;
use bevy_ecs::entity::Entity;
use core::sync::atomic::{AtomicU32, Ordering};
use experience_buffer::{
    Writer,
    pool::{PoolHandle, Stream},
};
use experience_core::transition::{StepHeader, StepKind};
use pending_end::PendingEnd;
use slot_state::SlotState;
use std::sync::Arc;

/// The destination of a player's rows.
pub(super) enum RowOutput {
    /// A buffer for this player only.
    Dedicated(Writer),
    /// The pool that players share. `stream` identifies the player's rows among those of all players.
    Pooled { stream: u32, handle: PoolHandle },
}

/// One player in one recording.
///
/// Every capture visits every slot, so the fields that the fast path reads fill exactly one cache line. The others are
/// in [`ColdState`].
#[repr(align(64))]
pub(super) struct PlayerSlot {
    pub(super) entity: Entity,
    pub(super) agent_id: i64,
    /// `None` if recording is disabled or no buffer could be allocated. Episodes are then tracked without rows.
    output: Option<RowOutput>,
    /// The run's number of the open episode, or of the previous one.
    episode: u32,
    /// Transitions of the open episode.
    step: u32,
    /// Transitions pushed to the output, modulo 2³².
    ordinal: u32,
    /// Number of the last capture that found the player, modulo 2¹⁶.
    last_capture: u16,
    state: SlotState,
    cold: Box<ColdState>,
}

const _: () = assert!(size_of::<PlayerSlot>() == 64);

/// Fields of a [`PlayerSlot`] that the fast path does not touch, except for `match_key` in recordings with a match id.
struct ColdState {
    /// The match of the open episode, from [`match_key`].
    match_key: i64,
    /// The end that the next capture publishes.
    pending_end: Option<PendingEnd>,
    /// The player is in an episode of the game, recorded or not. Determines whether
    /// [`EpisodeEnded`](super::EpisodeEnded) is triggered.
    in_game_episode: bool,
    begin_requested: bool,
    /// The number of captures since the present decision interval of the game began, recorded or not. 0 if the next tick
    /// begins a decision.
    decision_phase: u32,
    /// No episode begins while this is set.
    is_excluded: bool,
    /// Number of transitions pushed, stored when a dedicated buffer is closed. The last of them may have been dropped.
    transitions: Arc<AtomicU32>,
    /// The player joins again at this capture, because its agent id has changed.
    is_rejoining: bool,
    /// The next capture begins no episode, because the observation is not complete.
    delays_begin: bool,
    /// The request that began the open step, if the game requests each decision.
    request: Option<DecisionRequest>,
    /// The decision interval in progress.
    open_decision: StepAccumulator,
    /// Completed decisions after which the observation was unchanged, not written yet. Only with
    /// [`RecordMode::OnChange`].
    unchanged_decisions: StepAccumulator,
    /// The action of `open_decision`, if it is read before the capture that closes the transition.
    action_row: Box<[u64]>,
    /// The action that was read last in the other loop, if actions are read there.
    kept_action: Box<[u64]>,
    /// Whether `kept_action` is that of the last read.
    has_kept_action: bool,
    /// The observation at which the open transition began, with the action of `unchanged_decisions`. Only with
    /// [`RecordMode::OnChange`].
    base_row: Box<[u64]>,
    /// The final observation and action, as read when `pending_end` was requested.
    final_row: Box<[u64]>,
    /// Buffer for rows without an observation.
    scratch_row: Box<[u64]>,
    last_end: Option<EpisodeEnd>,
}

impl PlayerSlot {
    /// `transitions` is the count that is stored when a dedicated buffer is closed.
    pub(super) fn new(
        context: &RecordingContext,
        entity: Entity,
        agent_id: i64,
        output: Option<RowOutput>,
        transitions: Arc<AtomicU32>,
    ) -> Self {
        let terms = context.schema.reward_terms().len();
        let rules = &context.rules;
        let row = |needed| {
            let words = if needed && output.is_some() {
                context.layout().row_words()
            } else {
                0
            };
            vec![0; words].into_boxed_slice()
        };
        Self {
            entity,
            agent_id,
            episode: 0,
            step: 0,
            ordinal: 0,
            last_capture: 0,
            state: SlotState::default(),
            cold: Box::new(ColdState {
                match_key: 0,
                pending_end: None,
                in_game_episode: true,
                begin_requested: false,
                decision_phase: 0,
                is_excluded: false,
                transitions,
                is_rejoining: false,
                delays_begin: false,
                request: None,
                open_decision: StepAccumulator::new(terms),
                unchanged_decisions: StepAccumulator::new(terms),
                action_row: row(rules.stores_action()),
                kept_action: row(rules.keeps_actions()),
                has_kept_action: false,
                base_row: row(rules.mode == RecordMode::OnChange),
                final_row: row(true),
                scratch_row: row(true),
                last_end: None,
            }),
            output,
        }
    }

    /// Whether an episode is being recorded.
    pub(super) fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// The numbers of the open episode and of its transitions. `None` between two episodes, and once an end is pending.
    pub(super) fn open_episode(&self) -> Option<(u32, u32)> {
        self.state.is_in_open_episode().then_some((self.episode, self.step))
    }

    /// Whether the player is in an episode of the game, recorded or not, whose end is not pending.
    pub(super) fn is_in_game_episode(&self) -> bool {
        self.cold.in_game_episode && !self.state.has_pending_end()
    }

    /// Whether rows of this player are written.
    pub(super) fn is_recorded(&self) -> bool {
        self.output.is_some()
    }

    /// The run's number of the open episode, or of the previous one.
    pub(super) fn episode(&self) -> u32 {
        self.episode
    }

    /// Transitions of the open episode, or of the previous one.
    pub(super) fn steps(&self) -> u32 {
        self.step
    }

    pub(super) fn is_excluded(&self) -> bool {
        self.cold.is_excluded
    }

    pub(super) fn set_excluded(&mut self, excluded: bool) {
        self.cold.is_excluded = excluded;
    }

    /// Records that capture number `capture` found the player.
    #[inline(always)]
    pub(super) fn mark_captured(&mut self, capture: u32) {
        self.last_capture = capture as u16;
    }

    /// Whether `capture` is the last capture that found the player.
    #[inline(always)]
    pub(super) fn was_captured(&self, capture: u32) -> bool {
        self.last_capture == capture as u16
    }

    /// Handles one capture of the player. `row` is the player as encoded by this capture; `None` if it was not read.
    ///
    /// Contract, beginnings: a pending end is published before the next episode begins, and the next episode begins at
    /// the same capture unless the recording waits for [`BeginEpisode`](super::BeginEpisode).
    pub(super) fn capture(&mut self, context: &RecordingContext, row: Option<&mut [u64]>) {
        if context.rules.decision_interval == 1 {
            return self.handle_capture(context, row);
        }
        let was_in_episode = self.cold.in_game_episode && !self.has_pending_end();
        let delays_begin = self.cold.delays_begin;
        self.handle_capture(context, row);
        self.count_phase(&context.rules, was_in_episode, delays_begin);
    }

    /// Counts a tick of the game's decision interval, which begins with each episode of the game.
    fn count_phase(&mut self, rules: &CaptureRules, was_in_episode: bool, delays_begin: bool) {
        let last = rules.decision_interval - 1;
        let begins = self.cold.in_game_episode && !self.has_pending_end() && !was_in_episode;
        self.cold.decision_phase = if delays_begin {
            // The next capture begins the episode.
            last
        } else if begins || self.cold.decision_phase >= last {
            0
        } else {
            self.cold.decision_phase + 1
        };
    }

    /// The player has joined: the next tick begins a decision.
    pub(super) fn begin_phase(&mut self) {
        self.cold.decision_phase = 0;
    }

    /// Whether the next tick begins a decision.
    pub(super) fn decides_next(&self) -> bool {
        self.cold.decision_phase == 0
    }

    fn handle_capture(&mut self, context: &RecordingContext, mut row: Option<&mut [u64]>) {
        let decides_on_demand = context.rules.decides_on_demand;
        if self.state.is_in_open_episode() {
            match row {
                Some(row) if context.paused => self.end_for_pause(context, row),
                Some(_) if decides_on_demand => self.cold.open_decision.add_tick(context.time),
                Some(row) => self.advance(context, row),
                None => {}
            }
            return;
        }
        if self.state.has_pending_end() && self.hold_end(context, row.as_deref_mut()) {
            return;
        }
        self.publish_pending_end(context, row.as_deref_mut());
        let delays_begin = core::mem::take(&mut self.cold.delays_begin);
        let lacks_action = context.awaits_actions && !self.cold.has_kept_action;
        let is_delayed = decides_on_demand || delays_begin || lacks_action;
        let begins = self.cold.in_game_episode && !self.cold.is_excluded && !is_delayed;
        if let (true, Some(row)) = (begins, row) {
            self.begin_episode(context, row, None);
        }
    }

    /// Whether the next capture of the player begins an episode of the game, recorded or not.
    pub(super) fn begins_episode(&self, rules: &CaptureRules) -> bool {
        let cold = &*self.cold;
        if self.state.has_pending_end() {
            rules.start == EpisodeStart::AtOnce || cold.begin_requested
        } else {
            !self.state.is_open() && (cold.in_game_episode || cold.begin_requested)
        }
    }

    /// Handles a capture at which the player joins again under another agent id, in place of [`capture`](Self::capture): a
    /// pending end is published, and no episode begins in this slot.
    pub(super) fn capture_before_rejoining(&mut self, context: &RecordingContext, row: &mut [u64]) {
        if let Some(end) = self.take_pending_end() {
            self.publish_end(context, &end, Some(row));
        }
        self.cold.is_rejoining = true;
    }

    pub(super) fn is_rejoining(&self) -> bool {
        self.cold.is_rejoining
    }

    /// Requests that the next episode begins at the next capture. Ignored if the player is in an episode.
    pub(super) fn request_begin(&mut self) {
        self.cold.begin_requested |= !self.cold.in_game_episode || self.state.has_pending_end();
    }

    /// Begins no episode at the next capture.
    pub(super) fn delay_begin(&mut self) {
        self.cold.delays_begin = true;
    }

    /// The rules have changed: prepares the rows that they need.
    pub(super) fn update_rules(&mut self, context: &RecordingContext) {
        self.cold.has_kept_action &= context.rules.keeps_actions();
        if context.rules.stores_action() && self.output.is_some() && self.cold.action_row.is_empty() {
            self.cold.action_row = vec![0; context.layout().row_words()].into_boxed_slice();
        }
        if context.rules.keeps_actions() && self.output.is_some() && self.cold.kept_action.is_empty() {
            self.cold.kept_action = vec![0; context.layout().row_words()].into_boxed_slice();
        }
    }

    /// Whether rewards given now belong to the open episode.
    pub(super) fn accepts_rewards(&self) -> bool {
        self.state.is_open() && !self.pending_end().is_some_and(|end| end.rewards_sealed)
    }

    /// Adds to the reward of the transition in progress; `term` is an index into the declared reward terms.
    pub(super) fn add_reward(&mut self, term: Option<usize>, amount: f64) {
        self.cold.open_decision.reward += amount;
        if let Some(term) = term {
            self.cold.open_decision.terms[term] += amount;
        }
    }

    /// Whether [`fast_step`](Self::fast_step) is sufficient at the next capture, if every tick is a decision.
    #[inline]
    pub(super) fn can_fast_step(&self, rules: &CaptureRules) -> bool {
        self.state.is_in_open_episode() && self.step + 1 < rules.max_episode_steps
    }

    /// Whether an observation belongs to the match of the open episode. `header` is that of its row.
    #[inline(always)]
    pub(super) fn stays_in_match(&self, rules: &CaptureRules, header: &StepHeader) -> bool {
        !rules.has_match_id || self.cold.match_key == match_key(header)
    }

    /// Closes a transition of one tick. Fills in the header of its row, except for the match id, which the encoder
    /// wrote. Returns the output, to which the caller pushes the row.
    #[inline(always)]
    pub(super) fn fast_step(
        &mut self,
        time: CaptureTime,
        reward: f64,
        header: &mut StepHeader,
    ) -> Option<&mut RowOutput> {
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        let mut of = StepHeader::new(StepKind::Transition);
        of.tick = time.tick;
        of.timestamp = time.timestamp;
        of.reward = reward;
        of.ticks = 1;
        of.set_controller(self.state.controller());
        self.set_identity(&mut of);
        header.set_transition(&of);
        self.output.as_mut()
    }

    /// Pushes the row of a [`fast_step`](Self::fast_step) and counts its transition.
    pub(super) fn push_fast_step(&mut self, context: &RecordingContext, row: &mut [u64]) {
        context.counters.recorded.add(1);
        self.push(context, row);
    }

    fn push(&mut self, context: &RecordingContext, row: &mut [u64]) {
        self.set_identity(StepHeader::of_mut(row));
        context.note_outcome(row);
        // An error means that the buffer is closed. Only `close_output` closes it, and it takes the output.
        let _ = match &mut self.output {
            Some(RowOutput::Dedicated(writer)) => writer.push(row),
            Some(RowOutput::Pooled { handle, .. }) => context.pool_writer().push(handle, row),
            None => Ok(()),
        };
    }

    /// Sets the header fields that identify the row: agent, episode, ordinal and stream.
    #[inline(always)]
    fn set_identity(&self, header: &mut StepHeader) {
        header.agent_id = self.agent_id;
        header.episode = self.episode;
        header.ordinal = self.ordinal;
        header.stream = match self.output {
            Some(RowOutput::Pooled { stream, .. }) => stream,
            Some(RowOutput::Dedicated(_)) | None => 0,
        };
    }

    pub(super) fn output(&self) -> Option<&RowOutput> {
        self.output.as_ref()
    }

    #[inline]
    pub(super) fn dedicated_writer(&mut self) -> Option<&mut Writer> {
        match &mut self.output {
            Some(RowOutput::Dedicated(writer)) => Some(writer),
            Some(RowOutput::Pooled { .. }) | None => None,
        }
    }

    /// Whether rows go to this shard of the pool, or to a dedicated buffer if `None`.
    #[inline]
    pub(super) fn writes_to(&self, shard: Option<usize>) -> bool {
        match &self.output {
            Some(RowOutput::Pooled { handle, .. }) => shard == Some(handle.shard()),
            Some(RowOutput::Dedicated(_)) => shard.is_none(),
            None => false,
        }
    }

    /// Number of rows that a dedicated buffer accepts before it drops a row that the exporter has not read.
    pub(super) fn free_rows(&self) -> usize {
        match &self.output {
            Some(RowOutput::Dedicated(writer)) => writer.free(),
            Some(RowOutput::Pooled { .. }) | None => usize::MAX,
        }
    }

    /// Closes the output; its rows can still be drained. Returns the stream that ended, if the output was the pool.
    pub(super) fn close_output(&mut self) -> Option<Stream> {
        match self.output.take()? {
            RowOutput::Dedicated(_writer) => {
                // Stored before the drop of the writer closes the buffer.
                self.cold.transitions.store(self.ordinal, Ordering::Release);
                None
            }
            RowOutput::Pooled { handle, stream } => Some(Stream {
                shard: handle.shard(),
                number: stream,
                transitions: self.ordinal,
            }),
        }
    }
}

/// The match id of a row as one number. No match counts as the lowest number, which no counter or hash of a game is.
#[inline(always)]
fn match_key(header: &StepHeader) -> i64 {
    header.match_id().unwrap_or(i64::MIN)
}

/// Sets the header fields of a step: kind, time and ticks. The reward, the outcome and what the row continues are set by the
/// caller, and the controller by the reader of the action.
#[inline(always)]
fn set_step(header: &mut StepHeader, kind: StepKind, time: CaptureTime, ticks: u32) {
    header.set_kind(kind);
    header.tick = time.tick;
    header.timestamp = time.timestamp;
    header.ticks = ticks;
    header.set_outcome(None, 0);
}
