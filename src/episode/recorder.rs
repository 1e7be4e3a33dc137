//! Recorder: captures the players of one recording once per tick, and stages requests made between captures.
//!
//! [`Recorder::capture`] has the steps of a capture.

mod capture_pass;
mod controllers;
mod controls;
mod decisions;
mod late_components;
mod late_rewards;
mod log_warnings;
mod membership;
mod observing;
mod outputs;
mod reward_terms;
mod setup_checks;
mod speculation;
mod staging;
mod timing;

pub(crate) use controls::{ControlError, PlayerInfo};
pub(crate) use decisions::RequestDisposition;
pub(crate) use outputs::PoolPolicy;
pub(crate) use staging::{EndDisposition, EndRequest};

use super::{
    context::{CaptureRules, CaptureTime, RecordingContext},
    player_table::PlayerTable,
};
use crate::{
    capture::{RowEncoder, RowParts},
    player::Reward,
};
use bevy_ecs::{component::ComponentId, entity::Entity, world::World};
use capture_pass::CapturePass;
use core::sync::atomic::{AtomicBool, AtomicU32};
use crossbeam_queue::SegQueue;
use experience_buffer::PlayerBuffers;
use experience_core::{
    account::{Count, Counters},
    schema::Schema,
    transition::WordTable,
};
use late_components::LateComponents;
use log_warnings::Warnings;
use outputs::PlayerOutputs;
use reward_terms::RewardTerms;
use setup_checks::SetupChecks;
use speculation::Speculation;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

/// Constructor arguments of a [`Recorder`].
pub(crate) struct RecorderParts {
    pub(crate) marker: ComponentId,
    pub(crate) marker_name: &'static str,
    pub(crate) schema: Arc<Schema>,
    pub(crate) rules: CaptureRules,
    pub(crate) encoder: RowEncoder,
    pub(crate) buffers: PlayerBuffers,
    pub(crate) pool_policy: PoolPolicy,
    /// Number of players above which captures are parallel.
    pub(crate) parallel_above: usize,
    pub(crate) enabled: bool,
    /// The next episode number of the run, shared by all recordings.
    pub(crate) episode_counter: Arc<AtomicU32>,
}

/// The recorder of one recording.
pub(crate) struct Recorder {
    marker: ComponentId,
    marker_name: &'static str,
    enabled: bool,
    context: RecordingContext,
    encoder: RowEncoder,
    players: PlayerTable,
    outputs: PlayerOutputs,
    capture_pass: CapturePass,
    reward_terms: RewardTerms,
    /// Number of captures so far, modulo 2³².
    capture_count: u32,
    /// Recording is paused from the next capture on.
    pause_next: bool,
    /// A player's end was requested since the last capture, before a tick began.
    has_ends_between_ticks: bool,
    /// Rewards were credited since the last capture, which the fast path does not add.
    has_credited_rewards: bool,
    /// The actions of this tick could not be read, because a source was not available.
    has_unread_actions: bool,
    /// A schedule after which actions are read has run.
    has_reached_read: bool,
    /// The encoder was prepared for observations by the present capture.
    has_prepared_observation: bool,
    /// A policy acts for players of this recording.
    has_policy: bool,
    /// Players found by the current capture that have no slot yet.
    joining: Vec<Entity>,
    /// Those of them whose slot was removed by the current capture. Their rewards until now belong to the episode that ended.
    rejoining: Vec<Entity>,
    /// Agent ids that are excluded. An exclusion persists across despawn and rejoin.
    excluded_agents: HashSet<i64>,
    scratch_row: Vec<u64>,
    warnings: Warnings,
    late_components: LateComponents,
    speculation: Speculation,
    setup_checks: SetupChecks,
}

impl Recorder {
    pub(crate) fn new(parts: RecorderParts) -> Self {
        let features = parts.schema.observation_width();
        let context = RecordingContext {
            rules: parts.rules,
            counters: Arc::default(),
            words: Arc::default(),
            policies: Vec::new(),
            warned_controllers: AtomicBool::new(false),
            episode_counter: parts.episode_counter,
            discarded_episodes: Arc::default(),
            non_finite_counts: (0..features).map(|_| Count::default()).collect(),
            has_non_finite: AtomicBool::new(false),
            published_ends: Count::default(),
            terminated_despawns: Count::default(),
            time: CaptureTime::default(),
            awaits_actions: false,
            signals_decisions: false,
            paused: false,
            was_paused: false,
            pool_writer: Mutex::default(),
            outcome_log: None,
            schema: parts.schema,
        };
        Self {
            marker: parts.marker,
            marker_name: parts.marker_name,
            enabled: parts.enabled,
            encoder: parts.encoder,
            players: PlayerTable::default(),
            outputs: PlayerOutputs::new(parts.buffers, parts.pool_policy),
            capture_pass: CapturePass::new(&context, parts.enabled, parts.parallel_above),
            reward_terms: RewardTerms::new(context.schema.name(), context.schema.reward_terms()),
            capture_count: 0,
            pause_next: false,
            has_ends_between_ticks: false,
            has_credited_rewards: false,
            has_unread_actions: false,
            has_reached_read: false,
            has_prepared_observation: false,
            has_policy: false,
            joining: Vec::new(),
            rejoining: Vec::new(),
            excluded_agents: HashSet::new(),
            scratch_row: vec![0; context.layout().row_words()],
            warnings: Warnings::default(),
            late_components: LateComponents::default(),
            speculation: Speculation::default(),
            setup_checks: SetupChecks::default(),
            context,
        }
    }

