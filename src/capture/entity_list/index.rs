//! Index of the entities that can be in a list: their positions, sorted for searches by distance.

use super::{
    super::{
        excluded_components,
        match_source::MatchSource,
        run_length,
        source::ComponentReader,
        world_position::{WorldPositions, place_below},
    },
    match_grids::{MatchGrids, MatchView},
};
use crate::player::AgentId;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeGeneration, ArchetypeId},
    component::{Component, ComponentId},
    entity::Entity,
    storage::Table,
    world::World,
};
use bevy_math::Vec3;

/// The axes along which positions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axes {
    Xyz,
    Xy,
    Xz,
}

impl Axes {
    /// The indices of the axes.
    pub(super) fn indices(self) -> &'static [usize] {
        match self {
            Self::Xyz => &[0, 1, 2],
            Self::Xy => &[0, 1],
            Self::Xz => &[0, 2],
        }
    }

    /// The coordinates along the axes, padded with 0.
    #[inline]
    pub(super) fn project(self, Vec3 { x, y, z }: Vec3) -> Vec3 {
        match self {
            Self::Xyz => Vec3::new(x, y, z),
            Self::Xy => Vec3::new(x, y, 0.0),
            Self::Xz => Vec3::new(x, z, 0.0),
        }
    }
}

/// A component whose entities are in a list.
pub(super) struct EntityKind {
    component: ComponentId,
    name: &'static str,
    /// Whether any entity ever had the component and a position.
    is_found: bool,
}

impl EntityKind {
    pub(super) fn new<T: Component>(world: &mut World) -> Self {
        Self {
            component: world.register_component::<T>(),
            name: core::any::type_name::<T>(),
            is_found: false,
        }
    }
}

/// An entity that can be in a list.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    /// Along the axes of the list.
    pub(super) position: Vec3,
    /// Index of its kind.
    pub(super) kind: u32,
}

/// Candidates at equal distances are ordered by agent id, then by the index of the entity. Entities order by bits in which the
/// index is inverted, so the index is taken instead: entities are mostly stored in its order.
type Rank = (Option<i64>, u32);

/// The candidates of one archetype.
#[derive(Clone, Copy)]
struct CandidateArchetype {
    id: ArchetypeId,
    /// Index of their kind.
    kind: u32,
    /// Index of its first candidate. All its entities follow.
    first: u32,
}

/// The candidates of a capture. Each has a number, which is its place in the order of ranks, so that numbers break ties of
/// distances as ranks do.
pub(super) struct EntityIndex {
    kinds: Vec<EntityKind>,
    excluded: [ComponentId; 2],
    positions: WorldPositions,
    agent: ComponentReader<AgentId>,
    axes: Axes,
    checked: ArchetypeGeneration,
    /// In the order of their ids.
    archetypes: Vec<CandidateArchetype>,
    /// In the order in which they were collected, which is that of their archetypes.
    candidates: Vec<Candidate>,
    /// The entity of each candidate.
    entities: Vec<Entity>,
    ranks: RankOrder,
    grids: MatchGrids,
}

/// The order of candidates by rank. Entities are mostly stored in the order in which they were spawned, which is often that of
/// their agent ids, so nothing is stored until candidates were found in another order.
#[derive(Default)]
struct RankOrder {
    last: Option<Rank>,
    /// The candidates so far are in the order of their ranks.
    is_sorted: bool,
    /// Ranks are stored.
    is_stored: bool,
    /// The rank of each candidate, and its index. After sorting in the order of ranks.
    ranks: Vec<(Rank, u32)>,
    /// The number of each candidate, if they are not sorted.
    numbers: Vec<u32>,
}

impl RankOrder {
    fn clear(&mut self) {
        self.last = None;
        self.is_sorted = true;
        self.ranks.clear();
        self.numbers.clear();
    }

    #[inline]
    fn push(&mut self, rank: Rank, index: u32) {
        let rank = Some(rank);
        self.is_sorted &= self.last <= rank;
        self.last = rank;
        if self.is_stored {
            self.ranks.extend(rank.map(|rank| (rank, index)));
        }
    }

