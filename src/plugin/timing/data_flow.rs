//! The way of an action through components: a system that reads the action writes what another system reads, until one writes what
//! is observed.
//!
//! It is followed from what is observed, against its direction, and ends at the systems that read the action. A system that reads
//! the action without being on the way, such as one of an input manager that triggers events, moves no player.

use super::{
    survey::{Survey, SurveyedSystem},
    system_access::{SystemAccess, SystemAccesses},
};
use bevy_ecs::{
    component::ComponentId,
    query::{ComponentIdSet, FilteredAccess, FilteredAccessSet},
    schedule::{InternedScheduleLabel, SystemKey},
};
use bevy_platform::collections::HashSet;

/// What a system of a schedule accesses, as far as its components and resources are known.
struct Node {
    schedule: InternedScheduleLabel,
    key: SystemKey,
    reads: ComponentIdSet,
    writes: ComponentIdSet,
}

impl Node {
    /// `ends` are the components at which no way continues.
    fn new(schedule: InternedScheduleLabel, system: &SystemAccess, ends: &ComponentIdSet) -> Self {
        let mut node = Self {
            schedule,
            key: system.key,
            reads: ComponentIdSet::new(),
            writes: ComponentIdSet::new(),
        };
        let queries = system.access.iter().flat_map(FilteredAccessSet::filtered_accesses);
        for access in queries.map(FilteredAccess::access) {
            // A system that reads or writes all components is on no way.
            if let Ok(reads) = access.try_reads_and_writes() {
                node.reads.union_with(reads);
            }
            if let Ok(writes) = access.try_writes() {
                node.writes.union_with(writes);
            }
        }
        node.reads.difference_with(ends);
        node.writes.difference_with(ends);
        node
    }

    fn is(&self, system: &SurveyedSystem) -> bool {
        (self.schedule, self.key) == (system.name.schedule, system.key)
    }
}

impl Survey {
    /// Finds the systems through which the action reaches what is observed. `ends` are the components at which no way continues:
    /// those of the observation and of the action, and others that any system may write.
    pub(super) fn follow_action(&mut self, accesses: &SystemAccesses, ends: impl IntoIterator<Item = ComponentId>) {
        let mut end_set = ComponentIdSet::new();
        ends.into_iter().for_each(|end| end_set.insert(end));
        let schedules = self.orders.all().into_iter().chain(self.known_nested.iter().copied());
        let nodes: Vec<_> = schedules
            .flat_map(|schedule| {
                let systems = accesses.of(schedule).systems;
                let nodes: Vec<_> = systems
                    .iter()
                    .map(|system| Node::new(schedule, system, &end_set))
                    .collect();
                nodes
            })
            .collect();
        for writer in 0..self.systems.len() {
            if self.systems[writer].writes.is_none() || self.systems[writer].reads_action {
                continue;
            }
            let mut seen = HashSet::new();
            let mut open: Vec<_> = nodes.iter().filter(|node| node.is(&self.systems[writer])).collect();
            while let Some(node) = open.pop() {
                for (index, before) in nodes.iter().enumerate() {
                    if before.writes.is_disjoint(&node.reads) || !seen.insert(index) {
                        continue;
                    }
                    let mut reads_action = false;
                    let mut decides = false;
                    for system in self.systems.iter_mut().filter(|system| before.is(system)) {
                        reads_action |= system.reads_action;
                        decides |= system.writes_action.is_some();
                        system.leads |= system.reads_action;
                    }
                    self.systems[writer].is_led |= reads_action && !decides;
                    if !reads_action {
                        open.push(before);
                    }
                }
            }
        }
    }
}
