//! Encodes the components of players into rows.
//!
//! A `RowEncoder` holds everything that a recording reads, and where in a row each value goes. It walks the archetypes that
//! hold the recording's players and encodes them in blocks, one source after the other. Episodes are built elsewhere.

mod archetypes;
mod block;
pub(crate) mod diff;
mod match_source;
mod nearest;
mod source;
mod spatial_grid;
mod unchanged;

pub(crate) use block::{Block, Captured, LEAD};
pub(crate) use match_source::MatchSource;
pub use nearest::Nearest;
pub(crate) use nearest::NearestSource;
pub(crate) use source::{Part, ResourceSource, Source};
pub use spatial_grid::{Neighbors, SpatialGrid};
pub(crate) use unchanged::ChangeVisitor;

use crate::player::{DoNotRecord, Reward};
use archetypes::MatchedArchetypes;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeId},
    component::ComponentId,
    entity::Entity,
    storage::Table,
    world::World,
};
use core::ops::Range;
use experience_core::{schema::RowLayout, transition::StepHeader};
use source::ComponentReader;

/// Maximum rows of a block: enough to make the inner loop of a source long.
const BLOCK: usize = 64;

/// Maximum bytes of a block, unless one row has more: few enough to stay in the first-level cache.
const BLOCK_BYTES: usize = 16 << 10;

/// Words of a cache line.
const LINE_WORDS: usize = 8;

/// Which parts of a row to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Observation, mask and match id.
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

/// Everything that a recording reads, and where in a row it goes.
pub(crate) struct RowEncoder {
    layout: RowLayout,
    sources: Vec<Source>,
    resources: Vec<ResourceSource>,
    nearest: Vec<NearestSource>,
    match_id: Option<MatchSource>,
    reward: ComponentReader<Reward>,
    archetypes: MatchedArchetypes,
    scratch: EncodeScratch,
}

/// Memory that a thread needs to encode players.
#[derive(Default)]
pub(crate) struct EncodeScratch {
    block: Vec<u64>,
    /// One for each [`NearestSource`].
    neighbors: Vec<Neighbors>,
}

impl EncodeScratch {
    /// How many cells of `stride` words fit.
    fn cell_capacity(&self, stride: usize) -> usize {
        (self.block.len() - LEAD - LINE_WORDS) / stride
    }

    /// `count` cells of `stride` words, and the scratch memory of the nearest sources.
    fn cells(&mut self, count: usize, stride: usize) -> (&mut [u64], &mut [Neighbors]) {
        // The first row begins a cache line, which makes long copies faster.
        let first = (self.block.as_ptr().addr() / size_of::<u64>() + LEAD).wrapping_neg() % LINE_WORDS;
        (&mut self.block[first..][..count * stride + LEAD], &mut self.neighbors)
    }
}

/// Players of one archetype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    archetype: ArchetypeId,
    /// Their indices among the archetype's entities.
    rows: Range<usize>,
}

