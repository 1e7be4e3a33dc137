//! Check that captures run and actions are read: detects schedules that never run, once there are players.

use super::{
    experience::Experience,
    schedules::Loop,
    state::{RecorderState, RecordingSlot, component_id},
};
use crate::policy::PolicyControlled;
use bevy_ecs::{component::ComponentId, schedule::InternedScheduleLabel, world::World};
use bevy_time::{Fixed, Time, Virtual};

/// State of the checks.
#[derive(Default)]
pub(super) struct CaptureCheck {
    captures: WaitCheck,
    reads: WaitCheck,
    policies: WaitCheck,
}

/// Counts the frames in which a recording waits for a schedule.
#[derive(Default)]
struct WaitCheck {
    frames: u32,
    has_warned: bool,
}

/// Frames until the warning.
const FRAMES: u32 = 120;

impl WaitCheck {
    /// What a recording waits for, if that was not reported.
    fn find(&self, find: impl FnOnce() -> Option<Wait>) -> Option<Wait> {
        (!self.has_warned).then(find).flatten()
    }

    /// Counts a frame. Returns true once, when a recording has waited long enough for a schedule that does not run.
    fn is_due(&mut self, is_missing: bool) -> bool {
        self.frames = self.frames.saturating_add(1);
        let is_due = self.frames >= FRAMES && is_missing;
        self.has_warned |= is_due;
        is_due
    }
}

/// A schedule that a recording with players waits for.
struct Wait {
    recording: String,
    schedule: InternedScheduleLabel,
    parent_loop: Option<Loop>,
    /// The schedule of a loop within which `schedule` runs.
    host: Option<InternedScheduleLabel>,
}

/// Warns once if there are players, and no capture has run, no action was read or no policy has acted in many frames. Called in each
/// frame.
///
/// Fixed ticks can be far apart, and stop while the game is paused. So a schedule of the fixed loop is reported only if that
/// loop cannot run, or does not although game time passes.
pub(super) fn check(world: &mut World) {
    let Some(state) = world.get_resource::<Experience>().map(Experience::state) else {
        return;
    };
    let CaptureCheck {
        captures,
        reads,
        policies,
    } = &state.capture_check;
    if !state.enabled {
        return;
    }
    let capture = captures.find(|| awaited_capture(state, world));
    let read = reads.find(|| awaited_read(state, world));
    let policy = policies.find(|| awaited_policy(state, world));
    if capture.is_none() && read.is_none() && policy.is_none() {
        return;
    }
    let fixed_remedy = fixed_loop_remedy(world);
    let Some(mut experience) = world.get_resource_mut::<Experience>() else {
        return;
    };
    let CaptureCheck {
        captures,
        reads,
        policies,
    } = &mut experience.state_mut().capture_check;
    if let Some(wait) = capture {
        let is_missing = match wait.parent_loop {
            None => true,
            Some(Loop::Fixed) => fixed_remedy.is_some(),
            Some(Loop::Main) => false,
        };
        if captures.is_due(is_missing) {
            warn_capture(&wait, fixed_remedy.unwrap_or_default());
        }
    }
    let Some(remedy) = fixed_remedy else { return };
    if let Some(Wait {
        recording, schedule, ..
    }) = read
        && reads.is_due(true)
    {
        tracing::warn!(
            "recording `{recording}`: there are players, and none of their actions has been read in {FRAMES} frames, so no action is \
             recorded. Actions are read after `{schedule:?}` in the fixed loop, which does not run: {remedy}, or set \
             `read_actions_after` to a schedule of the main loop"
        );
    }
    if let Some(Wait {
        recording, schedule, ..
    }) = policy
        && policies.is_due(true)
    {
        tracing::warn!(
            "a policy of recording `{recording}` has not acted in {FRAMES} frames. It acts before `{schedule:?}` in the fixed loop, \
             which does not run: {remedy}, or set `Policy::act_before` to a schedule of the main loop"
        );
    }
}

fn warn_capture(wait: &Wait, fixed_remedy: &str) {
    let Wait {
        recording, schedule, ..
    } = wait;
    if wait.parent_loop.is_none() {
        let (place, remedy) = wait.host.map_or_else(
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
             `{schedule:?}` in the fixed loop, which does not run: {fixed_remedy}, or set `capture_after` to `Last`"
        );
    }
}

/// The capture that a recording with players waits for.
fn awaited_capture(state: &RecorderState, world: &World) -> Option<Wait> {
    let is_waiting = |slot: &&RecordingSlot| state.points[slot.point].next_tick == 0 && has_players(slot, world);
    let slot = state.slots.iter().find(is_waiting)?;
    let point = &state.points[slot.point];
    Some(Wait {
        recording: slot.recorder.name().to_owned(),
        schedule: point.after,
        parent_loop: point.parent_loop,
        host: state.nested.loop_schedule_of(point.after, &state.orders),
    })
}

/// The read of actions in the fixed loop that a recording waits for whose captures run.
fn awaited_read(state: &RecorderState, world: &World) -> Option<Wait> {
    state.slots.iter().find_map(|slot| {
        let schedule = slot.read_actions_after?;
        let is_waiting = state.points[slot.point].next_tick > 0
            && slot.recorder.awaits_first_read()
            && state.orders.contains(Loop::Fixed, schedule)
            && has_players(slot, world);
        is_waiting.then(|| Wait {
            recording: slot.recorder.name().to_owned(),
            schedule,
            parent_loop: Some(Loop::Fixed),
            host: None,
        })
    })
}

/// The schedule in the fixed loop before which a policy acts that has not acted, in a recording whose captures run.
fn awaited_policy(state: &RecorderState, world: &World) -> Option<Wait> {
    let controlled = component_id::<PolicyControlled>(world)?;
    let slot = |slot: &RecordingSlot| {
        let mut policies = slot.policies.iter().filter(|policy| policy.status().decisions == 0);
        let is_fixed = |schedule: &_| state.orders.contains(Loop::Fixed, *schedule);
        let schedule = policies.find_map(|policy| policy.act_before.filter(is_fixed))?;
        let is_waiting = state.points[slot.point].next_tick > 0 && has_entities(world, controlled);
        is_waiting.then(|| Wait {
            recording: slot.recorder.name().to_owned(),
            schedule,
            parent_loop: Some(Loop::Fixed),
            host: None,
        })
    };
    state.slots.iter().find_map(slot)
}

fn has_players(slot: &RecordingSlot, world: &World) -> bool {
    has_entities(world, slot.recorder.marker())
}

fn has_entities(world: &World, component: ComponentId) -> bool {
    let mut archetypes = world.archetypes().iter();
    archetypes.any(|archetype| archetype.contains(component) && !archetype.is_empty())
}

/// What makes the fixed loop run. `None` if it runs, or may run later.
fn fixed_loop_remedy(world: &World) -> Option<&'static str> {
    let Some(fixed) = world.get_resource::<Time<Fixed>>() else {
        return Some("add `TimePlugin`");
    };
    let passed = world.get_resource::<Time<Virtual>>().map(Time::elapsed)?;
    // The loop has neither run a tick nor taken the time that passed.
    let is_idle = fixed.elapsed().is_zero() && fixed.overstep().is_zero() && passed > fixed.timestep();
    is_idle.then_some("keep `RunFixedMainLoop` in `MainScheduleOrder`")
}
