//! Actions of `bevy_enhanced_input`, which are entities of their own, related to the entity of their context.
//!
//! | output of the action | columns | values |
//! |---|---|---|
//! | `bool` | `jump` | a discrete column of 2 choices |
//! | `f32` | `zoom` | `f32` |
//! | `Vec2` | `move.x`, `move.y` | `f32` |
//! | `Vec3` | `fly.x`, `fly.y`, `fly.z` | `f32` |
//!
//! The context is a component of the player. Values are those of the last evaluation of the context: all are 0 while the player
//! has no such context, or it is inactive. A context that is evaluated in `FixedPreUpdate` is for a game that moves in fixed
//! ticks, and the default, `PreUpdate`, for one that moves in frames. Both are recorded right, and so are observers of `Fire` and
//! other events.

use bevy_ecs::{component::Component, query::With, system::Query};
use bevy_enhanced_input::{
    action::{Action, InputAction, events::ActionEvents},
    prelude::{ActionOutput, Actions},
};
use bevy_experience::{
    prelude::PlayerChoices,
    recording::{Recording, snake_case},
};
use bevy_math::{Vec2, Vec3};

/// Methods of [`Recording`] that record actions of `bevy_enhanced_input`.
///
/// `C` is the context, `A` the action.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_math::Vec2;
/// use bevy_enhanced_input::prelude::*;
/// use bevy_experience::prelude::*;
/// use bevy_experience_adapters::prelude::*;
///
/// #[derive(Component)]
/// struct OnFoot;
///
/// #[derive(InputAction)]
/// #[action_output(Vec2)]
/// struct Move;
///
/// #[derive(InputAction)]
/// #[action_output(bool)]
/// struct Jump;
///
/// // The columns `move.x`, `move.y`, `jump` and `jump.started`.
/// let recording = Recording::<OnFoot>::new("walker")
///     .act_input_action::<OnFoot, Move>()
///     .act_input_action::<OnFoot, Jump>()
///     .act_started_input_action::<OnFoot, Jump>();
/// ```
pub trait EnhancedInputRecordingExt: Sized {
    /// Records the value of an action, under the name of its type in `snake_case`.
    #[track_caller]
    fn act_input_action<C: Component, A: InputAction<Output: RecordedOutput>>(self) -> Self {
        self.act_named_input_action::<C, A>(action_name::<A>())
    }

    /// Records the value of an action under a name.
    ///
    /// # Panics
    /// When the name is empty.
    #[track_caller]
    fn act_named_input_action<C: Component, A: InputAction<Output: RecordedOutput>>(
        self,
        name: impl Into<String>,
    ) -> Self;

    /// Records whether an action started in the last evaluation of its context, which is `just_pressed` of a button: a discrete
    /// column of 2 choices, `jump.started`.
    ///
    /// It is read by a system, of which the plugin does not know what it reads. Where the game reads the events in another loop
    /// than the one that moves the player, record the value of an action, too, or name the schedule with
    /// [`read_actions_after`](Recording::read_actions_after).
    fn act_started_input_action<C: Component, A: InputAction>(self) -> Self;
}

impl<P: Component> EnhancedInputRecordingExt for Recording<P> {
    fn act_named_input_action<C: Component, A: InputAction<Output: RecordedOutput>>(
        self,
        name: impl Into<String>,
    ) -> Self {
        let name = name.into();
        assert!(
            !name.is_empty(),
            "`{}` was given an empty name: name what the action does, such as \"jump\"",
            core::any::type_name::<A>()
        );
        let axes = <A::Output as RecordedOutput>::AXES;
        if axes.is_empty() {
            return self.act_related_discrete_with::<Actions<C>, Action<A>>(name, 2, |action| {
                let mut value = [0.0];
                action.inspect(|action| action.write(&mut value));
                (value[0] != 0.0).into()
            });
        }
        let names = axes.iter().map(|axis| format!("{name}{axis}"));
        self.act_related_with::<Actions<C>, Action<A>>(names, |action, out| match action {
            Some(action) => action.write(out),
            None => out.fill(0.0),
        })
    }

    fn act_started_input_action<C: Component, A: InputAction>(self) -> Self {
        let name = format!("{}.started", action_name::<A>());
        self.act_discrete_system(
            name,
            2,
            |players: PlayerChoices, contexts: Query<&Actions<C>>, actions: Query<&ActionEvents, With<Action<A>>>| {
                for (player, choice) in players {
                    let Ok(related) = contexts.get(player) else { continue };
                    let mut events = actions.iter_many(related);
                    *choice = events.any(|events| events.contains(ActionEvents::START)).into();
                }
            },
        )
    }
}

/// The type of the value of an action, which can be recorded: `bool`, `f32`, [`Vec2`] and [`Vec3`].
pub trait RecordedOutput: ActionOutput + sealed::Sealed {
    /// What the names of the columns end with. Empty for a discrete column.
    #[doc(hidden)]
    const AXES: &'static [&'static str];

    /// Writes the value, one number for each column.
    #[doc(hidden)]
    fn write(&self, out: &mut [f32]);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bool {}
    impl Sealed for f32 {}
    impl Sealed for bevy_math::Vec2 {}
    impl Sealed for bevy_math::Vec3 {}
}

impl RecordedOutput for bool {
    const AXES: &'static [&'static str] = &[];

    fn write(&self, out: &mut [f32]) {
        out[0] = f32::from(*self);
    }
}

impl RecordedOutput for f32 {
    const AXES: &'static [&'static str] = &[""];

    fn write(&self, out: &mut [f32]) {
        out[0] = *self;
    }
}

impl RecordedOutput for Vec2 {
    const AXES: &'static [&'static str] = &[".x", ".y"];

    fn write(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.to_array());
    }
}

impl RecordedOutput for Vec3 {
    const AXES: &'static [&'static str] = &[".x", ".y", ".z"];

    fn write(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.to_array());
    }
}

/// The name of the type of an action, without paths, in `snake_case`.
fn action_name<A>() -> String {
    let path = core::any::type_name::<A>();
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let parts = path.split_inclusive(|character| !is_path(character));
    snake_case(
        &parts
            .map(|part| part.rsplit("::").next().unwrap_or(part))
            .collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct MoveBody;
    struct Held<T>(core::marker::PhantomData<T>);

    #[test]
    fn names_of_actions() {
        assert_eq!(action_name::<MoveBody>(), "move_body");
        assert_eq!(action_name::<Held<MoveBody>>(), "held_move_body");
    }
}
