//! Change-tick filter of the row encoder: encodes only players whose components were accessed mutably since the last
//! capture.

use super::{
    EncodedBlock, MAX_BLOCK_ROWS, MatchSource, PREFIX_WORDS, PlacedWorldSource, RowEncoder, RowParts, Source,
    cell_words, run_length,
};
use crate::player::Reward;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeId},
    change_detection::Tick,
    entity::Entity,
    world::World,
};
use bevy_platform::collections::HashMap;

/// Selects the players to encode, and receives their rows.
pub(crate) trait ChangeVisitor {
    /// Called for every player. `is_unchanged` is true if no recorded component of it was accessed mutably since the
    /// last capture. Returns whether the player is skipped.
    fn should_skip(&mut self, entity: Entity, reward: Option<&Reward>, is_unchanged: bool) -> bool;

    /// Called with the rows of players that are not skipped.
    fn visit_block(&mut self, block: EncodedBlock<'_>);
}

impl RowEncoder {
    /// Encodes the players that `visitor` does not skip; `last` is the world's change tick at the last capture. Call
    /// [`prepare`](Self::prepare) before.
    pub(crate) fn encode_changed(
        &mut self,
        world: &World,
        parts: RowParts,
        last: Tick,
        visitor: &mut impl ChangeVisitor,
    ) {
        let mut scratch = core::mem::take(&mut self.scratch);
        let (stride, row_words) = (cell_words(&self.layout), self.layout.row_words());
        let max_rows = scratch.cell_capacity(stride);
        let now = world.read_change_tick();
        // A shared value is part of every row, and an entity that moves can change the row of any player.
        let mut all_change = !self.lists.is_empty();
        for PlacedWorldSource { source, .. } in &mut self.world_sources {
            all_change |= source.may_have_changed();
        }
        // Change ticks do not report that a component was removed. The player is in another archetype then.
        let mut positions = core::mem::take(&mut self.positions);
        positions.begin_capture();
        let checks_positions = self.sources.iter().any(Source::is_optional);
        for group in self.groups(world, usize::MAX) {
            let table_id = world.archetypes()[group.archetype].table_id();
            let Some(table) = world.storages().tables.get(table_id) else {
                continue;
            };
            let mut rest = group.players(world);
            let mut last_players = checks_positions.then(|| positions.of(group.archetype));
            while !rest.is_empty() {
                let start = group.rows.len() - rest.len();
                let (players, after) = rest.split_at(run_length(rest, MAX_BLOCK_ROWS));
                rest = after;
                let mut is_encoded = [all_change; MAX_BLOCK_ROWS];
                let is_encoded = &mut is_encoded[..players.len()];
                let match_id = self.match_id.iter().map(MatchSource::source);
                let sources = self.sources.iter().filter(|source| parts.include(source.part()));
                for source in sources.chain(match_id) {
                    source.mark_changed(world, table, players, (last, now), is_encoded);
                }
                if let Some(last_players) = &last_players {
                    for (index, player) in players.iter().enumerate() {
                        is_encoded[index] |= last_players.get(start + index) != Some(&player.id());
                    }
                }
                let rewards = self.reward.get_slice(table, players);
                self.reward.prefetch(table, &after[..after.len().min(MAX_BLOCK_ROWS)]);
                for (index, player) in players.iter().enumerate() {
                    let reward = rewards.map(|rewards| &rewards[index]);
                    is_encoded[index] = !visitor.should_skip(player.id(), reward, !is_encoded[index]);
                }
                let mut position = 0;
                while let Some(start) = is_encoded[position..].iter().position(|&is_encoded| is_encoded) {
                    let start = position + start;
                    let run = is_encoded[start..]
                        .iter()
                        .take(max_rows)
                        .take_while(|&&is_encoded| is_encoded)
                        .count();
                    position = start + run;
                    let players = &players[start..position];
                    let (words, neighbors) = scratch.cells(run, stride);
                    self.encode_block(
                        world,
                        table,
                        (players, &[]),
                        parts,
                        neighbors,
                        &mut words[PREFIX_WORDS..],
                        stride,
                    );
                    visitor.visit_block(EncodedBlock {
                        players,
                        cells: words,
                        stride,
                        row_words,
                        rewards: rewards.map(|rewards| &rewards[start..position]),
                    });
                }
            }
            if let Some(last_players) = &mut last_players {
                last_players.clear();
                last_players.extend(group.players(world).iter().map(ArchetypeEntity::id));
            }
        }
        self.positions = positions;
        self.scratch = scratch;
    }
}

/// The players of each archetype at the last capture. A player at the same position in the same archetype has the same
/// components as then.
#[derive(Default)]
pub(super) struct PlayerPositions {
    /// Number of captures, modulo 2³².
    capture: u32,
    by_archetype: HashMap<ArchetypeId, ArchetypePlayers>,
}

#[derive(Default)]
struct ArchetypePlayers {
    /// The last capture at which the archetype had players.
    capture: u32,
    players: Vec<Entity>,
}

impl PlayerPositions {
    /// A capture begins. Call this also for captures that read all players, and do not keep their positions.
    pub(super) fn begin_capture(&mut self) {
        self.capture = self.capture.wrapping_add(1);
    }

    /// The players of an archetype at the last capture, to be replaced by those of this one.
    fn of(&mut self, archetype: ArchetypeId) -> &mut Vec<Entity> {
        let found = self.by_archetype.entry(archetype).or_default();
        if found.capture != self.capture.wrapping_sub(1) {
            found.players.clear();
        }
        found.capture = self.capture;
        &mut found.players
    }
}
