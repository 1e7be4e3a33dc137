//! Sources of the gamepad that a relationship of the player leads to.

use crate::table::InputTable;
use bevy_ecs::{component::Component, entity::Entity};
use bevy_experience::{capture::Related, recording::Recording};
use bevy_input::gamepad::{Gamepad, GamepadButton, GamepadInput};

/// The relationship from a player to its gamepad, the entity with the component [`Gamepad`]. Several players may share one.
///
/// A gamepad that was disconnected keeps its entity, so a player has it again when it is connected again.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_input::prelude::*;
/// use bevy_experience_adapters::prelude::*;
///
/// # #[derive(Component)] struct Walker;
/// /// Gives the gamepad that is connected to the next player without one.
/// fn assign(gamepad: On<Add, Gamepad>, walkers: Query<Entity, (With<Walker>, Without<GamepadOf>)>, mut commands: Commands) {
///     if let Some(walker) = walkers.iter().min() {
///         commands.entity(walker).insert(GamepadOf(gamepad.entity));
///     }
/// }
/// ```
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = GamepadPlayers)]
pub struct GamepadOf(
    /// The gamepad.
    pub Entity,
);

/// The players of a gamepad.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = GamepadOf)]
pub struct GamepadPlayers(Vec<Entity>);

pub(super) fn record_axes<P: Component, R: Related>(
    recording: Recording<P>,
    table: InputTable<GamepadInput>,
) -> Recording<P> {
    let names: Vec<_> = table.names().map(str::to_owned).collect();
    let rows = table.into_rows();
    let bounds: Vec<_> = rows
        .iter()
        .map(|(name, inputs)| (name.clone(), lowest(inputs)))
        .collect();
    let recording = recording.act_related_with::<R, Gamepad>(names, move |gamepad, out| {
        for ((_, inputs), value) in rows.iter().zip(out) {
            *value = gamepad.map_or(0.0, |gamepad| most_deflected(gamepad, inputs));
        }
    });
    bounds.into_iter().fold(recording, |recording, (name, low)| {
        recording.action_bounds(name, low, 1.0)
    })
}

/// The lowest value of the inputs. Buttons have no negative values.
fn lowest(inputs: &[GamepadInput]) -> f64 {
    let is_axis = |input: &GamepadInput| matches!(input, GamepadInput::Axis(_));
    if inputs.iter().any(is_axis) { -1.0 } else { 0.0 }
}

fn most_deflected(gamepad: &Gamepad, inputs: &[GamepadInput]) -> f32 {
    inputs
        .iter()
        .map(|&input| gamepad.get(input).unwrap_or(0.0))
        .fold(
            0.0,
            |most: f32, value| if value.abs() > most.abs() { value } else { most },
        )
}

pub(super) fn record_buttons<P: Component, R: Related>(
    recording: Recording<P>,
    table: InputTable<GamepadButton>,
    is_active: fn(&Gamepad, GamepadButton) -> bool,
) -> Recording<P> {
    table
        .into_rows()
        .into_iter()
        .fold(recording, |recording, (name, buttons)| {
            recording.act_related_discrete_with::<R, Gamepad>(name, 2, move |gamepad| {
                gamepad
                    .is_some_and(|gamepad| buttons.iter().any(|&button| is_active(gamepad, button)))
                    .into()
            })
        })
}

pub(super) fn record_choice<P: Component, R: Related>(
    recording: Recording<P>,
    column: String,
    table: InputTable<GamepadButton>,
) -> Recording<P> {
    let labels = table.labels();
    let choices = table.choice_count();
    recording
        .act_related_discrete_with::<R, Gamepad>(column.clone(), choices, move |gamepad| {
            gamepad.map_or(0, |gamepad| table.choose(|&button| gamepad.pressed(button)))
        })
        .choice_labels(column, labels)
}
