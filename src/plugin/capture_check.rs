//! Check that captures run: detects a `capture_after` schedule that never runs, once there are players.

use super::{
    experience::Experience,
    schedules::Loop,
    state::{RecorderState, RecordingSlot},
};
use bevy_ecs::world::World;
use bevy_time::{Fixed, Time};

/// State of the check.
#[derive(Default)]
pub(super) struct CaptureCheck {
    /// Frames in which there were players of a recording that was never captured.
    frames: u32,
    has_warned: bool,
}

/// Warns once if a recording has players, and no capture has run in many frames. Called in each frame.
///
/// Fixed ticks can be far apart, and stop while the game is paused. So a capture in the fixed loop is reported only if that
/// loop cannot run.
pub(super) fn check(world: &mut World) {
    /// Frames without a capture until the warning.
    const FRAMES: u32 = 120;
    let Some(state) = world.get_resource::<Experience>().map(Experience::state) else {
        return;
    };
    if !state.enabled || state.capture_check.has_warned {
        return;
    }
    let Some(slot) = state.slots.iter().find(|slot| is_waiting(state, slot, world)) else {
        return;
    };
    let recording = slot.recorder.name().to_owned();
    let point = &state.points[slot.point];
    let (schedule, parent_loop) = (point.after, point.parent_loop);
    let host = state.nested.loop_schedule_of(schedule, &state.orders);
    let is_missing = match parent_loop {
        None => true,
        Some(Loop::Fixed) => !world.contains_resource::<Time<Fixed>>(),
        Some(Loop::Main) => false,
    };
    let Some(mut experience) = world.get_resource_mut::<Experience>() else {
        return;
    };
    let check = &mut experience.state_mut().capture_check;
    check.frames = check.frames.saturating_add(1);
    if check.frames < FRAMES || !is_missing {
        return;
    }
    check.has_warned = true;
    if parent_loop.is_none() {
        let (place, remedy) = host.map_or_else(
            || (String::new(), "a schedule of one of these loops".to_owned()),
            |host| (format!(" (it runs within `{host:?}`)"), format!("`{host:?}`")),
        );
        tracing::warn!(
            "nothing is recorded in `{recording}`: there are players and no capture has run in {FRAMES} frames. Its \
             `capture_after` names the schedule `{schedule:?}`, which is neither in the main loop nor in the fixed loop{place}: \
             run the schedule `ExperienceCapture` after each of its runs, or name {remedy}"
        );
    } else {
        tracing::warn!(
            "nothing is recorded in `{recording}`: there are players and no capture has run in {FRAMES} frames. Captures run after \
             `{schedule:?}` in the fixed loop, which does not run: add `TimePlugin`, or set `capture_after` to `Last`"
        );
    }
}

/// Whether a recording was never captured, and has players.
fn is_waiting(state: &RecorderState, slot: &RecordingSlot, world: &World) -> bool {
    let marker = slot.recorder.marker();
    state.points[slot.point].next_tick == 0
        && world
            .archetypes()
            .iter()
            .any(|archetype| archetype.contains(marker) && !archetype.is_empty())
}
