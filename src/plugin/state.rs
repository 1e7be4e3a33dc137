//! Plugin state behind the resource [`Experience`](super::Experience): recordings, capture clock and exporter.

use super::{
    ExperiencePlugin, PauseReason, RecordingId, SpeculativeTicks, capture_check::CaptureCheck,
    given_rewards::DepartedTeams, rewards, tick_clock::TickClock,
};
use crate::{
    episode::{CaptureTime, EpisodeEnded, Recorder},
    player::Reward,
    recording::MemoryEstimate,
};
use bevy_ecs::{
    component::{Component, ComponentId},
    entity::Entity,
    query::QueryState,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_platform::cell::SyncCell;
use bevy_time::Time;
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
    pub(super) read_actions_after: Option<InternedScheduleLabel>,
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
    frozen: bool,
    /// Whether captures belong to the fixed loop.
    pub(super) captures_fixed: bool,
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
    /// The tick of the next capture.
    pub(super) next_tick: i64,
    /// The tick of the recordings at which the game's count of speculative ticks is 0.
    pub(super) first_speculative_tick: Option<i64>,
    /// Elapsed seconds of `Time` at the first capture.
    epoch: f64,
    pub(super) tick_clock: TickClock,
    /// Whether a tick has begun since the last capture.
    in_tick: bool,
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
            captures_fixed: false,
            run: plugin.run.unwrap_or_else(RunId::random),
            started: SystemTime::now(),
            settings: plugin.export.clone(),
            slots: Vec::new(),
            episodes: Arc::default(),
            budget: Budget::new(plugin.memory_budget),
            exporter: None,
            next_tick: 0,
            first_speculative_tick: None,
            epoch: 0.0,
            tick_clock: TickClock::default(),
            in_tick: true,
            ends_at_capture: Vec::new(),
            has_stage_systems: false,
            captures_until_wake: 0,
            rewards: None,
            warned_stray_end: false,
            warned_stray_begin: false,
            warned_stray_decision: false,
            warned_stray_reward: false,
            warned_reward_recording: false,
            capture_check: CaptureCheck::new(plugin.capture_after),
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether no tick has begun since the last capture. Not known if the game runs the captures itself: then each end belongs to a
    /// tick.
    pub(super) fn is_between_ticks(&self) -> bool {
        !self.in_tick && self.capture_check.is_placed
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
        self.epoch = elapsed(world);
        self.started = SystemTime::now();
        self.rewards = Some(QueryState::new(world));
        if self.enabled {
            self.start_exporter();
        }
    }

    /// One capture: reads all players, closes transitions, and clears rewards.
    pub(super) fn capture(&mut self, world: &mut World) {
        self.note_tick_duration(world);
        if !self.frozen {
            self.freeze(world);
        }
        self.set_pauses();
        if let Some(&ticks) = world.get_resource::<SpeculativeTicks>() {
            self.capture_speculative(world, ticks);
        } else {
            self.wait_for_free_rows();
            let clock = self.time(world);
            for slot in &mut self.slots {
                slot.recorder.capture(world, clock);
            }
        }
        if self.slots.iter().any(|slot| slot.recorder.trusts_change_ticks()) {
            // Later writes must have newer ticks than the values read by this capture.
            world.increment_change_tick();
        }
        if let Some(rewards) = &mut self.rewards {
            // Often at first, and about every two seconds later.
            let captures = self.next_tick as u64 + 1;
            if self.enabled && (captures.is_power_of_two() || captures.is_multiple_of(128)) {
                rewards::check_recordings(rewards, world, &self.slots, &mut self.warned_reward_recording);
            }
            rewards::clear(rewards, world);
        }
        self.next_tick += 1;
        self.in_tick = false;
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

    /// The time of the next capture, as of now.
    pub(super) fn time(&self, world: &World) -> CaptureTime {
        CaptureTime {
            tick: self.next_tick,
            // The clock starts at the first capture.
            timestamp: if self.frozen { elapsed(world) - self.epoch } else { 0.0 },
        }
    }

    /// Reads the actions of recordings that read them right after `schedule`.
    pub(super) fn read_actions(&mut self, world: &World, schedule: InternedScheduleLabel) {
        for slot in &mut self.slots {
            if slot.read_actions_after == Some(schedule) {
                slot.recorder.read_actions(world);
            }
        }
    }

    /// Begins a tick. Rewards from now on do not belong to episodes that ended since the last capture.
    pub(super) fn begin_tick(&mut self, world: &mut World) {
        self.in_tick = true;
        let slots = self.slots.iter();
        let mut ended: Vec<Entity> = slots.flat_map(|slot| slot.recorder.ended_between_ticks()).collect();
        ended.sort_unstable();
        ended.dedup();
        for player in ended {
            for slot in &mut self.slots {
                slot.recorder.seal_rewards(world, player);
            }
            rewards::clear_player(player, world);
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

fn elapsed(world: &World) -> f64 {
    world.get_resource::<Time>().map_or(0.0, Time::elapsed_secs_f64)
}

/// The id of the component `T`, if it is registered.
pub(super) fn component_id<T: Component>(world: &World) -> Option<ComponentId> {
    world.components().component_id::<T>()
}
