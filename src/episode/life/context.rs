//! What all lives of a recording share.

use crate::episode::{DecisionTick, EpisodeStart, FinalObservation, NonFinite, RecordMode};
use core::sync::atomic::AtomicU32;
use crossbeam_queue::SegQueue;
use experience_buffer::pool::PoolWriter;
use experience_core::{
    account::{Count, Counters},
    schema::{RowLayout, Schema},
    transition::{Outcome, ReasonTable},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// What was not accessed mutably has not changed.
    pub(crate) trusts_ticks: bool,
}

impl Rules {
    /// Whether players can be left unread of whom nothing changed.
    pub(in crate::episode) fn leaves_unread(&self) -> bool {
        self.trusts_ticks && self.mode == RecordMode::OnChange && !self.keeps_action()
    }

    /// Whether a transition's action is read before the capture that closes it.
    pub(in crate::episode) fn keeps_action(&self) -> bool {
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
pub(in crate::episode) struct Context {
    pub(in crate::episode) schema: Arc<Schema>,
    pub(in crate::episode) rules: Rules,
    pub(in crate::episode) counters: Arc<Counters>,
    pub(in crate::episode) reasons: Arc<ReasonTable>,
    /// Counts the episodes of the run, over all recordings.
    pub(in crate::episode) episodes: Arc<AtomicU32>,
    /// Episodes that must leave no trace, for the exporter, in case their `Discard` row is overwritten.
    pub(in crate::episode) discarded: Arc<SegQueue<u32>>,
    /// How often each feature was not finite.
    pub(in crate::episode) non_finite_features: Box<[Count]>,
    /// Episodes that the game, or a player's leaving, ended.
    pub(in crate::episode) ends: Count,
    /// Those among them that a despawn ended as terminated.
    pub(in crate::episode) despawn_ends: Count,
    pub(in crate::episode) clock: Clock,
    /// Nothing is recorded at this capture, nor from here on: recording is paused.
    pub(in crate::episode) paused: bool,
    /// It was so at the last capture. What was given since is nobody's, and not worth a word.
    pub(in crate::episode) was_paused: bool,
    /// Writes the rows of players who share buffers. Capture alone takes this lock.
    pub(in crate::episode) pool: Mutex<PoolWriter>,
}

impl Context {
    pub(in crate::episode) fn pool(&self) -> MutexGuard<'_, PoolWriter> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn layout(&self) -> &RowLayout {
        self.schema.layout()
    }
}
