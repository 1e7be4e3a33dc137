//! Components to rows.
//!
//! A `RowEncoder` knows everything that a recording reads and where in a row it goes. It walks the archetypes that
//! hold the recording's players and encodes them in blocks, column by column. It knows nothing of episodes.

mod archetypes;
pub(crate) mod diff;
mod nearest;
mod source;

pub use nearest::Nearest;
pub(crate) use nearest::NearestSource;
pub(crate) use source::{MatchSource, Part, ResourceSource, Source};

use crate::{
    player::{DoNotRecord, Reward},
    schema::RowLayout,
    transition::StepHeader,
};
use archetypes::MatchedArchetypes;
use bevy_ecs::{archetype::ArchetypeEntity, component::ComponentId, entity::Entity, storage::Table, world::World};
use source::Typed;

/// Rows that are encoded together, at most: enough to make a column's inner loop long.
const BLOCK: usize = 64;

/// Bytes of the rows that are encoded together, unless one row has more: few enough to stay in the first cache.
const BLOCK_BYTES: usize = 16 << 10;

/// Words of a line of the processor's caches.
const LINE: usize = 8;

/// Words in front of each row of a [`Block`], for whoever writes rows behind words of its own.
pub(crate) const LEAD: usize = 2;

/// Which halves of a row to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Observation, mask and match.
    pub(crate) seen: bool,
    /// Action and info.
    pub(crate) acted: bool,
}

impl Parts {
    pub(crate) const ALL: Self = Self {
        seen: true,
        acted: true,
    };
    pub(crate) const ACTED: Self = Self {
        seen: false,
        acted: true,
    };

    fn include(self, part: Part) -> bool {
        match part {
            Part::Observation | Part::Mask => self.seen,
            Part::Action | Part::Info => self.acted,
        }
    }
}

/// What one capture finds of one player.
pub(crate) struct Captured<'a> {
    pub(crate) entity: Entity,
    pub(crate) row: &'a mut [u64],
    pub(crate) reward: Option<&'a Reward>,
}

/// What one capture finds of neighbours in a table, at most [`BLOCK`] of them.
pub(crate) struct Block<'a> {
    players: &'a [ArchetypeEntity],
    /// A cell for each: [`LEAD`] words, the row, and perhaps one word more, which is 0, so that they are even.
    cells: &'a mut [u64],
    /// Words of a cell.
    stride: usize,
    row_words: usize,
    /// One for each player; `None` where they have none.
    rewards: Option<&'a [Reward]>,
}

impl<'a> Block<'a> {
    /// The reward of the player at place `index`.
    #[inline(always)]
    pub(crate) fn reward(&self, index: usize) -> Option<&'a Reward> {
        self.rewards.map(|rewards| &rewards[index])
    }

    pub(crate) fn len(&self) -> usize {
        self.players.len()
    }

    /// All rows, [`stride`](Self::stride) words apart.
    pub(crate) fn rows(&self) -> &[u64] {
        &self.cells[LEAD..]
    }

    pub(crate) fn row_words(&self) -> usize {
        self.row_words
    }

    /// Words from one row to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, each with the words in front of it.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells[..self.players.len() * self.stride]
    }

    /// Fills in the words in front of the row at place `index`.
    #[inline(always)]
    pub(crate) fn put_lead(&mut self, index: usize, lead: [u64; LEAD]) {
        self.cells[index * self.stride..][..LEAD].copy_from_slice(&lead);
    }

    /// The player at place `index`, in the order of the table.
    #[inline(always)]
    pub(crate) fn entity(&self, index: usize) -> Entity {
        self.players[index].id()
    }

    /// What was found of each player, in the order of the table.
    #[inline(always)]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = Captured<'_>> {
        let (rewards, row_words) = (self.rewards, self.row_words);
        self.players
            .iter()
            .zip(self.cells[LEAD..].chunks_exact_mut(self.stride))
            .enumerate()
            .map(move |(index, (player, row))| Captured {
                entity: player.id(),
                row: &mut row[..row_words],
                reward: rewards.map(|rewards| &rewards[index]),
            })
    }

    /// What was found of the player at place `index`.
    pub(crate) fn player_mut(&mut self, index: usize) -> Captured<'_> {
        Captured {
            entity: self.players[index].id(),
            reward: self.reward(index),
            row: self.row_mut(index),
        }
    }

    /// The row of the player at place `index`.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [u64] {
        &mut self.cells[index * self.stride + LEAD..][..self.row_words]
    }
}

/// Everything that a recording reads, and where in a row it goes.
pub(crate) struct RowEncoder {
    layout: RowLayout,
    sources: Vec<Source>,
    resources: Vec<ResourceSource>,
    nearest: Vec<NearestSource>,
    match_id: Option<MatchSource>,
    reward: Typed<Reward>,
    archetypes: MatchedArchetypes,
    block: Vec<u64>,
}

impl RowEncoder {
    /// An encoder for entities with the component `marker`.
    pub(crate) fn new(
        world: &mut World,
        marker: ComponentId,
        layout: RowLayout,
        sources: Vec<Source>,
        resources: Vec<ResourceSource>,
        nearest: Vec<NearestSource>,
        match_id: Option<MatchSource>,
    ) -> Self {
        let mut required: Vec<_> = sources.iter().map(Source::component).collect();
        required.extend(nearest.iter().map(NearestSource::position_component));
        required.sort_unstable();
        required.dedup();
        Self {
            reward: Typed::new(world),
            archetypes: MatchedArchetypes::new(world, marker, required),
            block: vec![0; (BLOCK_BYTES / layout.row_bytes()).clamp(1, BLOCK) * stride(&layout) + LEAD + LINE],
            layout,
            sources,
            resources,
            nearest,
            match_id,
        }
    }

