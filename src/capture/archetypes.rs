//! Which archetypes hold a recording's players.

use super::excluded_components;
use bevy_ecs::{
    archetype::{Archetype, ArchetypeGeneration, ArchetypeId},
    component::ComponentId,
    world::World,
};

/// The archetypes that hold the marker and everything that the recording reads.
///
/// Archetypes are never removed from a world, so only those made since the last look have to be examined.
pub(super) struct MatchedArchetypes {
    marker: ComponentId,
    required: Vec<ComponentId>,
    excluded: [ComponentId; 2],
    seen: ArchetypeGeneration,
    matched: Vec<ArchetypeId>,
    /// Those that hold the marker and lack something.
    incomplete: Vec<ArchetypeId>,
}

impl MatchedArchetypes {
    pub(super) fn new(world: &mut World, marker: ComponentId, required: Vec<ComponentId>) -> Self {
        Self {
            marker,
            required,
            excluded: excluded_components(world),
            seen: ArchetypeGeneration::initial(),
            matched: Vec::new(),
            incomplete: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.seen == archetypes.generation() {
            return;
        }
        for archetype in &archetypes[self.seen..] {
            if !archetype.contains(self.marker) || self.excluded.iter().any(|&id| archetype.contains(id)) {
                continue;
            }
            if self.required.iter().all(|&id| archetype.contains(id)) {
                self.matched.push(archetype.id());
            } else {
                self.incomplete.push(archetype.id());
            }
        }
        self.seen = archetypes.generation();
    }

    pub(super) fn matched(&self) -> &[ArchetypeId] {
        &self.matched
    }

    /// In order, so a search is quick; archetypes are met in the order of their ids.
    pub(super) fn contains(&self, id: ArchetypeId) -> bool {
        self.matched.binary_search(&id).is_ok()
    }

    /// What living holders of the marker lack, by name.
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
