//! Methods of [`Recording`] that record resources, with the same values for all players.

use super::{PlacedSource, PlannedSource, SourcePlan, ValuePlan, if_present, plan_choice, plan_fields, plan_values};
use crate::{
    capture::{ResourceValue, RowPart, SharedBytes, SharedSource},
    recording::Recording,
    reflect::{FieldUsage, root_name},
};
use bevy_ecs::{component::Component, resource::Resource};
use bevy_reflect::{Reflect, Typed};

impl<P: Component> Recording<P> {
    /// Observes every leaf of the resource `R`, with the same values for all players.
    ///
    /// While a resource that the recording reads does not exist, no player is recorded.
    pub fn observe_resource<R: Resource + Reflect + Typed>(self) -> Self {
        let value = plan_fields::<R>(RowPart::Observation, FieldUsage::Resource, root_name::<R>(), None);
        self.observed(resource_plan(RowPart::Observation, value))
    }

    /// Observes the given fields of the resource `R`, in this order, as [`observe_fields`](Self::observe_fields) those of a
    /// component.
    pub fn observe_resource_fields<R: Resource + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let fields = Some(fields.into_iter().map(Into::into).collect());
        let value = plan_fields::<R>(RowPart::Observation, FieldUsage::Resource, root_name::<R>(), fields);
        self.observed(resource_plan(RowPart::Observation, value))
    }

    /// Observes values that `encode` computes from the resource `R` once per capture, one per name.
    ///
    /// `encode` gets a slice with one element per name, whose initial contents are unspecified.
    pub fn observe_resource_with<R: Resource>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&R, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<R>(RowPart::Observation, names, if_present(encode));
        self.observed(resource_plan(RowPart::Observation, value))
    }

    /// Records every leaf of the resource `R` as part of the action of all players. For games with one local player, whose
    /// input is a resource.
    ///
    /// It is read with the rest of the action, see [`read_actions_after`](Self::read_actions_after). While it does not exist,
    /// no player is recorded.
    pub fn act_resource<R: Resource + Reflect + Typed>(self) -> Self {
        let value = plan_fields::<R>(RowPart::Action, FieldUsage::ResourceAction, root_name::<R>(), None);
        self.acted(resource_plan(RowPart::Action, value))
    }

    /// Records values that `encode` computes from the resource `R`, one per name, as a continuous part of the action of all
    /// players.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// /// In a game, `ButtonInput<KeyCode>`.
    /// #[derive(Resource)]
    /// struct Keys { left: bool, right: bool }
    ///
    /// let recording = Recording::<Fighter>::new("fighter")
    ///     .act_resource_with::<Keys>(["turn"], |keys, out| out[0] = f32::from(keys.right) - f32::from(keys.left));
    /// ```
    pub fn act_resource_with<R: Resource>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&R, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<R>(RowPart::Action, names, if_present(encode));
        self.acted(resource_plan(RowPart::Action, value))
    }

    /// Records the choice that `choose` computes from the resource `R` as a discrete part of the action of all players: in
    /// `0..n`.
    pub fn act_resource_discrete_with<R: Resource>(
        self,
        name: impl Into<String>,
        n: u64,
        choose: impl Fn(&R) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let value = plan_choice::<R>(name, n, move |resource| resource.map_or(0, &choose));
        self.acted(resource_plan(RowPart::Action, value))
    }
}

fn resource_plan(part: RowPart, value: ValuePlan) -> SourcePlan {
    Box::new(move |_, allow_lossy| {
        let value = value(allow_lossy)?;
        Ok(PlannedSource {
            columns: value.columns.clone(),
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let (bytes, local) = SharedBytes::place(&value.columns, offsets);
                let source = ResourceValue::new((value.build)(world, &local));
                PlacedSource::world(part, SharedSource::new(bytes, source))
            }),
        })
    })
}
