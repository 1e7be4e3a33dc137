//! A game of a fixed number of ticks, however many of them fit into a frame.

use bevy_app::{App, FixedLast, Plugin};
use bevy_ecs::prelude::*;
use bevy_time::{Fixed, Time, Virtual};
use core::time::Duration;

use crate::Clock;

/// Lets the arena stand still after so many ticks. Not one more is played, even if more are due in the same frame.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTick(pub u64);

impl LastTick {
    /// Whether it was played.
    #[must_use]
    pub fn is_over(self, clock: &Clock) -> bool {
        clock.tick >= self.0
    }
}

/// Heeds [`LastTick`], where there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastTickPlugin;

impl Plugin for LastTickPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(FixedLast, stand_still.run_if(resource_exists::<LastTick>));
    }
}

fn stand_still(
    last: Res<LastTick>,
    clock: Res<Clock>,
    mut time: ResMut<Time<Virtual>>,
    mut ticks: ResMut<Time<Fixed>>,
) {
    if last.is_over(&clock) {
        time.pause();
        ticks.discard_overstep(Duration::MAX);
    }
}
