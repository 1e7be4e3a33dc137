//! Slow path: captures one player at a time, through [`PlayerSlot::capture`].

use super::reward_terms::RewardTerms;
use crate::{
    capture::Captured,
    episode::{context::RecordingContext, player_slot::PlayerSlot},
    player::Reward,
};
use bevy_ecs::entity::Entity;

/// What the slow path of one capture reads and writes.
pub(super) struct SlowPath<'a> {
    pub(super) context: &'a RecordingContext,
    pub(super) capture: u32,
    pub(super) reward_terms: &'a mut RewardTerms,
    pub(super) joining: &'a mut Vec<Entity>,
}

impl SlowPath<'_> {
    /// Captures a player. `slot` is `None` if it has none; a player without a slot, or whose slot is about to be removed, may
    /// join at this capture. False if the player was not captured.
    pub(super) fn capture(&mut self, slot: Option<&mut PlayerSlot>, player: Captured<'_>) -> bool {
        let Some(slot) = slot.filter(|slot| !slot.is_leaving()) else {
            self.joining.push(player.entity);
            return false;
        };
        slot.mark_captured(self.capture);
        credit_reward(slot, player.reward, self.context, self.reward_terms);
        slot.capture(self.context, Some(player.row));
        true
    }
}

/// Adds the reward given since the last capture to the transition in progress. Outside an episode it is counted as orphaned.
pub(super) fn credit_reward(
    slot: &mut PlayerSlot,
    reward: Option<&Reward>,
    context: &RecordingContext,
    reward_terms: &mut RewardTerms,
) {
    let Some(reward) = reward else { return };
    let accepts_rewards = slot.accepts_rewards();
    let mut is_orphaned = false;
    reward_terms.for_each_amount(reward, |term, amount| {
        if accepts_rewards {
            slot.add_reward(term, amount);
        } else {
            is_orphaned = true;
        }
    });
    if is_orphaned && slot.is_recorded() && !slot.is_excluded() && !context.was_paused {
        context.counters.orphaned_rewards.add(1);
    }
}
