//! The nearest others that have a component.

use super::source::{MatchSource, Source, Typed};
use crate::{
    player::{AgentId, DoNotRecord},
    schema::{
        Column, DType, Space,
        reflect::{FieldError, FieldPlan, Target, root_name},
    },
};
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeGeneration, ArchetypeId},
    component::{Component, ComponentId},
    entity::Entity,
    entity_disabling::Disabled,
    storage::Table,
    world::World,
};
use bevy_math::Vec3;
use bevy_reflect::{Reflect, TypePath, Typed as ReflectTyped};
use bevy_transform::components::Transform;
use core::{marker::PhantomData, ops::Range};

/// Which others with the component `T` a player sees, for `Recording::observe_nearest_with`.
///
/// Each of the `count` places holds: `present` (1, or 0 and everything else is 0), the position relative to the player
/// (`dx`, `dy`, `dz`, in the world's axes and units), the distance being at most `within`, and the chosen fields. The
/// nearest comes first; of two at one distance, the one with the lower agent id, then the older entity.
///
/// The player itself is never among them, nor is anybody who is not recorded ([`DoNotRecord`]), nor anybody of another
/// match, where the recording has `match_id` and both are in one.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::prelude::*;
/// use bevy_experience::prelude::*;
///
/// #[derive(Component, Reflect)]
/// struct Coin { value: f32 }
///
/// // The two nearest coins in the plane: `coin[0].present`, `coin[0].dx`, `coin[0].dy`, `coin[0].value`, `coin[1]…`
/// let coins = Nearest::<Coin>::new(2, 20.0).xy().with_field::<Coin>("value");
/// ```
pub struct Nearest<T> {
    count: usize,
    within: f32,
    axes: &'static [usize],
    fields: Vec<FieldSpec>,
    of: PhantomData<fn() -> T>,
}

struct FieldSpec {
    plan: fn(&str, bool) -> Result<FieldPlan, FieldError>,
    source: fn(&mut World, FieldPlan) -> Source,
    path: &'static str,
}

impl<T: Component + TypePath> Nearest<T> {
    /// The `count` nearest others at most `within` units away, in three dimensions.
    #[must_use]
    pub fn new(count: usize, within: f32) -> Self {
        Self {
            count,
            within,
            axes: &[0, 1, 2],
            fields: Vec::new(),
            of: PhantomData,
        }
    }

    /// Looks at x and y alone, as games in two dimensions do.
    #[must_use]
    pub fn xy(mut self) -> Self {
        self.axes = &[0, 1];
        self
    }

    /// Looks at x and z alone, as games on a ground plane do.
    #[must_use]
    pub fn xz(mut self) -> Self {
        self.axes = &[0, 2];
        self
    }

    /// Adds the field at `path` of the other's component `C`; an empty path adds all fields. It is 0 for others that
    /// lack the component.
    #[must_use]
    pub fn with_field<C: Component + Reflect + ReflectTyped>(mut self, path: &'static str) -> Self {
        self.fields.push(FieldSpec {
            plan: |path, narrow| {
                let fields = [path];
                let fields = (!path.is_empty()).then_some(fields.as_slice());
                FieldPlan::new::<C>(&root_name::<C>(), fields, Target::Observation { narrow })
            },
            source: |world, plan| Source::fields::<C>(world, super::Part::Observation, plan),
            path,
        });
        self
    }

    /// Names the columns and makes the source that fills them, from byte `start` of a row.
    pub(crate) fn build(self, world: &mut World, narrow: bool) -> Result<(Vec<Column>, NearestSource), FieldError> {
        let name = root_name::<T>();
        let mut each = vec![Column::scalar("present", DType::F32, Space::bounded(0.0, 1.0))];
        for &axis in self.axes {
            let bound = f64::from(self.within);
            each.push(Column::scalar(
                ["dx", "dy", "dz"][axis],
                DType::F32,
                Space::bounded(-bound, bound),
            ));
        }
        let mut fields = Vec::new();
        let mut width = each.len();
        for spec in self.fields {
            let mut plan = (spec.plan)(spec.path, narrow)?;
            let mut offsets = Vec::new();
            for column in plan.columns() {
                offsets.push((width - 1 - self.axes.len()) * 4);
                width += column.width();
                let mut column = column.clone();
                // The component's own name says nothing where it is the one looked for.
                if let Some(rest) = column.name.strip_prefix(&format!("{name}.")) {
                    column.name = rest.to_owned();
                }
                each.push(column);
            }
            plan.place(&offsets);
            fields.push((spec.source)(world, plan));
        }
        let columns = (0..self.count)
            .flat_map(|place| {
                each.iter().map({
                    let name = &name;
                    move |column| Column {
                        name: format!("{name}[{place}].{}", column.name),
                        ..column.clone()
                    }
                })
            })
            .collect();
        Ok((
            columns,
            NearestSource {
                target: world.register_component::<T>(),
                excluded: [
                    world.register_component::<DoNotRecord>(),
                    world.register_component::<Disabled>(),
                ],
                position: Typed::new(world),
                agent: Typed::new(world),
                count: self.count,
                within: self.within,
                axes: self.axes,
                feature_width: width - 1 - self.axes.len(),
                fields,
                bytes: 0..0,
                seen: ArchetypeGeneration::initial(),
                archetypes: Vec::new(),
                others: Vec::new(),
                features: Vec::new(),
                found: Vec::with_capacity(self.count + 1),
            },
        ))
    }
}

