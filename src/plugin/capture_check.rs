//! Check that captures run: detects a `capture_after` schedule that never runs, once there are players.

use super::state::{RecorderState, RecordingSlot};
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

impl RecorderState {
    /// Warns once if there are players, and no capture has run in many frames. Called in each frame.
    ///
    /// Fixed ticks can be far apart, and stop while the game is paused. So a capture in the fixed loop is reported only if
    /// that loop cannot run.
    pub(super) fn check_captures(&mut self, world: &World) {
        /// Frames without a capture until the warning.
        const FRAMES: u32 = 120;
        let is_needed = self.enabled && !self.is_frozen() && !self.capture_check.has_warned;
        if !is_needed || !has_players(&self.slots, world) {
            return;
        }
        let check = &mut self.capture_check;
        check.frames += 1;
        if check.frames < FRAMES {
            return;
        }
        let schedule = check.capture_after;
        if !check.is_placed {
            check.has_warned = true;
            tracing::warn!(
                "nothing is recorded: there are players and no capture has run in {FRAMES} frames. `capture_after` names the \
                 schedule `{schedule:?}`, which is neither in the main loop nor in the fixed loop: run the schedule \
                 `ExperienceCapture` after each of its runs, or name a schedule of one of these loops"
            );
        } else if self.captures_fixed && !world.contains_resource::<Time<Fixed>>() {
            check.has_warned = true;
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
