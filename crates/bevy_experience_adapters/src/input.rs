//! Keyboard, mouse and gamepads of `bevy_input` as actions.

mod gamepad;

pub use gamepad::{GamepadOf, GamepadPlayers};

use crate::table::InputTable;
use bevy_ecs::component::Component;
use bevy_experience::{capture::Related, recording::Recording};
use bevy_input::{
    ButtonInput,
    gamepad::{Gamepad, GamepadButton, GamepadInput},
    mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll},
};
use core::hash::Hash;

/// Methods of [`Recording`] that record input devices as parts of the action.
///
/// Each takes a table of inputs and names. Inputs with the same name share a column or a choice: `[(KeyCode::KeyA, "left"),
/// (KeyCode::ArrowLeft, "left")]`. Buttons are those of a [`ButtonInput`]: `KeyCode`, `Key`, `MouseButton`. While the resource of
/// a device does not exist, because `bevy_input::InputPlugin` is missing, no player is recorded, which is logged.
///
/// Keyboard and mouse are the same for all players; each player has its own gamepad, by a relationship such as [`GamepadOf`].
///
/// # Panics
/// All of the methods panic when the table is empty, a name is empty, or a row is given twice.
pub trait InputRecordingExt: Sized {
    /// Records whether buttons are pressed: a discrete column of 2 choices for each name, 1 while any of its buttons is.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # use bevy_experience_adapters::prelude::*;
    /// # use bevy_input::prelude::*;
    /// # #[derive(Component)] struct Walker;
    /// let recording = Recording::<Walker>::new("walker")
    ///     .act_buttons([(KeyCode::KeyA, "left"), (KeyCode::ArrowLeft, "left"), (KeyCode::KeyD, "right")])
    ///     .act_buttons([(MouseButton::Left, "fire")]);
    /// ```
    #[track_caller]
    fn act_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self;

    /// Records whether buttons were pressed since the last frame, as [`act_buttons`](Self::act_buttons).
    ///
    /// A game that reads `just_pressed` in fixed ticks sees a press in each tick of its frame, and never in a frame without one.
    /// The recording has what the game has read.
    #[track_caller]
    fn act_just_pressed_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self;

    /// Records the button that is pressed as one choice: 0, labelled `none`, while there is none, then one choice for each name
    /// in the order of the table. If several are pressed, it is the first of the table.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # use bevy_experience_adapters::prelude::*;
    /// # use bevy_input::prelude::*;
    /// # #[derive(Component)] struct Snake;
    /// // 0 to 2: `none`, `left`, `right`.
    /// let recording = Recording::<Snake>::new("snake")
    ///     .act_discrete_buttons("turn", [(KeyCode::ArrowLeft, "left"), (KeyCode::ArrowRight, "right")]);
    /// ```
    ///
    /// # Panics
    /// Also when a button has two names, or a name is `none`.
    #[track_caller]
    fn act_discrete_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        column: impl Into<String>,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self;

