//! When things happen.

use super::systems;
use bevy_app::{App, FixedMainScheduleOrder, Last, MainScheduleOrder};
use bevy_ecs::{
    schedule::{
        InternedScheduleLabel, IntoScheduleConfigs, Schedule, ScheduleLabel, SingleThreadedExecutor, SystemSet,
    },
    world::World,
};

/// The schedule of a capture. It runs right after `FixedLast`, or where
/// [`ExperiencePlugin::capture_after`](super::ExperiencePlugin::capture_after) puts it.
///
/// It is a schedule of its own so that no system of the game is ambiguous with ours, and single-threaded because
/// waking the executor costs more than a capture.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceCapture;

/// The schedule that begins a tick: before everything else in the loop that captures belong to.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceTick;

/// The schedule that reads actions right after the schedule it names, for `Recording::act_in`.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExperienceAct(pub InternedScheduleLabel);

/// The schedule that sees to the end of the app, after `Last`.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct ExperienceExit;

/// The schedule that sees whether the process was asked to end, before everything else in the main loop.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct ExperienceSignal;

/// Adds a schedule before everything else in the main loop, for one system.
pub(super) fn add_signal(app: &mut App, system: fn(&mut World)) {
    app.add_schedule(single_threaded(ExperienceSignal.intern()));
    app.add_systems(ExperienceSignal, system);
    if let Some(mut order) = app.world_mut().get_resource_mut::<MainScheduleOrder>() {
        order.labels.insert(0, ExperienceSignal.intern());
    }
}

/// What happens in [`ExperienceCapture`], in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExperienceSystems {
    /// In [`ExperienceCapture`], before everything: for systems of yours that compute sensors at the last moment.
    Stage,
    /// In [`ExperienceCapture`]: ends are published, transitions close, players join.
    Capture,
    /// In [`ExperienceCapture`]: what is new is handed to the exporter. It never waits.
    Export,
}

/// Adds the schedules. Whether captures belong to the fixed loop.
pub(super) fn add(app: &mut App, after: InternedScheduleLabel) -> bool {
    for label in [
        ExperienceTick.intern(),
        ExperienceCapture.intern(),
        ExperienceExit.intern(),
    ] {
        app.add_schedule(single_threaded(label));
    }
    app.configure_sets(
        ExperienceCapture,
        (
            ExperienceSystems::Stage,
            ExperienceSystems::Capture,
            ExperienceSystems::Export,
        )
            .chain(),
    );
    app.add_systems(
        ExperienceCapture,
        (
            systems::capture.in_set(ExperienceSystems::Capture),
            systems::export.in_set(ExperienceSystems::Export),
        ),
    );
    app.add_systems(ExperienceTick, systems::begin_tick);
    app.add_systems(ExperienceExit, systems::close_at_exit);
    let mut fixed = false;
    if let Some(mut order) = app.world_mut().get_resource_mut::<FixedMainScheduleOrder>()
        && let Some(place) = order.labels.iter().position(|label| *label == after)
    {
        order.labels.insert(place + 1, ExperienceCapture.intern());
        order.labels.insert(0, ExperienceTick.intern());
        fixed = true;
    }
    if let Some(mut order) = app.world_mut().get_resource_mut::<MainScheduleOrder>() {
        if let Some(place) = order.labels.iter().position(|label| *label == after) {
            order.labels.insert(place + 1, ExperienceCapture.intern());
            order.labels.insert(0, ExperienceTick.intern());
        }
        if let Some(place) = order.labels.iter().position(|label| *label == Last.intern()) {
            let captured_last = usize::from(after == Last.intern());
            order.labels.insert(place + 1 + captured_last, ExperienceExit.intern());
        }
    }
    fixed
}

/// Adds the schedule that reads actions after `schedule`, once. The name of `schedule` when it is in neither loop.
pub(super) fn add_act(app: &mut App, schedule: InternedScheduleLabel) -> Result<(), String> {
    let label = ExperienceAct(schedule).intern();
    if app.get_schedule(label).is_some() {
        return Ok(());
    }
    let insert = |labels: &mut Vec<InternedScheduleLabel>| {
        let place = labels.iter().position(|known| *known == schedule)?;
        labels.insert(place + 1, label);
        Some(())
    };
    let world = app.world_mut();
    let in_fixed = world
        .get_resource_mut::<FixedMainScheduleOrder>()
        .and_then(|mut order| insert(&mut order.labels));
    let found = in_fixed.or_else(|| insert(&mut world.get_resource_mut::<MainScheduleOrder>()?.labels));
    if found.is_none() {
        return Err(format!("{schedule:?}"));
    }
    app.add_schedule(single_threaded(label));
    app.add_systems(label, systems::read_actions(schedule));
    Ok(())
}

fn single_threaded(label: InternedScheduleLabel) -> Schedule {
    let mut schedule = Schedule::new(label);
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule
}
