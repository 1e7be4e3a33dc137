//! Schedules that run within systems of the loops: a rollback schedule, the schedule of a physics engine, and what an exclusive
//! system of the game runs.
//!
//! Bevy does not tell which system runs a schedule. The ticks at which systems ran last do: those of a schedule that ran in a span
//! of a loop are of that span. An exclusive system runs alone, and its own tick is that of its end. So the first system of the loop
//! whose tick follows is the one that ran the schedule, if it is exclusive. Otherwise a command or an observer ran it.

use crate::plugin::{
    schedules::{self, Loop, LoopOrders},
    state::RecorderState,
};
use bevy_app::{FixedMain, Main, MainScheduleOrder};
use bevy_ecs::{
    change_detection::Tick,
    schedule::{InternedScheduleLabel, Schedule, ScheduleLabel, Schedules, SystemKey},
    world::World,
};
use bevy_platform::collections::HashSet;

/// The schedules that were seen to run within the loops, in the order in which they were seen first.
#[derive(Debug, Default)]
pub(in crate::plugin) struct NestedSchedules {
    found: Vec<NestedSchedule>,
    /// The schedules of the loops, those that run them, and those of the plugin.
    others: HashSet<InternedScheduleLabel>,
    /// Whether there are schedules whose systems were not collected yet.
    has_new: bool,
}

/// A schedule that runs within systems of one loop or of both.
#[derive(Debug)]
pub(super) struct NestedSchedule {
    pub(super) label: InternedScheduleLabel,
    fixed: Option<Host>,
    main: Option<Host>,
}

/// Where a nested schedule runs in a loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    /// The index of the schedule of the loop.
    pub(super) schedule: usize,
    /// The exclusive system that runs it. `None` if a command or an observer does.
    pub(super) system: Option<SystemKey>,
}

/// The time between two change ticks.
#[derive(Clone, Copy)]
struct Span {
    last: Tick,
    now: Tick,
}

impl Span {
    /// The change ticks since `tick`, which is in the span. `None` for any other tick.
    fn age(self, tick: Tick) -> Option<u32> {
        let is_in = tick.is_newer_than(self.last, self.now);
        is_in.then(|| self.now.get().wrapping_sub(tick.get()))
    }

    /// The age of the latest run of a system of `schedule` in the span.
    fn last_run_of(self, schedule: &Schedule) -> Option<u32> {
        let systems = schedule.systems().ok()?;
        systems.filter_map(|(_, system)| self.age(system.get_last_run())).min()
    }
}

impl NestedSchedule {
    /// Where it runs in a loop. `None` if it was not seen there.
    pub(super) fn host(&self, parent: Loop) -> Option<Host> {
        match parent {
            Loop::Fixed => self.fixed,
            Loop::Main => self.main,
        }
    }
}

impl NestedSchedules {
    pub(super) fn iter(&self) -> impl Iterator<Item = &NestedSchedule> {
        self.found.iter()
    }

    pub(in crate::plugin) fn labels(&self) -> impl Iterator<Item = InternedScheduleLabel> {
        self.found.iter().map(|nested| nested.label)
    }

    /// The schedule of a loop within which `label` runs.
    pub(in crate::plugin) fn loop_schedule_of(
        &self,
        label: InternedScheduleLabel,
        orders: &LoopOrders,
    ) -> Option<InternedScheduleLabel> {
        let nested = self.found.iter().find(|nested| nested.label == label)?;
        [Loop::Fixed, Loop::Main].into_iter().find_map(|parent| {
            let host = nested.host(parent)?;
            orders.of(parent).get(host.schedule).copied()
        })
    }

    /// Whether schedules were found since the last call.
    pub(in crate::plugin) fn take_new(&mut self) -> bool {
        core::mem::take(&mut self.has_new)
    }

    pub(super) fn has_new(&self) -> bool {
        self.has_new
    }

    /// States which schedules are not nested ones.
    pub(in crate::plugin) fn exclude(
        &mut self,
        world: &World,
        orders: &LoopOrders,
        own: impl IntoIterator<Item = InternedScheduleLabel>,
    ) {
        self.others = orders.all().into_iter().chain(own).collect();
        self.others.extend(schedules::own_labels());
        self.others.extend([Main.intern(), FixedMain.intern()]);
        if let Some(order) = world.get_resource::<MainScheduleOrder>() {
            self.others.extend(order.startup_labels.iter().copied());
        }
    }

    /// Adds the schedules that have run in a span of a loop.
    fn watch(&mut self, schedules: &Schedules, orders: &LoopOrders, parent: Loop, span: Span) {
        for (_, schedule) in schedules.iter() {
            let label = schedule.label();
            let index = self.found.iter().position(|nested| nested.label == label);
            let is_known = index.is_some_and(|index| self.found[index].host(parent).is_some());
            if is_known || self.others.contains(&label) {
                continue;
            }
            let host = span
                .last_run_of(schedule)
                .and_then(|age| find_host(schedules, orders.of(parent), span, age));
            let Some(host) = host else {
                continue;
            };
            self.has_new = true;
            let index = index.unwrap_or_else(|| {
                self.found.push(NestedSchedule {
                    label,
                    fixed: None,
                    main: None,
                });
                self.found.len() - 1
            });
            match parent {
                Loop::Fixed => self.found[index].fixed = Some(host),
                Loop::Main => self.found[index].main = Some(host),
            }
        }
    }
}

/// What ran a schedule whose last system ran at `age`: the system of the loop that comes next in time, if it is exclusive, or
/// something in the schedule of the system before.
fn find_host(schedules: &Schedules, labels: &[InternedScheduleLabel], span: Span, age: u32) -> Option<Host> {
    let mut next: Option<(u32, usize, Option<SystemKey>)> = None;
    let mut before: Option<(u32, usize)> = None;
    for (index, &label) in labels.iter().enumerate() {
        let systems = schedules.get(label).and_then(|schedule| schedule.systems().ok());
        for (key, system) in systems.into_iter().flatten() {
            let Some(other) = span.age(system.get_last_run()) else {
                continue;
            };
            if other < age && next.is_none_or(|(next, ..)| other > next) {
                next = Some((other, index, system.is_exclusive().then_some(key)));
            } else if other > age && before.is_none_or(|(before, _)| other < before) {
                before = Some((other, index));
            }
        }
    }
    match (next, before) {
        (Some((_, schedule, Some(system))), _) => Some(Host {
            schedule,
            system: Some(system),
        }),
        (_, Some((_, schedule))) | (Some((_, schedule, None)), None) => Some(Host { schedule, system: None }),
        (None, None) => None,
    }
}

impl RecorderState {
    /// Looks which schedules have run in a span of a loop.
    pub(super) fn watch_nested(&mut self, world: &World, parent: Loop, (last, now): (Tick, Tick)) {
        if let Some(schedules) = world.get_resource::<Schedules>() {
            let span = Span { last, now };
            self.nested.watch(schedules, &self.orders, parent, span);
        }
    }
}
