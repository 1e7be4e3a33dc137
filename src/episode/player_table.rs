//! Sparse set of [`PlayerSlot`]s, keyed by entity, in capture order.

use super::player_slot::PlayerSlot;
use bevy_ecs::entity::Entity;
use experience_buffer::prefetch;
use std::collections::{HashMap, HashSet};

/// The players of one recording.
///
/// The state is not in components: inserting a component on a live entity moves it to another table, which changes the
/// iteration order of the game's queries. Contract, "the game comes first".
#[derive(Default)]
pub(super) struct PlayerTable {
    /// Dense, in the order in which captures visit the players.
    slots: Vec<PlayerSlot>,
    /// Sparse, by entity index: the position in `slots` plus one, or 0. A `Vec`, because it may be read once for each
    /// player at each capture.
    positions: Vec<u32>,
    entities_by_agent: HashMap<i64, Entity>,
    /// Players whose agent id is used by another player, or negative. Stored so that each is counted once.
    refused: HashSet<Entity>,
    /// The number of players that joined without an `AgentId`.
    numbered: i64,
}

impl PlayerTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn slots(&self) -> &[PlayerSlot] {
        &self.slots
    }

    pub(super) fn slots_mut(&mut self) -> &mut [PlayerSlot] {
        &mut self.slots
    }

    pub(super) fn get_mut(&mut self, entity: Entity) -> Option<&mut PlayerSlot> {
        let position = self.position(entity)?;
        self.slots.get_mut(position)
    }

    /// The index of an entity's slot in [`slots`](Self::slots).
    pub(super) fn position(&self, entity: Entity) -> Option<usize> {
        let entry = *self.positions.get(entity.index_u32() as usize)?;
        let position = entry.checked_sub(1)? as usize;
        (self.slots.get(position)?.entity == entity).then_some(position)
    }

    /// The slot of `entity`, which is moved to `position` first.
    ///
    /// A capture calls this with ascending positions, which sorts slots into capture order. Usually they are already
    /// sorted: then no entity is looked up, and memory is read sequentially. `None` if the entity has no slot,
    /// or has one before `position`.
    #[inline]
    pub(super) fn get_at(&mut self, position: usize, entity: Entity) -> Option<&mut PlayerSlot> {
        if self.slots.get(position).is_none_or(|slot| slot.entity != entity) {
            self.move_to(position, entity)?;
        }
        self.slots.get_mut(position)
    }

    /// Swaps the slot of `entity` with the one at `position`.
    #[cold]
    fn move_to(&mut self, position: usize, entity: Entity) -> Option<()> {
        let found = self.position(entity).filter(|&found| found > position)?;
        let displaced = self.slots[position].entity;
        self.relocate(displaced, position, found);
        self.positions[entity.index_u32() as usize] = entry(position);
        self.slots.swap(position, found);
        Some(())
    }

    /// Changes the entry of an entity whose slot moves, unless a newer entity has reused the index.
    fn relocate(&mut self, entity: Entity, from: usize, to: usize) {
        self.relocate_index(entity, from, entry(to));
    }

    /// Prefetches the slot at `position`, which may be out of bounds.
    #[inline(always)]
    pub(super) fn prefetch(&self, position: usize) {
        prefetch::line(self.slots.as_ptr().wrapping_add(position).cast());
    }

    /// The position of the slot of an agent that the game has restored on `entity`; `None` if it has no slot.
    pub(super) fn rebind(&mut self, agent_id: i64, entity: Entity) -> Option<usize> {
        let known = self.agent_entity(agent_id)?;
        if known == entity {
            return self.position(entity);
        }
        // Another entity can have the index of the one before.
        let position = self.slots.iter().position(|slot| slot.agent_id == agent_id)?;
        self.relocate_index(known, position, 0);
        self.slots[position].entity = entity;
        self.entities_by_agent.insert(agent_id, entity);
        self.reserve_index(entity);
        self.positions[entity.index_u32() as usize] = entry(position);
        Some(position)
    }

    pub(super) fn agent_mut(&mut self, agent_id: i64) -> Option<&mut PlayerSlot> {
        self.agent_entity(agent_id).and_then(|entity| self.get_mut(entity))
    }

    pub(super) fn agent_entity(&self, agent_id: i64) -> Option<Entity> {
        self.entities_by_agent.get(&agent_id).copied()
    }

    /// A new agent id, for a player without an `AgentId`: negative, so that it differs from all ids of the game.
    pub(super) fn next_agent_id(&mut self) -> i64 {
        self.numbered += 1;
        -self.numbered
    }

    pub(super) fn insert(&mut self, slot: PlayerSlot) {
        let index = slot.entity.index_u32() as usize;
        self.reserve_index(slot.entity);
        self.refused.remove(&slot.entity);
        self.entities_by_agent.insert(slot.agent_id, slot.entity);
        self.positions[index] = entry(self.slots.len());
        self.slots.push(slot);
    }

    fn reserve_index(&mut self, entity: Entity) {
        let index = entity.index_u32() as usize;
        if self.positions.len() <= index {
            self.positions.resize((index + 1).next_power_of_two(), 0);
        }
    }

    /// Sets the entry of an entity whose slot was at `from`, unless a newer entity has reused the index.
    fn relocate_index(&mut self, entity: Entity, from: usize, to: u32) {
        let current = &mut self.positions[entity.index_u32() as usize];
        if *current == entry(from) {
            *current = to;
        }
    }

    /// Removes the slot at `position`; the last slot takes its position.
    pub(super) fn remove(&mut self, position: usize) -> PlayerSlot {
        let slot = self.slots.swap_remove(position);
        self.relocate_index(slot.entity, position, 0);
        if let Some(moved) = self.slots.get(position).map(|slot| slot.entity) {
            self.relocate(moved, self.slots.len(), position);
        }
        self.entities_by_agent.remove(&slot.agent_id);
        slot
    }

    /// Marks a player as refused. Returns true the first time.
    pub(super) fn refuse(&mut self, entity: Entity) -> bool {
        self.refused.insert(entity)
    }

    /// Forgets refused players that no longer exist.
    pub(super) fn retain_refused(&mut self, exists: impl Fn(Entity) -> bool) {
        self.refused.retain(|&entity| exists(entity));
    }
}

/// The entry in `positions` of a slot at `position`.
fn entry(position: usize) -> u32 {
    u32::try_from(position + 1).expect("there are at most as many slots as entity indices, which are 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_players_that_no_longer_exist_are_forgotten() {
        let mut players = PlayerTable::default();
        for index in 0..1000 {
            let entity = Entity::from_raw_u32(index).unwrap();
            assert!(players.refuse(entity));
            assert!(!players.refuse(entity), "it is counted once");
            players.retain_refused(|other| other == entity);
        }
        assert_eq!(players.refused.len(), 1);
    }
}
