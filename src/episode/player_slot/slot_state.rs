//! The flags of a player's episode and the code of its controller, in 16 bits, so that a slot fills one cache line.

use experience_core::transition::WordTable;

/// Bit 0: an episode is open. Bit 1: an end is pending. Further bits: the code of the player's controller.
#[derive(Clone, Copy, Default)]
pub(super) struct SlotState(u16);

const OPEN: u16 = 1;
const PENDING_END: u16 = 2;
const FLAGS: u16 = OPEN | PENDING_END;
const FLAG_BITS: u32 = FLAGS.count_ones();

const _: () = assert!(WordTable::MAX_CODE <= u16::MAX >> FLAG_BITS);

impl SlotState {
    /// An episode is being recorded. Can differ from `ColdState::in_game_episode`.
    #[inline(always)]
    pub(super) fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// Whether `ColdState::pending_end` is set.
    #[inline(always)]
    pub(super) fn has_pending_end(self) -> bool {
        self.0 & PENDING_END != 0
    }

    /// An episode is being recorded, and no end of it is pending.
    #[inline(always)]
    pub(super) fn is_in_open_episode(self) -> bool {
        self.0 & FLAGS == OPEN
    }

    /// Returns whether it was open.
    pub(super) fn set_open(&mut self, open: bool) -> bool {
        self.replace(OPEN, open)
    }

    /// Returns whether an end was pending.
    pub(super) fn set_pending_end(&mut self, pending: bool) -> bool {
        self.replace(PENDING_END, pending)
    }

    fn replace(&mut self, flag: u16, is_set: bool) -> bool {
        let was_set = self.0 & flag != 0;
        self.0 = self.0 & !flag | if is_set { flag } else { 0 };
        was_set
    }

    /// The code of the player's controller in the recording's [`WordTable`], 0 for none.
    #[inline(always)]
    pub(super) fn controller(self) -> u16 {
        self.0 >> FLAG_BITS
    }

    pub(super) fn set_controller(&mut self, code: u16) {
        self.0 = self.0 & FLAGS | code << FLAG_BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_controller_are_independent() {
        let mut state = SlotState::default();
        assert!(!state.set_open(true) && state.is_in_open_episode());
        state.set_controller(WordTable::MAX_CODE);
        assert!(state.is_in_open_episode() && !state.has_pending_end());
        assert!(!state.set_pending_end(true) && state.is_open() && !state.is_in_open_episode());
        assert_eq!(state.controller(), WordTable::MAX_CODE);
        assert!(state.set_open(false) && state.set_pending_end(false));
        assert_eq!(state.controller(), WordTable::MAX_CODE);
        state.set_controller(0);
        assert_eq!(state.0, 0);
    }
}
