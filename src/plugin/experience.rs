//! The resource that holds everything, and the systems that work on it.

use super::ExperiencePlugin;
use crate::{
    buffer::{Overflow, PlayerBuffers},
    episode::{Clock, Recorder},
    export::{ExportSettings, Exporter, RecordingExport},
    player::Reward,
    schema::Schema,
    sink::{RecordingInfo, RunReport, Sink},
    transition::RunId,
};
use bevy_app::AppExit;
use bevy_ecs::{
    component::{Component, ComponentId},
    entity::Entity,
    message::Messages,
    query::QueryState,
    resource::Resource,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_platform::cell::SyncCell;
use bevy_time::{Fixed, Time};
use core::{sync::atomic::AtomicU32, time::Duration};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Everything that is being recorded, as a resource: accounts, schemas, live buffers, flushing and closing.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// fn show(experience: Res<Experience>) {
///     for report in experience.reports("fighter") {
///         println!("{} recorded, {} dropped", report.recorded, report.dropped);
///     }
/// }
/// ```
///
/// Dropping it closes everything: so does the end of the app, however it ends, as long as the app is dropped.
#[derive(Resource)]
pub struct Experience(Option<Box<Inner>>);

impl Experience {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Some(Box::new(inner)))
    }

    /// Takes the works out while they need the world, which they are part of.
    pub(super) fn borrow(&mut self) -> Option<Box<Inner>> {
        self.0.take()
    }

    pub(super) fn give_back(&mut self, inner: Box<Inner>) {
        self.0 = Some(inner);
    }

    /// Whether anything is recorded: the plugin is enabled and nothing was closed.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.enabled && !inner.closed)
    }

    /// The identity of this run.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.0.as_ref().map(|inner| inner.run)
    }

    /// The number of captures so far, which is the tick of the next one.
    #[must_use]
    pub fn tick(&self) -> i64 {
        self.0.as_ref().map_or(0, |inner| inner.next_tick)
    }

    /// The names of the recordings, in the order in which they were added.
    pub fn recordings(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|inner| inner.slots.iter().map(|slot| slot.recorder.name()))
    }

    fn slot(&self, recording: &str) -> Option<&RecordingSlot> {
        self.0.as_ref()?.recording(recording)
    }

    /// The columns of the recording called `recording`.
    #[must_use]
    pub fn schema(&self, recording: &str) -> Option<&Arc<Schema>> {
        Some(self.slot(recording)?.recorder.schema())
    }

    /// The live buffers of the recording called `recording`, by agent.
    #[must_use]
    pub fn buffers(&self, recording: &str) -> Option<&Arc<PlayerBuffers>> {
        Some(self.slot(recording)?.recorder.players())
    }

    /// The accounts of the recording called `recording`, one for each of its sinks in their order; empty before the first
    /// capture.
    #[must_use]
    pub fn reports(&self, recording: &str) -> Vec<RunReport> {
        let exporter = self.0.as_ref().and_then(|inner| inner.exporter.as_ref());
        match (exporter, self.slot(recording).and_then(|slot| slot.exported_as)) {
            (Some(exporter), Some(index)) => exporter.reports(index),
            _ => Vec::new(),
        }
    }

    /// Waits until every episode that has ended is with its sinks, at most `timeout`. False when that takes longer.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        let Some(inner) = &mut self.0 else { return false };
        inner.hand_over();
        inner.exporter.as_ref().is_none_or(|exporter| exporter.flush(timeout))
    }

    /// Ends all recording: open episodes are truncated (reason `shutdown`), and everything is written, within `timeout`. False
    /// when that takes longer; then the exporter's thread is left to finish by itself.
    pub fn close(&mut self, timeout: Duration) -> bool {
        self.0.as_mut().is_none_or(|inner| inner.close(None, timeout))
    }
}

/// One recording, and what the plugin must know of it.
pub(super) struct RecordingSlot {
    pub(super) recorder: Recorder,
    /// Until the exporter takes them.
    pub(super) sinks: SyncCell<Vec<Box<dyn Sink>>>,
    pub(super) act_in: Option<InternedScheduleLabel>,
    /// `Reward` is a required component of the marker.
    pub(super) comes_with_reward: bool,
    /// Its place at the exporter.
    pub(super) exported_as: Option<usize>,
}

/// The works.
pub(super) struct Inner {
    enabled: bool,
    closed: bool,
    frozen: bool,
    fixed: bool,
    run: RunId,
    started: SystemTime,
    settings: ExportSettings,
    slots: Vec<RecordingSlot>,
    episodes: Arc<AtomicU32>,
    exporter: Option<Exporter>,
    next_tick: i64,
    /// Seconds on the game's clock at the first capture.
    epoch: f64,
    in_tick: bool,
    /// Captures until the exporter is woken.
    wake_in: usize,
    rewards: Option<QueryState<&'static mut Reward>>,
    said_stray_end: bool,
}

