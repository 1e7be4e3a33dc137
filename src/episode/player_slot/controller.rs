//! The controller in the player state machine: each action that is read is labelled with what controls the player then.
//!
//! Contract, alignment: the controller belongs to the action of its row. The label is in the header of the row that an action was
//! read into, and is copied with the action.

use super::PlayerSlot;
use bevy_ecs::change_detection::Tick;
use experience_core::transition::StepHeader;

impl PlayerSlot {
    /// Sets the code of what controls the player from now on.
    pub(in crate::episode) fn controller(&self) -> u16 {
        self.state.controller()
    }

    pub(in crate::episode) fn set_controller(&mut self, code: u16) {
        self.state.set_controller(code);
    }

    /// The player has acted on its open request, so its action is that of the controller until now, unless another one acts
    /// after `now`. Called before another controller takes over.
    pub(in crate::episode) fn keep_controller_of_action(&mut self, now: Tick) {
        let before = self.state.controller();
        if let Some(request) = &mut self.cold.request {
            request.acted_by.get_or_insert((before, now));
        }
    }

    /// Forgets which controller had acted on the open request if another one has acted since. `is_written_since` states whether the
    /// action was written after a change tick.
    pub(in crate::episode) fn check_takeover(&mut self, is_written_since: impl FnOnce(Tick) -> bool) {
        if let Some(request) = &mut self.cold.request
            && let Some((_, takeover)) = request.acted_by
            && is_written_since(takeover)
        {
            request.acted_by = None;
        }
    }

    /// Labels the action in `row`, which was read now.
    #[inline]
    pub(in crate::episode) fn label_action(&self, row: &mut [u64]) {
        StepHeader::of_mut(row).set_controller(self.state.controller());
    }

    /// Labels the action of the final row, which was read now.
    pub(in crate::episode) fn label_final_action(&mut self) {
        let code = self.state.controller();
        StepHeader::of_mut(&mut self.cold.final_row).set_controller(code);
    }
}
