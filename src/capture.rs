//! Components to rows.
//!
//! A `RowEncoder` knows everything that a recording reads and where in a row it goes. It walks the archetypes that
//! hold the recording's players and encodes them in blocks, column by column. It knows nothing of episodes.

mod archetypes;
mod block;
pub(crate) mod diff;
mod matches;
mod nearest;
mod source;
mod still;

pub(crate) use block::{Block, Captured, LEAD};
pub(crate) use matches::MatchSource;
pub use nearest::Nearest;
pub(crate) use nearest::NearestSource;
pub(crate) use source::{Part, ResourceSource, Source};
pub(crate) use still::Visit;

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
use nearest::Found;
use source::Typed;

/// Rows that are encoded together, at most: enough to make a column's inner loop long.
const BLOCK: usize = 64;

/// Bytes of the rows that are encoded together, unless one row has more: few enough to stay in the first cache.
const BLOCK_BYTES: usize = 16 << 10;

/// Words of a line of the processor's caches.
const LINE: usize = 8;

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

/// Everything that a recording reads, and where in a row it goes.
pub(crate) struct RowEncoder {
    layout: RowLayout,
    sources: Vec<Source>,
    resources: Vec<ResourceSource>,
    nearest: Vec<NearestSource>,
    match_id: Option<MatchSource>,
    reward: Typed<Reward>,
    archetypes: MatchedArchetypes,
    desk: Desk,
}

/// What whoever encodes needs for itself: one for each who does at the same time.
#[derive(Default)]
pub(crate) struct Desk {
    block: Vec<u64>,
    /// One for each kind of neighbours.
    found: Vec<Found>,
}

impl Desk {
    /// How many cells of `stride` words there is room for.
    fn room(&self, stride: usize) -> usize {
        (self.block.len() - LEAD - LINE) / stride
    }

    /// So many cells, and what it takes to find neighbours for their players.
    fn cells(&mut self, count: usize, stride: usize) -> (&mut [u64], &mut [Found]) {
        // The first row begins a line: copies of many bytes are faster to there.
        let first = (self.block.as_ptr().addr() / size_of::<u64>() + LEAD).wrapping_neg() % LINE;
        (&mut self.block[first..][..count * stride + LEAD], &mut self.found)
    }
}

/// Players who stand together in the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    archetype: ArchetypeId,
    /// Their places among the archetype's entities.
    places: Range<usize>,
}

