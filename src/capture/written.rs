//! Change ticks of single players: whether a component that a recording reads was written since a moment.

use super::{RowEncoder, RowPart};
use bevy_ecs::{change_detection::Tick, entity::Entity, world::World};

impl RowEncoder {
    /// Whether the entity is a player with every component that the recording reads.
    pub(crate) fn finds(&mut self, world: &World, entity: Entity) -> bool {
        self.archetypes.update(world);
        let found = world.get_entity(entity);
        found.is_ok_and(|found| self.archetypes.contains(found.location().archetype_id))
    }

    /// Whether a component of the player's action was added or accessed mutably after the change tick `since`. True if the
    /// player has no such component.
    pub(crate) fn is_action_written(&self, world: &World, player: Entity, since: Tick) -> bool {
        let mut action = self
            .sources
            .iter()
            .filter(|source| source.part() == RowPart::Action)
            .peekable();
        if action.peek().is_none() {
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
