//! Methods of [`Recording`] that observe a unique entity, such as the ball of a game.

use super::{PlacedSource, PlannedSource, SourcePlan, ValuePlan, plan_fields, plan_values, refuse_resource};
use crate::{
    capture::{RowPart, SharedBytes, SharedSource, SingleValue},
    recording::Recording,
    reflect::{FieldUsage, column_root, root_name},
};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypePath, Typed};

impl<P: Component> Recording<P> {
    /// Observes every leaf of the component `T` of the only entity that has both `M` and `T`, with the same values for all
    /// players, and whether there is one: `ball.transform.translation.x` and so on, and `ball.transform.present`.
    ///
    /// All values are 0 if there is no such entity, or if there are several, which is logged once. Entities with
    /// [`DoNotRecord`](crate::player::DoNotRecord) or below one that has it, and entities with `Disabled`, are left out.
    /// Matches are not told apart: in a game with several at once, use [`observe_nearest`](Self::observe_nearest).
    pub fn observe_single<M: Component + TypePath, T: Component + Reflect + Typed>(self) -> Self {
        self.observe_single_leaves::<M, T>(None)
    }

    /// As [`observe_single`](Self::observe_single), with the given fields of `T`, in this order.
    pub fn observe_single_fields<M: Component + TypePath, T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.observe_single_leaves::<M, T>(Some(fields.into_iter().map(Into::into).collect()))
    }

    /// Observes values that `encode` computes once per capture from the component `T` of the only entity that has both `M` and
    /// `T`, one per name. `encode` gets `None` where [`observe_single`](Self::observe_single) records zeros, and a slice
    /// whose initial contents are unspecified.
    pub fn observe_single_with<M: Component, T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Observation, names, encode);
        self.observed(single_plan::<M, T>(None, value))
    }

    fn observe_single_leaves<M: Component + TypePath, T: Component + Reflect + Typed>(
        self,
        fields: Option<Vec<String>>,
    ) -> Self {
        let root = format!("{}.{}", root_name::<M>(), column_root::<T>());
        let value = plan_fields::<T>(RowPart::Observation, FieldUsage::Single, root.clone(), fields);
        self.observed(single_plan::<M, T>(Some(root), value))
    }
}

/// `root` is the beginning of the name of the presence column, if there is one.
fn single_plan<M: Component, T: Component>(root: Option<String>, value: ValuePlan) -> SourcePlan {
    Box::new(move |world, allow_lossy| {
        let remedy = "use `observe_resource`, `observe_resource_fields` or `observe_resource_with`";
        refuse_resource::<M>(world, remedy)?;
        refuse_resource::<T>(world, remedy)?;
        let mut value = value(allow_lossy)?;
        if let Some(root) = root {
            value = value.with_presence(&root);
        }
        Ok(PlannedSource {
            columns: value.columns.clone(),
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let (bytes, local) = SharedBytes::place(&value.columns, offsets);
                let source = (value.build)(world, &local);
                let single = SingleValue::new::<M>(world, source);
                PlacedSource::world(RowPart::Observation, SharedSource::new(bytes, single))
            }),
        })
    })
}
