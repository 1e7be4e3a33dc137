//! Observations of lists of entities: `EntityList`, its columns and its settings.

mod index;
mod match_grids;
mod source;

pub(crate) use source::EntityListSource;

use super::{RowPart, Source};
use crate::reflect::{FieldError, FieldPlan, FieldUsage, LeafEncoding, root_name};
use bevy_ecs::{component::Component, world::World};
use bevy_reflect::{Reflect, TypePath, Typed};
use core::any::TypeId;
use experience_core::schema::{Column, DType, Space};
use index::{Axes, EntityKind};
use source::EntitySearch;

/// Maximum capacity of a list. A row holds all of its places, whether or not there are entities.
const MAX_CAPACITY: usize = 4096;

/// A list of all entities within sight, for [`Recording::observe_entities`](crate::recording::Recording::observe_entities).
///
/// The list has a fixed number of places, its capacity. Each takes `1 + K + D + F` values of a row, all 0 if there are fewer
/// entities:
///
/// | values | column | content |
/// |---|---|---|
/// | 1 | `units[i].present` | 1: the mask of the list |
/// | K | `units[i].kind=soldier` | which kind it is, one-hot; no values in a list of one kind |
/// | D | `units[i].dx`, `dy`, `dz` | the position relative to the player, in the axes and units of the world |
/// | F | `units[i].health` | the chosen fields |
///
/// The column `units.overflow` is the number of entities within sight that did not fit: the nearest entities are in the list.
///
/// An entity has a `Transform` and the component of a kind. With components of several kinds, it is of the first of them.
/// Positions are those in the world at the moment of the capture. The `Transform` of an entity with a parent
/// ([`ChildOf`](bevy_ecs::hierarchy::ChildOf)) is transformed by those of all ancestors, up to 1,024; `GlobalTransform`,
/// which Bevy computes at the end of a frame, is not used.
///
/// A player never observes itself, entities with [`DoNotRecord`](crate::player::DoNotRecord) or below an ancestor that has
/// it, entities with `Disabled`, or entities without a finite distance. If the recording has a `match_id`, it observes only
/// entities of its own match; an entity or a player without a match id counts as a member of all matches.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::Reflect;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component, Reflect)] struct Fighter;
/// # #[derive(Component, Reflect)] struct Soldier;
/// # #[derive(Component, Reflect)] struct Tower;
/// # #[derive(Component, Reflect)] struct Health(f32);
/// // Up to 16 soldiers and towers: `units[0].present`, `units[0].kind=soldier`, `units[0].kind=tower`, `units[0].dx`,
/// // `units[0].dz`, `units[0].health`, `units[1]…`, `units.overflow`
/// let recording = Recording::<Fighter>::new("fighter").observe_entities(
///     EntityList::new("units", 16)
///         .kind::<Soldier>("soldier")
///         .kind::<Tower>("tower")
///         .within(20.0)
///         .xz()
///         .with_field::<Health>(""),
/// );
/// ```
#[derive(Clone)]
#[must_use = "a list is observed once it is given to `Recording::observe_entities`"]
pub struct EntityList {
    name: String,
    capacity: usize,
    max_distance: f32,
    axes: Axes,
    frame: PositionFrame,
    order: EntityOrder,
    kinds: Vec<KindSpec>,
    fields: Vec<FieldSpec>,
    counts_overflow: bool,
    /// The prefix that is removed from the names of fields.
    redundant_prefix: Option<String>,
}

/// The order of the entities in an [`EntityList`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EntityOrder {
    /// The nearest first. Entities at equal distances are ordered as by [`Id`](Self::Id).
    #[default]
    Distance,
    /// By agent id, then by the index of the entity; entities without an agent id first. Two entities keep their order as
    /// long as both are in the list, however they move.
    Id,
}

/// What the positions in a list are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PositionFrame {
    Player,
    World,
}

#[derive(Clone, Copy)]
struct KindSpec {
    label: &'static str,
    type_id: TypeId,
    resolve: fn(&mut World) -> EntityKind,
}

#[derive(Clone, Copy)]
struct FieldSpec {
    plan: fn(&str, bool) -> Result<FieldPlan, FieldError>,
    source: fn(&mut World, FieldPlan) -> Source,
    path: &'static str,
}

impl EntityList {
    /// A list without kinds, of at most `capacity` entities at any distance, in three dimensions. `name` is the prefix of
    /// its columns.
    pub fn new(name: impl Into<String>, capacity: usize) -> Self {
        Self {
            name: name.into(),
            capacity,
            max_distance: f32::INFINITY,
            axes: Axes::Xyz,
            frame: PositionFrame::Player,
            order: EntityOrder::default(),
            kinds: Vec::new(),
            fields: Vec::new(),
            counts_overflow: true,
            redundant_prefix: None,
        }
    }

    /// Adds the entities with the component `T`, and a label for them among the kinds.
    pub fn kind<T: Component>(mut self, label: &'static str) -> Self {
        self.kinds.push(KindSpec {
            label,
            type_id: TypeId::of::<T>(),
            resolve: EntityKind::new::<T>,
        });
        self
    }

    /// Restricts the list to entities at most `distance` units away.
    pub fn within(mut self, distance: f32) -> Self {
        self.max_distance = distance;
        self
    }

    /// Measures positions and distances along x and y only, for games in two dimensions.
    pub fn xy(mut self) -> Self {
        self.axes = Axes::Xy;
        self
    }

    /// Measures positions and distances along x and z only, for games on a ground plane.
    pub fn xz(mut self) -> Self {
        self.axes = Axes::Xz;
        self
    }

    /// Records positions in the world, as columns `x`, `y` and `z`, instead of those relative to the player.
    pub fn world_positions(mut self) -> Self {
        self.frame = PositionFrame::World;
        self
    }