impl Group {
    pub(crate) fn players<'w>(&self, world: &'w World) -> &'w [ArchetypeEntity] {
        &world.archetypes()[self.archetype].entities()[self.rows.clone()]
    }
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
        let mut encoder = Self {
            reward: ComponentReader::new(world),
            archetypes: MatchedArchetypes::new(world, marker, required),
            layout,
            sources,
            resources,
            nearest,
            match_id,
            scratch: EncodeScratch::default(),
        };
        encoder.scratch = encoder.scratch();
        encoder
    }

    /// Scratch memory for another thread that encodes at the same time.
    pub(crate) fn scratch(&self) -> EncodeScratch {
        let rows = (BLOCK_BYTES / self.layout.row_bytes()).clamp(1, BLOCK);
        EncodeScratch {
            block: vec![0; rows * stride(&self.layout) + LEAD + LINE_WORDS],
            neighbors: self.nearest.iter().map(NearestSource::neighbors).collect(),
        }
    }

    /// Matches new archetypes, and reads what is the same for all players. False when a resource is missing: then nothing
    /// can be encoded.
    pub(crate) fn prepare(&mut self, world: &World, parts: Parts) -> bool {
        self.prepare_for(world, parts, None)
    }

    /// As [`prepare`](Self::prepare), for [`encode_one`](Self::encode_one) of `viewer` alone: neighbours out of its reach are
    /// not collected.
    pub(crate) fn prepare_one(&mut self, world: &World, parts: Parts, viewer: Entity) -> bool {
        self.prepare_for(world, parts, Some(viewer))
    }

    fn prepare_for(&mut self, world: &World, parts: Parts, viewer: Option<Entity>) -> bool {
        self.archetypes.update(world);
        self.compile_sources(world, parts);
        if !parts.seen {
            return true;
        }
        for nearest in &mut self.nearest {
            nearest.gather(world, self.match_id.as_ref(), viewer);
        }
        self.resources.iter_mut().all(|resource| resource.read(world))
    }

    /// Compiles the sources that have not been compiled yet with the components of the first player that has them.
    fn compile_sources(&mut self, world: &World, parts: Parts) {
        let sources = self.sources.iter_mut().filter(|source| parts.include(source.part()));
        let match_id = self.match_id.iter_mut().map(MatchSource::source_mut);
        for source in sources.chain(match_id).filter(|source| source.needs_compiling()) {
            let archetypes = self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
            for archetype in archetypes {
                let table = world.storages().tables.get(archetype.table_id());
                if let (Some(table), Some(player)) = (table, archetype.entities().first()) {
                    source.compile(world, table, player);
                    break;
                }
            }
        }
    }

    /// Encodes every player, and calls `take` with block after block. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_all(&mut self, world: &World, parts: Parts, mut take: impl FnMut(Block<'_>)) {
        let mut scratch = core::mem::take(&mut self.scratch);
        for group in self.groups(world, usize::MAX) {
            self.encode_group(world, parts, &mut scratch, &group, None, &mut take);
        }
        self.scratch = scratch;
    }

    /// All players in the order in which they are encoded, in groups of at most `most` players of one archetype.
    pub(crate) fn groups<'a>(&'a self, world: &'a World, most: usize) -> impl Iterator<Item = Group> + 'a {
        self.archetypes.matched().iter().flat_map(move |&archetype| {
            let all = world.archetypes()[archetype].len() as usize;
            (0..all).step_by(most.min(all.max(1))).map(move |start| Group {
                archetype,
                rows: start..start.saturating_add(most).min(all),
            })
        })
    }

    /// Encodes the players of a group, and calls `take` with block after block. Components of the group `next`, which is
    /// encoded after this one, are prefetched. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_group(
        &self,
        world: &World,
        parts: Parts,
        scratch: &mut EncodeScratch,
        group: &Group,
        next: Option<&Group>,
        mut take: impl FnMut(Block<'_>),
    ) {
        let (stride, row_words) = (stride(&self.layout), self.layout.row_words());
        let most = scratch.cell_capacity(stride);
        let archetype = &world.archetypes()[group.archetype];
        let Some(table) = world.storages().tables.get(archetype.table_id()) else {
            return;
        };
        let next_group = next
            .filter(|next| next.archetype == group.archetype)
            .map_or(&[][..], |next| next.players(world));
        let mut rest = group.players(world);
        while !rest.is_empty() {
            let (block, after) = rest.split_at(run_length(rest, most));
            rest = after;
            let next = if after.is_empty() { next_group } else { after };
            let next = &next[..next.len().min(most)];
            let (words, neighbors) = scratch.cells(block.len(), stride);
            self.encode_block(
                world,
                table,
                (block, next),
                parts,
                neighbors,
                &mut words[LEAD..],
                stride,
            );
            take(Block {
                players: block,
                cells: words,
                stride,
                row_words,
                rewards: self.reward.of_run(table, block),
            });
        }
    }

    /// Encodes one player into `row`. False when it lacks something that the recording reads, or is not to be recorded. Call [`prepare`](Self::prepare) before.
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
        let mut neighbors = core::mem::take(&mut self.scratch.neighbors);
        self.encode_block(
            world,
            table,
            (core::slice::from_ref(player), &[]),
            parts,
            &mut neighbors,
            row,
            words,
        );
        self.scratch.neighbors = neighbors;
        true
    }

    /// Encodes `players`, which are in neighbouring rows of `table`, into rows that are `words` words apart, and prefetches the
    /// components of `next`, which probably are in neighbouring rows too.
    #[expect(clippy::too_many_arguments, reason = "callers differ in each of these")]
    fn encode_block(
        &self,
        world: &World,
        table: &Table,
        (players, next): (&[ArchetypeEntity], &[ArchetypeEntity]),
        parts: Parts,
        neighbors: &mut [Neighbors],
        rows: &mut [u64],
        words: usize,
    ) {
        let stride = words * size_of::<u64>();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(rows);
        for source in &self.sources {
            if parts.include(source.part()) {
                // Source by source: a processor waits for a limited number of cache lines at a time.
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
            match_id.for_each(world, table, players, |index, match_id| {
                StepHeader::of_mut(&mut rows[index * words..][..words]).set_match_id(match_id);
            });
        }
        for (nearest, neighbors) in self.nearest.iter().zip(neighbors) {
            for (player, row) in players.iter().zip(rows.chunks_exact_mut(words)) {
                let own_match = StepHeader::of(row).match_id();
                nearest.encode(
                    neighbors,
                    world,
                    table,
                    player,
                    own_match,
                    bytemuck::cast_slice_mut(row),
                );
            }
        }
    }

    /// The names of the components that entities with the marker lack, if any entity is not recorded for lack of them.
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

/// How many of the first players are in neighbouring rows of their table, at most `most`.
///
/// Usually all are. A sparse-set component divides the rows of one table between several archetypes.
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
