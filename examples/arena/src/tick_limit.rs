//! Tick limit: pauses the game after a fixed number of ticks, even in the middle of a frame.

use bevy_app::{App, FixedLast, Plugin};
use bevy_ecs::prelude::*;
use bevy_time::{Fixed, Time, Virtual};
use core::time::Duration;

use crate::Clock;

/// The number of ticks after which the game is paused. No further tick runs, even if more are due in the same frame.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickLimit(pub u64);

impl TickLimit {
    /// Whether this many ticks were played.
    #[must_use]
    pub fn is_reached(self, clock: &Clock) -> bool {
        clock.tick >= self.0
    }
}

/// Pauses the game at the [`TickLimit`], if that resource exists.
#[derive(Clone, Copy, Debug, Default)]
pub struct TickLimitPlugin;

impl Plugin for TickLimitPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(FixedLast, pause_at_limit.run_if(resource_exists::<TickLimit>));
    }
}

fn pause_at_limit(
    limit: Res<TickLimit>,
    clock: Res<Clock>,
    mut time: ResMut<Time<Virtual>>,
    mut fixed_time: ResMut<Time<Fixed>>,
) {
    if limit.is_reached(&clock) {
        time.pause();
        fixed_time.discard_overstep(Duration::MAX);
    }
}
