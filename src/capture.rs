//! Row encoder: reads players from ECS tables, archetype by archetype, and encodes their components into rows.
//!
//! A `RowEncoder` has the sources of a recording and the offset of each value in a row. It encodes players in blocks of
//! neighbouring table rows, one source after the other. The module [`episode`](crate::episode) turns encoded rows into
//! steps of episodes.
//!
//! | source | reads |
//! |---|---|
//! | `Source` | a component of the player itself, from its table |
//! | `WorldSource` | anything else, prepared once per capture: `SharedSource` has the same values for all players |
//! | `EntityListSource` | other entities within sight, the nearest among them |
//! | `MatchSource` | the match id |

mod archetypes;
mod block;
mod consent;
mod dependencies;
pub(crate) mod diff;
mod entity_list;
mod match_source;
mod nearest;
mod origins;
mod player_position;
mod related;
mod shared;
mod source;
mod source_checks;
mod spatial_grid;
mod system_source;
mod unchanged;
mod world_position;
mod world_source;
mod writers;
mod written;

pub(crate) use block::{CapturedPlayer, EncodedBlock, PREFIX_WORDS};
pub(crate) use dependencies::RowDependency;
pub(crate) use entity_list::EntityListSource;
pub use entity_list::{EntityList, EntityOrder};
pub(crate) use match_source::MatchSource;
pub use nearest::Nearest;
pub(crate) use origins::{ColumnOrigin, OriginSource, SourceInverse};
pub(crate) use player_position::PlayerPositionSource;
pub use related::Related;
pub(crate) use related::RelatedSource;
pub(crate) use shared::{CountValue, ResourceValue, SharedBytes, SharedSource, SingleValue};
pub(crate) use source::{RowPart, Source};
pub use spatial_grid::{Neighbors, SpatialGrid};
pub(crate) use system_source::{InitializedSystem, PlayerRows, SystemRefusal};
pub use system_source::{PlayerChoices, PlayerValues};
pub(crate) use unchanged::ChangeVisitor;
use unchanged::PlayerPositions;
pub(crate) use world_source::{PlacedWorldSource, WorldSource};
pub(crate) use writers::{ActionWriter, ComponentAccess};

use crate::player::{DoNotRecord, Reward};
use archetypes::MatchedArchetypes;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeId},
    component::ComponentId,
    entity::Entity,
    storage::Table,
    world::World,
};
use bevy_transform::components::Transform;
use core::{any::type_name, ops::Range};
use experience_core::{schema::RowLayout, transition::StepHeader};
use source::ComponentReader;
use world_source::{Players, TableRun};

/// Maximum rows of a block. Long enough to amortize the setup of each source's inner loop.
const MAX_BLOCK_ROWS: usize = 64;

/// Maximum bytes of a block, unless one row is larger. A block stays in the L1 cache.
const MAX_BLOCK_BYTES: usize = 16 << 10;

/// Words of a cache line.
const CACHE_LINE_WORDS: usize = 8;

/// The parts of a row to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowParts {
    /// Observation, mask and match id.
    pub(crate) observation: bool,
    /// Action and info.
    pub(crate) action: bool,
}

impl RowParts {
    pub(crate) const ALL: Self = Self {
        observation: true,
        action: true,
    };
    pub(crate) const OBSERVATION: Self = Self {
        observation: true,
        action: false,
    };
    pub(crate) const ACTION: Self = Self {
        observation: false,
        action: true,
    };

    fn include(self, part: RowPart) -> bool {
        match part {
            RowPart::Observation | RowPart::Mask => self.observation,
            RowPart::Action | RowPart::Info => self.action,
        }
    }
}

/// Encodes the players of one recording into rows: its sources, and the offset of each value in a row.
pub(crate) struct RowEncoder {
    layout: RowLayout,
    sources: Vec<Source>,
    world_sources: Vec<PlacedWorldSource>,
    lists: Vec<EntityListSource>,
    match_id: Option<MatchSource>,
    origins: Vec<ColumnOrigin>,
    reward: ComponentReader<Reward>,
    archetypes: MatchedArchetypes,
    positions: PlayerPositions,
    scratch: EncodeScratch,
}

