//! Methods of [`Recording`] that declare the action, its mask, the info recorded with it, and how long a decision lasts.

use super::{
    Recording,
    sources::{custom_plan, fields_plan},
};
use crate::{capture::RowPart, episode::DecisionTick, reflect::root_name};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypeInfo, Typed};
use experience_core::schema::{Column, DType, Space};

impl<P: Component> Recording<P> {
    /// Records every leaf of the component `T` as part of the action. Numbers keep their types; a fieldless enum, or a
    /// `bool`, is a discrete choice.
    pub fn act<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| {
            spec.action
                .push(fields_plan::<T>(RowPart::Action, root_name::<T>(), None));
        })
    }

    /// Records values that `encode` computes from the component `T`, one per name, as a continuous part of the action.
    pub fn act_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let columns = names.into_iter().map(Column::feature).collect();
        self.edit(|spec| {
            spec.action
                .push(custom_plan::<T>(RowPart::Action, columns, move |value, bytes| {
                    encode(value, bytemuck::cast_slice_mut(bytes));
                }));
        })
    }

    /// Records the choice that `choose` computes from the component `T` as a discrete part of the action: in `0..n`.
    pub fn act_discrete_with<T: Component>(
        self,
        name: impl Into<String>,
        n: u64,
        choose: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let space = Space::Discrete { n, labels: Vec::new() };
        let columns = vec![Column::scalar(name, DType::I64, space)];
        self.edit(|spec| {
            spec.action
                .push(custom_plan::<T>(RowPart::Action, columns, move |value, bytes| {
                    bytes.copy_from_slice(&choose(value).to_ne_bytes());
                }));
        })
    }

    /// Records which choices of the discrete action are valid: every leaf of `T` is a `bool`, in the order of the
    /// choices.
    pub fn action_mask<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.mask = Some(fields_plan::<T>(RowPart::Mask, root_name::<T>(), None)))
    }

    /// Records every leaf of `T` in addition to the action, such as `behavior_logp` or `policy_version`. Columns of a
    /// struct have the names of its fields, without the name of the struct.
    pub fn info<T: Component + Reflect + Typed>(self) -> Self {
        let root = match T::type_info() {
            TypeInfo::Struct(_) => String::new(),
            _ => root_name::<T>(),
        };
        self.edit(|spec| spec.info.push(fields_plan::<T>(RowPart::Info, root, None)))
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
