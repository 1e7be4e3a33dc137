//! Players who may stand still, and then are not read.

use super::{
    settling::{Settling, take_reward},
    steady::AHEAD,
};
use crate::{
    capture::{Block, ChangeVisitor},
    episode::roster::Roster,
    player::Reward,
};
use bevy_ecs::entity::Entity;

/// One capture of such players.
pub(super) struct Looking<'a, 'b> {
    roster: &'a mut Roster,
    settling: Settling<'b>,
    /// How many lives were met: the roster's first ones.
    met: usize,
    /// How many players there were whom somebody knows.
    seen: usize,
}

impl<'a, 'b> Looking<'a, 'b> {
    pub(super) fn new(roster: &'a mut Roster, settling: Settling<'b>) -> Self {
        Self {
            roster,
            settling,
            met: 0,
            seen: 0,
        }
    }

    pub(super) fn seen(&self) -> usize {
        self.seen
    }
}

impl ChangeVisitor for Looking<'_, '_> {
    fn skips(&mut self, entity: Entity, reward: Option<&Reward>, is_unchanged: bool) -> bool {
        let Settling {
            context,
            terms,
            captures,
            ..
        } = &mut self.settling;
        self.roster.prefetch(self.met + AHEAD);
        let Some(life) = self.roster.meet(self.met, entity) else {
            return false;
        };
        self.met += 1;
        let stays = is_unchanged && life.may_stay(*captures);
        if stays {
            life.see(*captures);
            take_reward(life, reward.filter(|reward| !reward.is_untouched()), context, terms);
            life.stay(context);
            self.seen += 1;
        }
        stays
    }

    fn take(&mut self, mut block: Block<'_>) {
        for index in 0..block.len() {
            let settled = self.settling.settle(self.roster, block.player_mut(index));
            self.seen += usize::from(settled);
        }
    }
}
