//! What becomes of a player for whom it was more than a step.

use super::{Context, Life, Roster, Terms};
use crate::{capture::Captured, player::Reward};
use bevy_ecs::entity::Entity;

/// What it takes to settle what became of a player for whom it was more than a step.
pub(super) struct Settling<'a> {
    pub(super) context: &'a Context,
    pub(super) terms: &'a mut Terms,
    pub(super) joining: &'a mut Vec<Entity>,
    pub(super) captures: u32,
}

impl Settling<'_> {
    /// Leaves a player to its life. False where it has none yet, or none any more: then it may join.
    pub(super) fn settle(&mut self, roster: &mut Roster, player: Captured<'_>) -> bool {
        self.settle_life(roster.get_mut(player.entity), player)
    }

    /// The same, where its life was found.
    pub(super) fn settle_life(&mut self, life: Option<&mut Life>, player: Captured<'_>) -> bool {
        match life {
            Some(life) if !life.leaves() => {
                life.see(self.captures);
                take_reward(life, player.reward, self.context, self.terms);
                life.capture(self.context, Some(player.row));
                true
            }
            _ => {
                self.joining.push(player.entity);
                false
            }
        }
    }
}

/// Adds what a player was given to its transition under way.
pub(super) fn take_reward(life: &mut Life, reward: Option<&Reward>, context: &Context, terms: &mut Terms) {
    let Some(reward) = reward else { return };
    let takes = life.takes_rewards();
    let mut orphaned = false;
    terms.amounts(reward, |term, amount| {
        if takes {
            life.add_reward(term, amount);
        } else {
            orphaned = true;
        }
    });
    if orphaned && life.is_recorded() && !life.is_excluded() && !context.was_paused {
        context.counters.orphaned_rewards.add(1);
    }
}
