//! Source of entity lists: collects candidates once per capture, and searches them for each player.

use super::{
    super::{
        excluded_components,
        match_source::MatchSource,
        run_length,
        source::{ComponentReader, Source},
        spatial_grid::Neighbors,
        world_position::{WorldPositions, place_below},
    },
    EntityOrder,
    match_grids::MatchGrids,
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
use bevy_transform::components::Transform;
use core::ops::Range;

/// The parameters of an [`EntityList`](super::EntityList), as far as they concern the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntitySearch {
    pub(super) capacity: usize,
    pub(super) max_distance: f32,
    pub(super) axes: &'static [usize],
    /// Values of the one-hot kind; 0 if there is one kind.
    pub(super) kind_width: usize,
    /// Values of each entity's chosen fields.
    pub(super) feature_width: usize,
    /// Whether positions are relative to the player.
    pub(super) is_relative: bool,
    pub(super) order: EntityOrder,
    /// Whether the number of entities that do not fit follows the list.
    pub(super) counts_overflow: bool,
}

impl EntitySearch {
    /// Values of each entity in a row.
    fn width(&self) -> usize {
        1 + self.kind_width + self.axes.len() + self.feature_width
    }

    /// The coordinates along the search axes, padded with 0.
    #[inline]
    fn project(&self, position: Vec3) -> Vec3 {
        let mut projected = Vec3::ZERO;
        for (index, &axis) in self.axes.iter().enumerate() {
            projected[index] = position[axis];
        }
        projected
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
struct Candidate {
    position: Vec3,
    /// Index of its kind.
    kind: u32,
    match_id: Option<i64>,
    agent: Option<i64>,
    entity: Entity,
    /// Index of its first value in [`EntityListSource::features`].
    features: usize,
}

impl Candidate {
    /// Candidates at equal distances are ordered by rank. Entities order by bits in which the index is inverted, so the index
    /// is taken instead: entities are mostly stored in its order.
    fn rank(&self) -> (Option<i64>, u32) {
        (self.agent, self.entity.index_u32())
    }
}

/// The source of an [`EntityList`](super::EntityList)'s columns.
pub(crate) struct EntityListSource {
    kinds: Vec<EntityKind>,
    excluded: [ComponentId; 2],
    positions: WorldPositions,
    agent: ComponentReader<AgentId>,
    search: EntitySearch,
    fields: Vec<Source>,
    /// The bytes of a row that it fills.
    bytes: Range<usize>,
    checked: ArchetypeGeneration,
    /// The archetypes of candidates, and the index of their kind.
    archetypes: Vec<(ArchetypeId, u32)>,
    /// Sorted by rank. A candidate's id in `grids` is its index here, so that ids break ties as ranks do.
    candidates: Vec<Candidate>,
    /// The chosen fields of the candidates, in the order in which they were collected.
    features: Vec<f32>,
    grids: MatchGrids,
}

impl EntityListSource {
    /// A source for entities of the given kinds. Each of `fields` encodes a part of a candidate's features.
    pub(super) fn new(world: &mut World, search: EntitySearch, kinds: Vec<EntityKind>, fields: Vec<Source>) -> Self {
        Self {
            kinds,
            excluded: excluded_components(world),
            positions: WorldPositions::new(world),
            agent: ComponentReader::new(world),
            fields,
            bytes: 0..0,
            checked: ArchetypeGeneration::initial(),
            archetypes: Vec::new(),
            candidates: Vec::new(),
            features: Vec::new(),
            grids: MatchGrids::new(search.max_distance),
            search,
        }
    }

    /// The method of `Recording` that declared the list.
    pub(crate) fn method(&self) -> &'static str {
        if self.search.counts_overflow {
            "observe_entities"
        } else {
            "observe_nearest"
        }
    }

    /// The names of the component types that no entity with a position ever had.
    pub(crate) fn kinds_never_found(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.iter().filter(|kind| !kind.is_found).map(|kind| kind.name)
    }

    /// The id and the name of each component type that it reads.
    pub(crate) fn components(&self) -> impl Iterator<Item = (ComponentId, &'static str)> + '_ {
        let fields = self.fields.iter().map(|field| (field.component(), field.name()));
        fields.chain([(self.position_component(), core::any::type_name::<Transform>())])
    }

    pub(crate) fn position_component(&self) -> ComponentId {
        self.positions.local().id()
    }

    /// Scratch memory for [`encode`](Self::encode), with capacity for one more entity than the list, because a search for
    /// the nearest finds the player itself.
    pub(crate) fn neighbors(&self) -> Neighbors {
        let itself = usize::from(!self.search.counts_overflow);
        Neighbors::new(self.search.capacity + itself, self.search.max_distance)
    }

    /// Sets the byte of a row at which this source begins.
    pub(crate) fn place(&mut self, start: usize) {
        let values = self.search.capacity * self.search.width() + usize::from(self.search.counts_overflow);
        self.bytes = start..start + values * size_of::<f32>();
    }

    /// Collects all candidates; with `player`, which is then the only player to be encoded, those within the maximum
    /// distance from it.
    pub(crate) fn collect_candidates(
        &mut self,
        world: &World,
        match_source: Option<&MatchSource>,
        player: Option<Entity>,
    ) {
        self.update_archetypes(world);
        self.candidates.clear();
        self.features.clear();
        let center = player
            .and_then(|player| self.positions.of_entity(world, player))
            .map(|position| self.search.project(position));
        for index in 0..self.archetypes.len() {
            let (archetype, kind) = self.archetypes[index];
            let archetype = &world.archetypes()[archetype];
            let Some(table) = world.storages().tables.get(archetype.table_id()) else {
                continue;
            };
            let mut rest = archetype.entities();
            while !rest.is_empty() {
                let (run, after) = rest.split_at(run_length(rest, rest.len()));
                rest = after;
                match center {
                    None => self.collect(world, table, run, kind, match_source),
                    Some(center) => {
                        for entity in run {
                            self.collect_within(world, table, entity, kind, match_source, center);
                        }
                    }
                }
            }
        }
        self.build_grids();
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
            self.archetypes.extend(first.map(|kind| (archetype.id(), kind)));
        }
        self.checked = archetypes.generation();
    }

    /// Collects an entity if it is within the maximum distance of `center`.
    fn collect_within(
        &mut self,
        world: &World,
        table: &Table,
        entity: &ArchetypeEntity,
        kind: u32,
        match_source: Option<&MatchSource>,
        center: Vec3,
    ) {
        let is_within = self.positions.of(world, table, entity).is_some_and(|placed| {
            let position = self.search.project(placed.position);
            center.distance_squared(position) <= self.search.max_distance * self.search.max_distance
        });
        if is_within {
            self.collect(world, table, core::slice::from_ref(entity), kind, match_source);
        }
    }

    /// Collects entities in neighbouring rows of a table.
    fn collect(
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
            search,
            candidates,
            features,
            ..
        } = self;
        let (first, width) = (features.len(), search.feature_width);
        let mut add = |index: usize, match_id| {
            let mut position = transforms[index].translation;
            if let Some(parents) = parents {
                let placed = place_below(world, &parents[index], position);
                if placed.is_excluded {
                    return;
                }
                position = placed.position;
            }
            candidates.push(Candidate {
                position: search.project(position),
                kind,
                match_id,
                agent: agents.map(|agents| agents[index].0),
                entity: run[index].id(),
                features: first + index * width,
            });
        };
        match match_source {
            Some(match_source) => match_source.for_each(world, table, run, add),
            None => (0..run.len()).for_each(|index| add(index, None)),
        }
        if width > 0 {
            features.resize(first + run.len() * width, 0.0);
            let rows: &mut [u8] = bytemuck::cast_slice_mut(&mut features[first..]);
            for field in &mut self.fields {
                if field.needs_compiling() {
                    field.compile(world, table, &run[0]);
                }
                field.encode(world, table, run, rows, width * size_of::<f32>());
            }
        }
    }

