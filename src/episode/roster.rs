//! Who is being recorded: lives in slots, found by entity.

use super::life::Life;
use bevy_ecs::entity::Entity;
use experience_buffer::prefetch;
use std::collections::HashMap;

/// The living players of one recording.
///
/// Nothing is put on the players themselves: inserting a component on a living entity moves it to another table and so
/// changes the order in which the game's own queries see it.
#[derive(Default)]
pub(super) struct Roster {
    lives: Vec<Life>,
    /// By entity index: the slot plus one, 0 for nobody. A plain vector: it is looked up for every player at every
    /// tick.
    slots: Vec<u32>,
    agents: HashMap<i64, Entity>,
    /// Players who wait for their agent id, so that each is counted once.
    refused: Vec<Entity>,
    next_agent: i64,
}

impl Roster {
    pub(super) fn get_mut(&mut self, entity: Entity) -> Option<&mut Life> {
        let place = self.place(entity)?;
        self.lives.get_mut(place)
    }

    /// The place in [`lives`](Self::lives) of an entity's life.
    pub(super) fn place(&self, entity: Entity) -> Option<usize> {
        let slot = *self.slots.get(entity.index_u32() as usize)?;
        let place = slot.checked_sub(1)? as usize;
        (self.lives.get(place)?.entity == entity).then_some(place)
    }

    /// The life of the entity that a capture meets after those whose lives stand before `place`.
    ///
    /// It is moved there, so that lives stand in the order in which captures meet them. Nearly always they do already: then
    /// nobody is looked up, and memory is read from one end to the other.
    #[inline]
    pub(super) fn meet(&mut self, place: usize, entity: Entity) -> Option<&mut Life> {
        if self.lives.get(place).is_none_or(|life| life.entity != entity) {
            self.move_to(place, entity)?;
        }
        self.lives.get_mut(place)
    }

    /// Exchanges the life of an entity with the one at `place`. `None` where it has none, or one before `place`.
    #[cold]
    fn move_to(&mut self, place: usize, entity: Entity) -> Option<()> {
        let found = self.place(entity).filter(|&found| found > place)?;
        let slot = |place: usize| u32::try_from(place + 1).expect("a place was a slot before");
        let moved = self.lives[place].entity.index_u32() as usize;
        // A newer entity may have taken over the index already.
        if self.slots[moved] == slot(place) {
            self.slots[moved] = slot(found);
        }
        self.slots[entity.index_u32() as usize] = slot(place);
        self.lives.swap(place, found);
        Some(())
    }

    /// Has the life at `place` brought near, if there is one.
    #[inline(always)]
    pub(super) fn prefetch(&self, place: usize) {
        prefetch::line(self.lives.as_ptr().wrapping_add(place).cast());
    }

    pub(super) fn lives_mut(&mut self) -> &mut [Life] {
        &mut self.lives
    }

    pub(super) fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// The life of the living player with this agent id.
    pub(super) fn agent_mut(&mut self, agent_id: i64) -> Option<&mut Life> {
        self.holder(agent_id).and_then(|entity| self.get_mut(entity))
    }

    /// The living player with this agent id.
    pub(super) fn holder(&self, agent_id: i64) -> Option<Entity> {
        self.agents.get(&agent_id).copied()
    }

    /// The next id for a player whom the game gave none.
    pub(super) fn next_agent(&mut self) -> i64 {
        while self.agents.contains_key(&self.next_agent) {
            self.next_agent += 1;
        }
        self.next_agent += 1;
        self.next_agent - 1
    }

    pub(super) fn insert(&mut self, life: Life) {
        let index = life.entity.index_u32() as usize;
        if self.slots.len() <= index {
            self.slots.resize((index + 1).next_power_of_two(), 0);
        }
        self.refused.retain(|&entity| entity != life.entity);
        self.agents.insert(life.agent_id, life.entity);
        self.lives.push(life);
        self.slots[index] = u32::try_from(self.lives.len()).expect("entities are counted in 32 bits");
    }

    /// Removes the life at `place` in [`lives`](Self::lives); the last one takes its place.
    pub(super) fn remove(&mut self, place: usize) -> Life {
        let life = self.lives.swap_remove(place);
        let index = life.entity.index_u32() as usize;
        // A newer entity may have taken over the index already.
        if self.slots[index] as usize == place + 1 {
            self.slots[index] = 0;
        }
        if let Some(moved) = self.lives.get(place) {
            let index = moved.entity.index_u32() as usize;
            if self.slots[index] as usize == self.lives.len() + 1 {
                self.slots[index] = u32::try_from(place + 1).expect("a place was a slot before");
            }
        }
        self.agents.remove(&life.agent_id);
        life
    }

    /// Notes that a player was refused; true the first time.
    pub(super) fn refuse(&mut self, entity: Entity) -> bool {
        let new = !self.refused.contains(&entity);
        if new {
            self.refused.push(entity);
        }
        new
    }
}
