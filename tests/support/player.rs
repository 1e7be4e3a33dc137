//! The marker, the component and the system of the smallest game that a recording can observe.

use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

/// The marker of the recording.
#[derive(Component, Reflect)]
pub struct Player;

/// The number of ticks since the player was spawned, where [`grow`] runs.
#[derive(Component, Reflect)]
pub struct Age(pub f32);

/// Adds 1 to each [`Age`].
pub fn grow(mut players: Query<&mut Age>) {
    for mut age in &mut players {
        age.0 += 1.0;
    }
}
