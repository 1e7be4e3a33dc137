//! Games in which the action at the capture is not the one that was consumed.

use super::games::{Expected, GameLog, Intent, Position, assert_every_row, input, nth_input, walk};
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::prelude::*;

fn read(capture: impl ScheduleLabel, after: impl ScheduleLabel) -> Expected {
    Expected {
        capture: capture.intern(),
        read: Some(after.intern()),
    }
}

/// Consumes the intent, and clears it.
fn take(
    mut walkers: Query<(Entity, &mut Intent, &mut Position, &mut Reward)>,
    mut log: ResMut<GameLog>,
    mut commands: Commands,
) {
    for (walker, mut intent, mut position, mut reward) in &mut walkers {
        let step = log.step(position.0, core::mem::take(&mut intent.step));
        position.0 = step.after;
        reward.add("step", step.reward);
        if step.ends {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

#[test]
fn an_intent_that_is_taken() {
    let before_fixed_update: InternedScheduleLabel = FixedPreUpdate.intern();
    assert_every_row("taken, input in update", &read(FixedLast, before_fixed_update), |app| {
        app.add_systems(Update, input).add_systems(FixedUpdate, take);
    });
    assert_every_row(
        "taken, input in fixed pre-update",
        &read(FixedLast, FixedPreUpdate),
        |app| {
            app.add_systems(FixedPreUpdate, input).add_systems(FixedUpdate, take);
        },
    );
    assert_every_row("taken in update", &read(Last, RunFixedMainLoop), |app| {
        app.add_systems(PreUpdate, input).add_systems(Update, take);
    });
    assert_every_row("taken in post-update", &read(Last, SpawnScene), |app| {
        app.add_systems(Update, input).add_systems(PostUpdate, take);
    });
}

#[test]
fn a_bot_that_writes_the_next_intent_after_the_movement() {
    assert_every_row("bot in the same schedule", &read(FixedLast, FixedPreUpdate), |app| {
        app.add_systems(FixedUpdate, (walk, input).chain());
    });
    assert_every_row("bot in a later schedule", &read(FixedLast, FixedUpdate), |app| {
        app.add_systems(FixedUpdate, walk).add_systems(FixedPostUpdate, input);
    });
    assert_every_row("bot in post-update", &read(Last, Update), |app| {
        app.add_systems(Update, walk).add_systems(PostUpdate, input);
    });
}

#[test]
fn a_bot_that_decides_and_moves_in_one_system() {
    fn play(
        mut walkers: Query<(Entity, &mut Intent, &mut Position, &mut Reward)>,
        mut log: ResMut<GameLog>,
        mut commands: Commands,
    ) {
        for (walker, mut intent, mut position, mut reward) in &mut walkers {
            intent.step = nth_input(log.0.len() as u32);
            let step = log.step(position.0, intent.step);
            position.0 = step.after;
            reward.add("step", step.reward);
            if step.ends {
                commands.trigger(EndEpisode::terminated(walker, "goal"));
            }
        }
    }
    let at_capture = |capture: InternedScheduleLabel| Expected { capture, read: None };
    assert_every_row("bot in fixed update", &at_capture(FixedLast.intern()), |app| {
        app.add_systems(FixedUpdate, play);
    });
    assert_every_row("bot in update", &at_capture(Last.intern()), |app| {
        app.add_systems(Update, play);
    });
}

#[test]
fn a_state_that_is_ticked_after_the_fixed_update() {
    /// The state of a frame, from which fixed ticks take theirs.
    #[derive(Resource, Default)]
    struct Pressed(f32);
    fn press(mut pressed: ResMut<Pressed>, mut count: Local<u32>) {
        *count += 1;
        pressed.0 = nth_input(*count);
    }
    fn swap_to_fixed(mut walkers: Query<&mut Intent>, pressed: Res<Pressed>) {
        for mut intent in &mut walkers {
            intent.step = pressed.0;
        }
    }
    fn tick(mut walkers: Query<&mut Intent>) {
        for mut intent in &mut walkers {
            intent.step = 0.0;
        }
    }
    assert_every_row("ticked state", &read(FixedLast, FixedUpdate), |app| {
        app.init_resource::<Pressed>()
            .add_systems(PreUpdate, (tick, press).chain())
            .add_systems(FixedPreUpdate, swap_to_fixed)
            .add_systems(FixedUpdate, walk)
            .add_systems(FixedPostUpdate, tick);
    });
}
