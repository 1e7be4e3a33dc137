//! The survey of a recording: which systems of the loops write what it observes, and which write and read its action.

use super::{
    nested::{Host, NestedSchedules},
    system_access::{ScheduleAccess, SystemAccess, SystemAccesses, names_are_kept},
};
use crate::{
    capture::RowPart,
    episode::Recorder,
    player::Reward,
    plugin::schedules::{Loop, LoopOrders},
};
use bevy_app::RunFixedMainLoop;
use bevy_ecs::{
    archetype::Archetype,
    component::ComponentId,
    query::FilteredAccessSet,
    schedule::{InternedScheduleLabel, ScheduleLabel, SystemKey},
    world::World,
};
use bevy_time::{Fixed, Time};
use core::fmt;

/// The systems that matter for the timing of one recording.
pub(super) struct Survey {
    pub(super) systems: Vec<SurveyedSystem>,
    pub(super) orders: LoopOrders,
    /// The fixed loop can run.
    pub(super) has_fixed_time: bool,
    pub(super) has_action: bool,
    /// A policy writes the action, before the systems of the game.
    pub(super) has_policy: bool,
    /// Pairs of systems that access the action, one of which writes it, without an order between them.
    pub(super) unordered: Vec<(usize, usize)>,
    /// The schedules that run within the loops.
    pub(super) known_nested: Vec<InternedScheduleLabel>,
}

/// A system that accesses what a recording reads, or whose access is unknown.
#[derive(Clone, Debug)]
pub(super) struct SurveyedSystem {
    pub(super) key: SystemKey,
    pub(super) name: SystemName,
    pub(super) place: Place,
    /// The component that it may write and the recording observes.
    pub(super) writes: Option<String>,
    /// The component of the action that it may write.
    pub(super) writes_action: Option<String>,
    pub(super) reads_action: bool,
    /// It reads the action, and what it writes leads, through other systems, to one that writes what is observed.
    pub(super) leads: bool,
    /// It writes what is observed, and a system that reads the action leads to it.
    pub(super) is_led: bool,
    /// It may write anything: by commands, as an exclusive system, or by a query for all components.
    pub(super) is_opaque: bool,
    pub(super) is_exclusive: bool,
}

/// The place of a system in its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) parent: Loop,
    /// The index of its schedule in the loop.
    pub(super) schedule: usize,
    /// Its index in its schedule, or that of the system that runs its schedule.
    pub(super) index: usize,
    /// For a system of a schedule that runs within one of the loop: the index of that schedule, and its own index there.
    pub(super) nested: Option<(usize, usize)>,
}

/// The name of a system for messages.
#[derive(Clone, Debug)]
pub(super) struct SystemName {
    /// `None` without Bevy's feature `debug`.
    name: Option<String>,
    pub(super) schedule: InternedScheduleLabel,
    index: usize,
    count: usize,
    /// What runs the schedule, if it runs within one of a loop.
    host: Option<String>,
}

impl SystemName {
    fn new(systems: &[SystemAccess], index: usize, schedule: InternedScheduleLabel) -> Self {
        Self {
            name: systems[index].name.as_deref().map(short_name),
            schedule,
            index,
            count: systems.len(),
            host: None,
        }
    }
}

impl fmt::Display for SystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            schedule,
            index,
            count,
            host,
        } = self;
        match name {
            Some(name) => write!(f, "`{name}` in `{schedule:?}`")?,
            None => write!(f, "system {} of {count} in `{schedule:?}`", index + 1)?,
        }
        match host {
            Some(host) => write!(f, " (run {host})"),
            None => Ok(()),
        }
    }
}

/// What a message that names systems ends with.
pub(super) fn name_hint() -> &'static str {
    if names_are_kept() {
        ""
    } else {
        " (systems are counted in the order in which they run; Bevy's feature `debug` shows their names)"
    }
}

/// A component of a recording, with the archetypes in which it matters.
struct Subject<'w> {
    component: ComponentId,
    name: String,
    archetypes: Vec<&'w Archetype>,
    /// What is known of the archetypes of players, if there are none yet.
    expected: Option<&'w [ComponentId]>,
}

/// The subjects of a recording.
struct Subjects<'w> {
    /// What players have and the game changes.
    observed: Vec<Subject<'w>>,
    /// What else is observed: resources, and components of the action. It decides if no system writes what players have.
    also_observed: Vec<Subject<'w>>,
    action: Vec<Subject<'w>>,
}

