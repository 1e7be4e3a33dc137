//! Slow path of a capture: one player at a time, through [`PlayerSlot::capture`], which handles every state.

use crate::{
    capture::CapturedPlayer,
    episode::{context::RecordingContext, player_slot::PlayerSlot, recorder::reward_terms::RewardTerms},
};
use bevy_ecs::entity::Entity;

/// Inputs and outputs of the slow path at one capture.
pub(super) struct SlowPath<'a> {
    pub(super) context: &'a RecordingContext,
    pub(super) capture: u32,
    pub(super) reward_terms: &'a mut RewardTerms,
    pub(super) joining: &'a mut Vec<Entity>,
}

impl SlowPath<'_> {
    /// Captures a player. A player without a slot, or whose slot is about to be removed, is added to `joining`. Returns
    /// whether the player was captured.
    pub(super) fn capture(&mut self, slot: Option<&mut PlayerSlot>, player: CapturedPlayer<'_>) -> bool {
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