/// Somebody, or something, that players may see.
struct Other {
    match_id: Option<i64>,
    position: Vec3,
    /// Decides between two at one distance.
    order: (Option<i64>, Entity),
    /// Where its features begin.
    features: usize,
}

/// Fills the places of a [`Nearest`].
pub(crate) struct NearestSource {
    target: ComponentId,
    excluded: [ComponentId; 2],
    position: Typed<Transform>,
    agent: Typed<AgentId>,
    count: usize,
    within: f32,
    axes: &'static [usize],
    /// Values of each other's chosen fields.
    feature_width: usize,
    fields: Vec<Source>,
    bytes: Range<usize>,
    seen: ArchetypeGeneration,
    archetypes: Vec<ArchetypeId>,
    /// Everybody, by match and then by the first axis, so that a player looks at a strip and not at the whole world.
    others: Vec<Other>,
    features: Vec<f32>,
    /// The nearest so far: squared distance and index into `others`.
    found: Vec<(f32, usize)>,
}

impl NearestSource {
    pub(crate) fn position_component(&self) -> ComponentId {
        self.position.id()
    }

    /// Says which bytes of a row the places fill.
    pub(crate) fn place(&mut self, start: usize) {
        self.bytes = start..start + self.count * (1 + self.axes.len() + self.feature_width) * 4;
    }

    /// Collects everybody who may be seen, as they stand now; only by `viewer`, if one is given.
    pub(crate) fn gather(&mut self, world: &World, match_of: Option<&MatchSource>, viewer: Option<Entity>) {
        let archetypes = world.archetypes();
        if self.seen != archetypes.generation() {
            self.archetypes.extend(
                archetypes[self.seen..]
                    .iter()
                    .filter(|archetype| {
                        archetype.contains(self.target)
                            && archetype.contains(self.position.id())
                            && !self.excluded.iter().any(|&id| archetype.contains(id))
                    })
                    .map(bevy_ecs::archetype::Archetype::id),
            );
            self.seen = archetypes.generation();
        }
        self.others.clear();
        self.features.clear();
        let around = viewer
            .and_then(|viewer| world.get::<Transform>(viewer))
            .map(|transform| transform.translation);
        for &id in &self.archetypes {
            let archetype = &archetypes[id];
            let Some(table) = world.storages().tables.get(archetype.table_id()) else {
                continue;
            };
            for entity in archetype.entities() {
                let Some(transform) = self.position.of(world, table, entity) else {
                    continue;
                };
                if around.is_some_and(|here| self.distance(here, transform.translation) > self.within * self.within) {
                    continue;
                }
                let features = self.features.len();
                self.features.resize(features + self.feature_width, 0.0);
                let row: &mut [u8] = bytemuck::cast_slice_mut(&mut self.features[features..]);
                for field in &mut self.fields {
                    let stride = row.len();
                    field.encode(world, table, core::slice::from_ref(entity), row, stride);
                }
                self.others.push(Other {
                    match_id: match_of.and_then(|source| source.of(world, table, entity)),
                    position: transform.translation,
                    order: (self.agent.of(world, table, entity).map(|id| id.0), entity.id()),
                    features,
                });
            }
        }
        let axis = self.axes[0];
        self.others.sort_unstable_by(|a, b| {
            a.match_id
                .cmp(&b.match_id)
                .then(a.position[axis].total_cmp(&b.position[axis]))
                .then(a.order.cmp(&b.order))
        });
    }

    /// Fills the places of one player's row.
    pub(crate) fn encode(
        &mut self,
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
        let here = transform.translation;
        self.found.clear();
        match own_match {
            // Those in no match are everybody's; a player in no match sees all.
            Some(_) => {
                self.search(here, player.id(), None);
                self.search(here, player.id(), own_match);
            }
            None => {
                let mut start = 0;
                while start < self.others.len() {
                    let group = self.others[start].match_id;
                    self.search(here, player.id(), group);
                    start += self.others[start..].partition_point(|other| other.match_id <= group);
                }
            }
        }
        let width = 1 + self.axes.len() + self.feature_width;
        for (place, &(_, index)) in out.chunks_exact_mut(width).zip(&self.found) {
            let other = &self.others[index];
            place[0] = 1.0;
            for (value, &axis) in place[1..].iter_mut().zip(self.axes) {
                *value = other.position[axis] - here[axis];
            }
            place[1 + self.axes.len()..].copy_from_slice(&self.features[other.features..][..self.feature_width]);
        }
    }

    /// The squared distance along the axes that count.
    fn distance(&self, a: Vec3, b: Vec3) -> f32 {
        self.axes.iter().map(|&axis| (a[axis] - b[axis]).powi(2)).sum()
    }

    /// Looks through those of one match, or of none, and keeps the nearest in `found`.
    fn search(&mut self, here: Vec3, player: Entity, group: Option<i64>) {
        let axis = self.axes[0];
        let reach = self.within;
        let before = |other: &Other| {
            other.match_id < group || (other.match_id == group && other.position[axis] < here[axis] - reach)
        };
        let start = self.others.partition_point(before);
        for (index, other) in self.others.iter().enumerate().skip(start) {
            if other.match_id != group || other.position[axis] > here[axis] + reach {
                break;
            }
            let distance = self.distance(here, other.position);
            if other.order.1 == player || distance.is_nan() || distance > reach * reach {
                continue;
            }
            let rank = (distance, other.order);
            let place = self
                .found
                .partition_point(|&(distance, index)| (distance, self.others[index].order) < rank);
            if place < self.count {
                self.found.truncate(self.count - 1);
                self.found.insert(place, (distance, index));
            }
        }
    }
}
