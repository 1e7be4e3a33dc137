//! Actions of `leafwing-input-manager`: the variants of an `Actionlike` enum as columns of the action.
//!
//! | kind of the action | columns | values |
//! |---|---|---|
//! | `Button` | `jump` | a discrete column of 2 choices: 1 while it is pressed |
//! | `Axis` | `zoom` | `f32` |
//! | `DualAxis` | `move.x`, `move.y` | `f32` |
//! | `TripleAxis` | `fly.x`, `fly.y`, `fly.z` | `f32` |
//!
//! Values are those that the game reads from `ActionState`: a disabled action is 0, and an axis is not clamped.
//!
//! The state for fixed ticks is another than the one for frames, and `just_pressed` is cleared at the end of each. The recording
//! reads the state after the schedule whose systems read it to move the player, so it has what the game has read. An exclusive
//! system or an observer that reads the state is not known to do so: name its schedule with
//! [`read_actions_after`](Recording::read_actions_after) if `just_pressed` is recorded.

mod columns;

pub use columns::ActionColumns;

use bevy_ecs::component::Component;
use bevy_experience::{capture::Related, recording::Recording};
use columns::{ActionColumn, Reading};
use leafwing_input_manager::{Actionlike, InputControlKind, action_state::ActionState};

/// Methods of [`Recording`] that record the state of actions of `leafwing-input-manager`.
///
/// A player without an `ActionState` is not recorded. `act_related_leafwing` is for an `ActionState` on another entity.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::Reflect;
/// use bevy_experience::prelude::*;
/// use bevy_experience_adapters::prelude::*;
/// use leafwing_input_manager::prelude::*;
///
/// # #[derive(Component)] struct Walker;
/// #[derive(Actionlike, Reflect, Clone, Debug, PartialEq, Eq, Hash)]
/// enum Action {
///     #[actionlike(DualAxis)]
///     Move,
///     Jump,
/// }
///
/// // The columns `move.x`, `move.y`, `jump` and `jump.just_pressed`.
/// let recording = Recording::<Walker>::new("walker")
///     .act_leafwing::<Action>()
///     .act_leafwing_columns(ActionColumns::new().with_just_pressed("jump.just_pressed", Action::Jump));
/// ```
pub trait LeafwingRecordingExt: Sized {
    /// Records all variants of `A`, in the order of the enum: [`ActionColumns::all`].
    ///
    /// # Panics
    /// When `A` is not an enum without data.
    #[track_caller]
    fn act_leafwing<A: Actionlike>(self) -> Self {
        self.act_leafwing_columns(ActionColumns::<A>::all())
    }

    /// Records the given actions.
    ///
    /// # Panics
    /// When there are no columns.
    #[track_caller]
    fn act_leafwing_columns<A: Actionlike>(self, columns: ActionColumns<A>) -> Self;

    /// Records the given actions of the entity that the relationship `R` leads to, such as the controller of a player's body.
    /// All values are 0 without one.
    ///
    /// # Panics
    /// When there are no columns.
    #[track_caller]
    fn act_related_leafwing<R: Related, A: Actionlike>(self, columns: ActionColumns<A>) -> Self;
}

impl<P: Component> LeafwingRecordingExt for Recording<P> {
    fn act_leafwing_columns<A: Actionlike>(self, columns: ActionColumns<A>) -> Self {
        columns.into_columns().into_iter().fold(self, |recording, column| {
            if column.is_discrete() {
                recording
                    .act_discrete_with::<ActionState<A>>(column.name.clone(), 2, move |state| column.is_active(state))
            } else {
                recording.act_with::<ActionState<A>>(column.names(), move |state, out| column.write(state, out))
            }
        })
    }

    fn act_related_leafwing<R: Related, A: Actionlike>(self, columns: ActionColumns<A>) -> Self {
        columns.into_columns().into_iter().fold(self, |recording, column| {
            if column.is_discrete() {
                recording.act_related_discrete_with::<R, ActionState<A>>(column.name.clone(), 2, move |state| {
                    state.map_or(0, |state| column.is_active(state))
                })
            } else {
                recording.act_related_with::<R, ActionState<A>>(column.names(), move |state, out| match state {
                    Some(state) => column.write(state, out),
                    None => out.fill(0.0),
                })
            }
        })
    }
}

impl<A: Actionlike> ActionColumn<A> {
    fn is_discrete(&self) -> bool {
        self.action.input_control_kind() == InputControlKind::Button
    }

    /// The value of a button.
    fn is_active(&self, state: &ActionState<A>) -> i64 {
        match self.reading {
            Reading::State => state.pressed(&self.action).into(),
            Reading::JustPressed => state.just_pressed(&self.action).into(),
        }
    }

    /// The names of the values of an axis.
    fn names(&self) -> Vec<String> {
        let axes: &[&str] = match self.action.input_control_kind() {
            InputControlKind::Button | InputControlKind::Axis => return vec![self.name.clone()],
            InputControlKind::DualAxis => &["x", "y"],
            InputControlKind::TripleAxis => &["x", "y", "z"],
        };
        axes.iter().map(|axis| format!("{}.{axis}", self.name)).collect()
    }

    /// Writes the values of an axis, one for each of [`names`](Self::names).
    fn write(&self, state: &ActionState<A>, out: &mut [f32]) {
        match self.action.input_control_kind() {
            InputControlKind::Button => {}
            InputControlKind::Axis => out[0] = state.value(&self.action),
            InputControlKind::DualAxis => out.copy_from_slice(&state.axis_pair(&self.action).to_array()),
            InputControlKind::TripleAxis => out.copy_from_slice(&state.axis_triple(&self.action).to_array()),
        }
    }
}
