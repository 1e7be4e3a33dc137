//! What a capture takes of players.

use super::{
    Recorder, crew,
    looking::Looking,
    settling::Settling,
    steady::{All, Lives},
};
use crate::capture::Parts;
use bevy_ecs::world::World;

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
