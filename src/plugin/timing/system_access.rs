//! What the systems of the game's schedules may access, and in which order they run.
//!
//! A schedule keeps the access of its systems to its crate. So a build pass asks each system again, with
//! [`System::initialize`], when the schedule is built. That keeps the state of function systems, their `Local`s included, and
//! sets only the tick of the last run, which is restored. Exclusive systems are not asked: it would reset their `Local`s, and
//! they may access everything anyway.
//!
//! A schedule that has not run yet is built then, a frame or a tick before it would be.

use bevy_app::RunFixedMainLoop;
use bevy_ecs::{
    message::message_update_system,
    query::FilteredAccessSet,
    schedule::{
        ApplyDeferred, FlattenedDependencies, InternedScheduleLabel, NodeId, Schedule, ScheduleBuildError,
        ScheduleBuildPass, ScheduleGraph, ScheduleLabel, SystemKey, SystemSet, SystemSetKey, graph::DiGraph,
    },
    system::{IntoSystem, System},
    world::World,
};
use bevy_platform::{
    collections::{HashMap, HashSet},
    hash::FixedHasher,
};
use core::any::TypeId;
use indexmap::IndexSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The access of the systems of all schedules that were built with an [`AccessPass`].
#[derive(Clone, Debug, Default)]
pub(in crate::plugin) struct SystemAccesses(Arc<Mutex<HashMap<InternedScheduleLabel, ScheduleAccess>>>);

/// The systems of one schedule.
#[derive(Clone, Debug, Default)]
pub(super) struct ScheduleAccess {
    /// In an order in which they may run.
    pub(super) systems: Vec<SystemAccess>,
    /// The systems that run after a system, because the game orders them.
    successors: HashMap<SystemKey, Vec<SystemKey>>,
}

/// One system of a schedule.
#[derive(Clone, Debug)]
pub(super) struct SystemAccess {
    pub(super) key: SystemKey,
    /// `None` without Bevy's feature `debug`.
    pub(super) name: Option<String>,
    /// `None` for an exclusive system.
    pub(super) access: Option<FilteredAccessSet>,
    /// It has commands, which can write anything.
    pub(super) has_commands: bool,
}

impl SystemAccesses {
    fn schedules(&self) -> MutexGuard<'_, HashMap<InternedScheduleLabel, ScheduleAccess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all schedules.
    pub(super) fn clear(&self) {
        *self.schedules() = HashMap::default();
    }

    /// The systems of a schedule. Empty if it has none.
    pub(super) fn of(&self, schedule: InternedScheduleLabel) -> ScheduleAccess {
        self.schedules().get(&schedule).cloned().unwrap_or_default()
    }

    /// Adds a pass to `RunFixedMainLoop`, which cannot be built again while a fixed tick runs.
    pub(in crate::plugin) fn watch_fixed_main_loop(&self, world: &mut World) {
        let _ = world.try_schedule_scope(RunFixedMainLoop, |_, schedule| self.add_pass(schedule));
    }

    fn add_pass(&self, schedule: &mut Schedule) {
        schedule.add_build_pass(AccessPass {
            schedule: schedule.label(),
            accesses: self.clone(),
        });
    }

    /// Collects the access of the systems of `schedules`, except of those that run now. Builds each schedule again if it has
    /// not been collected as it is.
    pub(in crate::plugin) fn collect(&self, world: &mut World, schedules: &[InternedScheduleLabel]) {
        for &label in schedules {
            let _ = world.try_schedule_scope(label, |world, schedule| {
                if self.schedules().contains_key(&label) && !schedule.is_changed() {
                    return;
                }
                self.add_pass(schedule);
                // Has no systems. A schedule is built again if its sets change.
                schedule.configure_sets(AccessCollected);
                // The schedule reports an error when it runs.
                let _ = schedule.initialize(world);
                if label != RunFixedMainLoop.intern() {
                    schedule.remove_build_pass::<AccessPass>();
                }
            });
        }
    }
}

impl ScheduleAccess {
    /// Whether the game orders one of two systems before the other.
    pub(super) fn is_ordered(&self, a: SystemKey, b: SystemKey) -> bool {
        self.precedes(a, b) || self.precedes(b, a)
    }

    fn precedes(&self, first: SystemKey, last: SystemKey) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![first];
        while let Some(key) = open.pop() {
            if key == last {
                return true;
            }
            if seen.insert(key) {
                open.extend(self.successors.get(&key).into_iter().flatten());
            }
        }
        false
    }
}

/// The set by which schedules whose access was collected are recognized in tools.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AccessCollected;

/// The build pass that collects the access of the systems of one schedule. It changes nothing.
#[derive(Debug)]
struct AccessPass {
    schedule: InternedScheduleLabel,
    accesses: SystemAccesses,
}

impl ScheduleBuildPass for AccessPass {
    type EdgeOptions = ();

    fn add_dependency(&mut self, _: NodeId, _: NodeId, _: Option<&()>) {}

    fn collapse_set(
        &mut self,
        _: SystemSetKey,
        _: &IndexSet<SystemKey, FixedHasher>,
        _: &DiGraph<NodeId>,
    ) -> impl Iterator<Item = (NodeId, NodeId)> {
        core::iter::empty()
    }

    fn build(
        &mut self,
        world: &mut World,
        graph: &mut ScheduleGraph,
        mut dependencies: FlattenedDependencies<'_>,
    ) -> Result<(), ScheduleBuildError> {
        // The schedule reports a cycle itself.
        let Ok(order) = dependencies.toposort().map(<[_]>::to_vec) else {
            return Ok(());
        };
        // The fixed loop runs in an exclusive system of this schedule, and its systems are those of other schedules.
        let skips_exclusive = self.schedule == RunFixedMainLoop.intern();
        // Neither moves players. The first is in every app.
        let ignored = [
            IntoSystem::<(), (), _>::into_system(message_update_system).system_type(),
            TypeId::of::<ApplyDeferred>(),
        ];
        let mut found = ScheduleAccess::default();
        for key in order {
            let Some(system) = graph.systems.get_mut(key) else {
                continue;
            };
            let is_exclusive = system.is_exclusive();
            if ignored.contains(&system.system_type()) || (is_exclusive && skips_exclusive) {
                continue;
            }
            let access = (!is_exclusive).then(|| {
                let last_run = system.get_last_run();
                let access = system.initialize(world);
                system.set_last_run(last_run);
                access
            });
            found.systems.push(SystemAccess {
                key,
                name: names_are_kept().then(|| system.name().to_string()),
                access,
                has_commands: system.has_deferred(),
            });
        }
        for (first, last) in dependencies.graph().all_edges() {
            found.successors.entry(first).or_default().push(last);
        }
        self.accesses.schedules().insert(self.schedule, found);
        Ok(())
    }
}

/// Whether Bevy keeps the names of systems, which its feature `debug` decides.
pub(super) fn names_are_kept() -> bool {
    ApplyDeferred.name().contains("apply_deferred")
}
