//! [`ActionColumns`]: which actions of an `Actionlike` type are recorded, and under which names.

use bevy_experience::recording::{ColumnName, snake_case};
use bevy_reflect::{
    TypeInfo,
    enums::{DynamicEnum, DynamicVariant, VariantInfo},
};
use leafwing_input_manager::{Actionlike, InputControlKind};

/// The actions that are recorded, each with a name, in order.
///
/// ```
/// # use bevy_reflect::Reflect;
/// use bevy_experience_adapters::prelude::*;
/// use leafwing_input_manager::prelude::*;
///
/// #[derive(Actionlike, Reflect, Clone, Debug, PartialEq, Eq, Hash)]
/// enum Action {
///     Jump,
///     Dash,
///     OpenMenu,
/// }
///
/// // Without the menu, and with the tick in which a dash begins.
/// let columns = ActionColumns::new().with("jump", Action::Jump).with_just_pressed("dash", Action::Dash);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "columns do nothing until they are given to `act_leafwing_columns`"]
pub struct ActionColumns<A> {
    columns: Vec<ActionColumn<A>>,
}

/// A column, or one for each component of a vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ActionColumn<A> {
    pub(super) name: String,
    pub(super) action: A,
    pub(super) reading: Reading,
}

/// What is read of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    State,
    JustPressed,
}

impl<A: Actionlike> Default for ActionColumns<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Actionlike> ActionColumns<A> {
    /// No columns.
    pub fn new() -> Self {
        Self { columns: Vec::new() }
    }

    /// All variants of the enum `A` in their order. The name of a column is that of the variant in `snake_case`, or the variant's
    /// attribute `#[reflect(@ColumnName("..."))]`.
    ///
    /// # Panics
    /// When `A` is not an enum, has no variants, or has a variant with data.
    #[track_caller]
    pub fn all() -> Self {
        let TypeInfo::Enum(info) = A::type_info() else {
            panic!(
                "`{}` is not an enum, so its actions are not known: give them one by one, with `ActionColumns::with`",
                A::type_path()
            );
        };
        info.iter().fold(Self::new(), |columns, variant| {
            let action = match variant {
                VariantInfo::Unit(_) => A::from_reflect(&DynamicEnum::new(variant.name(), DynamicVariant::Unit)),
                _ => None,
            };
            let Some(action) = action else {
                panic!(
                    "the variant `{}` of `{}` has data, so its actions are not known: give them one by one, with \
                     `ActionColumns::with`",
                    variant.name(),
                    A::type_path()
                );
            };
            let attributes = match variant {
                VariantInfo::Unit(variant) => variant.custom_attributes(),
                VariantInfo::Tuple(variant) => variant.custom_attributes(),
                VariantInfo::Struct(variant) => variant.custom_attributes(),
            };
            let name = attributes.get::<ColumnName>();
            columns.with(
                name.map_or_else(|| snake_case(variant.name()), |name| name.0.to_owned()),
                action,
            )
        })
    }

    /// Adds an action: whether a button is pressed, the value of an axis, the values of a dual or triple axis.
    ///
    /// # Panics
    /// When the name is empty or used already.
    #[track_caller]
    pub fn with(self, name: impl Into<String>, action: A) -> Self {
        self.add(name.into(), action, Reading::State)
    }

    /// Adds whether a button was just pressed.
    ///
    /// # Panics
    /// When the action is not a button, or the name is empty or used already.
    #[track_caller]
    pub fn with_just_pressed(self, name: impl Into<String>, action: A) -> Self {
        assert!(
            action.input_control_kind() == InputControlKind::Button,
            "`{action:?}` is an axis, which is not pressed: add it with `ActionColumns::with`"
        );
        self.add(name.into(), action, Reading::JustPressed)
    }

    #[track_caller]
    fn add(mut self, name: String, action: A, reading: Reading) -> Self {
        assert!(
            !name.is_empty(),
            "`{action:?}` was given an empty name: name what it does, such as \"jump\""
        );
        if let Some(other) = self.columns.iter().find(|column| column.name == name) {
            panic!(
                "`{:?}` and `{action:?}` have the same name `{name}`: give one another, with `ActionColumns::with` or \
                 `#[reflect(@ColumnName(\"..\"))]`",
                other.action
            );
        }
        self.columns.push(ActionColumn { name, action, reading });
        self
    }

    /// The columns, in order.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    pub(super) fn into_columns(self) -> Vec<ActionColumn<A>> {
        assert!(
            !self.columns.is_empty(),
            "no action of `{}` is recorded: add one with `ActionColumns::with`",
            A::type_path()
        );
        self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_reflect::Reflect;

    #[derive(Actionlike, Reflect, Clone, Debug, PartialEq, Eq, Hash)]
    enum Action {
        #[actionlike(DualAxis)]
        MoveBody,
        #[reflect(@ColumnName("hop"))]
        Jump,
    }

    #[derive(Actionlike, Reflect, Clone, Debug, PartialEq, Eq, Hash)]
    enum Ability {
        Slot(u8),
    }

    #[test]
    fn variants_are_columns_with_their_names() {
        let columns = ActionColumns::<Action>::all().into_columns();
        let named: Vec<_> = columns
            .iter()
            .map(|column| (column.name.as_str(), &column.action))
            .collect();
        assert_eq!(named, [("move_body", &Action::MoveBody), ("hop", &Action::Jump)]);
    }

    #[test]
    #[should_panic(
        expected = "the variant `Slot` of `bevy_experience_adapters::leafwing::columns::tests::Ability` has data"
    )]
    fn a_variant_with_data() {
        let _ = ActionColumns::<Ability>::all();
    }

    #[test]
    fn actions_with_data_are_given_one_by_one() {
        let columns = ActionColumns::new()
            .with("slot.0", Ability::Slot(0))
            .with("slot.1", Ability::Slot(1));
        assert_eq!(columns.into_columns().len(), 2);
    }

    #[test]
    #[should_panic(expected = "`MoveBody` and `Jump` have the same name `a`: give one another")]
    fn a_name_that_is_used_twice() {
        let _ = ActionColumns::new().with("a", Action::MoveBody).with("a", Action::Jump);
    }

    #[test]
    #[should_panic(expected = "`MoveBody` is an axis, which is not pressed: add it with `ActionColumns::with`")]
    fn an_axis_that_is_just_pressed() {
        let _ = ActionColumns::new().with_just_pressed("a", Action::MoveBody);
    }

    #[test]
    #[should_panic(expected = "no action of `bevy_experience_adapters::leafwing::columns::tests::Action` is recorded")]
    fn no_columns() {
        ActionColumns::<Action>::new().into_columns();
    }
}
