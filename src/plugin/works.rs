//! The works: what a capture does, from waiting for room to handing over.

use super::{ExperiencePlugin, LiveSettings, PauseReason};
use crate::{
    episode::{CaptureTime, Recorder},
    player::Reward,
    recording::Need,
};
use bevy_ecs::{
    change_detection::DetectChangesMut,
    component::{Component, ComponentId},
    entity::Entity,
    query::QueryState,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_platform::cell::SyncCell;
use bevy_time::{Fixed, Time};
use core::{sync::atomic::AtomicU32, time::Duration};
use experience_buffer::{Budget, Overflow};
use experience_core::transition::RunId;
use experience_export::{ExportSettings, Exporter, Notice, RecordingExport, RecordingInfo, Sink};
use std::{
    path::absolute,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// One recording, and what the plugin must know of it.
pub(super) struct RecordingSlot {
    pub(super) recorder: Recorder,
    /// What its expected players take of the memory budget.
    pub(super) need: Need,
    /// Until the exporter takes them.
    pub(super) sinks: SyncCell<Vec<Box<dyn Sink>>>,
    pub(super) act_in: Option<InternedScheduleLabel>,
    /// `Reward` is a required component of the marker.
    pub(super) comes_with_reward: bool,
    /// Why it is paused, if it alone is.
    pub(super) pause: Option<PauseReason>,
    /// Its place at the exporter.
    pub(super) exported_as: Option<usize>,
}

/// The works.
pub(super) struct Works {
    pub(super) enabled: bool,
    pub(super) closed: bool,
    /// Why all recordings are paused.
    pub(super) pause: Option<PauseReason>,
    frozen: bool,
    fixed: bool,
    pub(super) run: RunId,
    started: SystemTime,
    pub(super) settings: ExportSettings,
    pub(super) slots: Vec<RecordingSlot>,
    episodes: Arc<AtomicU32>,
    /// Of all recordings' buffers.
    budget: Arc<Budget>,
    pub(super) exporter: Option<Exporter>,
    pub(super) next_tick: i64,
    /// Seconds on the game's clock at the first capture.
    epoch: f64,
    in_tick: bool,
    /// Captures until the exporter is woken.
    wake_in: usize,
    rewards: Option<QueryState<&'static mut Reward>>,
    said_stray_end: bool,
}

impl Works {
    pub(super) fn new(plugin: &ExperiencePlugin, fixed: bool) -> Self {
        Self {
            enabled: plugin.enabled,
            closed: false,
            pause: None,
            frozen: false,
            fixed,
            run: plugin.run.unwrap_or_else(RunId::random),
            started: SystemTime::now(),
            settings: plugin.export.clone(),
            slots: Vec::new(),
            episodes: Arc::default(),
            budget: Budget::new(plugin.memory_budget),
            exporter: None,
            next_tick: 0,
            epoch: 0.0,
            in_tick: true,
            wake_in: 0,
            rewards: None,
            said_stray_end: false,
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    pub(super) fn episodes(&self) -> Arc<AtomicU32> {
        self.episodes.clone()
    }

    pub(super) fn budget(&self) -> Arc<Budget> {
        self.budget.clone()
    }

    pub(super) fn slots(&self) -> &[RecordingSlot] {
        &self.slots
    }

    pub(super) fn slots_mut(&mut self) -> &mut [RecordingSlot] {
        &mut self.slots
    }

    pub(super) fn recording(&self, name: &str) -> Option<&RecordingSlot> {
        self.slots.iter().find(|slot| slot.recorder.name() == name)
    }

    pub(super) fn add(&mut self, slot: RecordingSlot) {
        self.slots.push(slot);
    }

    /// Whether no tick has begun since the last capture.
    pub(super) fn is_between_ticks(&self) -> bool {
        !self.in_tick
    }

    pub(super) fn said_stray_end(&mut self) -> bool {
        core::mem::replace(&mut self.said_stray_end, true)
    }

    /// The first capture: from here on nothing can be added.
    fn freeze(&mut self, world: &mut World) {
        self.frozen = true;
        self.epoch = elapsed(world);
        self.started = SystemTime::now();
        self.rewards = Some(QueryState::new(world));
        if !self.enabled {
            return;
        }
        let tick_rate = self
            .fixed
            .then(|| world.get_resource::<Time<Fixed>>())
            .flatten()
            // The timestep is whole nanoseconds, and 60 is meant where 59.9999988 stands.
            .map(|time| (1e4 / time.timestep().as_secs_f64()).round() / 1e4);
        let mut exports = Vec::new();
        let mut longest = usize::MAX;
        for slot in &mut self.slots {
            let recorder = &slot.recorder;
            if slot.sinks.get().is_empty() {
                tracing::warn!(
                    "recording `{}` has no sink: its steps stay in the buffers until they are overwritten",
                    recorder.name()
                );
                continue;
            }
            longest = longest.min(recorder.captures_until_full());
            slot.exported_as = Some(exports.len());
            exports.push(RecordingExport {
                info: RecordingInfo {
                    schema: recorder.schema().clone(),
                    run: self.run,
                    tick_rate,
                    started: self.started,
                    buffers: recorder.buffer_folder().and_then(|folder| absolute(folder).ok()),
                },
                counters: recorder.counters().clone(),
                reasons: recorder.reasons().clone(),
                episodes: self.episodes.clone(),
                discarded: recorder.discarded_episodes().clone(),
                players: recorder.buffers().clone(),
                sinks: core::mem::take(slot.sinks.get()),
            });
        }
        self.wake_in = longest / 4;
        if exports.is_empty() {
            return;
        }
        match Exporter::spawn(self.settings.clone(), exports) {
            Ok(exporter) => self.exporter = Some(exporter),
            Err(error) => tracing::error!("cannot start the exporter's thread, nothing will be written: {error}"),
        }
    }

    pub(super) fn capture(&mut self, world: &mut World) {
        if !self.frozen {
            self.freeze(world);
            self.give_rewards(world, |_| true);
        } else {
            self.give_rewards(world, |slot| !slot.comes_with_reward);
        }
        self.wait_for_room();
        let time = CaptureTime {
            tick: self.next_tick,
            timestamp: elapsed(world) - self.epoch,
        };
        for slot in &mut self.slots {
            let full = match (&self.exporter, slot.exported_as) {
                (Some(exporter), Some(index)) => exporter.is_storage_full(index),
                _ => false,
            };
            slot.recorder
                .set_paused(full || self.pause.is_some() || slot.pause.is_some());
            slot.recorder.capture(world, time);
        }
        if self.slots.iter().any(|slot| slot.recorder.trusts_ticks()) {
            // Whatever is written from here on is newer than what was read.
            world.increment_change_tick();
        }
        self.clear_rewards(world);
        self.next_tick += 1;
        self.in_tick = false;
    }

    /// Gives players a [`Reward`] that did not come with their marker.
    fn give_rewards(&self, world: &mut World, wanted: impl Fn(&RecordingSlot) -> bool) {
        for slot in self.slots.iter().filter(|slot| wanted(slot)) {
            let marker = slot.recorder.marker();
            let without: Vec<Entity> = world
                .archetypes()
                .iter()
                .filter(|archetype| {
                    archetype.contains(marker)
                        && component_id::<Reward>(world).is_none_or(|reward| !archetype.contains(reward))
                })
                .flat_map(|archetype| {
                    archetype
                        .entities()
                        .iter()
                        .map(bevy_ecs::archetype::ArchetypeEntity::id)
                })
                .collect();
            for player in without {
                world.entity_mut(player).insert(Reward::default());
            }
        }
    }

    /// Where recordings ask to block rather than to lose: waits, once for all players, with one deadline.
    fn wait_for_room(&self) {
        /// The most rows that one capture writes for one player: the end of a still stretch, the last transition, and the
        /// beginning of what comes next.
        const ROWS: usize = 3;
        let Some(exporter) = &self.exporter else { return };
        let blocking = || {
            self.slots
                .iter()
                .filter_map(|slot| match slot.recorder.buffer_settings().overflow {
                    Overflow::Block(patience) if slot.exported_as.is_some() => Some((slot, patience)),
                    _ => None,
                })
        };
        let Some(patience) = blocking().map(|(_, patience)| patience).max() else {
            return;
        };
        let has_room = || blocking().all(|(slot, _)| slot.recorder.has_free_rows(ROWS));
        if !has_room() {
            exporter.wait_for_room(Instant::now() + patience, has_room);
        }
    }

    fn clear_rewards(&mut self, world: &mut World) {
        let Some(rewards) = &mut self.rewards else { return };
        for mut reward in rewards.iter_mut(world) {
            // Change detection is the game's: it is not told of this.
            reward.bypass_change_detection().clear();
        }
    }

    /// A tick begins. Players whose episode ended since the last capture are given nothing more for it.
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
            if let Some(mut reward) = world.get_mut::<Reward>(player) {
                reward.bypass_change_detection().clear();
            }
        }
    }

    /// Tells the exporter of new buffers, and wakes it before a buffer could fill.
    pub(super) fn hand_over(&mut self) {
        for slot in &mut self.slots {
            let (Some(exporter), Some(index)) = (&self.exporter, slot.exported_as) else {
                // Nobody drains these: buffers stand in the map, and make room when others need it.
                drop(slot.recorder.take_new_buffers());
                drop(slot.recorder.take_ended_streams());
                continue;
            };
            for new in slot.recorder.take_new_buffers() {
                exporter.attach(index, new.agent_id, new.buffer, new.transitions);
            }
            if let Some(pool) = slot.recorder.take_new_pool() {
                exporter.attach_pool(index, pool);
            }
            for stream in slot.recorder.take_ended_streams() {
                exporter.leave(index, stream);
            }
        }
    }

    /// Takes settings over that were changed.
    pub(super) fn heed(&mut self, live: &LiveSettings) {
        if live.put_into(&mut self.settings)
            && let Some(exporter) = &mut self.exporter
        {
            exporter.set(self.settings.clone());
        }
    }

    pub(super) fn export(&mut self) {
        self.hand_over();
        if self.wake_in == 0 {
            let ahead = self.slots.iter().map(|slot| slot.recorder.captures_until_full());
            self.wake_in = ahead.min().unwrap_or(usize::MAX) / 4;
            if let Some(exporter) = &self.exporter {
                exporter.wake();
            }
        }
        self.wake_in = self.wake_in.saturating_sub(1);
    }

    /// The next of what the exporter has to tell.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.exporter.as_ref()?.take_notice()
    }

    /// The recording that the exporter knows by this place.
    pub(super) fn exported(&self, place: usize) -> Option<&RecordingSlot> {
        self.slots.iter().find(|slot| slot.exported_as == Some(place))
    }

    pub(super) fn close(&mut self, world: Option<&World>, timeout: Duration) -> bool {
        if core::mem::replace(&mut self.closed, true) {
            return true;
        }
        for slot in &mut self.slots {
            slot.recorder.shut_down(world);
        }
        self.hand_over();
        self.exporter.as_mut().is_none_or(|exporter| exporter.close(timeout))
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        // Perhaps while a panic unwinds, and with or without the players' components: nothing here looks at the world.
        self.close(None, self.settings.close_timeout);
    }
}

fn elapsed(world: &World) -> f64 {
    world.get_resource::<Time>().map_or(0.0, Time::elapsed_secs_f64)
}

/// The id of `T`, if the world knows it.
pub(super) fn component_id<T: Component>(world: &World) -> Option<ComponentId> {
    world.components().component_id::<T>()
}
