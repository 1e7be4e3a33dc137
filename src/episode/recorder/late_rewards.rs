//! Rewards for players that have left, which have no [`Reward`] component.

use super::Recorder;
use crate::player::Reward;
use bevy_ecs::entity::Entity;

impl Recorder {
    /// Adds `reward` to the last step of a player that has left. Returns false if no open episode takes it.
    pub(crate) fn credit_departed(&mut self, entity: Entity, reward: &Reward) -> bool {
        if self.speculation.is_active() {
            return false;
        }
        let slot = self.players.get_mut(entity);
        let slot = slot.filter(|slot| slot.is_leaving() && slot.accepts_rewards());
        let is_credited = slot.is_some();
        if let Some(slot) = slot {
            self.reward_terms.credit(Some(reward), slot, &self.context);
        }
        is_credited
    }

    /// Whether the entity is a player that has left, and whose last step takes rewards.
    pub(crate) fn takes_late_rewards(&self, entity: Entity) -> bool {
        let position = self.players.position(entity);
        position.is_some_and(|position| {
            let slot = &self.players.slots()[position];
            slot.is_leaving() && slot.accepts_rewards()
        })
    }

    /// Counts a reward that no episode takes.
    pub(crate) fn count_orphaned_reward(&self) {
        if self.is_recording() {
            self.context.counters.orphaned_rewards.add(1);
        }
    }
}
