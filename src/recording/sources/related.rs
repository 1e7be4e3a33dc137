//! Methods of [`Recording`] that record entities that are related to the player: a parent, a weapon, an action.

use super::{
    PlacedSource, PlannedSource, SourcePlan, ValuePlan, plan_choice, plan_fields, plan_values, refuse_resource,
};
use crate::{
    capture::{Related, RelatedSource, RowPart},
    recording::Recording,
    reflect::{FieldUsage, column_root, root_name},
};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypePath, Typed};

impl<P: Component> Recording<P> {
    /// Observes every leaf of the component `T` of a related entity, and whether there is one: `children.weapon.damage` and so
    /// on, and `children.weapon.present`.
    ///
    /// `R` is either end of a relationship: `ChildOf` leads to the parent of the player, `Children` to its children. The
    /// observed entity is the first, in the order of the relationship, that has `T`. All values are 0 if there is none. If
    /// there are several, that is logged once. Entities with [`DoNotRecord`](crate::player::DoNotRecord) or below one that
    /// has it, and entities with `Disabled`, are left out; what is below the player belongs to the player.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_reflect::Reflect;
    /// use bevy_experience::prelude::*;
    ///
    /// # #[derive(Component)] struct Fighter;
    /// #[derive(Component, Reflect)]
    /// struct Weapon { damage: f32, ammo: u32 }
    ///
    /// // The columns `children.weapon.damage`, `children.weapon.ammo` and `children.weapon.present`.
    /// let recording = Recording::<Fighter>::new("fighter").observe_related::<Children, Weapon>();
    /// ```
    pub fn observe_related<R: Related + TypePath, T: Component + Reflect + Typed>(self) -> Self {
        self.observe_related_leaves::<R, T>(None)
    }

    /// As [`observe_related`](Self::observe_related), with the given fields of `T`, in this order.
    pub fn observe_related_fields<R: Related + TypePath, T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.observe_related_leaves::<R, T>(Some(fields.into_iter().map(Into::into).collect()))
    }

    /// Observes values that `encode` computes from the component `T` of a related entity, one per name. `encode` gets `None`
    /// where [`observe_related`](Self::observe_related) records zeros, and a slice whose initial contents are unspecified.
    pub fn observe_related_with<R: Related, T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Observation, names, encode);
        self.observed(related_plan::<R, T>(
            RowPart::Observation,
            "observe_related",
            None,
            value,
        ))
    }

    /// Records every leaf of the component `T` of a related entity as part of the action, as [`act`](Self::act) those of the
    /// player's own. [`observe_related`](Self::observe_related) states which entity it is. All values are 0 if there is none.
    pub fn act_related<R: Related + TypePath, T: Component + Reflect + Typed>(self) -> Self {
        let root = format!("{}.{}", root_name::<R>(), column_root::<T>());
        let value = plan_fields::<T>(RowPart::Action, FieldUsage::RelatedAction, root, None);
        self.acted(related_plan::<R, T>(RowPart::Action, "act_related", None, value))
    }

    /// Records values that `encode` computes from the component `T` of a related entity, one per name, as a continuous part of
    /// the action. `encode` gets `None` if there is no such entity.
    pub fn act_related_with<R: Related, T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let value = plan_values::<T>(RowPart::Action, names, encode);
        self.acted(related_plan::<R, T>(RowPart::Action, "act_related", None, value))
    }

    /// Records the choice that `choose` computes from the component `T` of a related entity as a discrete part of the action:
    /// in `0..n`. `choose` gets `None` if there is no such entity.
    pub fn act_related_discrete_with<R: Related, T: Component>(
        self,
        name: impl Into<String>,
        n: u64,
        choose: impl Fn(Option<&T>) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let value = plan_choice::<T>(name, n, choose);
        self.acted(related_plan::<R, T>(RowPart::Action, "act_related", None, value))
    }

    fn observe_related_leaves<R: Related + TypePath, T: Component + Reflect + Typed>(
        self,
        fields: Option<Vec<String>>,
    ) -> Self {
        let root = format!("{}.{}", root_name::<R>(), column_root::<T>());
        let value = plan_fields::<T>(RowPart::Observation, FieldUsage::Related, root.clone(), fields);
        self.observed(related_plan::<R, T>(
            RowPart::Observation,
            "observe_related",
            Some(root),
            value,
        ))
    }
}

/// `root` is the beginning of the name of the presence column, if there is one.
fn related_plan<R: Related, T: Component>(
    part: RowPart,
    method: &'static str,
    root: Option<String>,
    value: ValuePlan,
) -> SourcePlan {
    Box::new(move |world, allow_lossy| {
        let remedy = match part {
            RowPart::Action => "use `act_resource`, `act_resource_with` or `act_resource_discrete_with`",
            _ => "use `observe_resource`, `observe_resource_fields` or `observe_resource_with`",
        };
        refuse_resource::<T>(world, remedy)?;
        let mut value = value(allow_lossy)?;
        if let Some(root) = root {
            value = value.with_presence(&root);
        }
        Ok(PlannedSource {
            columns: value.columns,
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let source = (value.build)(world, offsets);
                PlacedSource::world(part, RelatedSource::<R>::new(world, source, method))
            }),
        })
    })
}
