//! Encodes a [`Nearest`](super::Nearest): candidates are collected once a capture, and searched for each player.

use super::{
    super::{
        excluded_components,
        match_source::MatchSource,
        run_length,
        source::{ComponentReader, Source},
        spatial_grid::Neighbors,
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

/// How many neighbours a player observes, how far and along which axes, and how many values of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) count: usize,
    pub(super) max_distance: f32,
    pub(super) axes: &'static [usize],
    /// Values of each neighbour's chosen fields.
    pub(super) feature_width: usize,
}

impl Search {
    /// Values of each neighbour in a row.
    fn width(&self) -> usize {
        1 + self.axes.len() + self.feature_width
    }

    /// The coordinates along the axes that count, and 0 behind them.
    #[inline]
    fn project(&self, position: Vec3) -> Vec3 {
        let mut projected = Vec3::ZERO;
        for (index, &axis) in self.axes.iter().enumerate() {
            projected[index] = position[axis];
        }
        projected
    }
}

/// An entity that players may observe.
struct Candidate {
    position: Vec3,
    match_id: Option<i64>,
    /// Of two candidates at one distance, the one with the lower rank comes first.
    rank: (Option<i64>, Entity),
    /// Where its features begin.
    features: usize,
}

/// The source of a [`Nearest`](super::Nearest)'s columns.
pub(crate) struct NearestSource {
    target: ComponentId,
    excluded: [ComponentId; 2],
    position: ComponentReader<Transform>,
    agent: ComponentReader<AgentId>,
    search: Search,
    fields: Vec<Source>,
    /// The bytes of a row that it fills.
    bytes: Range<usize>,
    checked: ArchetypeGeneration,
    archetypes: Vec<ArchetypeId>,
    /// By rank. A candidate's id in `grids` is its index here, so that ids break ties as ranks do.
    candidates: Vec<Candidate>,
    /// The chosen fields of the candidates, in the order in which they were collected.
    features: Vec<f32>,
    grids: MatchGrids,
}

impl NearestSource {
    /// Searches the entities with the component `T`; each of `fields` fills its part of a candidate's features.
    pub(super) fn new<T: Component>(world: &mut World, search: Search, fields: Vec<Source>) -> Self {
        Self {
            target: world.register_component::<T>(),
            excluded: excluded_components(world),
            position: ComponentReader::new(world),
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

    pub(crate) fn position_component(&self) -> ComponentId {
        self.position.id()
    }

    /// Scratch memory for [`encode`](Self::encode), with room for one more than are observed: a player may find itself.
    pub(crate) fn neighbors(&self) -> Neighbors {
        Neighbors::new(self.search.count + 1, self.search.max_distance)
    }

    /// Sets the byte of a row at which this source begins.
    pub(crate) fn place(&mut self, start: usize) {
        self.bytes = start..start + self.search.count * self.search.width() * size_of::<f32>();
    }

    /// Collects all candidates as they are now; where only the player `viewer` is encoded, those within its reach.
    pub(crate) fn gather(&mut self, world: &World, match_of: Option<&MatchSource>, viewer: Option<Entity>) {
        self.update_archetypes(world);
        self.candidates.clear();
        self.features.clear();
        let center = viewer
            .and_then(|viewer| world.get::<Transform>(viewer))
            .map(|transform| self.search.project(transform.translation));
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
                    None => self.collect(world, table, run, match_of),
                    Some(center) => {
                        for entity in run {
                            self.collect_within(world, table, entity, match_of, center);
                        }
                    }
                }
            }
        }
        self.build_grids();
    }

    /// Archetypes are never removed from a world, so only those made since the last capture are checked.
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
                        && archetype.contains(self.position.id())
                        && !self.excluded.iter().any(|&id| archetype.contains(id))
                })
                .map(Archetype::id),
        );
        self.checked = archetypes.generation();
    }

    /// Collects an entity if it is within reach of the only player that is encoded.
    fn collect_within(
        &mut self,
        world: &World,
        table: &Table,
        entity: &ArchetypeEntity,
        match_of: Option<&MatchSource>,
        center: Vec3,
    ) {
        let is_within = self.position.of(world, table, entity).is_some_and(|transform| {
            let position = self.search.project(transform.translation);
            center.distance_squared(position) <= self.search.max_distance * self.search.max_distance
        });
        if is_within {
            self.collect(world, table, core::slice::from_ref(entity), match_of);
        }
    }

    /// Collects entities in neighbouring rows of a table.
    fn collect(&mut self, world: &World, table: &Table, run: &[ArchetypeEntity], match_of: Option<&MatchSource>) {
        let Some(positions) = self.position.of_run(table, run) else {
            return;
        };
        let agents = self.agent.of_run(table, run);
        let Self {
            search,
            candidates,
            features,
            ..
        } = self;
        let (first, width) = (features.len(), search.feature_width);
        let mut add = |index: usize, match_id| {
            candidates.push(Candidate {
                position: search.project(positions[index].translation),
                match_id,
                rank: (agents.map(|agents| agents[index].0), run[index].id()),
                features: first + index * width,
            });
        };
        match match_of {
            Some(match_of) => match_of.for_each(world, table, run, add),
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
        let Some(transform) = self.position.of(world, table, player) else {
            return;
        };
        let center = self.search.project(transform.translation);
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