    /// Captures one tick, at `time`.
    pub(crate) fn capture(&mut self, world: &World, time: CaptureTime) {
        let _span = tracing::debug_span!("experience_capture", recording = self.name()).entered();
        self.context.time = time;
        self.context.was_paused = core::mem::replace(&mut self.context.paused, self.pause_next);
        self.capture_count = self.capture_count.wrapping_add(1);
        self.has_ends_between_ticks = false;
        self.check_late_components(world);

        // 1. Every player is read, in the order of the tables. For a player with a slot, `PlayerSlot::capture` or the
        //    fast path:
        //    - credits the reward given since the last capture (contract, alignment);
        //    - publishes a pending end, and begins the next episode (contract, true final observation and beginnings);
        //    - or else closes the transition of this tick (contract, timing).
        //    Players without a slot are collected for step 3.
        let captured = self.capture_players(world);
        self.has_credited_rewards = false;
        // The rows of the pool become visible to readers.
        self.context.pool_writer().publish();
        // 2. Players with a slot that were not found: they left without triggering an observer, opted out, or lack a
        //    component (contract, termination and consent).
        if captured < self.players.len() {
            self.sweep_missing_players(world);
        }
        // 3. New players join, in the order of their agent ids (contract, beginnings). This follows the sweep, which
        //    frees agent ids.
        self.join_players(world);

        self.context.was_paused = self.context.paused;
        self.log_warnings(world);
    }

    /// Closes every episode and every buffer when recording ends. Without a world, the ticks since the last capture are
    /// lost.
    pub(crate) fn shut_down(&mut self, world: Option<&World>) {
        self.check_at_end(world);
        // The world is ahead of the ticks that are confirmed.
        let world = world.filter(|_| !self.speculation.is_active());
        let can_read = world.is_some_and(|world| self.encoder.prepare(world, RowParts::ALL));
        for position in (0..self.players.len()).rev() {
            if let (Some(world), Some(slot)) = (world, self.players.slots().get(position)) {
                // An end that waits for the next capture.
                self.read_final_row(world, slot.entity, true);
            }
            let mut slot = self.players.remove(position);
            let was_read = world.filter(|_| can_read && slot.is_open()).is_some_and(|world| {
                let reward = world.get::<Reward>(slot.entity);
                self.reward_terms.credit(reward, &mut slot, &self.context);
                self.encoder
                    .encode_one(world, slot.entity, RowParts::ALL, &mut self.scratch_row)
            });
            let has_acted = match (world.filter(|_| was_read), slot.open_request()) {
                (Some(world), Some(_)) => self.has_acted(world, &slot),
                _ => Some(false),
            };
            let has_acted = self.check_acted(has_acted);
            slot.label_action(&mut self.scratch_row);
            let row = was_read.then_some(self.scratch_row.as_mut_slice());
            slot.shut_down(&self.context, row, has_acted);
            self.outputs.close(&mut slot);
        }
        self.enabled = false;
    }

    /// Pauses or resumes recording at the next capture.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.pause_next = paused;
    }

    /// Whether rows are being written.
    fn is_recording(&self) -> bool {
        self.enabled && !self.context.paused
    }

    pub(crate) fn name(&self) -> &str {
        self.context.schema.name()
    }

    pub(crate) fn marker(&self) -> ComponentId {
        self.marker
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.context.schema
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.context.counters
    }

    pub(crate) fn words(&self) -> &Arc<WordTable> {
        &self.context.words
    }

    /// Episodes that the exporter must drop.
    pub(crate) fn discarded_episodes(&self) -> &Arc<SegQueue<u32>> {
        &self.context.discarded_episodes
    }

    /// Whether captures compare change ticks.
    pub(crate) fn trusts_change_ticks(&self) -> bool {
        self.context.rules.trusts_change_ticks
    }
}