    /// Returns false if candidates have to be pushed again, because they are not sorted and their ranks were not stored.
    fn finish(&mut self) -> bool {
        if self.is_sorted {
            return true;
        }
        if !core::mem::replace(&mut self.is_stored, true) {
            return false;
        }
        self.ranks.sort_unstable();
        self.numbers.resize(self.ranks.len(), 0);
        for (number, &(_, index)) in (0..).zip(&self.ranks) {
            self.numbers[index as usize] = number;
        }
        true
    }

    #[inline]
    fn number(&self, index: u32) -> u32 {
        if self.is_sorted {
            index
        } else {
            self.numbers[index as usize]
        }
    }

    #[inline]
    fn index(&self, number: u32) -> u32 {
        if self.is_sorted {
            number
        } else {
            self.ranks[number as usize].1
        }
    }
}

impl EntityIndex {
    pub(super) fn new(world: &mut World, kinds: Vec<EntityKind>, axes: Axes, max_distance: f32) -> Self {
        Self {
            kinds,
            excluded: excluded_components(world),
            positions: WorldPositions::new(world),
            agent: ComponentReader::new(world),
            axes,
            checked: ArchetypeGeneration::initial(),
            archetypes: Vec::new(),
            candidates: Vec::new(),
            entities: Vec::new(),
            ranks: RankOrder::default(),
            grids: MatchGrids::new(max_distance),
        }
    }

    /// The names of the component types that no entity with a position ever had.
    pub(super) fn kinds_never_found(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.iter().filter(|kind| !kind.is_found).map(|kind| kind.name)
    }

    pub(super) fn positions(&self) -> &WorldPositions {
        &self.positions
    }

    /// Collects all candidates, and calls `each_run` with those that follow each other in a table, in the order of their
    /// indices. Returns false if that has to be repeated.
    pub(super) fn collect(
        &mut self,
        world: &World,
        match_source: Option<&MatchSource>,
        mut each_run: impl FnMut(&Table, &[ArchetypeEntity]),
    ) -> bool {
        self.begin(world);
        for archetype in 0..self.archetypes.len() {
            let CandidateArchetype { id, kind, .. } = self.archetypes[archetype];
            self.archetypes[archetype].first = self.candidates.len() as u32;
            for_each_run(world, id, |table, run| {
                self.add(world, table, run, kind, match_source);
                each_run(table, run);
            });
        }
        self.finish()
    }

    /// As [`collect`](Self::collect), for the candidates at most `max_distance` from a position.
    pub(super) fn collect_within(
        &mut self,
        world: &World,
        match_source: Option<&MatchSource>,
        (position, max_distance): (Vec3, f32),
        mut each_run: impl FnMut(&Table, &[ArchetypeEntity]),
    ) -> bool {
        self.begin(world);
        let (axes, max_squared) = (self.axes, max_distance * max_distance);
        let center = axes.project(position);
        let is_within = |position: Vec3| center.distance_squared(axes.project(position)) <= max_squared;
        for archetype in 0..self.archetypes.len() {
            let CandidateArchetype { id, kind, .. } = self.archetypes[archetype];
            for_each_run(world, id, |table, run| {
                let Some(transforms) = self.positions.local().get_slice(table, run) else {
                    return;
                };
                let has_parents = self.positions.parents(table, run).is_some();
                for (entity, transform) in run.iter().zip(transforms) {
                    let is_candidate = if has_parents {
                        let placed = self.positions.of(world, table, entity);
                        placed.is_some_and(|placed| is_within(placed.position))
                    } else {
                        is_within(transform.translation)
                    };
                    if is_candidate {
                        let run = core::slice::from_ref(entity);
                        self.add(world, table, run, kind, match_source);
                        each_run(table, run);
                    }
                }
            });
        }
        self.finish()
    }

    fn begin(&mut self, world: &World) {
        self.update_archetypes(world);
        self.candidates.clear();
        self.entities.clear();
        self.ranks.clear();
        self.grids.clear();
    }

