//! The controller in the player state machine: each action that is read is labelled with what controls the player then.
//!
//! Contract, alignment: the controller belongs to the action of its row. The label is in the header of the row that an action was
//! read into, and is copied with the action.

use super::PlayerSlot;
use experience_core::transition::StepHeader;

impl PlayerSlot {
    /// Sets the code of what controls the player from now on. `has_acted` states whether the player has acted on its open
    /// request, so that the action of that request is one of the controller until now.
    pub(in crate::episode) fn set_controller(&mut self, code: u16, has_acted: bool) {
        let before = self.state.controller();
        if let Some(request) = self.cold.request.as_mut().filter(|_| has_acted) {
            request.acted_by.get_or_insert(before);
        }
        self.state.set_controller(code);
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
