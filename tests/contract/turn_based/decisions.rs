//! Requests and decisions of one player, one by one.

use super::{Board, COLUMNS, Column, Seat, View, recording};
use crate::log_lines::LogLines;
use bevy_app::prelude::FixedPreUpdate;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};

/// One player that is asked by the test.
fn one_player(recording: Recording<Seat>) -> (TestApp, Entity) {
    let mut test = TestApp::new();
    test.record(recording);
    let board = Board::default();
    let player = (Seat, board.view(0), board.open(), Column::A);
    let player = test.world_mut().spawn(player).id();
    test.ticks(1);
    (test, player)
}

fn show_number(test: &mut TestApp, player: Entity, number: f32) {
    test.world_mut().get_mut::<View>(player).unwrap().0[0] = number;
}

fn decide(test: &mut TestApp, player: Entity, column: usize) {
    *test.world_mut().get_mut::<Column>(player).unwrap() = COLUMNS[column];
}

/// (first cell, action, ticks, first cell of the next observation) of each transition.
fn numbers(episode: &Episode) -> Vec<(f32, f64, u32, f32)> {
    let number = |transition: Transition<'_>| {
        (
            transition.observation()[0],
            transition.action().next().unwrap(),
            transition.ticks(),
            transition.next_observation()[0],
        )
    };
    episode.transitions().map(number).collect()
}

#[test]
fn the_observation_is_that_of_the_request() {
    let (mut test, player) = one_player(recording("player"));
    for number in 1..4_u8 {
        show_number(&mut test, player, f32::from(number));
        test.world_mut().trigger(RequestDecision::of(player));
        // What comes between the request and the choice is not what the player saw.
        test.ticks(2);
        show_number(&mut test, player, 100.0);
        test.ticks(3);
        decide(&mut test, player, usize::from(number));
        test.ticks(1);
    }
    show_number(&mut test, player, 9.0);
    test.world_mut().trigger(EndEpisode::terminated(player, "draw"));
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(
        numbers(&episodes[0]),
        [(1.0, 1.0, 6, 2.0), (2.0, 2.0, 6, 3.0), (3.0, 3.0, 6, 9.0)]
    );
    assert_eq!(episodes.len(), 1, "no episode begins before the next request");
}

#[test]
fn an_end_before_the_player_has_acted_makes_no_transition_of_the_old_action() {
    let (mut test, player) = one_player(recording("player"));
    show_number(&mut test, player, 1.0);
    test.world_mut().trigger(RequestDecision::of(player));
    decide(&mut test, player, 3);
    test.ticks(2);
    show_number(&mut test, player, 2.0);
    test.world_mut().trigger(RequestDecision::of(player));
    test.ticks(2);
    // The other player resigns.
    test.world_mut().get_mut::<Reward>(player).unwrap().add("game", 1.0);
    test.world_mut().trigger(EndEpisode::terminated(player, "resigned"));
    test.ticks(2);
    let episode = test.finish().remove(0);
    assert_eq!(numbers(&episode), [(1.0, 3.0, 2, 2.0)]);
    assert_eq!((episode.outcome(), episode.total_reward()), (Outcome::Terminated, 1.0));
}

#[test]
fn the_same_move_twice_is_two_decisions() {
    let (mut test, player) = one_player(recording("player"));
    for number in [1.0, 2.0, 3.0] {
        show_number(&mut test, player, number);
        test.world_mut().trigger(RequestDecision::of(player));
        test.ticks(1);
        decide(&mut test, player, 2);
        test.ticks(1);
    }
    test.world_mut().trigger(RequestDecision::of(player));
    let episode = test.finish().remove(0);
    assert_eq!(
        numbers(&episode),
        [(1.0, 2.0, 2, 2.0), (2.0, 2.0, 2, 3.0), (3.0, 2.0, 2, 3.0)]
    );
}

#[test]
fn a_pause_and_a_despawn_end_the_open_decision() {
    let (mut test, player) = one_player(recording("player"));
    show_number(&mut test, player, 1.0);
    test.world_mut().trigger(RequestDecision::of(player));
    decide(&mut test, player, 1);
    test.ticks(2);
    show_number(&mut test, player, 2.0);
    test.world_mut().resource_mut::<Experience>().pause("a test");
    test.ticks(2);
    test.world_mut().resource_mut::<Experience>().resume();
    test.ticks(1);
    show_number(&mut test, player, 3.0);
    test.world_mut().trigger(RequestDecision::of(player));
    decide(&mut test, player, 2);
    show_number(&mut test, player, 4.0);
    test.world_mut().despawn(player);
    test.ticks(1);
    let episodes = test.finish();
    assert_eq!(numbers(&episodes[0]), [(1.0, 1.0, 2, 2.0)]);
    assert_eq!(episodes[0].reason(), &EndReason::PAUSED);
    assert_eq!(numbers(&episodes[1]), [(3.0, 2.0, 0, 4.0)]);
    assert_eq!(episodes[1].reason(), &EndReason::LEFT);
}

#[test]
fn the_same_move_before_a_pause_is_a_decision() {
    let (mut test, player) = one_player(recording("player"));
    for number in [1.0, 2.0] {
        show_number(&mut test, player, number);
        test.world_mut().trigger(RequestDecision::of(player));
        test.ticks(1);
        decide(&mut test, player, 2);
        test.ticks(1);
    }
    show_number(&mut test, player, 3.0);
    test.world_mut().resource_mut::<Experience>().pause("a test");
    test.ticks(2);
    assert_eq!(numbers(&test.finish()[0]), [(1.0, 2.0, 2, 2.0), (2.0, 2.0, 2, 3.0)]);
}

#[test]
fn settings_that_end_a_step_are_refused() {
    let error = |recording: Recording<Seat>| {
        let mut test = TestApp::new();
        test.try_add_recording(recording).map(|_| ()).unwrap_err().to_string()
    };
    assert!(error(recording("player").decision_interval(2)).contains("`decision_interval`"));
    assert!(error(recording("player").decision_tick(DecisionTick::Last)).contains("`decision_tick`"));
    assert!(error(recording("player").mode(RecordMode::OnChange)).contains("`RecordMode::OnChange`"));
    let read = error(recording("player").read_actions_after(FixedPreUpdate));
    assert!(read.contains("trigger `DecisionMade`"), "{read}");
}

#[test]
fn requests_without_a_recording_that_decides_on_demand_are_logged() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = TestApp::new();
        test.record(Recording::<Seat>::new("player").observe::<View>().act::<Column>());
        let board = Board::default();
        let player = test.world_mut().spawn((Seat, board.view(0), Column::A)).id();
        test.ticks(1);
        test.world_mut().trigger(RequestDecision::of(player));
        test.world_mut().trigger(RequestDecision::of(player));
    });
    let warning = log.warning();
    assert!(warning.contains("`decision_on_demand` on one of `player`"), "{warning}");
}