    /// Sets the order of the entities. In any order, the nearest are in the list where not all fit.
    pub fn order(mut self, order: EntityOrder) -> Self {
        self.order = order;
        self
    }

    /// Adds the field at `path` of an entity's component `C`; an empty path adds all fields. An entity that lacks the
    /// component has zeros.
    pub fn with_field<C: Component + Reflect + Typed>(mut self, path: &'static str) -> Self {
        self.fields.push(FieldSpec {
            plan: |path, allow_lossy| {
                let fields = [path];
                let fields = (!path.is_empty()).then_some(fields.as_slice());
                FieldPlan::new::<C>(&root_name::<C>(), fields, LeafEncoding::Observation { allow_lossy })
            },
            source: |world, plan| Source::fields::<C>(world, RowPart::Observation, plan),
            path,
        });
        self
    }

    /// The list of [`Nearest`](super::Nearest): one kind, without `overflow`, and fields of `T` without its name.
    pub(super) fn nearest<T: Component + TypePath>(count: usize, max_distance: f32) -> Self {
        let name = root_name::<T>();
        Self {
            counts_overflow: false,
            redundant_prefix: Some(format!("{name}.")),
            ..Self::new(name, count).kind::<T>("").within(max_distance)
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What is wrong with the settings, with the remedy, as the end of a sentence about the list.
    pub(crate) fn problem(&self) -> Option<String> {
        let labels = || self.kinds.iter().map(|kind| kind.label);
        let duplicate = |kind: &KindSpec| {
            let is_same = |other: &&KindSpec| other.type_id == kind.type_id || other.label == kind.label;
            self.kinds.iter().filter(is_same).count() > 1
        };
        Some(match () {
            () if self.name.is_empty() => "has no name: name it, for example `units`".to_owned(),
            () if self.capacity == 0 => "has no place for an entity: give it a capacity of 1 or more".to_owned(),
            () if self.capacity > MAX_CAPACITY => format!(
                "has {} places, and every row holds all of them: give it a capacity of {MAX_CAPACITY} or less",
                self.capacity
            ),
            () if self.kinds.is_empty() => {
                "has no kind of entity: add one with `kind::<Component>(\"label\")`".to_owned()
            }
            () if self.max_distance.is_nan() || self.max_distance < 0.0 => format!(
                "has the distance {}: give `within` 0 or more, or leave it out for all distances",
                self.max_distance
            ),
            () if self.kinds.len() > 1 && labels().any(str::is_empty) => {
                "has a kind without a label: give each kind one in `kind`".to_owned()
            }
            () => {
                let kind = self.kinds.iter().find(|kind| duplicate(kind))?;
                format!(
                    "has the kind `{}` twice: give each kind a component and a label of its own",
                    kind.label
                )
            }
        })
    }

    /// The columns of one entity, without the prefix.
    fn entity_columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::scalar("present", DType::F32, Space::bounded(0.0, 1.0))];
        if self.kinds.len() > 1 {
            columns.push(Column {
                shape: vec![self.kinds.len()],
                labels: self.kinds.iter().map(|kind| kind.label.to_owned()).collect(),
                ..Column::scalar("kind", DType::F32, Space::bounded(0.0, 1.0))
            });
        }
        let bound = f64::from(self.max_distance);
        columns.extend(self.axes.indices().iter().map(|&axis| match self.frame {
            PositionFrame::World => Column::feature(["x", "y", "z"][axis]),
            PositionFrame::Player if bound == f64::INFINITY => Column::feature(["dx", "dy", "dz"][axis]),
            PositionFrame::Player => {
                Column::scalar(["dx", "dy", "dz"][axis], DType::F32, Space::bounded(-bound, bound))
            }
        }));
        columns
    }

    /// The columns of this observation, and the source that encodes them.
    pub(crate) fn build(
        self,
        world: &mut World,
        allow_lossy: bool,
    ) -> Result<(Vec<Column>, EntityListSource), FieldError> {
        let mut entity = self.entity_columns();
        let mut fields = Vec::new();
        let mut feature_width = 0;
        for spec in &self.fields {
            let plan = (spec.plan)(spec.path, allow_lossy);
            let mut plan = plan.map_err(|error| error.for_usage(FieldUsage::Neighbor))?;
            let mut offsets = Vec::new();
            for column in plan.columns() {
                offsets.push(feature_width * size_of::<f32>());
                feature_width += column.width();
                let mut column = column.clone();
                let prefix = self.redundant_prefix.as_deref();
                if let Some(rest) = prefix.and_then(|prefix| column.name.strip_prefix(prefix)) {
                    column.name = rest.to_owned();
                }
                entity.push(column);
            }
            plan.place(&offsets);
            fields.push((spec.source)(world, plan));
        }
        let name = &self.name;
        let mut columns: Vec<_> = (0..self.capacity)
            .flat_map(|index| {
                entity.iter().map(move |column| Column {
                    name: format!("{name}[{index}].{}", column.name),
                    ..column.clone()
                })
            })
            .collect();
        if self.counts_overflow {
            let space = Space::Box {
                low: Some(0.0),
                high: None,
            };
            columns.push(Column::scalar(format!("{name}.overflow"), DType::F32, space));
        }
        let kinds: Vec<_> = self.kinds.iter().map(|kind| (kind.resolve)(world)).collect();
        let search = EntitySearch {
            capacity: self.capacity,
            max_distance: self.max_distance,
            axes: self.axes,
            kind_width: if kinds.len() > 1 { kinds.len() } else { 0 },
            feature_width,
            is_relative: self.frame == PositionFrame::Player,
            order: self.order,
            counts_overflow: self.counts_overflow,
        };
        Ok((columns, EntityListSource::new(world, search, kinds, fields)))
    }
}
