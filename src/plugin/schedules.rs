//! Schedules and system sets of the plugin, and their position in the main loop and the fixed loop.

use super::systems;
use bevy_app::{App, FixedMainScheduleOrder, Last, MainScheduleOrder};
use bevy_ecs::{
    schedule::{
        InternedScheduleLabel, IntoScheduleConfigs, Schedule, ScheduleLabel, SingleThreadedExecutor, SystemSet,
    },
    world::World,
};

/// The schedule of a capture. It runs right after `FixedLast`, or after the schedule that
/// [`ExperiencePlugin::capture_after`](super::ExperiencePlugin::capture_after) names.
///
/// Captures have a schedule of their own so that no system of the game is ambiguous with them. It is single-threaded,
/// because waking the multi-threaded executor takes longer than a capture.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceCapture;

/// The schedule that begins a tick, before all other schedules of the loop that captures belong to.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceTick;

/// The schedule that reads actions, right after the named schedule. It exists for each schedule that is given to
/// [`Recording::read_actions_after`](crate::recording::Recording::read_actions_after).
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExperienceReadActions(pub InternedScheduleLabel);

/// The schedule that ends an update, after `Last`: it closes recordings when the app exits, and exports where there are no
/// threads.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct ExperienceExit;

/// The schedule that turns a signal of the operating system into an `AppExit`, before all other schedules of the main
/// loop.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct ExperienceSignal;

/// The sets of [`ExperienceCapture`], which run in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExperienceSystems {
    /// For systems of the game that compute observations at the last moment.
    Stage,
    /// Publishes episodes that ended, closes transitions, and adds players that joined.
    Capture,
    /// Hands new buffers to the exporter thread. Never waits for it.
    Export,
}

/// The loop that a schedule belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    Main,
    Fixed,
}

/// Adds the schedules of captures and of the exit.
pub(super) fn add(app: &mut App) {
    app.add_schedule(single_threaded(ExperienceTick))
        .add_schedule(single_threaded(ExperienceCapture))
        .add_schedule(single_threaded(ExperienceExit))
        .configure_sets(
            ExperienceCapture,
            (
                ExperienceSystems::Stage,
                ExperienceSystems::Capture,
                ExperienceSystems::Export,
            )
                .chain(),
        )
        .add_systems(
            ExperienceCapture,
            (
                systems::capture.in_set(ExperienceSystems::Capture),
                systems::export.in_set(ExperienceSystems::Export),
            ),
        )
        .add_systems(ExperienceTick, systems::begin_tick)
        .add_systems(ExperienceExit, systems::end_update);
    if let Some(mut order) = app.world_mut().get_resource_mut::<MainScheduleOrder>() {
        // Before the capture is placed, so that a capture after `Last` runs before the exit.
        insert_after(&mut order.labels, Last.intern(), ExperienceExit.intern());
    }
}

/// Inserts the capture after a schedule, and the beginning of the tick before all others of its loop. `None` if no loop
/// contains the schedule.
pub(super) fn place_capture(world: &mut World, after: InternedScheduleLabel) -> Option<Loop> {
    let place = |labels: &mut Vec<InternedScheduleLabel>| {
        let is_placed = insert_after(labels, after, ExperienceCapture.intern());
        if is_placed {
            labels.insert(0, ExperienceTick.intern());
        }
        is_placed
    };
    if let Some(mut order) = world.get_resource_mut::<FixedMainScheduleOrder>()
        && place(&mut order.labels)
    {
        return Some(Loop::Fixed);
    }
    let mut order = world.get_resource_mut::<MainScheduleOrder>()?;
    place(&mut order.labels).then_some(Loop::Main)
}

/// Whether actions that are read after `schedule` are read after the capture of the tick, in the same loop.
pub(super) fn reads_after_capture(world: &World, schedule: InternedScheduleLabel) -> bool {
    let is_after = |labels: &[InternedScheduleLabel]| {
        let position = |label: InternedScheduleLabel| labels.iter().position(|present| *present == label);
        let capture = position(ExperienceCapture.intern());
        let read = position(ExperienceReadActions(schedule).intern());
        capture.is_some_and(|capture| read.is_some_and(|read| read > capture))
    };
    let fixed = world.get_resource::<FixedMainScheduleOrder>();
    let main = world.get_resource::<MainScheduleOrder>();
    fixed.is_some_and(|order| is_after(&order.labels)) || main.is_some_and(|order| is_after(&order.labels))
}

/// Adds the schedule that reads actions after `schedule`, unless it exists.
///
/// # Errors
/// The name of `schedule`, if it is in neither loop.
pub(super) fn add_read_actions(app: &mut App, schedule: InternedScheduleLabel) -> Result<(), String> {
    let label = ExperienceReadActions(schedule);
    if app.get_schedule(label).is_some() {
        return Ok(());
    }
    let world = app.world_mut();
    let in_fixed = world
        .get_resource_mut::<FixedMainScheduleOrder>()
        .is_some_and(|mut order| insert_after(&mut order.labels, schedule, label.intern()));
    let is_placed = in_fixed
        || world
            .get_resource_mut::<MainScheduleOrder>()
            .is_some_and(|mut order| insert_after(&mut order.labels, schedule, label.intern()));
    if !is_placed {
        return Err(format!("{schedule:?}"));
    }
    app.add_schedule(single_threaded(label))
        .add_systems(label, systems::read_actions(schedule));
    Ok(())
}

/// Adds a schedule with one system, before all other schedules of the main loop.
pub(super) fn add_signal(app: &mut App, system: fn(&mut World)) {
    app.add_schedule(single_threaded(ExperienceSignal))
        .add_systems(ExperienceSignal, system);
    if let Some(mut order) = app.world_mut().get_resource_mut::<MainScheduleOrder>() {
        order.labels.insert(0, ExperienceSignal.intern());
    }
}

/// Inserts `label` right after `after`. Returns false if the loop does not contain `after`.
///
/// Used instead of the method `insert_after` of Bevy's orders, which panics in that case, and does not find a label
/// that is passed as an [`InternedScheduleLabel`].
fn insert_after(
    labels: &mut Vec<InternedScheduleLabel>,
    after: InternedScheduleLabel,
    label: InternedScheduleLabel,
) -> bool {
    let place = labels.iter().position(|present| *present == after);
    if let Some(place) = place {
        labels.insert(place + 1, label);
    }
    place.is_some()
}

fn single_threaded(label: impl ScheduleLabel) -> Schedule {
    let mut schedule = Schedule::new(label);
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule
}
