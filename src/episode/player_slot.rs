//! Per-player episode state machine: turns the captures of one player into the rows of its episodes.
//!
//! [`PlayerSlot::capture`] is the general case and handles everything. [`PlayerSlot::fast_step`] handles the common case, one
//! more transition of an open episode, and is driven by the recorder's fast path.

mod accumulator;
mod ends;
mod non_finite;
mod pending_end;
mod steps;

pub(super) use ends::EpisodeEnd;

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
use std::sync::Arc;

/// Where the rows of a player are written.
pub(super) enum RowOutput {
    /// A buffer of the player's own.
    Dedicated(Box<DedicatedBuffer>),
    /// The pool that players share. `stream` numbers the player's rows among those of the others.
    Pooled { stream: u32, handle: PoolHandle },
}

/// The buffer of one player.
pub(super) struct DedicatedBuffer {
    pub(super) writer: Writer,
    /// How many transitions were pushed. Stored when the buffer is closed; the last of them may have been dropped.
    pub(super) transitions: Arc<AtomicU32>,
}

/// One player in one recording.
///
/// Every capture visits every slot, so the fields that the fast path reads fill exactly one cache line. The others are in
/// [`ColdState`].
#[repr(align(64))]
pub(super) struct PlayerSlot {
    pub(super) entity: Entity,
    pub(super) agent_id: i64,
    /// `None` if recording is disabled or no buffer could be allocated. Episodes are tracked all the same, without rows.
    output: Option<RowOutput>,
    /// The run's number of the open episode, or of the previous one.
    episode: u32,
    /// Transitions of the open episode.
    step: u32,
    /// Transitions pushed to the output, modulo 2³².
    ordinal: u32,
    /// The last capture at which the player was found, modulo 2¹⁶.
    last_capture: u16,
    /// The recording's view: rows of an episode are being written.
    is_open: bool,
    /// Whether [`ColdState::pending_end`] is set.
    has_pending_end: bool,
    cold: Box<ColdState>,
}

const _: () = assert!(size_of::<PlayerSlot>() == 64);

/// Fields of a [`PlayerSlot`] that the fast path does not touch.
struct ColdState {
    /// The end that the next capture publishes.
    pending_end: Option<PendingEnd>,
    /// The game's view: the player is between a beginning and an end. Independent of what could be recorded, because
    /// [`EpisodeEnded`](super::EpisodeEnded) is triggered by it.
    in_game_episode: bool,
    begin_requested: bool,
    /// No episode begins while this is set.
    is_excluded: bool,
    /// The decision interval in progress.
    decision: StepAccumulator,
    /// Completed decisions that changed nothing and are not written yet. Only with [`RecordMode::OnChange`].
    unchanged: StepAccumulator,
    /// The action of `decision`, if it is read before the capture that closes the transition.
    action_row: Box<[u64]>,
    /// The observation at which the open transition began, with the action of `unchanged`. Only with
    /// [`RecordMode::OnChange`].
    base_row: Box<[u64]>,
    /// What was read when `pending_end` was requested.
    final_row: Box<[u64]>,
    /// Rows without an observation are assembled here.
    scratch_row: Box<[u64]>,
    last_end: Option<EpisodeEnd>,
}

