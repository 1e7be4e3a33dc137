//! Change ticks of single players: whether a component that a recording reads was written since a moment.

use super::{RowEncoder, RowPart, Source};
use bevy_ecs::{
    change_detection::Tick,
    component::ComponentId,
    entity::Entity,
    world::{EntityRef, World},
};

impl RowEncoder {
    /// Whether the entity is a player with every component that the recording reads.
    pub(crate) fn finds(&mut self, world: &World, entity: Entity) -> bool {
        self.archetypes.update(world);
        let found = world.get_entity(entity);
        found.is_ok_and(|found| self.archetypes.contains(found.location().archetype_id))
    }

    /// The components of players that are observed.
    pub(crate) fn observed_components(&self) -> impl Iterator<Item = ComponentId> + '_ {
        let observed = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.part() == RowPart::Observation);
        // A component can have several sources.
        let is_first = |&(index, source): &(usize, &Source)| {
            let before = &self.sources[..index];
            before
                .iter()
                .all(|other| other.part() != RowPart::Observation || other.component() != source.component())
        };
        observed.filter(is_first).map(|(_, source)| source.component())
    }

    /// The name of the type of a component that is read.
    pub(crate) fn component_name(&self, component: ComponentId) -> Option<&'static str> {
        let source = self.sources.iter().find(|source| source.component() == component);
        source.map(Source::name)
    }

    /// Whether a part of the player's action was added or accessed mutably after the change tick `since`: a component of the player
    /// or of a related entity, or a resource. True if the player is gone or lacks a component, or if the action has no part. `None`
    /// if a part has no change ticks, because a system computes it, and no other part was written.
    pub(crate) fn action_written(&self, world: &World, player: Entity, since: Tick) -> Option<bool> {
        let Ok(found) = world.get_entity(player) else {
            return Some(true);
        };
        let own = self.sources.iter().filter(|source| source.part() == RowPart::Action);
        let own =
            own.map(|source| Some(!found.contains_id(source.component()) || source.is_written(world, found, since)));
        let others = self
            .world_sources
            .iter()
            .filter(|placed| placed.part == RowPart::Action);
        let others = others.map(|placed| placed.source.is_written(world, player, since));
        let parts = own.chain(others);
        let strongest = parts.reduce(|one, other| match (one, other) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (None, _) | (_, None) => None,
            (Some(false), Some(false)) => Some(false),
        });
        strongest.unwrap_or(Some(true))
    }
}

impl Source {
    /// Whether the component of an entity was added or accessed mutably after the change tick `since`. False without the component.
    pub(super) fn is_written(&self, world: &World, entity: EntityRef<'_>, since: Tick) -> bool {
        let ticks = entity.get_change_ticks_by_id(self.component());
        ticks.is_some_and(|ticks| ticks.is_changed(since, world.read_change_tick()))
    }
}
