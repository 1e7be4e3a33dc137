//! What a capture takes of players.

use super::{
    Context, Life, Recorder, Roster, Terms, crew,
    looking::Looking,
    steady::{All, Lives},
};
use crate::{
    capture::{Captured, Parts},
    player::Reward,
};
use bevy_ecs::{entity::Entity, world::World};

impl Recorder {
    /// Takes what every player sees and does. How many players there are whom somebody knows.
    pub(super) fn see(&mut self, world: &World, parts: Parts) -> usize {
        let Self {
            encoder,
            steady,
            hand,
            crew,
            terms,
            roster,
            context,
            joining,
            captures,
            last_read,
            ..
        } = self;
        let captures = *captures;
        let threads = if steady.applies(context) {
            crew.threads(roster.lives().len())
        } else {
            1
        };
        let mut settling = Settling {
            context,
            terms,
            joining,
            captures,
        };
        if threads > 1 {
            return crew::capture(threads, crew, encoder, steady, (world, parts), roster, &mut settling);
        }
        crew.is_in_order();
        let last = last_read.replace(world.read_change_tick());
        if let Some(last) = last.filter(|_| parts == Parts::ALL && context.rules.leaves_unread() && !context.paused) {
            let mut looking = Looking::new(roster, settling);
            encoder.encode_changed(world, parts, last, &mut looking);
            return looking.seen();
        }
        let (mut seen, mut lives) = (0, All { roster, met: 0 });
        if !steady.applies(context) {
            encoder.encode_all(world, parts, |mut block| {
                for player in block.iter_mut() {
                    lives.prefetch();
                    let life = lives.meet(player.entity).map(|(_, life)| life);
                    seen += usize::from(settling.settle_life(life, player));
                }
            });
            return seen;
        }
        // Kept from block to block: whoever gives a lock back waits until all rows have left the processor.
        let mut pool = None;
        encoder.encode_all(world, parts, |mut block| {
            let (terms, shards) = (&*settling.terms, &mut **pool.get_or_insert_with(|| context.pool()));
            seen += steady.take(&mut block, hand, (context, captures), terms, &mut lives, shards);
            for &index in hand.others.iter().chain(&hand.strays) {
                pool = None;
                seen += usize::from(settling.settle(lives.roster, block.player_mut(index)));
            }
        });
        seen
    }
}

/// What it takes to settle what became of a player for whom it was more than a step.
pub(super) struct Settling<'a> {
    pub(super) context: &'a Context,
    pub(super) terms: &'a mut Terms,
    joining: &'a mut Vec<Entity>,
    pub(super) captures: u32,
}

impl Settling<'_> {
    /// Leaves a player to its life. False where it has none yet, or none any more: then it may join.
    pub(super) fn settle(&mut self, roster: &mut Roster, player: Captured<'_>) -> bool {
        self.settle_life(roster.get_mut(player.entity), player)
    }

    /// The same, where its life was found.
    fn settle_life(&mut self, life: Option<&mut Life>, player: Captured<'_>) -> bool {
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