    /// Looks at archetypes that are new, and reads what is the same for all players. False when a resource is missing:
    /// then nothing can be encoded.
    pub(crate) fn prepare(&mut self, world: &World, parts: Parts) -> bool {
        self.prepare_for(world, parts, None)
    }

    /// The same, for [`encode_one`](Self::encode_one) of `viewer` alone: in a crowd, much less to look at.
    pub(crate) fn prepare_one(&mut self, world: &World, parts: Parts, viewer: Entity) -> bool {
        self.prepare_for(world, parts, Some(viewer))
    }

    fn prepare_for(&mut self, world: &World, parts: Parts, viewer: Option<Entity>) -> bool {
        self.archetypes.update(world);
        if !parts.seen {
            return true;
        }
        for nearest in &mut self.nearest {
            nearest.gather(world, self.match_id.as_ref(), viewer);
        }
        self.resources.iter_mut().all(|resource| resource.read(world))
    }

    /// Encodes every player, and gives `take` block after block. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_all(&mut self, world: &World, parts: Parts, mut take: impl FnMut(Block<'_>)) {
        let (stride, row_words) = (stride(&self.layout), self.layout.row_words());
        let most = (self.block.len() - LEAD - LINE) / stride;
        // The first row begins a line: copies of many bytes are faster to there.
        let first = (self.block.as_ptr().addr() / size_of::<u64>() + LEAD).wrapping_neg() % LINE;
        for index in 0..self.archetypes.matched().len() {
            let matched = self.archetypes.matched()[index];
            let archetype = &world.archetypes()[matched];
            let Some(table) = world.storages().tables.get(archetype.table_id()) else {
                continue;
            };
            let mut rest = archetype.entities();
            while !rest.is_empty() {
                let (block, after) = rest.split_at(run_length(rest, most));
                rest = after;
                let next = &after[..after.len().min(most)];
                let mut cells = core::mem::take(&mut self.block);
                let words = &mut cells[first..][..block.len() * stride + LEAD];
                self.encode_block(world, table, (block, next), parts, &mut words[LEAD..], stride);
                take(Block {
                    players: block,
                    cells: words,
                    stride,
                    row_words,
                    rewards: self.reward.of_run(table, block),
                });
                self.block = cells;
            }
        }
    }

    /// Encodes one player into `row`, wherever it stands now. False when it lacks something that the recording reads,
    /// or is not to be recorded. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_one(&mut self, world: &World, entity: Entity, parts: Parts, row: &mut [u64]) -> bool {
        let Ok(found) = world.get_entity(entity) else {
            return false;
        };
        let location = found.location();
        if !self.archetypes.contains(location.archetype_id) {
            return false;
        }
        let player = &found.archetype().entities()[location.archetype_row.index()];
        let Some(table) = world.storages().tables.get(location.table_id) else {
            return false;
        };
        let words = row.len();
        self.encode_block(world, table, (core::slice::from_ref(player), &[]), parts, row, words);
        true
    }

    /// Encodes a run of neighbours of one table into as many rows, `words` apart, and has brought near what will be encoded
    /// next. That those stand side by side is likely, and need not be so.
    fn encode_block(
        &mut self,
        world: &World,
        table: &Table,
        (players, next): (&[ArchetypeEntity], &[ArchetypeEntity]),
        parts: Parts,
        rows: &mut [u64],
        words: usize,
    ) {
        let stride = words * size_of::<u64>();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(rows);
        for source in &mut self.sources {
            if parts.include(source.part()) {
                // One after the other, not all at once: a processor waits for so many lines at a time.
                source.prefetch(table, next);
                source.encode(world, table, players, bytes, stride);
            }
        }
        self.reward.prefetch(table, next);
        if !parts.seen {
            return;
        }
        for resource in &self.resources {
            resource.copy_to(bytes, stride);
        }
        if let Some(match_id) = &self.match_id {
            for (player, row) in players.iter().zip(rows.chunks_exact_mut(words)) {
                StepHeader::of_mut(row).set_match_id(match_id.of(world, table, player));
            }
        }
        for nearest in &mut self.nearest {
            for (player, row) in players.iter().zip(rows.chunks_exact_mut(words)) {
                let own_match = StepHeader::of(row).match_id();
                nearest.encode(world, table, player, own_match, bytemuck::cast_slice_mut(row));
            }
        }
    }

    /// The names of what the marker's holders lack, if some of them are kept from being recorded by it.
    pub(crate) fn missing_components(&self, world: &World) -> Option<Vec<String>> {
        self.archetypes.missing(world)
    }

    /// The first resource that the recording reads and that does not exist.
    pub(crate) fn missing_resource(&self) -> Option<&str> {
        self.resources
            .iter()
            .find(|resource| !resource.is_present())
            .map(ResourceSource::name)
    }
}

/// Words of a cell that holds a row of this layout.
fn stride(layout: &RowLayout) -> usize {
    (LEAD + layout.row_words()).next_multiple_of(2)
}

/// How many of the first players stand in neighbouring rows of their table, at most `most`.
///
/// Usually all do. They do not where a sparse-set component divides one table between several archetypes.
fn run_length(players: &[ArchetypeEntity], most: usize) -> usize {
    let first = players[0].table_row().index();
    let limit = players.len().min(most);
    (1..limit)
        .find(|&ahead| players[ahead].table_row().index() != first + ahead)
        .unwrap_or(limit)
}

fn excluded_components(world: &mut World) -> [ComponentId; 2] {
    [
        world.register_component::<DoNotRecord>(),
        world.register_component::<bevy_ecs::entity_disabling::Disabled>(),
    ]
}