    fn build_grids(&mut self) {
        let Self { candidates, grids, .. } = self;
        // Entities are mostly stored in the order in which they were spawned, which is often that of their agent ids.
        if !candidates.is_sorted_by_key(Candidate::rank) {
            candidates.sort_unstable_by_key(Candidate::rank);
        }
        grids.clear();
        for (id, candidate) in (0..).zip(candidates) {
            grids.insert(candidate.match_id, id, candidate.position);
        }
        grids.build();
    }

    /// Encodes the list of one player into its row.
    pub(crate) fn encode(
        &self,
        neighbors: &mut Neighbors,
        world: &World,
        table: &Table,
        player: &ArchetypeEntity,
        own_match: Option<i64>,
        row: &mut [u8],
    ) {
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut row[self.bytes.clone()]);
        out.fill(0.0);
        let Some(placed) = self.positions.of(world, table, player) else {
            return;
        };
        let (search, center) = (&self.search, self.search.project(placed.position));
        let (places, overflow) = out.split_at_mut(search.capacity * search.width());
        match overflow {
            [overflow] => *overflow = self.find_all(neighbors, player.id(), own_match, center) as f32,
            _ => self.grids.nearest(own_match, center, neighbors),
        }
        if search.order == EntityOrder::Id {
            neighbors.sort_by_id();
        }
        let found = neighbors.iter().map(|(id, _)| &self.candidates[id as usize]);
        let others = found.filter(|candidate| candidate.entity != player.id());
        let origin = if search.is_relative { center } else { Vec3::ZERO };
        for (values, candidate) in places.chunks_exact_mut(search.width()).zip(others) {
            let (head, features) = values.split_at_mut(1 + search.kind_width + search.axes.len());
            let (flags, position) = head.split_at_mut(1 + search.kind_width);
            flags[0] = 1.0;
            if let Some(flag) = flags.get_mut(1 + candidate.kind as usize) {
                *flag = 1.0;
            }
            position.copy_from_slice(&(candidate.position - origin).to_array()[..search.axes.len()]);
            features.copy_from_slice(&self.features[candidate.features..][..search.feature_width]);
        }
    }

    /// Finds the candidates within the maximum distance of `player`, without itself. The nearest are in `neighbors`; returns
    /// the number of the others.
    fn find_all(&self, neighbors: &mut Neighbors, player: Entity, own_match: Option<i64>, center: Vec3) -> usize {
        let mut found = 0_usize;
        neighbors.clear();
        self.grids.for_each_within(own_match, center, |id, squared| {
            // A player is at its own position exactly, so that no other candidate has to be read.
            let is_itself = squared == 0.0 && self.candidates[id as usize].entity == player;
            if squared < f32::INFINITY && !is_itself {
                found += 1;
                neighbors.insert(id, squared);
            }
        });
        found.saturating_sub(self.search.capacity)
    }
}