impl Survey {
    /// Surveys the systems of both loops for the present players of a recording.
    pub(super) fn new(
        world: &World,
        recorder: &mut Recorder,
        accesses: &SystemAccesses,
        nested: &NestedSchedules,
        orders: &LoopOrders,
    ) -> Self {
        let players: Vec<_> = recorder.player_archetypes(world).collect();
        let required: Vec<_> = recorder.required_components().collect();
        let expected = players.is_empty().then_some(&required[..]);
        let mut subjects = Subjects::new(world, recorder, &players, expected);
        let mut survey = Self {
            systems: Vec::new(),
            orders: orders.clone(),
            has_fixed_time: world.contains_resource::<Time<Fixed>>(),
            has_action: !subjects.action.is_empty(),
            has_policy: recorder.has_policy(),
            unordered: Vec::new(),
            known_nested: nested.labels().collect(),
        };
        survey.add_loops(&subjects, accesses, nested);
        let is_written = survey.systems.iter().any(|system| system.writes.is_some());
        if !is_written && !subjects.also_observed.is_empty() {
            core::mem::swap(&mut subjects.observed, &mut subjects.also_observed);
            survey.add_loops(&subjects, accesses, nested);
        }
        let components = subjects
            .observed
            .iter()
            .chain(&subjects.action)
            .map(|subject| subject.component);
        // Any system may give rewards, and what moves the player is often one of them.
        survey.follow_action(accesses, components.chain(world.component_id::<Reward>()));
        survey
    }

    fn add_loops(&mut self, subjects: &Subjects<'_>, accesses: &SystemAccesses, nested: &NestedSchedules) {
        self.systems.clear();
        self.unordered.clear();
        self.add_loop(Loop::Fixed, subjects, accesses);
        self.add_loop(Loop::Main, subjects, accesses);
        // After all others, so that a system of the loops is named before one of a schedule within them.
        for (order, nested) in nested.iter().enumerate() {
            for parent in [Loop::Fixed, Loop::Main] {
                if let Some(host) = nested.host(parent) {
                    self.add_nested((order, nested.label), (parent, host), subjects, accesses);
                }
            }
        }
    }

    fn add_loop(&mut self, parent: Loop, subjects: &Subjects<'_>, accesses: &SystemAccesses) {
        let labels = self.orders.of(parent).to_vec();
        for (schedule, &label) in labels.iter().enumerate() {
            let access = accesses.of(label);
            let place = |index| Place {
                parent,
                schedule,
                index,
                nested: None,
            };
            self.add_systems(label, None, &access, place, subjects);
        }
    }

    /// Adds the systems of a schedule that runs within a loop.
    fn add_nested(
        &mut self,
        (order, label): (usize, InternedScheduleLabel),
        (parent, host): (Loop, Host),
        subjects: &Subjects<'_>,
        accesses: &SystemAccesses,
    ) {
        let Some(&outer) = self.orders.of(parent).get(host.schedule) else {
            return;
        };
        let systems = accesses.of(outer).systems;
        let index = host
            .system
            .and_then(|key| systems.iter().position(|system| system.key == key));
        let runner = index.map_or_else(
            || format!("within `{outer:?}`"),
            |index| format!("by {}", SystemName::new(&systems, index, outer)),
        );
        let place = |inner| Place {
            parent,
            schedule: host.schedule,
            index: index.unwrap_or_default(),
            nested: Some((order, inner)),
        };
        self.add_systems(label, Some(runner), &accesses.of(label), place, subjects);
    }

    /// Adds the systems of one schedule.
    fn add_systems(
        &mut self,
        label: InternedScheduleLabel,
        host: Option<String>,
        access: &ScheduleAccess,
        place: impl Fn(usize) -> Place,
        subjects: &Subjects<'_>,
    ) {
        let first = self.systems.len();
        let mut keys = Vec::new();
        for (index, system) in access.systems.iter().enumerate() {
            let name = SystemName {
                host: host.clone(),
                ..SystemName::new(&access.systems, index, label)
            };
            if let Some(surveyed) = subjects.survey(system, name, place(index)) {
                self.systems.push(surveyed);
                keys.push(system.key);
            }
        }
        self.add_unordered(access, first, &keys);
    }

    /// Adds the pairs of systems of one schedule, whose indices begin at `first`, that access the action without an order.
    fn add_unordered(&mut self, access: &ScheduleAccess, first: usize, keys: &[SystemKey]) {
        for (offset, &later) in keys.iter().enumerate() {
            for (other, &earlier) in keys[..offset].iter().enumerate() {
                let (a, b) = (&self.systems[first + other], &self.systems[first + offset]);
                let uses = |system: &SurveyedSystem| system.reads_action || system.writes_action.is_some();
                let writes = a.writes_action.is_some() || b.writes_action.is_some();
                if writes && uses(a) && uses(b) && !access.is_ordered(earlier, later) {
                    self.unordered.push((first + other, first + offset));
                }
            }
        }
    }

    /// The schedule of the loop in which, or within which, a system runs.
    pub(super) fn loop_schedule(&self, system: &SurveyedSystem) -> InternedScheduleLabel {
        let labels = self.orders.of(system.place.parent);
        labels
            .get(system.place.schedule)
            .copied()
            .unwrap_or(system.name.schedule)
    }

    /// The index of the schedule of the main loop in which the fixed loop runs.
    pub(super) fn fixed_loop_in_main(&self) -> Option<usize> {
        let labels = self.orders.of(Loop::Main);
        labels.iter().position(|&label| label == RunFixedMainLoop.intern())
    }
}