/// Scratch buffers of one encoding thread.
#[derive(Default)]
pub(crate) struct EncodeScratch {
    block: Vec<u64>,
    /// One per [`EntityListSource`].
    neighbors: Vec<Neighbors>,
}

impl EncodeScratch {
    /// How many cells of `stride` words fit.
    fn cell_capacity(&self, stride: usize) -> usize {
        (self.block.len() - PREFIX_WORDS - CACHE_LINE_WORDS) / stride
    }

    /// `count` cells of `stride` words, and the scratch memory of the entity lists.
    fn cells(&mut self, count: usize, stride: usize) -> (&mut [u64], &mut [Neighbors]) {
        // The first row begins a cache line, which makes long copies faster.
        let first = (self.block.as_ptr().addr() / size_of::<u64>() + PREFIX_WORDS).wrapping_neg() % CACHE_LINE_WORDS;
        (
            &mut self.block[first..][..count * stride + PREFIX_WORDS],
            &mut self.neighbors,
        )
    }
}

/// A range of the players of one archetype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlayerGroup {
    archetype: ArchetypeId,
    /// Indices into the archetype's entities.
    rows: Range<usize>,
}

impl PlayerGroup {
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
        world_sources: Vec<PlacedWorldSource>,
        lists: Vec<EntityListSource>,
        match_id: Option<MatchSource>,
    ) -> Self {
        let mut required: Vec<_> = sources
            .iter()
            .filter(|source| !source.is_optional())
            .map(|source| (source.component(), source.name()))
            .collect();
        required.extend(
            world_sources
                .iter()
                .flat_map(|placed| placed.source.required_components()),
        );
        let position = |list: &EntityListSource| (list.position_component(), type_name::<Transform>());
        required.extend(lists.iter().map(position));
        let mut encoder = Self {
            reward: ComponentReader::new(world),
            archetypes: MatchedArchetypes::new(world, marker, required),
            positions: PlayerPositions::default(),
            layout,
            sources,
            world_sources,
            lists,
            match_id,
            origins: Vec::new(),
            scratch: EncodeScratch::default(),
        };
        encoder.scratch = encoder.scratch();
        encoder
    }

    /// Scratch memory for another thread that encodes at the same time.
    pub(crate) fn scratch(&self) -> EncodeScratch {
        let rows = (MAX_BLOCK_BYTES / self.layout.row_bytes()).clamp(1, MAX_BLOCK_ROWS);
        EncodeScratch {
            block: vec![0; rows * cell_words(&self.layout) + PREFIX_WORDS + CACHE_LINE_WORDS],
            neighbors: self.lists.iter().map(EntityListSource::neighbors).collect(),
        }
    }

    /// Matches new archetypes, and prepares the world sources and the neighbour candidates. Returns false when a source
    /// cannot be read, such as a resource that does not exist: no player can be encoded then.
    pub(crate) fn prepare(&mut self, world: &World, parts: RowParts) -> bool {
        self.prepare_for(world, parts, None)
    }

    /// As [`prepare`](Self::prepare), for [`encode_one`](Self::encode_one) of `player` only. Candidates beyond the
    /// maximum distance from it are not collected.
    pub(crate) fn prepare_one(&mut self, world: &World, parts: RowParts, player: Entity) -> bool {
        self.prepare_for(world, parts, Some(player))
    }

    fn prepare_for(&mut self, world: &World, parts: RowParts, player: Option<Entity>) -> bool {
        self.archetypes.update(world);
        let sources = self.sources.iter_mut().filter(|source| parts.include(source.part()));
        let match_id = self.match_id.iter_mut().map(MatchSource::source_mut);
        for source in sources.chain(match_id) {
            source.compile_if_found(world);
        }
        if parts.observation {
            for list in &mut self.lists {
                list.collect_candidates(world, self.match_id.as_ref(), player);
            }
        }
        let players = player.map_or(Players::All(self.archetypes.matched()), Players::One);
        let mut is_available = true;
        for PlacedWorldSource { part, source } in &mut self.world_sources {
            if parts.include(*part) {
                is_available &= source.prepare(world, players);
            }
        }
        is_available
    }

    /// Encodes every player, and calls `visit` with each block. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_all(&mut self, world: &World, parts: RowParts, mut visit: impl FnMut(EncodedBlock<'_>)) {
        self.positions.begin_capture();
        let mut scratch = core::mem::take(&mut self.scratch);
        for group in self.groups(world, usize::MAX) {
            self.encode_group(world, parts, &mut scratch, &group, None, &mut visit);
        }
        self.scratch = scratch;
    }

    /// As [`encode_all`](Self::encode_all), for the players that have `component`.
    pub(crate) fn encode_with(
        &mut self,
        world: &World,
        parts: RowParts,
        component: ComponentId,
        mut visit: impl FnMut(EncodedBlock<'_>),
    ) {
        let mut scratch = core::mem::take(&mut self.scratch);
        for group in self.groups(world, usize::MAX) {
            if world.archetypes()[group.archetype].contains(component) {
                self.encode_group(world, parts, &mut scratch, &group, None, &mut visit);
            }
        }
        self.scratch = scratch;
    }

    /// Whether any player has `component`.
    pub(crate) fn has_players_with(&mut self, world: &World, component: ComponentId) -> bool {
        self.archetypes.update(world);
        let mut matched = self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
        matched.any(|archetype| archetype.contains(component) && !archetype.is_empty())
    }

    /// The names of the components that keep entities with the marker and `component` from being recorded.
    pub(crate) fn missing_with(&self, world: &World, component: ComponentId) -> Option<Vec<&'static str>> {
        self.archetypes.missing_with(world, component)
    }

    /// The writer of each component of the action that is recorded by its fields.
    pub(crate) fn action_writers(&self) -> impl Iterator<Item = ActionWriter> + '_ {
        self.sources.iter().filter_map(Source::action_writer)
    }

    /// All players in the order in which they are encoded, in groups of at most `max_players` players of one archetype.
    pub(crate) fn groups<'a>(&'a self, world: &'a World, max_players: usize) -> impl Iterator<Item = PlayerGroup> + 'a {
        self.archetypes.matched().iter().flat_map(move |&archetype| {
            let all = world.archetypes()[archetype].len() as usize;
            (0..all)
                .step_by(max_players.min(all.max(1)))
                .map(move |start| PlayerGroup {
                    archetype,
                    rows: start..start.saturating_add(max_players).min(all),
                })
        })
    }

    /// Encodes the players of a group, and calls `visit` with each block. Components of the group `next`, which is
    /// encoded after this one, are prefetched. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_group(
        &self,
        world: &World,
        parts: RowParts,
        scratch: &mut EncodeScratch,
        group: &PlayerGroup,
        next: Option<&PlayerGroup>,
        mut visit: impl FnMut(EncodedBlock<'_>),
    ) {
        let (stride, row_words) = (cell_words(&self.layout), self.layout.row_words());
        let max_rows = scratch.cell_capacity(stride);
        let archetype = &world.archetypes()[group.archetype];
        let Some(table) = world.storages().tables.get(archetype.table_id()) else {
            return;
        };
        let next_group = next
            .filter(|next| next.archetype == group.archetype)
            .map_or(&[][..], |next| next.players(world));
        let mut rest = group.players(world);
        while !rest.is_empty() {
            let (block, after) = rest.split_at(run_length(rest, max_rows));
            rest = after;
            let next = if after.is_empty() { next_group } else { after };
            let next = &next[..next.len().min(max_rows)];
            let (words, neighbors) = scratch.cells(block.len(), stride);
            self.encode_block(
                world,
                table,
                (block, next),
                parts,
                neighbors,
                &mut words[PREFIX_WORDS..],
                stride,
            );
            visit(EncodedBlock {
                players: block,
                cells: words,
                stride,
                row_words,
                rewards: self.reward.get_slice(table, block),
            });
        }
    }

    /// Encodes one player into `row`. Returns false when its archetype does not match: it lacks a component that the
    /// recording reads, or has an excluded one. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_one(&mut self, world: &World, entity: Entity, parts: RowParts, row: &mut [u64]) -> bool {
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

    /// Encodes `players`, which are in neighbouring rows of `table`, into rows that are `words` words apart, and
    /// prefetches the components of `next`, which are probably in neighbouring rows as well.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments vary independently between callers"
    )]
    fn encode_block(
        &self,
        world: &World,
        table: &Table,
        (players, next): (&[ArchetypeEntity], &[ArchetypeEntity]),
        parts: RowParts,
        neighbors: &mut [Neighbors],
        rows: &mut [u64],
        words: usize,
    ) {
        let stride = words * size_of::<u64>();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(rows);
        for source in &self.sources {
            if parts.include(source.part()) {
                // Prefetched per source, because a processor has a limited number of outstanding cache misses.
                source.prefetch(table, next);
                source.encode(world, table, players, bytes, stride);
            }
        }
        self.reward.prefetch(table, next);
        for PlacedWorldSource { part, source } in &self.world_sources {
            if parts.include(*part) {
                source.encode(TableRun { world, table, players }, bytes, stride);
            }
        }
        if !parts.observation {
            return;
        }
        if let Some(match_id) = &self.match_id {
            match_id.for_each(world, table, players, |index, match_id| {
                StepHeader::of_mut(&mut rows[index * words..][..words]).set_match_id(match_id);
            });
        }
        for (list, neighbors) in self.lists.iter().zip(neighbors) {
            list.encode(neighbors, world, table, players, rows, words);
        }
    }

    /// The names of the components that keep entities with the marker from being recorded; `None` if there are none.
    pub(crate) fn missing_components(&self, world: &World) -> Option<Vec<String>> {
        self.archetypes.missing(world)
    }

    /// The number of entities with the marker that are not recorded because they lack a component.
    pub(crate) fn incomplete_players(&self, world: &World) -> usize {
        self.archetypes.incomplete_players(world)
    }

    /// The id and the name of each component that the recording reads and no entity with the marker ever had.
    pub(crate) fn components_never_found(&self) -> impl Iterator<Item = (ComponentId, &'static str)> + '_ {
        self.archetypes.never_found()
    }

    /// Whether any entity ever had the marker.
    pub(crate) fn has_found_marker(&self) -> bool {
        self.archetypes.has_found_marker()
    }

    /// The name of the component of the match id, if there are players and none of them ever had it.
    pub(crate) fn match_id_never_found(&self, world: &World) -> Option<&'static str> {
        let source = self.match_id.as_ref()?.source();
        let mut players = self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
        let is_missing = players.len() > 0 && !players.any(|archetype| archetype.contains(source.component()));
        is_missing.then(|| source.name())
    }

    /// The names of the types given to `observe_nearest` and `observe_entities` that no entity with a `Transform` ever had,
    /// and the method.
    pub(crate) fn kinds_never_found(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.lists
            .iter()
            .flat_map(|list| list.kinds_never_found().map(move |kind| (kind, list.method())))
    }
}

/// Words of a block's cell for a row of this layout.
fn cell_words(layout: &RowLayout) -> usize {
    (PREFIX_WORDS + layout.row_words()).next_multiple_of(2)
}

/// The number of leading players in neighbouring rows of their table, at most `max_players`.
///
/// Usually that is all of them. A sparse-set component divides the rows of one table between several archetypes.
fn run_length(players: &[ArchetypeEntity], max_players: usize) -> usize {
    let first = players[0].table_row().index();
    let limit = players.len().min(max_players);
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
