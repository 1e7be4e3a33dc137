//! Change ticks of single players: whether a component that a recording reads was written since a moment.

use super::{RowEncoder, RowPart, Source};
use bevy_ecs::{change_detection::Tick, component::ComponentId, entity::Entity, world::World};

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

    /// Whether a component of the player's action was added or accessed mutably after the change tick `since`. True if the
    /// player has no such component, or the action is read from elsewhere.
    pub(crate) fn is_action_written(&self, world: &World, player: Entity, since: Tick) -> bool {
        let mut action = self
            .sources
            .iter()
            .filter(|source| source.part() == RowPart::Action)
            .peekable();
        let is_read_elsewhere = self.world_sources.iter().any(|placed| placed.part == RowPart::Action);
        if action.peek().is_none() || is_read_elsewhere {
            return true;
        }
        let Ok(found) = world.get_entity(player) else {
            return true;
        };
        let now = world.read_change_tick();
        action.any(|source| {
            found
                .get_change_ticks_by_id(source.component())
                .is_none_or(|ticks| ticks.is_changed(since, now))
        })
    }
}
