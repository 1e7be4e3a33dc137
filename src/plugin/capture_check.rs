//! Check that captures run: detects a `capture_after` schedule that never runs, once there are players.

use super::{
    experience::Experience,
    state::{RecorderState, RecordingSlot},
};
use bevy_ecs::{schedule::InternedScheduleLabel, world::World};
use bevy_time::{Fixed, Time};

/// State of the check.
pub(super) struct CaptureCheck {
    capture_after: InternedScheduleLabel,
    /// The schedule is in the main loop or the fixed loop.
    pub(super) is_placed: bool,
    /// Frames without a capture in which there were players.
    frames: u32,
    has_warned: bool,
}

impl CaptureCheck {
    pub(super) fn new(capture_after: InternedScheduleLabel) -> Self {
        Self {
            capture_after,
            is_placed: false,
            frames: 0,
            has_warned: false,
        }
    }

    pub(super) fn capture_after(&self) -> InternedScheduleLabel {
        self.capture_after
    }
}

/// Warns once if there are players, and no capture has run in many frames. Called in each frame.
///
/// Fixed ticks can be far apart, and stop while the game is paused. So a capture in the fixed loop is reported only if that
/// loop cannot run.
pub(super) fn check(world: &mut World) {
    let is_waiting = |state: &RecorderState| {
        state.enabled && !state.is_frozen() && !state.capture_check.has_warned && has_players(&state.slots, world)
    };
    let experience = world.get_resource::<Experience>();
    if !experience.is_some_and(|experience| is_waiting(experience.state())) {
        return;
    }
    let has_fixed_time = world.contains_resource::<Time<Fixed>>();
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        let state = experience.state_mut();
        let is_in_fixed_loop = state.captures_fixed;
        state.capture_check.count_frame(is_in_fixed_loop && !has_fixed_time);
    }
}

impl CaptureCheck {
    /// Counts a frame without a capture. `is_fixed_loop_missing` is set if the capture is in the fixed loop, which cannot run.
    fn count_frame(&mut self, is_fixed_loop_missing: bool) {
        /// Frames without a capture until the warning.
        const FRAMES: u32 = 120;
        self.frames = self.frames.saturating_add(1);
        let is_missing = !self.is_placed || is_fixed_loop_missing;
        if self.frames < FRAMES || !is_missing {
            return;
        }
        let schedule = self.capture_after;
        self.has_warned = true;
        if !self.is_placed {
            tracing::warn!(
                "nothing is recorded: there are players and no capture has run in {FRAMES} frames. `capture_after` names the \
                 schedule `{schedule:?}`, which is neither in the main loop nor in the fixed loop: run the schedule \
                 `ExperienceCapture` after each of its runs, or name a schedule of one of these loops"
            );
        } else {
            tracing::warn!(
                "nothing is recorded: there are players and no capture has run in {FRAMES} frames. Captures run after \
                 `{schedule:?}` in the fixed loop, which does not run: add `TimePlugin`, or set `capture_after` to `Last`"
            );
        }
    }
}

fn has_players(slots: &[RecordingSlot], world: &World) -> bool {
    let archetypes = world.archetypes();
    slots.iter().any(|slot| {
        let marker = slot.recorder.marker();
        archetypes
            .iter()
            .any(|archetype| archetype.contains(marker) && !archetype.is_empty())
    })
}