impl Inner {
    pub(super) fn new(plugin: &ExperiencePlugin, fixed: bool) -> Self {
        Self {
            enabled: plugin.enabled,
            closed: false,
            frozen: false,
            fixed,
            run: plugin.run.unwrap_or_else(RunId::random),
            started: SystemTime::now(),
            settings: plugin.export.clone(),
            slots: Vec::new(),
            episodes: Arc::default(),
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
            longest = longest.min(recorder.settings().capacity);
            slot.exported_as = Some(exports.len());
            exports.push(RecordingExport {
                info: RecordingInfo {
                    schema: recorder.schema().clone(),
                    run: self.run,
                    tick_rate,
                    started: self.started,
                },
                counters: recorder.counters().clone(),
                reasons: recorder.reasons().clone(),
                episodes: self.episodes.clone(),
                discarded: recorder.discarded().clone(),
                players: recorder.players().clone(),
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

    fn capture(&mut self, world: &mut World) {
        if !self.frozen {
            self.freeze(world);
            self.give_rewards(world, |_| true);
        } else {
            self.give_rewards(world, |slot| !slot.comes_with_reward);
        }
        self.wait_for_room();
        let clock = Clock {
            tick: self.next_tick,
            timestamp: elapsed(world) - self.epoch,
        };
        for slot in &mut self.slots {
            slot.recorder.capture(world, clock);
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
                .filter_map(|slot| match slot.recorder.settings().overflow {
                    Overflow::Block(patience) if slot.exported_as.is_some() => Some((slot, patience)),
                    _ => None,
                })
        };
        let Some(patience) = blocking().map(|(_, patience)| patience).max() else {
            return;
        };
        let has_room = || blocking().all(|(slot, _)| slot.recorder.has_room(ROWS));
        if !has_room() {
            exporter.wait_for_room(Instant::now() + patience, has_room);
        }
    }

    fn clear_rewards(&mut self, world: &mut World) {
        let Some(rewards) = &mut self.rewards else { return };
        for mut reward in rewards.iter_mut(world) {
            // Change detection is the game's: it is not told of this.
            let reward = bevy_ecs::change_detection::DetectChangesMut::bypass_change_detection(&mut reward);
            if !reward.is_clear() {
                reward.clear();
            }
        }
    }

    /// A tick begins. Players whose episode ended since the last capture are given nothing more for it.
    fn begin_tick(&mut self, world: &mut World) {
        self.in_tick = true;
        let slots = self.slots.iter();
        let mut ended: Vec<Entity> = slots.flat_map(|slot| slot.recorder.ended_between_ticks()).collect();
        ended.sort_unstable();
        ended.dedup();
        for player in ended {
            for slot in &mut self.slots {
                slot.recorder.seal(world, player);
            }
            if let Some(mut reward) = world.get_mut::<Reward>(player) {
                bevy_ecs::change_detection::DetectChangesMut::bypass_change_detection(&mut reward).clear();
            }
        }
    }

    /// Tells the exporter of new buffers, and wakes it before a buffer could fill.
    fn hand_over(&mut self) {
        let Some(exporter) = &self.exporter else { return };
        for slot in &mut self.slots {
            let Some(index) = slot.exported_as else { continue };
            for new in slot.recorder.take_new_buffers() {
                exporter.attach(index, new.agent_id, new.buffer);
            }
        }
    }

    fn export(&mut self) {
        self.hand_over();
        if self.wake_in == 0 {
            let capacities = self.slots.iter().map(|slot| slot.recorder.settings().capacity);
            self.wake_in = capacities.min().unwrap_or(usize::MAX) / 4;
            if let Some(exporter) = &self.exporter {
                exporter.wake();
            }
        }
        self.wake_in = self.wake_in.saturating_sub(1);
    }

    fn close(&mut self, world: Option<&World>, timeout: Duration) -> bool {
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

impl Drop for Inner {
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

/// Does something with the works and the world that they are part of.
fn with_inner(world: &mut World, work: impl FnOnce(&mut Inner, &mut World)) {
    let Some(mut inner) = world
        .get_resource_mut::<Experience>()
        .and_then(|mut experience| experience.borrow())
    else {
        return;
    };
    work(&mut inner, world);
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        experience.give_back(inner);
    }
}

pub(super) fn begin_tick(world: &mut World) {
    with_inner(world, Inner::begin_tick);
}

pub(super) fn capture(world: &mut World) {
    with_inner(world, Inner::capture);
}

pub(super) fn export(world: &mut World) {
    with_inner(world, |inner, _| inner.export());
}

/// The system that reads actions at the end of `schedule`.
pub(super) fn read_actions(schedule: InternedScheduleLabel) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        with_inner(world, |inner, world| {
            for slot in inner.slots.iter_mut().filter(|slot| slot.act_in == Some(schedule)) {
                slot.recorder.read_actions(world);
            }
        });
    }
}

pub(super) fn close_at_exit(world: &mut World) {
    let leaving = world
        .get_resource::<Messages<AppExit>>()
        .is_some_and(|exits| !exits.is_empty());
    if leaving {
        with_inner(world, |inner, world| {
            let timeout = inner.settings.close_timeout;
            inner.close(Some(world), timeout);
        });
    }
}