impl<'w> Subjects<'w> {
    fn new(
        world: &'w World,
        recorder: &Recorder,
        players: &[&'w Archetype],
        expected: Option<&'w [ComponentId]>,
    ) -> Self {
        let subject = |component, name: &str, is_own| {
            let having = |archetype: &&Archetype| archetype.contains(component) && !archetype.is_empty();
            Subject {
                component,
                name: short_name(name),
                archetypes: if is_own {
                    players.to_vec()
                } else {
                    world.archetypes().iter().filter(having).collect()
                },
                expected: expected.filter(|_| is_own),
            }
        };
        let of_action: Vec<_> = recorder
            .row_dependencies()
            .filter(|dependency| dependency.part == RowPart::Action)
            .map(|dependency| dependency.component)
            .collect();
        let mut subjects = Self {
            observed: Vec::new(),
            also_observed: Vec::new(),
            action: Vec::new(),
        };
        for dependency in recorder.row_dependencies() {
            let component = dependency.component;
            let part = match dependency.part {
                RowPart::Action => &mut subjects.action,
                RowPart::Observation if dependency.is_own && !of_action.contains(&component) => &mut subjects.observed,
                RowPart::Observation => &mut subjects.also_observed,
                RowPart::Mask | RowPart::Info => continue,
            };
            part.push(subject(component, dependency.name, dependency.is_own));
        }
        subjects
    }

    /// `None` for a system that does not matter.
    fn survey(&self, system: &SystemAccess, name: SystemName, place: Place) -> Option<SurveyedSystem> {
        let mut surveyed = SurveyedSystem {
            key: system.key,
            name,
            place,
            writes: None,
            writes_action: None,
            reads_action: false,
            leads: false,
            is_led: false,
            is_opaque: system.has_commands || system.access.is_none(),
            is_exclusive: system.access.is_none(),
        };
        if let Some(access) = &system.access {
            let find = |subjects: &[Subject<'_>], kind| {
                let found = subjects.iter().find(|subject| subject.is_accessed(access, kind));
                found.map(|subject| subject.name.clone())
            };
            surveyed.writes = find(&self.observed, AccessKind::Write);
            surveyed.writes_action = find(&self.action, AccessKind::Write);
            surveyed.reads_action = find(&self.action, AccessKind::Read).is_some();
            surveyed.is_opaque |= find(&self.observed, AccessKind::WriteAll).is_some();
        }
        let matters = surveyed.writes.is_some()
            || surveyed.writes_action.is_some()
            || surveyed.reads_action
            || surveyed.is_opaque;
        matters.then_some(surveyed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AccessKind {
    Read,
    Write,
    /// Writes all components, except for some.
    WriteAll,
}

impl Subject<'_> {
    /// Whether an access of a system includes the component of one of the archetypes. A system that reads or writes all
    /// components is not counted among those that read and write this one.
    fn is_accessed(&self, access: &FilteredAccessSet, kind: AccessKind) -> bool {
        access.filtered_accesses().iter().any(|filtered| {
            let access = filtered.access();
            let is_included = match kind {
                AccessKind::Read => access.has_read(self.component) && access.try_reads_and_writes().is_ok(),
                AccessKind::Write => access.has_write(self.component) && access.try_writes().is_ok(),
                AccessKind::WriteAll => access.has_write(self.component) && access.try_writes().is_err(),
            };
            is_included
                && filtered.filter_sets().iter().any(|filter| {
                    let is_player = |archetype: &&Archetype| {
                        filter.with().iter().all(|id| archetype.contains(id))
                            && !filter.without().iter().any(|id| archetype.contains(id))
                    };
                    // Players that do not exist yet may have any other component.
                    let may_be_player =
                        |expected: &[ComponentId]| !filter.without().iter().any(|id| expected.contains(&id));
                    self.archetypes.iter().any(is_player) || self.expected.is_some_and(may_be_player)
                })
        })
    }
}

/// A type's or function's name without the paths of its modules. A closure keeps the name of its function.
pub(super) fn short_name(name: &str) -> String {
    let name = name.replace("::{{closure}}", "/closure");
    let mut short = String::with_capacity(name.len());
    let mut segment_start = 0;
    let mut chars = name.char_indices();
    while let Some((index, character)) = chars.next() {
        if name[index..].starts_with("::") {
            short.truncate(segment_start);
            chars.next();
        } else {
            short.push(character);
            if !(character.is_alphanumeric() || "_/".contains(character)) {
                segment_start = short.len();
            }
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn names_lose_the_paths_of_their_modules() {
        for (name, short) in [
            ("bevy_transform::components::transform::Transform", "Transform"),
            ("leafwing::ActionState<game::Action>", "ActionState<Action>"),
            ("game::paddle::move_paddle", "move_paddle"),
            ("game::main::{{closure}}", "main/closure"),
            ("Health", "Health"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }
}
