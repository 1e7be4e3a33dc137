//! Plugin state behind the resource [`Experience`](super::Experience): recordings, capture clock and exporter.

use super::{
    ExperiencePlugin, PauseReason, RecordingId, SpeculativeTicks,
    capture_check::CaptureCheck,
    capture_point::{self, CapturePoint},
    given_rewards::DepartedTeams,
    rewards,
    schedules::{Loop, LoopOrders},
    timing::{ChangeWatch, NestedSchedules, RecordingTiming, SystemAccesses, TakerWatch, TimingBasis},
};
use crate::{
    episode::{CaptureTime, EpisodeEnded, Recorder},
    player::Reward,
    policy::{DecisionWatch, PolicySlot},
    recording::{GivenTiming, MemoryEstimate},
};
use bevy_ecs::{
    change_detection::Tick,
    component::{Component, ComponentId},
    entity::Entity,
    query::QueryState,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_platform::cell::SyncCell;
use bevy_time::{Fixed, Time};
use core::{any::TypeId, sync::atomic::AtomicU32, time::Duration};
use experience_buffer::Budget;
use experience_core::transition::RunId;
use experience_export::{ExportSettings, Exporter, Sink};
use std::sync::Arc;
use web_time::SystemTime;

/// A recorder with the settings that the plugin applies to it.
pub(super) struct RecordingSlot {
    pub(super) recorder: Recorder,
    pub(super) marker_type: TypeId,
    /// Memory estimate of the buffers for its expected players.
    pub(super) estimate: MemoryEstimate,
    /// Empty after the exporter has started.
    pub(super) sinks: SyncCell<Vec<Box<dyn Sink>>>,
    /// Whether it was added with a sink.
    pub(super) has_sinks: bool,
    pub(super) marker_name: &'static str,
    /// The policies that act for its players.
    pub(super) policies: Vec<PolicySlot>,
    /// The player whose decisions are kept; `None` unless something shows them.
    pub(super) decision_watch: Option<Box<DecisionWatch>>,
    /// The index of the point at which it is captured.
    pub(super) point: usize,
    pub(super) read_actions_after: Option<InternedScheduleLabel>,
    /// The loop of its captures, as far as is known.
    pub(super) expected_loop: Loop,
    /// The schedules that the recording names.
    pub(super) given: GivenTiming,
    /// `None` until the recording has its first player.
    pub(super) timing: Option<RecordingTiming>,
    /// `None` until then, and for captures that the game runs itself.
    pub(super) basis: Option<TimingBasis>,
    pub(super) watch: ChangeWatch,
    /// `None` unless a system may take the action where it cannot be read before.
    pub(super) taker_watch: Option<TakerWatch>,
    /// Whether [`Reward`] is a required component of the marker.
    pub(super) marker_requires_reward: bool,
    /// The teams of players that have left, if the recording names the component of a team.
    pub(super) teams: Option<Box<dyn DepartedTeams>>,
    /// Why this recording is paused, apart from a pause of all recordings.
    pub(super) pause: Option<PauseReason>,
    /// Its index in the exporter. `None` before the first capture, and without sinks.
    pub(super) export_index: Option<usize>,
}

/// All state of the plugin. Held by the resource [`Experience`](super::Experience).
pub(super) struct RecorderState {
    pub(super) enabled: bool,
    pub(super) closed: bool,
    /// Why all recordings are paused.
    pub(super) pause: Option<PauseReason>,
    /// Set by the first capture: no recording can be added afterwards.
    pub(super) frozen: bool,
    pub(super) run: RunId,
    pub(super) started: SystemTime,
    pub(super) settings: ExportSettings,
    /// In the order in which they were added. Observers take them out temporarily, see `TakenSlots`.
    pub(super) slots: Vec<RecordingSlot>,
    /// The counter of the run's episodes.
    pub(super) episodes: Arc<AtomicU32>,
    /// The memory budget of the buffers of all recordings.
    pub(super) budget: Arc<Budget>,
    pub(super) exporter: Option<Exporter>,
    /// The default points, and those of the schedules that recordings name.
    pub(super) points: Vec<CapturePoint>,
    /// The point whose recordings are being captured. `None` while the game runs `ExperienceCapture`.
    pub(super) reached_point: Option<usize>,
    /// The labels that the plugin has placed in the loops.
    pub(super) placed_labels: Vec<InternedScheduleLabel>,
    /// The schedules of the game in the loops.
    pub(super) orders: LoopOrders,
    /// What the systems of the game access.
    pub(super) accesses: SystemAccesses,
    /// The schedules that run within the loops.
    pub(super) nested: NestedSchedules,
    /// The change tick until which the changes of players are counted.
    pub(super) watched_until: Option<Tick>,
    /// The game has run `ExperienceTick`.
    pub(super) has_own_ticks: bool,
    /// The number of captures at all points.
    captures: u64,
    /// Elapsed seconds of `Time` at the first tick.
    pub(super) epoch: Option<f64>,
    /// The ends whose final observation the next capture reads, before it triggers these events.
    pub(super) ends_at_capture: Vec<EpisodeEnded>,
    /// The game has systems in `ExperienceSystems::Stage`, as far as is known.
    pub(super) has_stage_systems: bool,
    /// Captures until the exporter thread is woken.
    pub(super) captures_until_wake: usize,
    rewards: Option<QueryState<&'static mut Reward>>,
    pub(super) warned_stray_end: bool,
    pub(super) warned_stray_begin: bool,
    pub(super) warned_stray_decision: bool,
    pub(super) warned_stray_reward: bool,
    warned_reward_recording: bool,
    pub(super) capture_check: CaptureCheck,
}

impl RecorderState {
    pub(super) fn new(plugin: &ExperiencePlugin) -> Self {
        Self {
            enabled: plugin.enabled,
            closed: false,
            pause: None,
            frozen: false,
            run: plugin.run.unwrap_or_else(RunId::random),
            started: SystemTime::now(),
            settings: plugin.export.clone(),
            slots: Vec::new(),
            episodes: Arc::default(),
            budget: Budget::new(plugin.memory_budget),
            exporter: None,
            points: capture_point::default_points(),
            reached_point: None,
            placed_labels: Vec::new(),
            orders: LoopOrders::default(),
            accesses: SystemAccesses::default(),
            nested: NestedSchedules::default(),
            watched_until: None,
            has_own_ticks: false,
            captures: 0,
            epoch: None,
            ends_at_capture: Vec::new(),
            has_stage_systems: false,
            captures_until_wake: 0,
            rewards: None,
            warned_stray_end: false,
            warned_stray_begin: false,
            warned_stray_decision: false,
            warned_stray_reward: false,
            warned_reward_recording: false,
            capture_check: CaptureCheck::default(),
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    pub(super) fn recording(&self, id: RecordingId) -> Option<&RecordingSlot> {
        self.slots.get(id.index())
    }

    pub(super) fn recording_mut(&mut self, id: RecordingId) -> Option<&mut RecordingSlot> {
        self.slots.get_mut(id.index())
    }

    /// The recording with this name.
    pub(super) fn find(&self, name: &str) -> Option<RecordingId> {
        let index = self.slots.iter().position(|slot| slot.recorder.name() == name)?;
        Some(RecordingId::new(index))
    }

    /// Fixes the recordings at the first capture, and starts the exporter.
    fn freeze(&mut self, world: &mut World) {
        self.frozen = true;
        self.started = SystemTime::now();
        self.rewards = Some(QueryState::new(world));
        for point in 0..self.points.len() {
            // Points that have had no tick yet.
            self.note_tick_duration(world, point);
        }
        if self.enabled {
            self.start_exporter();
        }
    }

    /// One capture of the recordings of a point: reads all players, closes transitions, and clears rewards.
    pub(super) fn capture(&mut self, world: &mut World) {
        for point in 0..self.points.len() {
            if self.is_reached(point) {
                // Before the exporter starts, which takes the tick rate.
                self.note_tick_duration(world, point);
            }
        }
        if !self.frozen {
            self.freeze(world);
        }
        self.set_pauses();
        self.epoch.get_or_insert_with(|| elapsed(world));
        let is_frame = self
            .reached_point
            .is_some_and(|point| !self.points[point].can_be_speculative());
        if let Some(&ticks) = world.get_resource::<SpeculativeTicks>().filter(|_| !is_frame) {
            self.capture_speculative(world, ticks);
        } else {
            self.wait_for_free_rows();
            for index in 0..self.slots.len() {
                let is_reached = self.is_reached(self.slots[index].point);
                let slot = &mut self.slots[index];
                if is_reached {
                    let point = &self.points[slot.point];
                    let time = time(point, self.epoch, world);
                    let may_precede_read = point.parent_loop == Some(Loop::Main) || tick_follows(world);
                    slot.recorder
                        .set_awaits_actions(slot.recorder.keeps_actions() && may_precede_read);
                    slot.recorder.capture(world, time);
                } else {
                    // The rewards are about to be cleared.
                    slot.recorder.credit_rewards(world);
                }
            }
        }
        self.observe_for_policies(world);
        if self.slots.iter().any(|slot| slot.recorder.trusts_change_ticks()) {
            // Later writes must have newer ticks than the values read by this capture.
            world.increment_change_tick();
        }
        self.captures += 1;
        if let Some(rewards) = &mut self.rewards {
            // Often at first, and about every two seconds later.
            if self.enabled && (self.captures.is_power_of_two() || self.captures.is_multiple_of(128)) {
                let exists = |name: &str| self.slots.iter().any(|slot| slot.recorder.name() == name);
                rewards::check_recordings(rewards, world, exists, &mut self.warned_reward_recording);
            }
            rewards::clear(rewards, world);
        }
        for index in 0..self.points.len() {
            if self.is_reached(index) {
                self.note_tick(world, index);
            }
        }
    }

    /// Pauses and resumes recordings, from this capture on.
    fn set_pauses(&mut self) {
        for slot in &mut self.slots {
            let storage_full = match (&self.exporter, slot.export_index) {
                (Some(exporter), Some(index)) => exporter.is_storage_full(index),
                _ => false,
            };
            slot.recorder
                .set_paused(storage_full || self.pause.is_some() || slot.pause.is_some());
        }
    }

    /// The time of the next capture at a point, as of now.
    pub(super) fn time(&self, world: &World, point: usize) -> CaptureTime {
        time(&self.points[point], self.epoch, world)
    }

    /// Reads the actions of recordings that read them right after `schedule`.
    pub(super) fn read_actions(&mut self, world: &World, schedule: InternedScheduleLabel) {
        for slot in &mut self.slots {
            if slot.read_actions_after == Some(schedule) {
                slot.recorder.read_actions(world);
            }
        }
    }

    /// Begins a tick of a loop. `parent` is `None` for captures that the game runs itself. Rewards from now on do not belong to
    /// episodes that ended since the last capture.
    pub(super) fn begin_tick(&mut self, world: &mut World, parent: Option<Loop>) {
        self.has_own_ticks |= parent.is_none();
        let points = &mut self.points;
        for point in points.iter_mut().filter(|point| point.parent_loop == parent) {
            point.in_tick = true;
        }
        let begins = |slot: &&RecordingSlot| points[slot.point].parent_loop == parent;
        let slots = self.slots.iter().filter(begins);
        let mut ended: Vec<Entity> = slots.flat_map(|slot| slot.recorder.ended_between_ticks()).collect();
        ended.sort_unstable();
        ended.dedup();
        for player in ended {
            for slot in &mut self.slots {
                if points[slot.point].parent_loop == parent {
                    slot.recorder.seal_rewards(world, player);
                } else {
                    slot.recorder.credit_now(world, player);
                }
            }
            rewards::clear_player(player, &mut *world);
        }
    }

    /// Closes all recordings and the exporter. Returns false if that takes longer than `timeout`.
    ///
    /// Without a world, open episodes end with the last captured observation.
    pub(super) fn close(&mut self, world: Option<&World>, timeout: Duration) -> bool {
        if core::mem::replace(&mut self.closed, true) {
            return true;
        }
        for slot in &mut self.slots {
            slot.recorder.shut_down(world);
        }
        self.hand_over_buffers();
        self.exporter.as_mut().is_none_or(|exporter| exporter.close(timeout))
    }
}

impl Drop for RecorderState {
    fn drop(&mut self) {
        // May run during unwinding, when components can be in an inconsistent state, so the world is not read.
        self.close(None, self.settings.close_timeout);
    }
}

/// The time of the next capture at a point, as of now. The clock starts at `epoch`, the first tick.
fn time(point: &CapturePoint, epoch: Option<f64>, world: &World) -> CaptureTime {
    CaptureTime {
        tick: point.next_tick,
        timestamp: epoch.map_or(0.0, |epoch| elapsed(world) - epoch),
    }
}

/// Whether a fixed tick runs in this frame after the present one.
fn tick_follows(world: &World) -> bool {
    let fixed = world.get_resource::<Time<Fixed>>();
    fixed.is_some_and(|fixed| fixed.overstep() >= fixed.timestep())
}

pub(super) fn elapsed(world: &World) -> f64 {
    world.get_resource::<Time>().map_or(0.0, Time::elapsed_secs_f64)
}

/// The id of the component `T`, if it is registered.
pub(super) fn component_id<T: Component>(world: &World) -> Option<ComponentId> {
    world.components().component_id::<T>()
}
