//! Slow path: captures one player at a time, through [`PlayerSlot::capture`], which handles every case.

use crate::{
    capture::Captured,
    episode::{context::RecordingContext, player_slot::PlayerSlot, recorder::reward_terms::RewardTerms},
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
        self.reward_terms.credit(player.reward, slot, self.context);
        slot.capture(self.context, Some(player.row));
        true
    }
}
