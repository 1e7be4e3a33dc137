//! Players of whom nothing changed, as far as change ticks tell.

use super::{BLOCK, Block, LEAD, Parts, RowEncoder, run_length, stride};
use crate::player::Reward;
use bevy_ecs::{change_detection::Tick, entity::Entity, world::World};

/// Who is shown players whose components may be left unread.
pub(crate) trait Visit {
    /// A player, with whether nothing that is recorded of it was accessed mutably since the last capture. True when its row is
    /// not wanted.
    fn stays(&mut self, entity: Entity, reward: Option<&Reward>, is_still: bool) -> bool;

    /// The rows of neighbours that are wanted.
    fn take(&mut self, block: Block<'_>);
}

impl RowEncoder {
    /// Shows `visit` every player, and encodes those whose rows it wants; `last` is the world's change tick at the last capture.
    /// Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_changed(&mut self, world: &World, parts: Parts, last: Tick, visit: &mut impl Visit) {
        let mut desk = core::mem::take(&mut self.desk);
        let (stride, row_words) = (stride(&self.layout), self.layout.row_words());
        let most = desk.room(stride);
        let now = world.read_change_tick();
        // What all see changes everybody's row, and so may whoever passes by.
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
                    source.note_changed(world, table, players, (last, now), wanted);
                }
                let rewards = self.reward.of_run(table, players);
                self.reward.prefetch(table, &after[..after.len().min(BLOCK)]);
                for (index, player) in players.iter().enumerate() {
                    let reward = rewards.map(|rewards| &rewards[index]);
                    wanted[index] = !visit.stays(player.id(), reward, !wanted[index]);
                }
                let mut place = 0;
                while let Some(start) = wanted[place..].iter().position(|&wanted| wanted) {
                    let start = place + start;
                    let run = wanted[start..].iter().take(most).take_while(|&&wanted| wanted).count();
                    place = start + run;
                    let players = &players[start..place];
                    let (words, found) = desk.cells(run, stride);
                    self.encode_block(world, table, (players, &[]), parts, found, &mut words[LEAD..], stride);
                    visit.take(Block {
                        players,
                        cells: words,
                        stride,
                        row_words,
                        rewards: rewards.map(|rewards| &rewards[start..place]),
                    });
                }
            }
        }
        self.desk = desk;
    }
}