    /// Records pairs of opposite buttons as axes: a column of `f32` for each name, -1 while a button of the first is pressed, 1
    /// while one of the second is, and 0 while both or none are.
    #[track_caller]
    fn act_button_axes<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        axes: impl IntoIterator<Item = (T, T, impl Into<String>)>,
    ) -> Self;

    /// Records how far the mouse has moved in this frame: x and y in the units of
    /// [`AccumulatedMouseMotion`], y downwards.
    #[track_caller]
    fn act_mouse_motion(self, names: [impl Into<String>; 2]) -> Self;

    /// Records how far the mouse wheel was turned in this frame: x and y in lines or pixels, as [`AccumulatedMouseScroll`].
    #[track_caller]
    fn act_mouse_scroll(self, names: [impl Into<String>; 2]) -> Self;

    /// Records axes of each player's gamepad: a column of `f32` for each name, from -1 to 1. An analog button, such as a
    /// trigger, is an axis from 0 to 1. Of several inputs with one name, it is the one that is deflected most.
    ///
    /// The relationship `R` leads from a player to its gamepad. All values are 0 without one.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # use bevy_experience_adapters::prelude::*;
    /// # use bevy_input::prelude::*;
    /// # #[derive(Component)] struct Walker;
    /// let recording = Recording::<Walker>::new("walker")
    ///     .act_gamepad_axes::<GamepadOf, _>([(GamepadAxis::LeftStickX, "move.x"), (GamepadAxis::LeftStickY, "move.y")])
    ///     .act_gamepad_axes::<GamepadOf, _>([(GamepadButton::RightTrigger2, "throttle")])
    ///     .act_gamepad_buttons::<GamepadOf>([(GamepadButton::South, "jump")]);
    /// ```
    #[track_caller]
    fn act_gamepad_axes<R: Related, T: Into<GamepadInput>>(
        self,
        axes: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self;

    /// Records whether buttons of each player's gamepad are pressed, as [`act_buttons`](Self::act_buttons).
    #[track_caller]
    fn act_gamepad_buttons<R: Related>(
        self,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self;

    /// Records whether buttons of each player's gamepad were pressed since the last frame, as
    /// [`act_just_pressed_buttons`](Self::act_just_pressed_buttons).
    #[track_caller]
    fn act_just_pressed_gamepad_buttons<R: Related>(
        self,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self;

    /// Records the button of each player's gamepad that is pressed as one choice, as
    /// [`act_discrete_buttons`](Self::act_discrete_buttons).
    #[track_caller]
    fn act_discrete_gamepad_buttons<R: Related>(
        self,
        column: impl Into<String>,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self;
}

impl<P: Component> InputRecordingExt for Recording<P> {
    fn act_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self {
        let table = InputTable::new("act_buttons", buttons);
        table.into_rows().into_iter().fold(self, |recording, (name, buttons)| {
            recording.act_resource_discrete_with::<ButtonInput<T>>(name, 2, move |input| {
                buttons.iter().any(|button| input.pressed(button.clone())).into()
            })
        })
    }

    fn act_just_pressed_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self {
        let table = InputTable::new("act_just_pressed_buttons", buttons);
        table.into_rows().into_iter().fold(self, |recording, (name, buttons)| {
            recording.act_resource_discrete_with::<ButtonInput<T>>(name, 2, move |input| {
                buttons.iter().any(|button| input.just_pressed(button.clone())).into()
            })
        })
    }

    fn act_discrete_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        column: impl Into<String>,
        buttons: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self {
        let column = column.into();
        let table = InputTable::choices("act_discrete_buttons", buttons);
        let labels = table.labels();
        self.act_resource_discrete_with::<ButtonInput<T>>(column.clone(), table.choice_count(), move |input| {
            table.choose(|button| input.pressed(button.clone()))
        })
        .choice_labels(column, labels)
    }

    fn act_button_axes<T: Clone + Eq + Hash + Send + Sync + 'static>(
        self,
        axes: impl IntoIterator<Item = (T, T, impl Into<String>)>,
    ) -> Self {
        let pairs = axes
            .into_iter()
            .map(|(negative, positive, name)| ((negative, positive), name));
        let table = InputTable::new("act_button_axes", pairs);
        let names: Vec<_> = table.names().map(str::to_owned).collect();
        let rows = table.into_rows();
        let recording = self.act_resource_with::<ButtonInput<T>>(names.clone(), move |input, out| {
            for ((_, pairs), value) in rows.iter().zip(out) {
                let negative = pairs.iter().any(|(negative, _)| input.pressed(negative.clone()));
                let positive = pairs.iter().any(|(_, positive)| input.pressed(positive.clone()));
                *value = f32::from(positive) - f32::from(negative);
            }
        });
        names
            .into_iter()
            .fold(recording, |recording, name| recording.action_bounds(name, -1.0, 1.0))
    }

    fn act_mouse_motion(self, names: [impl Into<String>; 2]) -> Self {
        let names = two_names("act_mouse_motion", names);
        self.act_resource_with::<AccumulatedMouseMotion>(names, |motion, out| {
            out.copy_from_slice(&motion.delta.to_array());
        })
    }

    fn act_mouse_scroll(self, names: [impl Into<String>; 2]) -> Self {
        let names = two_names("act_mouse_scroll", names);
        self.act_resource_with::<AccumulatedMouseScroll>(names, |scroll, out| {
            out.copy_from_slice(&scroll.delta.to_array());
        })
    }

    fn act_gamepad_axes<R: Related, T: Into<GamepadInput>>(
        self,
        axes: impl IntoIterator<Item = (T, impl Into<String>)>,
    ) -> Self {
        let axes = axes.into_iter().map(|(axis, name)| (axis.into(), name));
        gamepad::record_axes::<P, R>(self, InputTable::new("act_gamepad_axes", axes))
    }

    fn act_gamepad_buttons<R: Related>(
        self,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self {
        let table = InputTable::new("act_gamepad_buttons", buttons);
        gamepad::record_buttons::<P, R>(self, table, Gamepad::pressed)
    }

    fn act_just_pressed_gamepad_buttons<R: Related>(
        self,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self {
        let table = InputTable::new("act_just_pressed_gamepad_buttons", buttons);
        gamepad::record_buttons::<P, R>(self, table, Gamepad::just_pressed)
    }

    fn act_discrete_gamepad_buttons<R: Related>(
        self,
        column: impl Into<String>,
        buttons: impl IntoIterator<Item = (GamepadButton, impl Into<String>)>,
    ) -> Self {
        let table = InputTable::choices("act_discrete_gamepad_buttons", buttons);
        gamepad::record_choice::<P, R>(self, column.into(), table)
    }
}

/// The names of x and y, which are checked as those of a table.
#[track_caller]
fn two_names(method: &str, names: [impl Into<String>; 2]) -> [String; 2] {
    let names = names.map(Into::into);
    let rows = names.iter().map(|name| ((), name.as_str()));
    InputTable::new(method, rows);
    names
}