impl Group {
    pub(crate) fn players<'w>(&self, world: &'w World) -> &'w [ArchetypeEntity] {
        &world.archetypes()[self.archetype].entities()[self.places.clone()]
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
            reward: Typed::new(world),
            archetypes: MatchedArchetypes::new(world, marker, required),
            layout,
            sources,
            resources,
            nearest,
            match_id,
            desk: Desk::default(),
        };
        encoder.desk = encoder.desk();
        encoder
    }

    /// What somebody else needs who encodes at the same time.
    pub(crate) fn desk(&self) -> Desk {
        let rows = (BLOCK_BYTES / self.layout.row_bytes()).clamp(1, BLOCK);
        Desk {
            block: vec![0; rows * stride(&self.layout) + LEAD + LINE],
            found: self.nearest.iter().map(NearestSource::found).collect(),
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
        self.look(world, parts);
        if !parts.seen {
            return true;
        }
        for nearest in &mut self.nearest {
            nearest.gather(world, self.match_id.as_ref(), viewer);
        }
        self.resources.iter_mut().all(|resource| resource.read(world))
    }

    /// Shows sources that have not seen a component yet one of the first player's.
    fn look(&mut self, world: &World, parts: Parts) {
        let sources = self.sources.iter_mut().filter(|source| parts.include(source.part()));
        let match_id = self.match_id.iter_mut().map(MatchSource::source_mut);
        for source in sources.chain(match_id).filter(|source| source.wants_a_look()) {
            let archetypes = self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
            for archetype in archetypes {
                let table = world.storages().tables.get(archetype.table_id());
                if let (Some(table), Some(player)) = (table, archetype.entities().first()) {
                    source.look_at(world, table, player);
                    break;
                }
            }
        }
    }

    /// Encodes every player, and gives `take` block after block. Call [`prepare`](Self::prepare) before.
    pub(crate) fn encode_all(&mut self, world: &World, parts: Parts, mut take: impl FnMut(Block<'_>)) {
        let mut desk = core::mem::take(&mut self.desk);
        for group in self.groups(world, usize::MAX) {
            self.encode_group(world, parts, &mut desk, &group, None, &mut take);
        }
        self.desk = desk;
    }

    /// All players, in the order in which they are encoded, in groups that begin at every `most`th of an archetype.
    pub(crate) fn groups<'a>(&'a self, world: &'a World, most: usize) -> impl Iterator<Item = Group> + 'a {
        self.archetypes.matched().iter().flat_map(move |&archetype| {
            let all = world.archetypes()[archetype].len() as usize;
            (0..all).step_by(most.min(all.max(1))).map(move |start| Group {
                archetype,
                places: start..start.saturating_add(most).min(all),
            })
        })
    }

    /// Encodes the players of a group, and gives `take` block after block. `next` is the one that comes then. Call
    /// [`prepare`](Self::prepare) before.
    pub(crate) fn encode_group(
        &self,
        world: &World,
        parts: Parts,
        desk: &mut Desk,
        group: &Group,
        next: Option<&Group>,
        mut take: impl FnMut(Block<'_>),
    ) {
        let (stride, row_words) = (stride(&self.layout), self.layout.row_words());
        let most = desk.room(stride);
        let archetype = &world.archetypes()[group.archetype];
        let Some(table) = world.storages().tables.get(archetype.table_id()) else {
            return;
        };
        let after_all = next
            .filter(|next| next.archetype == group.archetype)
            .map_or(&[][..], |next| next.players(world));
        let mut rest = group.players(world);
        while !rest.is_empty() {
            let (block, after) = rest.split_at(run_length(rest, most));
            rest = after;
            let next = if after.is_empty() { after_all } else { after };
            let next = &next[..next.len().min(most)];
            let (words, found) = desk.cells(block.len(), stride);
            self.encode_block(world, table, (block, next), parts, found, &mut words[LEAD..], stride);
            take(Block {
                players: block,
                cells: words,
                stride,
                row_words,
                rewards: self.reward.of_run(table, block),
            });
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
        let mut found = core::mem::take(&mut self.desk.found);
        self.encode_block(
            world,
            table,
            (core::slice::from_ref(player), &[]),
            parts,
            &mut found,
            row,
            words,
        );
        self.desk.found = found;
        true
    }

    /// Encodes a run of neighbours of one table into as many rows, `words` apart, and has brought near what will be encoded
    /// next. That those stand side by side is likely, and need not be so.
    #[expect(clippy::too_many_arguments, reason = "it is the one place where all of these meet")]
    fn encode_block(
        &self,
        world: &World,
        table: &Table,
        (players, next): (&[ArchetypeEntity], &[ArchetypeEntity]),
        parts: Parts,
        found: &mut [Found],
        rows: &mut [u64],
        words: usize,
    ) {
        let stride = words * size_of::<u64>();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(rows);
        for source in &self.sources {
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
            match_id.each(world, table, players, |index, match_id| {
                StepHeader::of_mut(&mut rows[index * words..][..words]).set_match_id(match_id);
            });
        }
        for (nearest, found) in self.nearest.iter().zip(found) {
            for (player, row) in players.iter().zip(rows.chunks_exact_mut(words)) {
                let own_match = StepHeader::of(row).match_id();
                nearest.encode(found, world, table, player, own_match, bytemuck::cast_slice_mut(row));
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
