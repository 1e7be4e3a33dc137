//! Change-tick capture: players without changes are not encoded.
//!
//! Contract, change detection: used only with `Recording::trust_change_ticks`.

use super::{
    fast_path::{SlotCursor, TableCursor},
    slow_path::SlowPath,
};
use crate::{
    capture::{ChangeVisitor, EncodedBlock},
    player::Reward,
};
use bevy_ecs::entity::Entity;

/// One capture of all players, as a visitor of the encoder.
pub(super) struct ChangeScan<'a, 'b> {
    cursor: TableCursor<'a>,
    slow_path: SlowPath<'b>,
    /// Players with a slot that were found.
    captured: usize,
}

impl<'a, 'b> ChangeScan<'a, 'b> {
    pub(super) fn new(cursor: TableCursor<'a>, slow_path: SlowPath<'b>) -> Self {
        Self {
            cursor,
            slow_path,
            captured: 0,
        }
    }

    pub(super) fn captured(&self) -> usize {
        self.captured
    }
}

impl ChangeVisitor for ChangeScan<'_, '_> {
    /// Returns true if the player is not to be encoded. Its tick was then added to the unchanged decisions.
    fn should_skip(&mut self, entity: Entity, reward: Option<&Reward>, is_unchanged: bool) -> bool {
        let SlowPath {
            context,
            capture,
            reward_terms,
            ..
        } = &mut self.slow_path;
        self.cursor.prefetch();
        let Some((_, slot)) = self.cursor.advance_to(entity) else {
            return false;
        };
        let is_skipped = is_unchanged && slot.can_skip_read(*capture);
        if is_skipped {
            slot.mark_captured(*capture);
            reward_terms.credit(reward.filter(|reward| !reward.has_no_terms()), slot, context);
            slot.skip_read(context);
            self.captured += 1;
        }
        is_skipped
    }

    fn visit_block(&mut self, mut block: EncodedBlock<'_>) {
        for index in 0..block.len() {
            let slot = self.cursor.players.get_mut(block.entity(index));
            let is_captured = self.slow_path.capture(slot, block.player_mut(index));
            self.captured += usize::from(is_captured);
        }
    }
}
