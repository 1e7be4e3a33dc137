//! Archetype matching for the players of a recording, updated incrementally as by a Bevy `QueryState`.

use super::excluded_components;
use bevy_ecs::{
    archetype::{Archetype, ArchetypeGeneration, ArchetypeId},
    component::ComponentId,
    world::World,
};

/// The archetypes with the marker and every component that the recording reads.
///
/// Archetypes are never removed from a world, so an update checks only those created since the last one.
pub(super) struct MatchedArchetypes {
    marker: ComponentId,
    /// In the order of their ids.
    required: Vec<RequiredComponent>,
    excluded: [ComponentId; 2],
    checked: ArchetypeGeneration,
    matched: Vec<ArchetypeId>,
    /// Archetypes with the marker that lack a required component.
    incomplete: Vec<ArchetypeId>,
    /// Some archetype has the marker, so some entity has or had it.
    has_found_marker: bool,
}

/// A component that every recorded player has.
struct RequiredComponent {
    id: ComponentId,
    name: &'static str,
    /// Some archetype has it together with the marker, so some player has or had it.
    is_found: bool,
}

impl MatchedArchetypes {
    /// `required` has the id and the name of each component that the recording reads.
    pub(super) fn new(world: &mut World, marker: ComponentId, required: Vec<(ComponentId, &'static str)>) -> Self {
        let mut required: Vec<_> = required
            .into_iter()
            .map(|(id, name)| RequiredComponent {
                id,
                name,
                is_found: false,
            })
            .collect();
        required.sort_unstable_by_key(|required| required.id);
        required.dedup_by_key(|required| required.id);
        Self {
            marker,
            required,
            excluded: excluded_components(world),
            checked: ArchetypeGeneration::initial(),
            matched: Vec::new(),
            incomplete: Vec::new(),
            has_found_marker: false,
        }
    }

    pub(super) fn update(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.checked == archetypes.generation() {
            return;
        }
        for archetype in &archetypes[self.checked..] {
            if !archetype.contains(self.marker) {
                continue;
            }
            self.has_found_marker = true;
            let mut is_complete = true;
            for required in &mut self.required {
                let has_component = archetype.contains(required.id);
                required.is_found |= has_component;
                is_complete &= has_component;
            }
            if self.excluded.iter().any(|&id| archetype.contains(id)) {
                continue;
            }
            if is_complete {
                self.matched.push(archetype.id());
            } else {
                self.incomplete.push(archetype.id());
            }
        }
        self.checked = archetypes.generation();
    }

    pub(super) fn matched(&self) -> &[ArchetypeId] {
        &self.matched
    }

    /// Archetypes are matched in the order of their ids, so `matched` is sorted.
    pub(super) fn contains(&self, id: ArchetypeId) -> bool {
        self.matched.binary_search(&id).is_ok()
    }

    /// The names of the components that entities with the marker lack.
    pub(super) fn missing(&self, world: &World) -> Option<Vec<String>> {
        let lacks = |archetype: &Archetype| {
            let missing = self.required.iter().filter(|required| !archetype.contains(required.id));
            missing.map(|required| format!("`{}`", required.name)).collect()
        };
        self.incomplete
            .iter()
            .map(|&id| &world.archetypes()[id])
            .find(|archetype| !archetype.is_empty())
            .map(lacks)
    }

    /// The names of the components that entities with the marker and `component` lack.
    pub(super) fn missing_with(&self, world: &World, component: ComponentId) -> Option<Vec<&'static str>> {
        let mut archetypes = self.incomplete.iter().map(|&id| &world.archetypes()[id]);
        let archetype = archetypes.find(|archetype| archetype.contains(component) && !archetype.is_empty())?;
        let missing = self.required.iter().filter(|required| !archetype.contains(required.id));
        Some(missing.map(|required| required.name).collect())
    }

    /// The number of entities with the marker that lack a required component.
    pub(super) fn incomplete_players(&self, world: &World) -> usize {
        let archetypes = self.incomplete.iter().map(|&id| &world.archetypes()[id]);
        archetypes.map(|archetype| archetype.len() as usize).sum()
    }

    /// The id and the name of each required component that no entity with the marker ever had.
    pub(super) fn never_found(&self) -> impl Iterator<Item = (ComponentId, &'static str)> + '_ {
        let never_found = self.required.iter().filter(|required| !required.is_found);
        never_found.map(|required| (required.id, required.name))
    }

    /// Whether any entity ever had the marker.
    pub(super) fn has_found_marker(&self) -> bool {
        self.has_found_marker
    }
}
