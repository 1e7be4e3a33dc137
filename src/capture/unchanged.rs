//! Captures that skip players whose components did not change, by Bevy's change ticks.

use super::{BLOCK, Block, LEAD, Parts, RowEncoder, run_length, stride};
use crate::player::Reward;
use bevy_ecs::{change_detection::Tick, entity::Entity, world::World};

/// Decides which players are encoded.
pub(crate) trait ChangeVisitor {
    /// Called with every player. `is_unchanged` is true if no recorded component of it was accessed mutably since the last
    /// capture. Returns whether the player is skipped.
    fn skips(&mut self, entity: Entity, reward: Option<&Reward>, is_unchanged: bool) -> bool;

    /// Called with the rows of players that are not skipped.
    fn take(&mut self, block: Block<'_>);
}

impl RowEncoder {
    /// Encodes the players that `visitor` does not skip; `last` is the world's change tick at the last capture. Call
    /// [`prepare`](Self::prepare) before.
    pub(crate) fn encode_changed(&mut self, world: &World, parts: Parts, last: Tick, visitor: &mut impl ChangeVisitor) {
        let mut scratch = core::mem::take(&mut self.scratch);
        let (stride, row_words) = (stride(&self.layout), self.layout.row_words());
        let most = scratch.cell_capacity(stride);
        let now = world.read_change_tick();
        // A resource is in every row, and a neighbour that moves may change the row of any player.
        let mut all_change = !self.nearest.is_empty();
        for resource in &mut self.resources {
            all_change |= resource.has_changed();
        }
        for group in self.groups(world, usize::MAX) {
            let table_id = world.archetypes()[group.archetype].table_id();
            let Some(table) = world.storages().tables.get(table_id) else {
                continue;
            };
            let mut rest = group.players(world);
            while !rest.is_empty() {
                let (players, after) = rest.split_at(run_length(rest, BLOCK));
                rest = after;
                let mut wanted = [all_change; BLOCK];
                let wanted = &mut wanted[..players.len()];
                for source in self.sources.iter().filter(|source| parts.include(source.part())) {
                    source.mark_changed(world, table, players, (last, now), wanted);
                }
                let rewards = self.reward.of_run(table, players);
                self.reward.prefetch(table, &after[..after.len().min(BLOCK)]);
                for (index, player) in players.iter().enumerate() {
                    let reward = rewards.map(|rewards| &rewards[index]);
                    wanted[index] = !visitor.skips(player.id(), reward, !wanted[index]);
                }
                let mut place = 0;
                while let Some(start) = wanted[place..].iter().position(|&wanted| wanted) {
                    let start = place + start;
                    let run = wanted[start..].iter().take(most).take_while(|&&wanted| wanted).count();
                    place = start + run;
                    let players = &players[start..place];
                    let (words, neighbors) = scratch.cells(run, stride);
                    self.encode_block(
                        world,
                        table,
                        (players, &[]),
                        parts,
                        neighbors,
                        &mut words[LEAD..],
                        stride,
                    );
                    visitor.take(Block {
                        players,
                        cells: words,
                        stride,
                        row_words,
                        rewards: rewards.map(|rewards| &rewards[start..place]),
                    });
                }
            }
        }
        self.scratch = scratch;
    }
}
