//! What the rows of a recording depend on: the components that its sources read, and the archetypes of its players.

use super::{RowEncoder, RowPart};
use bevy_ecs::{
    archetype::{Archetype, ArchetypeEntity},
    component::ComponentId,
    entity::Entity,
    world::World,
};

/// A component or resource that a source of a recording reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowDependency<'a> {
    pub(crate) part: RowPart,
    pub(crate) component: ComponentId,
    /// The name of its type, with its path.
    pub(crate) name: &'a str,
    /// Players have it. Otherwise other entities do, or it is a resource.
    pub(crate) is_own: bool,
    /// An entity without it is not recorded.
    pub(crate) is_required: bool,
}

impl RowEncoder {
    /// What the rows depend on, in the order of the sources. What a function or a system reads beside its declared types is not
    /// known.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = RowDependency<'_>> {
        let own = self.sources.iter().map(|source| RowDependency {
            part: source.part(),
            component: source.component(),
            name: source.name(),
            is_own: true,
            is_required: !source.is_optional(),
        });
        let world = self.world_sources.iter().flat_map(|placed| {
            let required = placed.source.required_components();
            let components = placed.source.components().into_iter();
            components.map(move |(component, name)| {
                let is_required = required.iter().any(|&(required, _)| required == component);
                RowDependency {
                    part: placed.part,
                    component,
                    name,
                    is_own: is_required,
                    is_required,
                }
            })
        });
        let lists = self.lists.iter().flat_map(|list| {
            list.components().map(|(component, name)| {
                // The positions of listed entities are relative to that of the player.
                let is_position = component == list.position_component();
                RowDependency {
                    part: RowPart::Observation,
                    component,
                    name,
                    is_own: is_position,
                    is_required: is_position,
                }
            })
        });
        own.chain(world).chain(lists)
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
