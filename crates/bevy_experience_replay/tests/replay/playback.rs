//! Play, pause, seek, speed, and the end.

use crate::game::{self, Body, HeroState};
use bevy_ecs::prelude::*;
use bevy_experience::test_app::TestApp;
use bevy_experience_replay::{Replay, ReplayEnded};
use bevy_time::{Time, Virtual};

/// The ghosts whose replays have ended.
#[derive(Resource, Default)]
struct Ended(Vec<Entity>);

/// A script in which the number of lives is that of the tick.
fn script(ticks: u8) -> Vec<HeroState> {
    let state = |lives| HeroState {
        body: Body {
            lives,
            ..Default::default()
        },
        ..Default::default()
    };
    (0..ticks).map(state).collect()
}

/// An app with a ghost that replays a script of 11 ticks: 10 transitions.
fn replayed(change: impl FnOnce(Replay) -> Replay) -> (TestApp, Entity) {
    let folder = tempfile::tempdir().unwrap();
    game::play(folder.path(), &script(11));
    let mut app = game::app();
    app.init_resource::<Ended>()
        .add_observer(|ended: On<ReplayEnded>, mut all: ResMut<Ended>| all.0.push(ended.entity));
    let ghost = game::spawn_ghost(&mut app, change(Replay::new(game::episode(folder.path()))));
    (app, ghost)
}

/// The lives of the ghost after each of `updates` updates, each of which lasts a tick.
fn lives(app: &mut TestApp, ghost: Entity, updates: usize) -> Vec<u8> {
    let mut shown = || {
        app.ticks(1);
        game::state_of(app, ghost).body.lives
    };
    (0..updates).map(|_| shown()).collect()
}

#[test]
fn a_replay_ends_at_its_last_step_and_starts_over() {
    let (mut app, ghost) = replayed(|replay| replay);
    assert_eq!(lives(&mut app, ghost, 11), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(app.world_mut().resource::<Ended>().0, [ghost]);
    let replay = game::replay(&mut app, ghost);
    assert_eq!(
        (replay.is_playing(), replay.step(), replay.last_step()),
        (false, 10, 10)
    );
    assert_eq!(
        (replay.reward(), replay.seconds(), replay.duration()),
        (10.0, 10.0 / 64.0, 10.0 / 64.0)
    );
    assert_eq!(lives(&mut app, ghost, 2), [10, 10]);
    game::replay(&mut app, ghost).play();
    assert_eq!(lives(&mut app, ghost, 3), [0, 1, 2]);
    assert_eq!(app.world_mut().resource::<Ended>().0.len(), 1);
    assert_eq!(game::replay(&mut app, ghost).reward(), 2.0);
}

#[test]
fn the_speed_scales_the_time_between_steps() {
    let (mut app, ghost) = replayed(|replay| replay.at_speed(2.0));
    assert_eq!(lives(&mut app, ghost, 3), [0, 2, 4]);
    game::replay(&mut app, ghost).set_speed(0.5);
    assert_eq!(lives(&mut app, ghost, 4), [4, 5, 5, 6]);
    game::replay(&mut app, ghost).set_speed(-1.0);
    assert_eq!(game::replay(&mut app, ghost).speed(), 0.0);
    game::replay(&mut app, ghost).set_speed(f64::NAN);
    assert_eq!(lives(&mut app, ghost, 2), [6, 6]);
    // All at once, and once is the end.
    game::replay(&mut app, ghost).set_speed(f64::INFINITY);
    assert_eq!(lives(&mut app, ghost, 2), [10, 10]);
    assert_eq!(app.world_mut().resource::<Ended>().0, [ghost]);
}

#[test]
fn a_pause_keeps_the_step_and_a_seek_shows_another_one() {
    let (mut app, ghost) = replayed(Replay::paused);
    assert_eq!(lives(&mut app, ghost, 2), [0, 0]);
    game::replay(&mut app, ghost).seek(4);
    assert_eq!(lives(&mut app, ghost, 2), [4, 4]);
    game::replay(&mut app, ghost).play();
    assert_eq!(lives(&mut app, ghost, 2), [5, 6]);
    // A step that is sought is shown, though it plays.
    game::replay(&mut app, ghost).seek(1);
    assert_eq!(lives(&mut app, ghost, 2), [1, 2]);
    game::replay(&mut app, ghost).pause();
    game::replay(&mut app, ghost).seek(usize::MAX);
    assert_eq!(lives(&mut app, ghost, 1), [10]);
    assert!(
        app.world_mut().resource::<Ended>().0.is_empty(),
        "it was not played to its end"
    );
}

#[test]
fn replays_follow_the_virtual_time_of_the_game() {
    let (mut app, ghost) = replayed(|replay| replay);
    assert_eq!(lives(&mut app, ghost, 2), [0, 1]);
    app.world_mut().resource_mut::<Time<Virtual>>().pause();
    assert_eq!(lives(&mut app, ghost, 2), [1, 1]);
    app.world_mut().resource_mut::<Time<Virtual>>().unpause();
    assert_eq!(lives(&mut app, ghost, 1), [2]);
}

#[test]
fn a_tick_rate_replaces_the_timestamps() {
    let (mut app, ghost) = replayed(|replay| replay.with_tick_rate(32.0));
    assert_eq!(game::replay(&mut app, ghost).duration(), 10.0 / 32.0);
    assert_eq!(lives(&mut app, ghost, 5), [0, 0, 1, 1, 2]);
    let (mut app, ghost) = replayed(|replay| replay.with_tick_rate(f64::NAN));
    assert_eq!(game::replay(&mut app, ghost).duration(), 10.0 / 64.0);
}

#[test]
fn components_change_when_another_row_is_shown() {
    #[derive(Resource, Default)]
    struct Changes(u32);

    let (mut app, _) = replayed(|replay| replay.at_speed(0.5));
    app.init_resource::<Changes>();
    app.add_systems(
        bevy_app::Update,
        |changed: Query<(), (Changed<Body>, With<Replay>)>, mut changes: ResMut<Changes>| {
            changes.0 += changed.iter().count() as u32;
        },
    );
    app.ticks(9);
    // Steps 0 to 4.
    assert_eq!(app.world_mut().resource::<Changes>().0, 5);
}
