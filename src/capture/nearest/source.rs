//! Source of nearest-neighbour observations: collects candidates once per capture, and searches them for each player.

use super::{
    super::{
        excluded_components,
        match_source::MatchSource,
        run_length,
        source::{ComponentReader, Source},
        spatial_grid::Neighbors,
        world_position::{WorldPositions, place_below},
    },
    match_grids::MatchGrids,
};
use crate::player::AgentId;
use bevy_ecs::{
    archetype::{Archetype, ArchetypeEntity, ArchetypeGeneration, ArchetypeId},
    component::{Component, ComponentId},
    entity::Entity,
    storage::Table,
    world::World,
};
use bevy_math::Vec3;
use bevy_transform::components::Transform;
use core::ops::Range;

/// The parameters of a [`Nearest`](super::Nearest) search: count, maximum distance, axes, and values per neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeighborSearch {
    pub(super) count: usize,
    pub(super) max_distance: f32,
    pub(super) axes: &'static [usize],
    /// Values of each neighbour's chosen fields.
    pub(super) feature_width: usize,
}

impl NeighborSearch {
    /// Values of each neighbour in a row.
    fn width(&self) -> usize {
        1 + self.axes.len() + self.feature_width
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

/// An entity that can be a neighbour.
struct Candidate {
    position: Vec3,
    match_id: Option<i64>,
    /// Candidates at equal distances are ordered by rank.
    rank: (Option<i64>, Entity),
    /// Index of its first value in [`NearestSource::features`].
    features: usize,
}

/// The source of a [`Nearest`](super::Nearest)'s columns.
pub(crate) struct NearestSource {
    target: ComponentId,
    target_name: &'static str,
    excluded: [ComponentId; 2],
    positions: WorldPositions,
    agent: ComponentReader<AgentId>,
    search: NeighborSearch,
    fields: Vec<Source>,
    /// The bytes of a row that it fills.
    bytes: Range<usize>,
    checked: ArchetypeGeneration,
    archetypes: Vec<ArchetypeId>,
    /// Sorted by rank. A candidate's id in `grids` is its index here, so that ids break ties as ranks do.
    candidates: Vec<Candidate>,
    /// The chosen fields of the candidates, in the order in which they were collected.
    features: Vec<f32>,
    grids: MatchGrids,
}

impl NearestSource {
    /// A source for entities with the component `T`. Each of `fields` encodes a part of a candidate's features.
    pub(super) fn new<T: Component>(world: &mut World, search: NeighborSearch, fields: Vec<Source>) -> Self {
        Self {
            target: world.register_component::<T>(),
            target_name: core::any::type_name::<T>(),
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

    /// The name of the component type that neighbours have.
    pub(crate) fn target_name(&self) -> &'static str {
        self.target_name
    }

    /// Whether any entity ever could be a neighbour.
    pub(crate) fn has_found_candidates(&self) -> bool {
        !self.archetypes.is_empty()
    }

    /// The id and the name of each component type that it reads.
    pub(crate) fn components(&self) -> impl Iterator<Item = (ComponentId, &'static str)> + '_ {
        let fields = self.fields.iter().map(|field| (field.component(), field.name()));
        fields.chain([(self.position_component(), core::any::type_name::<Transform>())])
    }

    pub(crate) fn position_component(&self) -> ComponentId {
        self.positions.local().id()
    }

    /// Scratch memory for [`encode`](Self::encode), with capacity for one more neighbour than is observed, because a
    /// player finds itself.
    pub(crate) fn neighbors(&self) -> Neighbors {
        Neighbors::new(self.search.count + 1, self.search.max_distance)
    }

    /// Sets the byte of a row at which this source begins.
    pub(crate) fn place(&mut self, start: usize) {
        self.bytes = start..start + self.search.count * self.search.width() * size_of::<f32>();
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
            let archetype = &world.archetypes()[self.archetypes[index]];
            let Some(table) = world.storages().tables.get(archetype.table_id()) else {
                continue;
            };
            let mut rest = archetype.entities();
            while !rest.is_empty() {
                let (run, after) = rest.split_at(run_length(rest, rest.len()));
                rest = after;
                match center {
                    None => self.collect(world, table, run, match_source),
                    Some(center) => {
                        for entity in run {
                            self.collect_within(world, table, entity, match_source, center);
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
        self.archetypes.extend(
            archetypes[self.checked..]
                .iter()
                .filter(|archetype| {
                    archetype.contains(self.target)
                        && archetype.contains(self.positions.local().id())
                        && !self.excluded.iter().any(|&id| archetype.contains(id))
                })
                .map(Archetype::id),
        );
        self.checked = archetypes.generation();
    }

    /// Collects an entity if it is within the maximum distance of `center`.
    fn collect_within(
        &mut self,
        world: &World,
        table: &Table,
        entity: &ArchetypeEntity,
        match_source: Option<&MatchSource>,
        center: Vec3,
    ) {
        let is_within = self.positions.of(world, table, entity).is_some_and(|placed| {
            let position = self.search.project(placed.position);
            center.distance_squared(position) <= self.search.max_distance * self.search.max_distance
        });
        if is_within {
            self.collect(world, table, core::slice::from_ref(entity), match_source);
        }
    }

    /// Collects entities in neighbouring rows of a table.
    fn collect(&mut self, world: &World, table: &Table, run: &[ArchetypeEntity], match_source: Option<&MatchSource>) {
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
                match_id,
                rank: (agents.map(|agents| agents[index].0), run[index].id()),
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
        if !candidates.is_sorted_by_key(|candidate| candidate.rank) {
            candidates.sort_unstable_by_key(|candidate| candidate.rank);
        }
        grids.clear();
        for (id, candidate) in (0..).zip(candidates) {
            grids.insert(candidate.match_id, id, candidate.position);
        }
        grids.build();
    }

    /// Encodes the neighbours of one player into its row.
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
        let center = self.search.project(placed.position);
        self.grids.nearest(own_match, center, neighbors);
        let found = neighbors.iter().map(|(id, _)| &self.candidates[id as usize]);
        let others = found.filter(|candidate| candidate.rank.1 != player.id());
        let (axes, width) = (self.search.axes.len(), self.search.feature_width);
        for (values, candidate) in out.chunks_exact_mut(self.search.width()).zip(others) {
            values[0] = 1.0;
            let offset = candidate.position - center;
            values[1..=axes].copy_from_slice(&offset.to_array()[..axes]);
            values[1 + axes..].copy_from_slice(&self.features[candidate.features..][..width]);
        }
    }
}
