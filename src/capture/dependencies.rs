//! What the rows of a recording depend on: the components that its sources read, and the archetypes of its players.

use super::{RowEncoder, RowPart};
use bevy_ecs::{
    archetype::{Archetype, ArchetypeEntity},
    component::ComponentId,
    entity::Entity,
    world::World,
};
use bevy_transform::components::Transform;
use core::any::type_name;

/// A component or resource that a source of a recording reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowDependency<'a> {
    pub(crate) part: RowPart,
    pub(crate) component: ComponentId,
    /// The name of its type, with its path.
    pub(crate) name: &'a str,
    /// Players have it. Otherwise other entities do, or it is a resource.
    pub(crate) is_own: bool,
}

impl RowEncoder {
    /// What the rows depend on, in the order of the sources.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = RowDependency<'_>> {
        let components = self.sources.iter().map(|source| RowDependency {
            part: source.part(),
            component: source.component(),
            name: source.name(),
            is_own: true,
        });
        let resources = self.resources.iter().map(|resource| RowDependency {
            part: RowPart::Observation,
            component: resource.component(),
            name: resource.name(),
            is_own: false,
        });
        // The positions of listed entities are relative to that of the player.
        let positions = self.lists.iter().map(|list| RowDependency {
            part: RowPart::Observation,
            component: list.position_component(),
            name: type_name::<Transform>(),
            is_own: true,
        });
        components.chain(resources).chain(positions)
    }

    /// The archetypes with players that are recorded.
    pub(crate) fn player_archetypes<'w>(&mut self, world: &'w World) -> impl Iterator<Item = &'w Archetype> {
        self.archetypes.update(world);
        let archetypes = self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
        archetypes.filter(|archetype| !archetype.is_empty())
    }

    /// The players that are recorded, in the order in which they are encoded.
    pub(crate) fn players(&mut self, world: &World) -> impl Iterator<Item = Entity> {
        self.player_archetypes(world)
            .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
    }
}