    /// Archetypes are never removed from a world, so only those created since the last capture are checked.
    fn update_archetypes(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.checked == archetypes.generation() {
            return;
        }
        for archetype in &archetypes[self.checked..] {
            let is_placed = archetype.contains(self.positions.local().id());
            if !is_placed || self.excluded.iter().any(|&id| archetype.contains(id)) {
                continue;
            }
            let mut first = None;
            for (index, kind) in (0..).zip(&mut self.kinds) {
                if archetype.contains(kind.component) {
                    kind.is_found = true;
                    first = first.or(Some(index));
                }
            }
            self.archetypes.extend(first.map(|kind| CandidateArchetype {
                id: archetype.id(),
                kind,
                first: 0,
            }));
        }
        self.checked = archetypes.generation();
    }

    /// Adds entities in neighbouring rows of a table.
    fn add(
        &mut self,
        world: &World,
        table: &Table,
        run: &[ArchetypeEntity],
        kind: u32,
        match_source: Option<&MatchSource>,
    ) {
        let Some(transforms) = self.positions.local().get_slice(table, run) else {
            return;
        };
        let parents = self.positions.parents(table, run);
        let agents = self.agent.get_slice(table, run);
        let Self {
            axes,
            candidates,
            entities,
            ranks,
            grids,
            ..
        } = self;
        candidates.reserve(run.len());
        entities.extend(run.iter().map(ArchetypeEntity::id));
        let mut add = |index: usize, match_id| {
            let mut position = transforms[index].translation;
            let mut is_excluded = false;
            if let Some(parents) = parents {
                let placed = place_below(world, &parents[index], position);
                (position, is_excluded) = (placed.position, placed.is_excluded);
            }
            let position = axes.project(position);
            let candidate = candidates.len() as u32;
            candidates.push(Candidate { position, kind });
            ranks.push(
                (agents.map(|agents| agents[index].0), run[index].id().index_u32()),
                candidate,
            );
            if !is_excluded {
                grids.insert(match_id, candidate, position);
            }
        };
        match match_source {
            Some(match_source) => match_source.for_each(world, table, run, add),
            None => (0..run.len()).for_each(|index| add(index, None)),
        }
    }

    fn finish(&mut self) -> bool {
        let is_complete = self.ranks.finish();
        if is_complete {
            if !self.ranks.is_sorted {
                self.grids.renumber(&self.ranks.numbers);
            }
            self.grids.build();
        }
        is_complete
    }

    /// The candidates that a player of the match `own_match` finds.
    pub(super) fn in_match(&self, own_match: Option<i64>) -> MatchView<'_> {
        self.grids.in_match(own_match)
    }

    /// Where the first of `players`, which follow each other in their archetype, probably is among the candidates.
    pub(super) fn first_of(&self, world: &World, players: &[ArchetypeEntity]) -> Option<u32> {
        let location = world.get_entity(players.first()?.id()).ok()?.location();
        let found = self
            .archetypes
            .binary_search_by_key(&location.archetype_id, |archetype| archetype.id);
        let first = self.archetypes[found.ok()?].first;
        Some(first + location.archetype_row.index_u32())
    }

    /// The number of an entity, which is probably the candidate `guess`; `None` if it is no candidate.
    #[inline]
    pub(super) fn number_of(&self, entity: Entity, guess: u32) -> Option<u32> {
        let index = if self.entities.get(guess as usize) == Some(&entity) {
            guess
        } else {
            // Candidates were collected for one player, or entities have moved since.
            self.entities.iter().position(|&candidate| candidate == entity)? as u32
        };
        Some(self.ranks.number(index))
    }

    /// The candidate with a number, and its index.
    #[inline]
    pub(super) fn candidate(&self, number: u32) -> (&Candidate, u32) {
        let index = self.ranks.index(number);
        (&self.candidates[index as usize], index)
    }
}

/// Calls `each` with the entities of an archetype that are in neighbouring rows of its table.
fn for_each_run(world: &World, archetype: ArchetypeId, mut each: impl FnMut(&Table, &[ArchetypeEntity])) {
    let archetype = &world.archetypes()[archetype];
    let Some(table) = world.storages().tables.get(archetype.table_id()) else {
        return;
    };
    let mut rest = archetype.entities();
    while !rest.is_empty() {
        let (run, after) = rest.split_at(run_length(rest, rest.len()));
        rest = after;
        each(table, run);
    }
}
