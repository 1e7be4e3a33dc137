//! Methods of [`Recording`] that declare the observation.

use super::{
    Recording,
    lists::ListDeclaration,
    sources::{entity_list_plan, if_present, own_plan, plan_fields, plan_values},
};
use crate::{
    capture::{EntityList, Nearest, RowPart},
    reflect::{FieldUsage, root_name},
};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypePath, Typed};

impl<P: Component> Recording<P> {
    /// Observes every leaf of the component `T`.
    pub fn observe<T: Component + Reflect + Typed>(self) -> Self {
        let value = plan_fields::<T>(RowPart::Observation, FieldUsage::Observation, root_name::<T>(), None);
        self.observed(own_plan::<T>(RowPart::Observation, value))
    }

    /// Observes the given fields of the component `T`, in this order. A field is a path such as `"translation.x"`, of
    /// the names that the Rust fields have; a path to a struct selects all of its leaves.
    pub fn observe_fields<T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let fields = Some(fields.into_iter().map(Into::into).collect());
        let value = plan_fields::<T>(RowPart::Observation, FieldUsage::Observation, root_name::<T>(), fields);
        self.observed(own_plan::<T>(RowPart::Observation, value))
    }

    /// Observes values that `encode` computes from the component `T`, one per name. For types that reflection cannot
    /// flatten. `encode` gets a slice with one element per name, whose initial contents are unspecified.
    pub fn observe_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Observation, names, if_present(encode));
        self.observed(own_plan::<T>(RowPart::Observation, value))
    }

    /// Observes the `count` nearest other entities with the component `T` within a distance of `within`: columns
    /// `present`, `dx`, `dy` and `dz` for each. [`Nearest`] has settings for the plane and further fields.
    pub fn observe_nearest<T: Component + TypePath>(self, count: usize, within: f32) -> Self {
        self.observe_nearest_with(Nearest::<T>::new(count, within))
    }

    /// Observes the nearest other entities with the settings of `nearest`.
    pub fn observe_nearest_with<T: Component + TypePath>(self, nearest: Nearest<T>) -> Self {
        self.observed(entity_list_plan(nearest.into_list()))
    }

    /// Observes a list of all entities within sight, of one or more kinds. [`EntityList`] lists its columns.
    ///
    /// A list without kinds or places, and two lists of one name, are rejected at set-up.
    pub fn observe_entities(self, list: EntityList) -> Self {
        self.edit(|spec| spec.lists.push(ListDeclaration::new(&list)))
            .observed(entity_list_plan(list))
    }

    /// Sets the bounds of the column `name` in the spaces of a dataset, in place of those of its type or of its
    /// [`ColumnBounds`](super::ColumnBounds). An infinite bound means unbounded. Values are not clamped.
    ///
    /// If the observation and the action have a column of that name, it is the one of the observation;
    /// [`action_bounds`](Self::action_bounds) sets those of the action only.
    ///
    /// A column that does not exist, `low > high` and NaN are rejected at set-up.
    pub fn bounds(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.edit(|spec| spec.bounds.push((name.into(), low, high)))
    }

    /// Allows `f64` and 64-bit integers in observations. They are rounded to `f32`.
    pub fn allow_lossy(self) -> Self {
        self.edit(|spec| spec.allows_lossy = true)
    }
}
