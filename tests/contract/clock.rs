//! Contract, rule 2 (timing): what timestamps and tick rates say if the game changes its clocks.

use crate::{
    player::{Age, Player, grow},
    support::experience,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    account::TickRate,
    dataset::{Dataset, DatasetSink},
    prelude::*,
    test_app::TestApp,
    transition::Transition,
};
use bevy_time::{Fixed, Time, TimeUpdateStrategy, Virtual};
use core::time::Duration;

fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0)));
    test
}

fn set_rate(test: &mut TestApp, hertz: f64) {
    test.world_mut().resource_mut::<Time<Fixed>>().set_timestep_hz(hertz);
}

/// The seconds from each transition to the next.
fn durations(test: &mut TestApp) -> Vec<f64> {
    let times: Vec<_> = test.finish()[0].transitions().map(Transition::timestamp).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert!(
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
        "{found:?} instead of {expected:?}"
    );
}

#[test]
fn a_changed_timestep_is_in_the_timestamps_and_in_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = play(Recording::new("player").sink(DatasetSink::new(folder.path())));
    set_rate(&mut test, 50.0);
    test.ticks(4);
    set_rate(&mut test, 20.0);
    test.ticks(4);
    let rates = test.report().tick_rates;
    let rate = |from_tick, ticks_per_second| TickRate {
        from_tick,
        ticks_per_second,
    };
    assert_eq!(rates, [rate(0, 50.0), rate(3, 20.0)]);
    let found = durations(&mut test);
    assert_close(&found, &[0.02, 0.02, 0.02, 0.05, 0.05, 0.05]);
    drop(test);
    let runs = Dataset::open(folder.path())
        .unwrap()
        .recording("player")
        .unwrap()
        .runs()
        .unwrap();
    assert_eq!((runs[0].tick_rate, &runs[0].account.tick_rates), (None, &rates));
}

#[test]
fn a_constant_timestep_is_the_tick_rate_of_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = play(Recording::new("player").sink(DatasetSink::new(folder.path())));
    set_rate(&mut test, 50.0);
    test.ticks(4);
    assert_eq!(test.report().tick_rates, []);
    test.finish();
    drop(test);
    let runs = Dataset::open(folder.path())
        .unwrap()
        .recording("player")
        .unwrap()
        .runs()
        .unwrap();
    assert_eq!(runs[0].tick_rate, Some(50.0));
}

#[test]
fn a_timestep_that_a_system_of_a_tick_sets_holds_from_the_next_tick_on() {
    let mut test = play(Recording::new("player"));
    set_rate(&mut test, 50.0);
    test.ticks(2);
    test.add_systems(FixedUpdate, |mut time: ResMut<Time<Fixed>>| time.set_timestep_hz(20.0));
    test.ticks(3);
    let rates: Vec<_> = test.report().tick_rates.iter().map(|rate| rate.from_tick).collect();
    assert_eq!(rates, [0, 2]);
    let found = durations(&mut test);
    assert_close(&found, &[0.02, 0.02, 0.05]);
}

#[test]
fn timestamps_count_the_time_of_the_game_not_that_of_the_wall() {
    // A frame takes 1 s. At half speed it has 0.5 s of the game, at no speed none.
    let mut test = play(Recording::new("player"));
    set_rate(&mut test, 4.0);
    let virtual_time = |test: &mut TestApp, change: fn(&mut Time<Virtual>)| {
        let mut time = test.world_mut().resource_mut::<Time<Virtual>>();
        time.set_max_delta(Duration::from_secs(10));
        change(&mut time);
    };
    test.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_secs(1)));
    let mut captures = Vec::new();
    let mut frame = |test: &mut TestApp| {
        let before = experience(test).tick("player").unwrap();
        test.update();
        captures.push(experience(test).tick("player").unwrap() - before);
    };
    virtual_time(&mut test, |_| {});
    frame(&mut test);
    virtual_time(&mut test, |time| time.set_relative_speed(0.5));
    frame(&mut test);
    virtual_time(&mut test, Time::<Virtual>::pause);
    frame(&mut test);
    virtual_time(&mut test, |time| {
        time.unpause();
        time.set_relative_speed(2.0);
    });
    frame(&mut test);
    assert_eq!(captures, [4, 2, 0, 8]);
    assert_eq!(test.report().tick_rates, []);
    assert_close(&durations(&mut test), &[0.25; 12]);
}
