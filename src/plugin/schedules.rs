//! Schedules and system sets of the plugin, and their position in the main loop and the fixed loop.

use super::{acting, experience::Experience, systems};
use bevy_app::{App, FixedLast, FixedMainScheduleOrder, Last, MainScheduleOrder};
use bevy_ecs::{
    schedule::{
        InternedScheduleLabel, IntoScheduleConfigs, Schedule, ScheduleLabel, Schedules, SingleThreadedExecutor,
        SystemSet,
    },
    world::World,
};

/// The schedule of a capture. It runs at each point at which recordings are captured: after `FixedLast`, after `Last`, or after
/// the schedule that [`Recording::capture_after`](crate::recording::Recording::capture_after) names. Each run captures the
/// recordings of its point.
///
/// A game that names a schedule outside of the fixed and the main loop runs it itself, which captures the recordings with
/// such schedules.
///
/// Captures have a schedule of their own so that no system of the game is ambiguous with them. It is single-threaded,
/// because waking the multi-threaded executor takes longer than a capture.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceCapture;

/// The schedule that begins a tick of the recordings whose [`ExperienceCapture`] the game runs itself. A game runs it before
/// each of its ticks, so that an [`EndEpisode`](crate::episode::EndEpisode) in a tick is told from one between two ticks. In
/// the fixed and the main loop a tick begins before all other schedules of the loop.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ExperienceTick;

/// The schedule that begins a tick of a loop, before all other schedules of the loop.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ExperienceLoopTick(Loop);

/// The schedule that runs [`ExperienceCapture`] after a schedule of a loop.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ExperienceCapturePoint(InternedScheduleLabel);

/// The schedule that reads actions, right after the named schedule of a loop. It exists for each schedule after which
/// a recording reads its actions: [`Recording::read_actions_after`](crate::recording::Recording::read_actions_after).
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExperienceReadActions(pub InternedScheduleLabel);

/// The schedule in which policies write actions, right before the named schedule of a loop. It exists for each schedule before
/// which a policy acts: [`Policy::act_before`](crate::policy::Policy::act_before).
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExperienceAct(pub InternedScheduleLabel);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Loop {
    /// The schedules of `MainScheduleOrder`.
    Main,
    /// The schedules of `FixedMainScheduleOrder`.
    Fixed,
}

impl Loop {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Main => Self::Fixed,
            Self::Fixed => Self::Main,
        }
    }

    /// The loop at whose end `schedule` runs.
    pub(super) fn ending_with(schedule: InternedScheduleLabel) -> Option<Self> {
        [Self::Main, Self::Fixed]
            .into_iter()
            .find(|parent| parent.last_schedule() == schedule)
    }

    /// The schedule after which a recording is captured by default.
    pub(super) fn last_schedule(self) -> InternedScheduleLabel {
        match self {
            Self::Main => Last.intern(),
            Self::Fixed => FixedLast.intern(),
        }
    }
}

/// The schedules of both loops in their order, without those of the plugin.
#[derive(Clone, Debug, Default)]
pub(super) struct LoopOrders {
    fixed: Vec<InternedScheduleLabel>,
    main: Vec<InternedScheduleLabel>,
}

impl LoopOrders {
    pub(super) fn of(&self, parent: Loop) -> &[InternedScheduleLabel] {
        match parent {
            Loop::Fixed => &self.fixed,
            Loop::Main => &self.main,
        }
    }

    /// Whether a loop has `schedule`, or begins with it.
    pub(super) fn contains(&self, parent: Loop, schedule: InternedScheduleLabel) -> bool {
        schedule == tick_label(parent) || self.of(parent).contains(&schedule)
    }

    /// The schedules of both loops.
    pub(super) fn all(&self) -> Vec<InternedScheduleLabel> {
        [&self.fixed[..], &self.main].concat()
    }
}

/// The label of the schedule with which a tick of a loop begins.
pub(super) fn tick_label(parent: Loop) -> InternedScheduleLabel {
    ExperienceLoopTick(parent).intern()
}

/// Adds the schedules of captures and of the exit.
pub(super) fn add(app: &mut App) {
    app.add_schedule(single_threaded(ExperienceTick))
        .add_schedule(single_threaded(ExperienceLoopTick(Loop::Main)))
        .add_schedule(single_threaded(ExperienceLoopTick(Loop::Fixed)))
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
        .add_systems(
            ExperienceTick,
            (systems::begin_tick(None), acting::act_in_own_tick).chain(),
        )
        .add_systems(ExperienceLoopTick(Loop::Main), systems::begin_tick(Some(Loop::Main)))
        .add_systems(ExperienceLoopTick(Loop::Fixed), systems::begin_tick(Some(Loop::Fixed)))
        .add_systems(ExperienceExit, systems::end_update);
    if let Some(mut order) = app.world_mut().get_resource_mut::<MainScheduleOrder>() {
        // Before the captures are placed, so that a capture after `Last` runs before the exit.
        insert_after(&mut order.labels, Last.intern(), ExperienceExit.intern());
    }
}

