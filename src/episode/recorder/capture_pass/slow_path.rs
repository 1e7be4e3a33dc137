//! Slow path of a capture: one player at a time, through [`PlayerSlot::capture`], which handles every state.

use crate::{
    capture::CapturedPlayer,
    episode::{context::RecordingContext, player_slot::PlayerSlot, recorder::reward_terms::RewardTerms},
    player::AgentId,
};
use bevy_ecs::{entity::Entity, world::World};

/// Inputs and outputs of the slow path at one capture.
pub(super) struct SlowPath<'a> {
    pub(super) world: &'a World,
    pub(super) context: &'a RecordingContext,
    pub(super) capture: u32,
    pub(super) reward_terms: &'a mut RewardTerms,
    pub(super) joining: &'a mut Vec<Entity>,
}

impl SlowPath<'_> {
    /// Captures a player. A player without a slot, or whose slot is about to be removed, is added to `joining`: a player that
    /// leaves, or whose agent id has changed since its last episode. Returns whether the player was captured.
    pub(super) fn capture(&mut self, slot: Option<&mut PlayerSlot>, player: CapturedPlayer<'_>) -> bool {
        let Some(slot) = slot.filter(|slot| !slot.is_leaving()) else {
            self.joining.push(player.entity);
            return false;
        };
        slot.label_action(player.row);
        self.reward_terms.credit(player.reward, slot, self.context);
        slot.copy_kept_action(self.context.layout(), player.row);
        if slot.begins_episode(&self.context.rules) && has_other_agent_id(self.world, slot) {
            slot.capture_before_rejoining(self.context, player.row);
            self.joining.push(player.entity);
            return false;
        }
        slot.mark_captured(self.capture);
        slot.capture(self.context, Some(player.row));
        true
    }
}

/// Whether the agent id of a player differs from the one that its slot was created with. A slot with a negative agent id was
/// created for a player without an [`AgentId`].
pub(in crate::episode::recorder) fn has_other_agent_id(world: &World, slot: &PlayerSlot) -> bool {
    match world.get::<AgentId>(slot.entity) {
        Some(&AgentId(agent_id)) => agent_id != slot.agent_id || agent_id < 0,
        None => slot.agent_id >= 0,
    }
}
