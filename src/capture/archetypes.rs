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
    required: Vec<ComponentId>,
    excluded: [ComponentId; 2],
    checked: ArchetypeGeneration,
    matched: Vec<ArchetypeId>,
    /// Archetypes with the marker that lack a required component.
    incomplete: Vec<ArchetypeId>,
}

impl MatchedArchetypes {
    pub(super) fn new(world: &mut World, marker: ComponentId, required: Vec<ComponentId>) -> Self {
        Self {
            marker,
            required,
            excluded: excluded_components(world),
            checked: ArchetypeGeneration::initial(),
            matched: Vec::new(),
            incomplete: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.checked == archetypes.generation() {
            return;
        }
        for archetype in &archetypes[self.checked..] {
            if !archetype.contains(self.marker) || self.excluded.iter().any(|&id| archetype.contains(id)) {
                continue;
            }
            if self.required.iter().all(|&id| archetype.contains(id)) {
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
            self.required
                .iter()
                .filter(|&&id| !archetype.contains(id))
                .filter_map(|&id| Some(world.components().get_name(id)?.to_string()))
                .collect()
        };
        self.incomplete
            .iter()
            .map(|&id| &world.archetypes()[id])
            .find(|archetype| !archetype.is_empty())
            .map(lacks)
    }
}
