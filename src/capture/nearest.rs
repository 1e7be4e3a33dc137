//! The nearest others that have a component.

mod found;
mod grid;
mod source;

pub(super) use found::Found;
pub(crate) use source::NearestSource;

use super::{Part, Source};
use crate::reflect::{FieldError, FieldPlan, LeafEncoding, root_name};
use bevy_ecs::{component::Component, world::World};
use bevy_reflect::{Reflect, TypePath, Typed};
use core::marker::PhantomData;
use experience_core::schema::{Column, DType, Space};
use source::Sight;

/// Which others with the component `T` a player sees, for `Recording::observe_nearest_with`.
///
/// Each of the `count` places holds: `present` (1, or 0 and everything else is 0), the position relative to the player
/// (`dx`, `dy`, `dz`, in the world's axes and units), the distance being at most `within`, and the chosen fields. The
/// nearest comes first; of two at one distance, the one with the lower agent id, then the older entity.
///
/// The player itself is never among them, nor is anybody who is not recorded
/// ([`DoNotRecord`](crate::player::DoNotRecord)), nor anybody of another match, where the recording has `match_id` and both
/// are in one.
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
    pub fn with_field<C: Component + Reflect + Typed>(mut self, path: &'static str) -> Self {
        self.fields.push(FieldSpec {
            plan: |path, narrow| {
                let fields = [path];
                let fields = (!path.is_empty()).then_some(fields.as_slice());
                FieldPlan::new::<C>(&root_name::<C>(), fields, LeafEncoding::Observation { narrow })
            },
            source: |world, plan| Source::fields::<C>(world, Part::Observation, plan),
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
        let sight = Sight {
            count: self.count,
            within: self.within,
            axes: self.axes,
            feature_width: width - 1 - self.axes.len(),
        };
        Ok((columns, NearestSource::new::<T>(world, sight, fields)))
    }
}
