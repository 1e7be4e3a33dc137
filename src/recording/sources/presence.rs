//! Methods of [`Recording`] that observe components which come and go.

use super::{
    PlacedSource, PlannedSource, SourcePlan, ValuePlan, plan_fields, plan_values, refuse_resource,
    value::presence_column,
};
use crate::{
    capture::{RowPart, Source},
    recording::Recording,
    reflect::{FieldUsage, column_root, root_name},
};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypePath, Typed};

/// The remedy for a type that is a resource.
const REMEDY: &str = "use `observe_resource`, `observe_resource_fields` or `observe_resource_with`";

impl<P: Component> Recording<P> {
    /// Observes whether a player has the component `T`: 0 or 1 in the column `stunned.present`.
    ///
    /// Players are recorded with and without it, and an episode does not end when it is inserted or removed.
    pub fn observe_has<T: Component + TypePath>(self) -> Self {
        self.observed(Box::new(|world, _| {
            refuse_resource::<T>(world, REMEDY)?;
            Ok(PlannedSource {
                columns: vec![presence_column(&root_name::<T>())],
                mask_width: 0,
                build: Box::new(|world, offsets| {
                    let presence = offsets.first().copied().unwrap_or(0);
                    PlacedSource::Component(Source::has_component::<T>(world, presence))
                }),
            })
        }))
    }

    /// Observes every leaf of the component `T`, which players may lack, and whether they have it: `shield.strength` and so on,
    /// and `shield.present`. All values are 0 for a player without it.
    ///
    /// Players are recorded with and without it, and an episode does not end when it is inserted or removed.
    pub fn observe_optional<T: Component + Reflect + Typed>(self) -> Self {
        self.observe_optional_leaves::<T>(None)
    }

    /// As [`observe_optional`](Self::observe_optional), with the given fields of `T`, in this order.
    pub fn observe_optional_fields<T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.observe_optional_leaves::<T>(Some(fields.into_iter().map(Into::into).collect()))
    }

    /// Observes values that `encode` computes from the component `T`, which players may lack, one per name. `encode` gets
    /// `None` for a player without it, and a slice whose initial contents are unspecified.
    pub fn observe_optional_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Observation, names, encode);
        self.observed(optional_plan::<T>(None, value))
    }

    fn observe_optional_leaves<T: Component + Reflect + Typed>(self, fields: Option<Vec<String>>) -> Self {
        let value = plan_fields::<T>(RowPart::Observation, FieldUsage::Optional, root_name::<T>(), fields);
        self.observed(optional_plan::<T>(Some(column_root::<T>()), value))
    }
}

/// `root` is the beginning of the name of the presence column, if there is one.
fn optional_plan<T: Component>(root: Option<String>, value: ValuePlan) -> SourcePlan {
    Box::new(move |world, allow_lossy| {
        refuse_resource::<T>(world, REMEDY)?;
        let mut value = value(allow_lossy)?;
        if let Some(root) = root {
            value = value.with_presence(&root);
        }
        Ok(PlannedSource {
            columns: value.columns,
            mask_width: 0,
            build: Box::new(move |world, offsets| PlacedSource::Component((value.build)(world, offsets).optional())),
        })
    })
}