impl PlayerSlot {
    pub(super) fn new(context: &RecordingContext, entity: Entity, agent_id: i64, output: Option<RowOutput>) -> Self {
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
            is_open: false,
            has_pending_end: false,
            cold: Box::new(ColdState {
                pending_end: None,
                in_game_episode: true,
                begin_requested: false,
                is_excluded: false,
                decision: StepAccumulator::new(terms),
                unchanged: StepAccumulator::new(terms),
                action_row: row(rules.keeps_action()),
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
        self.is_open
    }

    /// Whether rows of this player are written at all.
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

    /// Marks the player as found by this capture.
    #[inline(always)]
    pub(super) fn mark_captured(&mut self, capture: u32) {
        self.last_capture = capture as u16;
    }

    /// Whether this capture was the last that found the player.
    #[inline(always)]
    pub(super) fn was_captured(&self, capture: u32) -> bool {
        self.last_capture == capture as u16
    }

    /// Handles one capture of the player. `row` is the player as encoded now, or `None` if the player was not read.
    ///
    /// Contract, beginnings: a pending end is published before the next episode begins, and the next episode begins at the
    /// same capture unless the recording waits for [`BeginEpisode`](super::BeginEpisode).
    pub(super) fn capture(&mut self, context: &RecordingContext, mut row: Option<&mut [u64]>) {
        if let Some(end) = self.take_pending_end() {
            self.publish_end(context, &end, row.as_deref_mut());
            let begins = context.rules.start == EpisodeStart::AtOnce || self.cold.begin_requested;
            self.cold.in_game_episode = !end.is_leaving && begins;
            self.cold.begin_requested = false;
        } else if self.is_open {
            match row {
                Some(row) if context.paused => self.end_for_pause(context, row),
                Some(row) => self.advance(context, row),
                None => {}
            }
            return;
        } else if self.cold.begin_requested {
            self.cold.in_game_episode = true;
            self.cold.begin_requested = false;
        }
        if let (true, Some(row)) = (self.cold.in_game_episode && !self.cold.is_excluded, row) {
            self.begin_episode(context, row, 0);
        }
    }

    /// Lets the next episode begin at the coming capture. Ignored if the player is in an episode.
    pub(super) fn request_begin(&mut self) {
        self.cold.begin_requested |= !self.cold.in_game_episode || self.has_pending_end;
    }

    /// Whether rewards given now belong to the open episode.
    pub(super) fn accepts_rewards(&self) -> bool {
        self.is_open && !self.pending_end().is_some_and(|end| end.rewards_sealed)
    }

    /// Adds to the reward of the transition in progress; `term` is an index into the declared reward terms.
    pub(super) fn add_reward(&mut self, term: Option<usize>, amount: f64) {
        self.cold.decision.reward += amount;
        if let Some(term) = term {
            self.cold.decision.terms[term] += amount;
        }
    }

    /// Whether the next capture only has to call [`fast_step`](Self::fast_step), given that every tick is a decision.
    #[inline]
    pub(super) fn can_fast_step(&self, rules: &CaptureRules) -> bool {
        self.is_open && !self.has_pending_end && self.step + 1 < rules.max_episode_steps
    }

    /// Closes a transition of one tick. Fills in the header of its row, except for the match id, which the encoder wrote.
    /// Returns the output, to which the caller pushes the row.
    #[inline(always)]
    pub(super) fn fast_step(
        &mut self,
        time: CaptureTime,
        reward: f64,
        header: &mut StepHeader,
    ) -> Option<&mut RowOutput> {
        self.step += 1;
        self.ordinal = self.ordinal.wrapping_add(1);
        set_step(header, StepKind::Transition, time, 1);
        header.reward = reward;
        self.set_identity(header);
        self.output.as_mut()
    }

    /// Pushes the row of a [`fast_step`](Self::fast_step) and counts its transition.
    pub(super) fn push_fast_step(&mut self, context: &RecordingContext, row: &mut [u64]) {
        context.counters.recorded.add(1);
        self.push(context, row);
    }

    fn push(&mut self, context: &RecordingContext, row: &mut [u64]) {
        self.set_identity(StepHeader::of_mut(row));
        // An error means that the buffer is closed. Only `close_output` closes it, and it takes the output.
        let _ = match &mut self.output {
            Some(RowOutput::Dedicated(buffer)) => buffer.writer.push(row),
            Some(RowOutput::Pooled { handle, .. }) => context.pool_writer().push(handle, row),
            None => Ok(()),
        };
    }

    /// Fills in the header fields that say whose row it is and where it belongs.
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
    pub(super) fn dedicated_buffer(&mut self) -> Option<&mut DedicatedBuffer> {
        match &mut self.output {
            Some(RowOutput::Dedicated(buffer)) => Some(buffer),
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

    /// How many rows a dedicated buffer takes before it drops one that the exporter has not read.
    pub(super) fn free_rows(&self) -> usize {
        match &self.output {
            Some(RowOutput::Dedicated(buffer)) => buffer.writer.free(),
            Some(RowOutput::Pooled { .. }) | None => usize::MAX,
        }
    }

    /// Closes the output; its rows can still be drained. Returns the stream that ended, if the output was the pool.
    pub(super) fn close_output(&mut self) -> Option<Stream> {
        match self.output.take()? {
            RowOutput::Dedicated(buffer) => {
                // Stored before the drop of the writer closes the buffer.
                buffer.transitions.store(self.ordinal, Ordering::Release);
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

/// Fills in the header fields that say what the row adds to its episode. The reward and the end, if any, are set after.
#[inline(always)]
fn set_step(header: &mut StepHeader, kind: StepKind, time: CaptureTime, ticks: u32) {
    header.set_kind(kind);
    header.tick = time.tick;
    header.timestamp = time.timestamp;
    header.ticks = ticks;
    header.continues = 0;
    header.set_outcome(None, 0);
}