/// Places the schedules of ticks, reads and captures in both loops, also around schedules that other plugins have added since
/// the last call.
///
/// The labels of reads are placed after every schedule, because a loop's order cannot be changed while the loop runs. A loop
/// skips labels that have no schedule.
pub(super) fn place(world: &mut World) {
    let Some(mut experience) = world.get_resource_mut::<Experience>() else {
        return;
    };
    let state = experience.state_mut();
    let points: Vec<_> = state.points.iter().map(|point| point.after).collect();
    let placed = core::mem::take(&mut state.placed_labels);
    let mut orders = LoopOrders::default();
    let (mut fixed, mut main) = (Vec::new(), Vec::new());
    if let Some(mut order) = world.get_resource_mut::<FixedMainScheduleOrder>() {
        order.labels.retain(|label| !placed.contains(label));
        orders.fixed.clone_from(&order.labels);
        fixed = place_in(&mut order.labels, Loop::Fixed, &points);
    }
    if let Some(mut order) = world.get_resource_mut::<MainScheduleOrder>() {
        order.labels.retain(|label| !placed.contains(label));
        let is_own =
            |label: &&InternedScheduleLabel| [ExperienceExit.intern(), ExperienceSignal.intern()].contains(label);
        orders.main = order.labels.iter().filter(|label| !is_own(label)).copied().collect();
        main = place_in(&mut order.labels, Loop::Main, &points);
    }
    if let Some(mut schedules) = world.get_resource_mut::<Schedules>() {
        for &after in &points {
            let label = ExperienceCapturePoint(after);
            if !schedules.contains(label) {
                let mut schedule = single_threaded(label);
                schedule.add_systems(systems::capture_after(after));
                schedules.insert(schedule);
            }
        }
    }
    let state = world.resource_mut::<Experience>().into_inner().state_mut();
    for point in &mut state.points {
        let label = ExperienceCapturePoint(point.after).intern();
        point.parent_loop = if fixed.contains(&label) {
            Some(Loop::Fixed)
        } else {
            main.contains(&label).then_some(Loop::Main)
        };
    }
    state.placed_labels = [fixed, main].concat();
    state.orders = orders;
    let mut nested = core::mem::take(&mut state.nested);
    let (own, orders) = (state.placed_labels.clone(), state.orders.clone());
    nested.exclude(world, &orders, own);
    world.resource_mut::<Experience>().into_inner().state_mut().nested = nested;
}

/// Places the labels of the plugin in the order of one loop. Returns them.
fn place_in(
    labels: &mut Vec<InternedScheduleLabel>,
    parent: Loop,
    points: &[InternedScheduleLabel],
) -> Vec<InternedScheduleLabel> {
    let tick = tick_label(parent);
    // What is at the begin of a tick precedes its other reads.
    let mut own = vec![tick, ExperienceAct(tick).intern(), ExperienceReadActions(tick).intern()];
    let mut order = own.clone();
    for &label in labels.iter() {
        let act = ExperienceAct(label).intern();
        order.push(act);
        own.push(act);
        let mut after = vec![ExperienceReadActions(label).intern()];
        if points.contains(&label) {
            after.push(ExperienceCapturePoint(label).intern());
        }
        order.push(label);
        order.extend(&after);
        own.append(&mut after);
    }
    *labels = order;
    own
}

/// The schedules of the plugin that are not placed around schedules of the loops.
pub(super) fn own_labels() -> [InternedScheduleLabel; 6] {
    [
        ExperienceTick.intern(),
        ExperienceLoopTick(Loop::Main).intern(),
        ExperienceLoopTick(Loop::Fixed).intern(),
        ExperienceCapture.intern(),
        ExperienceExit.intern(),
        ExperienceSignal.intern(),
    ]
}

/// Whether a loop contains `schedule`.
pub(super) fn is_in_a_loop(world: &World, schedule: InternedScheduleLabel) -> bool {
    let fixed = world.get_resource::<FixedMainScheduleOrder>();
    let main = world.get_resource::<MainScheduleOrder>();
    fixed.is_some_and(|order| order.labels.contains(&schedule))
        || main.is_some_and(|order| order.labels.contains(&schedule))
}

/// Whether actions that are read after `read` are read after the capture that follows `capture`, in the same loop.
pub(super) fn reads_after_capture(world: &World, read: InternedScheduleLabel, capture: InternedScheduleLabel) -> bool {
    let is_after = |labels: &[InternedScheduleLabel]| {
        let position = |label: InternedScheduleLabel| labels.iter().position(|present| *present == label);
        position(capture).is_some_and(|capture| position(read).is_some_and(|read| read > capture))
    };
    let fixed = world.get_resource::<FixedMainScheduleOrder>();
    let main = world.get_resource::<MainScheduleOrder>();
    fixed.is_some_and(|order| is_after(&order.labels)) || main.is_some_and(|order| is_after(&order.labels))
}

/// Adds the schedule that reads actions after `schedule`, unless it exists. Its label is in the loop of `schedule` already.
pub(super) fn add_read_actions(world: &mut World, schedule: InternedScheduleLabel) {
    let label = ExperienceReadActions(schedule);
    let Some(mut schedules) = world.get_resource_mut::<Schedules>() else {
        return;
    };
    if !schedules.contains(label) {
        let mut read = single_threaded(label);
        read.add_systems(systems::read_actions(schedule));
        schedules.insert(read);
    }
}

/// Adds the schedule in which policies act before `schedule`, unless it exists. Its label is in the loop of `schedule` already.
pub(super) fn add_act(world: &mut World, schedule: InternedScheduleLabel) {
    let label = ExperienceAct(schedule);
    let Some(mut schedules) = world.get_resource_mut::<Schedules>() else {
        return;
    };
    if !schedules.contains(label) {
        let mut act = single_threaded(label);
        act.add_systems(acting::act_before(schedule));
        schedules.insert(act);
    }
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
