//! Methods of [`Recording`] that declare the action, its mask, the info recorded with it, and how long a decision lasts.

use super::{
    Recording,
    sources::{if_present, own_optional_plan, own_plan, plan_choice, plan_fields, plan_function, plan_values},
};
use crate::{
    capture::RowPart,
    episode::DecisionTick,
    policy::{PolicyControlled, info_columns},
    reflect::{FieldUsage, root_name},
};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypeInfo, Typed};

impl<P: Component> Recording<P> {
    /// Records every leaf of the component `T` as part of the action. Numbers keep their types; a fieldless enum, or a
    /// `bool`, is a discrete choice.
    pub fn act<T: Component + Reflect + Typed>(self) -> Self {
        let value = plan_fields::<T>(RowPart::Action, FieldUsage::Action, root_name::<T>(), None);
        self.acted(own_plan::<T>(RowPart::Action, value))
    }

    /// Records values that `encode` computes from the component `T`, one per name, as a continuous part of the action.
    pub fn act_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Action, names, if_present(encode));
        self.acted(own_plan::<T>(RowPart::Action, value))
    }

    /// Records the choice that `choose` computes from the component `T` as a discrete part of the action: in `0..n`.
    pub fn act_discrete_with<T: Component>(
        self,
        name: impl Into<String>,
        n: u64,
        choose: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let value = plan_choice::<T>(name, n, move |value| value.map_or(0, &choose));
        self.acted(own_plan::<T>(RowPart::Action, value))
    }

    /// Records which choices of the discrete action are valid: every leaf of `T` is a `bool`, in the order of the
    /// choices.
    pub fn action_mask<T: Component + Reflect + Typed>(self) -> Self {
        let value = plan_fields::<T>(RowPart::Mask, FieldUsage::Mask, root_name::<T>(), None);
        self.edit(|spec| spec.mask = Some(own_plan::<T>(RowPart::Mask, value)))
    }

    /// Records every leaf of `T` in addition to the action, such as `behavior_logp` or `policy_version`. Columns of a
    /// struct have the names of its fields, without the name of the struct.
    pub fn info<T: Component + Reflect + Typed>(self) -> Self {
        let root = match T::type_info() {
            TypeInfo::Struct(_) => String::new(),
            _ => root_name::<T>(),
        };
        let value = plan_fields::<T>(RowPart::Info, FieldUsage::Info, root, None);
        self.edit(|spec| spec.info.push(own_plan::<T>(RowPart::Info, value)))
    }

    /// Records which policy acted in each transition, in two columns of info:
    ///
    /// | column | a policy acted | a person or a script acted |
    /// |---|---|---|
    /// | `policy_version`, `i64` | the [version](crate::policy::PolicyModel::version) of its model, above 0 | 0 |
    /// | `behavior_logp`, `f32` | the logarithm of the probability with which it chose the action: of the density for numbers. 0 for what is not random | NaN |
    ///
    /// They are read with the action. Models can be trained with and without them: info is not a part of what a policy sees.
    pub fn policy_info(self) -> Self {
        let value = plan_function::<PolicyControlled>(RowPart::Info, info_columns(), |controlled, bytes| {
            PolicyControlled::encode_info(controlled, bytes);
        });
        let plan = own_optional_plan::<PolicyControlled>(RowPart::Info, value);
        self.edit(|spec| spec.info.push(plan))
    }

    /// Sets the number of ticks per decision, 1 by default. A transition lasts this many ticks and sums their rewards.
    ///
    /// # Panics
    /// When `ticks` is 0.
    #[track_caller]
    pub fn decision_interval(self, ticks: u32) -> Self {
        assert!(
            ticks > 0,
            "a decision takes at least one tick: `decision_interval(1)` decides at every tick"
        );
        self.edit(|spec| spec.decision_interval = ticks)
    }

    /// Sets the tick of a decision interval that provides the action.
    pub fn decision_tick(self, tick: DecisionTick) -> Self {
        self.edit(|spec| spec.decision_tick = tick)
    }
}
