//! Observations of the k nearest entities that have a component: `Nearest` and its columns.

mod match_grids;
mod source;

pub(crate) use source::NearestSource;

use super::{RowPart, Source};
use crate::reflect::{FieldError, FieldPlan, FieldUsage, LeafEncoding, root_name};
use bevy_ecs::{component::Component, world::World};
use bevy_reflect::{Reflect, TypePath, Typed};
use core::marker::PhantomData;
use experience_core::schema::{Column, DType, Space};
use source::NeighborSearch;

/// An observation of the nearest entities with the component `T`, for
/// [`Recording::observe_nearest_with`](crate::recording::Recording::observe_nearest_with).
///
/// A player observes up to `count` neighbours, the nearest first. Each takes `1 + D + F` values of a row, all 0 if
/// fewer neighbours are within the maximum distance:
///
/// | values | content |
/// |---|---|
/// | 1 | `present`: 1 |
/// | D | `dx`, `dy`, `dz`: the position relative to the player, in the axes and units of the world |
/// | F | the chosen fields |
///
/// Neighbours at equal distances are ordered by agent id, then by entity.
///
/// Positions are those in the world at the moment of the capture. The `Transform` of an entity with a parent
/// ([`ChildOf`](bevy_ecs::hierarchy::ChildOf)) is transformed by those of all ancestors, up to 1,024; `GlobalTransform`,
/// which Bevy computes at the end of a frame, is not used. Entities without a parent cost less.
///
/// A player never observes itself, entities with [`DoNotRecord`](crate::player::DoNotRecord) or below an ancestor that has
/// it, entities with `Disabled`, or entities with a NaN coordinate. If the recording has a `match_id`, it observes only entities of its own match; an entity or a
/// player without a match id counts as a member of all matches.
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
    max_distance: f32,
    axes: &'static [usize],
    fields: Vec<NeighborField>,
    marker: PhantomData<fn() -> T>,
}

struct NeighborField {
    plan: fn(&str, bool) -> Result<FieldPlan, FieldError>,
    source: fn(&mut World, FieldPlan) -> Source,
    path: &'static str,
}

impl<T: Component + TypePath> Nearest<T> {
    /// The `count` nearest entities at most `max_distance` units away, in three dimensions.
    #[must_use]
    pub fn new(count: usize, max_distance: f32) -> Self {
        Self {
            count,
            max_distance,
            axes: &[0, 1, 2],
            fields: Vec::new(),
            marker: PhantomData,
        }
    }

    /// Measures distances along x and y only, for games in two dimensions.
    #[must_use]
    pub fn xy(mut self) -> Self {
        self.axes = &[0, 1];
        self
    }

    /// Measures distances along x and z only, for games on a ground plane.
    #[must_use]
    pub fn xz(mut self) -> Self {
        self.axes = &[0, 2];
        self
    }

    /// Adds the field at `path` of a neighbour's component `C`; an empty path adds all fields. A neighbour that lacks
    /// the component has zeros.
    #[must_use]
    pub fn with_field<C: Component + Reflect + Typed>(mut self, path: &'static str) -> Self {
        self.fields.push(NeighborField {
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

    /// The columns of this observation, and the source that encodes them.
    pub(crate) fn build(
        self,
        world: &mut World,
        allow_lossy: bool,
    ) -> Result<(Vec<Column>, NearestSource), FieldError> {
        let name = root_name::<T>();
        let mut neighbor = vec![Column::scalar("present", DType::F32, Space::bounded(0.0, 1.0))];
        for &axis in self.axes {
            let bound = f64::from(self.max_distance);
            neighbor.push(Column::scalar(
                ["dx", "dy", "dz"][axis],
                DType::F32,
                Space::bounded(-bound, bound),
            ));
        }
        let mut fields = Vec::new();
        let mut width = neighbor.len();
        for spec in self.fields {
            let plan = (spec.plan)(spec.path, allow_lossy);
            let mut plan = plan.map_err(|error| error.for_usage(FieldUsage::Neighbor))?;
            let mut offsets = Vec::new();
            for column in plan.columns() {
                offsets.push((width - 1 - self.axes.len()) * 4);
                width += column.width();
                let mut column = column.clone();
                // The component's name is the prefix of every column already.
                if let Some(rest) = column.name.strip_prefix(&format!("{name}.")) {
                    column.name = rest.to_owned();
                }
                neighbor.push(column);
            }
            plan.place(&offsets);
            fields.push((spec.source)(world, plan));
        }
        let columns = (0..self.count)
            .flat_map(|index| {
                neighbor.iter().map({
                    let name = &name;
                    move |column| Column {
                        name: format!("{name}[{index}].{}", column.name),
                        ..column.clone()
                    }
                })
            })
            .collect();
        let search = NeighborSearch {
            count: self.count,
            max_distance: self.max_distance,
            axes: self.axes,
            feature_width: width - 1 - self.axes.len(),
        };
        Ok((columns, NearestSource::new::<T>(world, search, fields)))
    }
}
