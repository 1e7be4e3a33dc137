//! Exclusive systems of the plugin: capture, export, reading of actions, and closing at exit.
//!
//! Each takes the [`RecorderState`] out of [`Experience`], because the recorders read the world while they are mutated. No observer
//! of the game runs meanwhile: inserting rewards and triggering events, which can run observers, happen outside of these scopes.

use super::{
    LiveSettings, capture_check, environment, events,
    experience::Experience,
    final_observations, rewards,
    schedules::{ExperienceCapture, Loop},
    state::RecorderState,
};
use bevy_app::AppExit;
use bevy_ecs::{entity::Entity, message::Messages, schedule::InternedScheduleLabel, world::World};

/// Runs `f` with the recorder state and the rest of the world. `None` if there is no [`Experience`], or the caller runs within
/// another scope.
///
/// [`World::try_resource_scope`] would do the same in 1,500 instructions, because it moves the entity of the resource to another
/// archetype and back.
pub(super) fn recorder_scope<R>(world: &mut World, f: impl FnOnce(&mut World, &mut RecorderState) -> R) -> Option<R> {
    let state = world.get_resource_mut::<Experience>()?.take_state()?;
    let mut taken = TakenState {
        world,
        state: Some(state),
    };
    let TakenState { world, state } = &mut taken;
    state.as_mut().map(|state| f(world, state))
}

/// Guard that puts the recorder state back on drop, also during unwinding.
struct TakenState<'w> {
    world: &'w mut World,
    state: Option<Box<RecorderState>>,
}

impl Drop for TakenState<'_> {
    fn drop(&mut self) {
        if let (Some(mut experience), Some(state)) = (self.world.get_resource_mut::<Experience>(), self.state.take()) {
            experience.put_state(state);
        }
    }
}

/// The system that begins a tick of a loop, or of the recordings whose captures the game runs.
pub(super) fn begin_tick(parent: Option<Loop>) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        recorder_scope(world, |world, state| {
            match parent {
                // Writes between two frames belong to no loop.
                Some(Loop::Main) => state.watch_changes(world, None),
                Some(Loop::Fixed) => state.watch_changes(world, Some(Loop::Main)),
                None => {}
            }
            state.begin_tick(world, parent);
        });
    }
}

/// The system that runs [`ExperienceCapture`] after `schedule`, if there are recordings to capture.
pub(super) fn capture_after(schedule: InternedScheduleLabel) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        let needed = recorder_scope(world, |world, state| {
            if let Some(parent) = Loop::ending_with(schedule) {
                state.watch_changes(world, Some(parent));
                state.verify_timings(world);
                state.watch_taken_actions(world, parent);
                if parent == Loop::Main {
                    state.count_watched_frame(world);
                }
            }
            let needs_timing = state.needs_timing(world, schedule);
            let needs_access = state.nested.take_new() || needs_timing;
            needs_access.then(|| (state.accesses.clone(), state.game_schedules(), needs_timing))
        });
        if let Some((accesses, schedules, needs_timing)) = needed.flatten() {
            // Builds schedules of the game, which runs code of the game.
            accesses.collect(world, &schedules);
            recorder_scope(world, |world, state| {
                state.reconsider_timings(world);
                if needs_timing {
                    state.choose_timings(world);
                }
            });
        }
        if recorder_scope(world, |_, state| state.reach(schedule)) == Some(true) {
            let _ = world.try_run_schedule(ExperienceCapture);
            recorder_scope(world, |_, state| state.reached_point = None);
        }
    }
}

pub(super) fn capture(world: &mut World) {
    // Inserts components, which may run observers.
    rewards::insert_missing(world, players_without_reward(world));
    // Triggers events.
    environment::reset(world);
    final_observations::trigger_ends(world);
    recorder_scope(world, |world, state| state.capture(world));
}

/// The players without a [`Reward`](crate::player::Reward), of all recordings before the first capture, and later only of those
/// whose marker does not require it.
fn players_without_reward(world: &World) -> Vec<Entity> {
    // Nearly always empty, in which case it does not allocate.
    let mut players = Vec::new();
    if let Some(experience) = world.get_resource::<Experience>() {
        let state = experience.state();
        for slot in &state.slots {
            if !state.is_frozen() || !slot.marker_requires_reward {
                players.extend(rewards::missing(world, slot.recorder.marker()));
            }
        }
    }
    players
}

pub(super) fn export(world: &mut World) {
    recorder_scope(world, |world, state| {
        if let Some(live) = world.get_resource::<LiveSettings>() {
            state.apply_live_settings(live);
        }
        state.export();
    });
    // Runs observers.
    events::emit_events(world);
}

/// The system that reads actions right after `schedule`.
pub(super) fn read_actions(schedule: InternedScheduleLabel) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        recorder_scope(world, |world, state| state.read_actions(world, schedule));
    }
}

/// Ends an update: closes the recordings if the app exits, and otherwise runs a pass of an exporter that has no thread.
pub(super) fn end_update(world: &mut World) {
    capture_check::check(world);
    let exits = world
        .get_resource::<Messages<AppExit>>()
        .is_some_and(|exits| !exits.is_empty());
    if exits {
        recorder_scope(world, |world, state| {
            state.close(Some(world), state.settings.close_timeout)
        });
    } else if let Some(experience) = world.get_resource::<Experience>() {
        experience.state().run_export_pass();
    }
}
