//! Per-recording context that is passed to every [`PlayerSlot`](super::player_slot::PlayerSlot): capture rules, capture
//! time, pause state and shared counters.

use super::{DecisionTick, EpisodeStart, FinalObservation, NonFinite, RecordMode, outcome_log::OutcomeLog};
use crate::player::Controller;
use core::sync::atomic::{AtomicBool, AtomicU32};
use crossbeam_queue::SegQueue;
use experience_buffer::pool::PoolWriter;
use experience_core::{
    account::{Count, Counters},
    schema::{RowLayout, Schema},
    transition::{EndReason, Outcome, WordTable},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The settings of a `Recording` that determine episodes and rows.
#[derive(Clone, Debug)]
pub(crate) struct CaptureRules {
    pub(crate) mode: RecordMode,
    /// Ticks per decision.
    pub(crate) decision_interval: u32,
    pub(crate) decision_tick: DecisionTick,
    pub(crate) non_finite: NonFinite,
    pub(crate) on_despawn: Outcome,
    pub(crate) start: EpisodeStart,
    pub(crate) final_observation: FinalObservation,
    /// Captures for which the end of a player that stays without an episode is held back, so that late rewards count.
    pub(crate) reward_window: u32,
    /// Transitions after which an episode is split.
    pub(crate) max_episode_steps: u32,
    /// Rows have a match id, and an episode is split where it changes.
    pub(crate) has_match_id: bool,
    /// The game requests each decision, and captures write no rows.
    pub(crate) decides_on_demand: bool,
    /// When actions are read.
    pub(crate) action_read: ActionRead,
    /// A component whose change tick precedes the last capture counts as unchanged.
    pub(crate) trusts_change_ticks: bool,
}

/// When the actions of a recording are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionRead {
    AtCapture,
    /// Once in each tick, before its capture.
    InTick,
    /// In the loop that does not run the captures. The ticks until the next read have the same action.
    InOtherLoop,
}

impl CaptureRules {
    /// Whether each tick has an action of its own that is read before the capture.
    pub(crate) fn reads_actions_early(&self) -> bool {
        self.action_read == ActionRead::InTick
    }

    /// Whether an action is kept for the ticks until the next read.
    pub(crate) fn keeps_actions(&self) -> bool {
        self.action_read == ActionRead::InOtherLoop
    }

    /// Whether a player without changes can be captured without being encoded.
    pub(crate) fn can_skip_reads(&self) -> bool {
        self.trusts_change_ticks && self.mode == RecordMode::OnChange && !self.stores_action()
    }

    /// Whether a transition's action is read before the capture that closes the transition, and stored until then.
    pub(super) fn stores_action(&self) -> bool {
        self.reads_actions_early() || self.decision_interval > 1 || self.decides_on_demand
    }

    /// How an episode ends when its player is despawned or loses the recording's marker.
    pub(super) fn leave_end(&self) -> (Outcome, EndReason) {
        match self.on_despawn {
            Outcome::Truncated => (Outcome::Truncated, EndReason::LEFT),
            Outcome::Terminated => (Outcome::Terminated, EndReason::from("despawned")),
        }
    }
}

/// The time of a capture, as it is written to row headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CaptureTime {
    pub(crate) tick: i64,
    /// Seconds since the run began.
    pub(crate) timestamp: f64,
}

/// State of one recording that all of its player slots share.
pub(super) struct RecordingContext {
    pub(super) schema: Arc<Schema>,
    pub(super) rules: CaptureRules,
    pub(super) counters: Arc<Counters>,
    /// The words of the codes in rows.
    pub(super) words: Arc<WordTable>,
    /// What the policies of the recording are in the data, the first of them first.
    pub(super) policies: Vec<(String, Controller)>,
    /// It was logged that there are more controllers than codes.
    pub(super) warned_controllers: AtomicBool,
    /// The next episode number of the run, shared by all recordings.
    pub(super) episode_counter: Arc<AtomicU32>,
    /// Discarded episodes. The exporter drops them even if their `Discard` row was overwritten.
    pub(super) discarded_episodes: Arc<SegQueue<u32>>,
    /// Number of non-finite values read, per feature.
    pub(super) non_finite_counts: Box<[Count]>,
    /// Whether any of these counts is not 0, so that a capture need not load all of them.
    pub(super) has_non_finite: AtomicBool,
    /// Published ends that the game requested or a leaving player caused.
    pub(super) published_ends: Count,
    /// The subset of `published_ends` that a despawn caused, with the outcome `Terminated`.
    pub(super) terminated_despawns: Count,
    pub(super) time: CaptureTime,
    /// No episode begins for a player whose action was not read: the next capture may come before the next read.
    pub(super) awaits_actions: bool,
    /// The game has triggered [`DecisionMade`](super::DecisionMade), so a decision without it is not made.
    pub(super) signals_decisions: bool,
    /// Recording is paused as of this capture.
    pub(super) paused: bool,
    /// Recording was paused as of the previous capture. Rewards since then do not count as orphaned.
    pub(super) was_paused: bool,
    /// Writes the rows of players that share the pool. Only captures take this lock.
    pub(super) pool_writer: Mutex<PoolWriter>,
    /// What becomes of the actions of a policy that needs to know it. All players take the slow path then.
    pub(super) outcome_log: Option<Mutex<OutcomeLog>>,
}

impl RecordingContext {
    pub(super) fn pool_writer(&self) -> MutexGuard<'_, PoolWriter> {
        self.pool_writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn layout(&self) -> &RowLayout {
        self.schema.layout()
    }
}
