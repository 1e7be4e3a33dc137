//! The players of a capture, with the position of each in a list.

use crate::capture::world_source::Players;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeId},
    entity::Entity,
    world::World,
};

/// A list of players, archetype by archetype. The position of a player in it is found without a map.
#[derive(Default)]
pub(super) struct PlayerIndex {
    entities: Vec<Entity>,
    /// The position of the first player of each archetype, in the order of archetype ids. Empty for a single player.
    starts: Vec<(ArchetypeId, usize)>,
}

impl PlayerIndex {
    pub(super) fn update(&mut self, world: &World, players: Players<'_>) {
        self.entities.clear();
        self.starts.clear();
        match players {
            Players::One(player) => self.entities.push(player),
            Players::All(archetypes) => {
                for &id in archetypes {
                    self.starts.push((id, self.entities.len()));
                    let players = world.archetypes()[id].entities();
                    self.entities.extend(players.iter().map(ArchetypeEntity::id));
                }
            }
        }
    }

    pub(super) fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// The position of a player in the list. `None` if it is not in the list.
    pub(super) fn position(&self, world: &World, player: &ArchetypeEntity) -> Option<usize> {
        if self.starts.is_empty() {
            return Some(0);
        }
        let location = world.get_entity(player.id()).ok()?.location();
        let archetype = self.starts.binary_search_by_key(&location.archetype_id, |&(id, _)| id);
        Some(self.starts[archetype.ok()?].1 + location.archetype_row.index())
    }
}
