//! What players see of the others: gathered once a capture, looked up for each player.

use super::{
    super::{
        matches::MatchSource,
        run_length,
        source::{Source, Typed},
    },
    found::{Found, Order},
    grid::{Grid, squared_distance},
};
use crate::player::{AgentId, DoNotRecord};
use bevy_ecs::{
    archetype::{Archetype, ArchetypeEntity, ArchetypeGeneration, ArchetypeId},
    component::{Component, ComponentId},
    entity::Entity,
    entity_disabling::Disabled,
    storage::Table,
    world::World,
};
use bevy_math::Vec3;
use bevy_transform::components::Transform;
use core::ops::Range;

/// How many others a player sees, how far and in which plane, and how many values of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) count: usize,
    pub(super) within: f32,
    pub(super) axes: &'static [usize],
    /// Values of each other's chosen fields.
    pub(super) feature_width: usize,
}

impl Sight {
    /// Values of each place in a row.
    fn width(&self) -> usize {
        1 + self.axes.len() + self.feature_width
    }

    /// The coordinates that count, and 0 for those that do not.
    #[inline]
    fn project(&self, position: Vec3) -> [f32; 3] {
        let mut at = [0.0; 3];
        for (value, &axis) in at.iter_mut().zip(self.axes) {
            *value = position[axis];
        }
        at
    }
}

/// Somebody, or something, that players may see.
struct Other {
    at: [f32; 3],
    /// Decides between two at one distance.
    order: Order,
}

/// Fills the places of a [`Nearest`](super::Nearest).
pub(crate) struct NearestSource {
    target: ComponentId,
    excluded: [ComponentId; 2],
    position: Typed<Transform>,
    agent: Typed<AgentId>,
    sight: Sight,
    fields: Vec<Source>,
    bytes: Range<usize>,
    seen: ArchetypeGeneration,
    archetypes: Vec<ArchetypeId>,
    others: Vec<Other>,
    /// The chosen fields of each of them.
    features: Vec<f32>,
    grid: Grid,
}

impl NearestSource {
    /// Sees those with the component `T`; each of `fields` fills its part of an other's features.
    pub(super) fn new<T: Component>(world: &mut World, sight: Sight, fields: Vec<Source>) -> Self {
        Self {
            target: world.register_component::<T>(),
            excluded: [
                world.register_component::<DoNotRecord>(),
                world.register_component::<Disabled>(),
            ],
            position: Typed::new(world),
            agent: Typed::new(world),
            fields,
            bytes: 0..0,
            seen: ArchetypeGeneration::initial(),
            archetypes: Vec::new(),
            others: Vec::new(),
            features: Vec::new(),
            grid: Grid::new(sight.within, sight.axes.len() < 3),
            sight,
        }
    }

    pub(crate) fn position_component(&self) -> ComponentId {
        self.position.id()
    }

    /// Where those whom one player sees are collected.
    pub(crate) fn found(&self) -> Found {
        Found::new(self.sight.count, self.sight.within)
    }

    /// Says which bytes of a row the places fill.
    pub(crate) fn place(&mut self, start: usize) {
        self.bytes = start..start + self.sight.count * self.sight.width() * 4;
    }

    /// Collects everybody who may be seen, as they stand now; only by `viewer`, if one is given.
    pub(crate) fn gather(&mut self, world: &World, match_of: Option<&MatchSource>, viewer: Option<Entity>) {
        self.find_archetypes(world);
        self.others.clear();
        self.features.clear();
        self.grid.clear();
        let around = viewer
            .and_then(|viewer| world.get::<Transform>(viewer))
            .map(|transform| self.sight.project(transform.translation));
        for index in 0..self.archetypes.len() {
            let archetype = &world.archetypes()[self.archetypes[index]];
            let Some(table) = world.storages().tables.get(archetype.table_id()) else {
                continue;
            };
            let mut rest = archetype.entities();
            while !rest.is_empty() {
                let (run, after) = rest.split_at(run_length(rest, rest.len()));
                rest = after;
                match around {
                    None => self.take(world, table, run, match_of),
                    Some(here) => {
                        for other in run {
                            self.take_near(world, table, other, match_of, here);
                        }
                    }
                }
            }
        }
        self.grid.sort();
    }

    fn find_archetypes(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.seen == archetypes.generation() {
            return;
        }
        self.archetypes.extend(
            archetypes[self.seen..]
                .iter()
                .filter(|archetype| {
                    archetype.contains(self.target)
                        && archetype.contains(self.position.id())
                        && !self.excluded.iter().any(|&id| archetype.contains(id))
                })
                .map(Archetype::id),
        );
        self.seen = archetypes.generation();
    }

    /// Takes one, unless it is too far from the only one who looks.
    fn take_near(
        &mut self,
        world: &World,
        table: &Table,
        other: &ArchetypeEntity,
        match_of: Option<&MatchSource>,
        here: [f32; 3],
    ) {
        let near = self.position.of(world, table, other).is_some_and(|transform| {
            let at = self.sight.project(transform.translation);
            squared_distance(here, at) <= self.sight.within * self.sight.within
        });
        if near {
            self.take(world, table, core::slice::from_ref(other), match_of);
        }
    }

    /// Takes neighbours of one table.
    fn take(&mut self, world: &World, table: &Table, run: &[ArchetypeEntity], match_of: Option<&MatchSource>) {
        let Some(positions) = self.position.of_run(table, run) else {
            return;
        };
        let agents = self.agent.of_run(table, run);
        let Self {
            sight, others, grid, ..
        } = self;
        let mut add = |index: usize, match_id| {
            let at = sight.project(positions[index].translation);
            let order = (agents.map(|agents| agents[index].0), run[index].id());
            others.push(Other { at, order });
            grid.add(match_id, at);
        };
        match match_of {
            Some(match_of) => match_of.each(world, table, run, add),
            None => (0..run.len()).for_each(|index| add(index, None)),
        }
        let width = self.sight.feature_width;
        if width > 0 {
            let before = self.features.len();
            self.features.resize(before + run.len() * width, 0.0);
            let rows: &mut [u8] = bytemuck::cast_slice_mut(&mut self.features[before..]);
            for field in &mut self.fields {
                if field.wants_a_look() {
                    field.look_at(world, table, &run[0]);
                }
                field.encode(world, table, run, rows, width * 4);
            }
        }
    }

    /// Fills the places of one player's row.
    pub(crate) fn encode(
        &self,
        found: &mut Found,
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
        let here = self.sight.project(transform.translation);
        let Self {
            sight,
            others,
            features,
            grid,
            ..
        } = self;
        found.find(grid, here, own_match, player.id(), |other| others[other as usize].order);
        let axes = sight.axes.len();
        for (place, other) in out.chunks_exact_mut(sight.width()).zip(found.iter()) {
            let other = other as usize;
            place[0] = 1.0;
            for (axis, value) in place[1..=axes].iter_mut().enumerate() {
                *value = others[other].at[axis] - here[axis];
            }
            place[1 + axes..].copy_from_slice(&features[other * sight.feature_width..][..sight.feature_width]);
        }
    }
}
