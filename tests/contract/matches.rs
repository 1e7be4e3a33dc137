//! Contract, rule 4 (beginnings): an episode is of one match. A player that changes matches begins the next episode.

use crate::player::{Age, Player};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{EndReason, Episode, Transition},
};
use bevy_reflect::Reflect;

#[derive(Component, Reflect)]
struct Match(i64);

fn grow(mut players: Query<&mut Age>) {
    for mut age in &mut players {
        age.0 += 1.0;
    }
}

fn recording() -> Recording<Player> {
    Recording::new("player").observe::<Age>().match_id::<Match>()
}

/// An app with one player of match 1. Its age grows unless `is_still`.
fn play(recording: Recording<Player>, is_still: bool) -> (TestApp, Entity) {
    let mut test = TestApp::new();
    test.record(recording);
    if !is_still {
        test.add_systems(FixedUpdate, grow);
    }
    let player = test.world_mut().spawn((Player, Age(0.0), AgentId(3), Match(1))).id();
    (test, player)
}

fn matches(episode: &Episode) -> Vec<Option<i64>> {
    episode.transitions().map(Transition::match_id).collect()
}

/// Asserts that `episodes` follow each other, each in one match, and returns the matches and the ticks of each.
#[track_caller]
fn parts(episodes: &[Episode]) -> Vec<(Option<i64>, u32)> {
    for (part, next) in episodes.iter().zip(&episodes[1..]) {
        let last = part.transitions().last().unwrap();
        assert!(last.truncated() && !last.terminated());
        assert_eq!(*part.reason(), EndReason::SPLIT);
        assert_eq!(next.info().continues, Some(part.info().episode_id));
        assert_eq!(last.next_observation(), next.row(0).observation());
        assert_eq!(part.row(part.len()).header().tick, next.row(0).header().tick);
    }
    assert_eq!(episodes[0].info().continues, None);
    episodes
        .iter()
        .map(|episode| {
            let matches = matches(episode);
            assert!(matches.iter().all(|&found| found == matches[0]), "{matches:?}");
            (matches[0], episode.transitions().map(Transition::ticks).sum())
        })
        .collect()
}

#[test]
fn a_player_that_changes_matches_begins_an_episode_that_continues() {
    let (mut test, player) = play(recording(), false);
    test.ticks(4);
    test.world_mut().entity_mut(player).insert(Match(2));
    test.ticks(3);
    test.world_mut().get_mut::<Match>(player).unwrap().0 = 7;
    test.ticks(2);
    // The first capture has no transition. A change is first in the observation after it.
    assert_eq!(parts(&test.finish()), [(Some(1), 4), (Some(2), 3), (Some(7), 1)]);
}

#[test]
fn a_player_that_enters_and_leaves_matches_is_in_one_episode_for_each() {
    let (mut test, player) = play(recording(), false);
    test.world_mut().entity_mut(player).remove::<Match>();
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(Match(0));
    test.ticks(3);
    test.world_mut().entity_mut(player).remove::<Match>();
    test.ticks(3);
    assert_eq!(parts(&test.finish()), [(None, 3), (Some(0), 3), (None, 2)]);
}

#[test]
fn a_decision_is_closed_where_the_match_changes() {
    let (mut test, player) = play(recording().decision_interval(4), false);
    test.ticks(7);
    test.world_mut().entity_mut(player).insert(Match(2));
    test.ticks(6);
    let episodes = test.finish();
    // The last decision is not complete.
    assert_eq!(parts(&episodes), [(Some(1), 7), (Some(2), 4)]);
    let ticks: Vec<_> = episodes[0].transitions().map(Transition::ticks).collect();
    assert_eq!(ticks, [4, 3]);
}

#[test]
fn unchanged_observations_are_split_by_match() {
    for trusts in [false, true] {
        let recording = recording().mode(RecordMode::OnChange);
        let recording = if trusts {
            recording.trust_change_ticks()
        } else {
            recording
        };
        let (mut test, player) = play(recording, true);
        test.ticks(5);
        test.world_mut().get_mut::<Match>(player).unwrap().0 = 2;
        test.ticks(5);
        assert_eq!(parts(&test.finish()), [(Some(1), 5), (Some(2), 4)], "trusts: {trusts}");
    }
}

#[test]
fn players_of_a_pool_and_of_several_threads_are_split_by_match() {
    let mut test = TestApp::new();
    test.record(recording().scaling(PlayerScaling {
        pool_above: Some(0),
        parallel_above: Some(0),
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, grow);
    let players: Vec<_> = (0..200)
        .map(|agent| {
            test.world_mut()
                .spawn((Player, Age(0.0), AgentId(agent), Match(1)))
                .id()
        })
        .collect();
    test.ticks(4);
    for &player in players.iter().step_by(3) {
        test.world_mut().get_mut::<Match>(player).unwrap().0 = 2;
    }
    test.ticks(4);
    let episodes = test.finish();
    for agent in 0..200 {
        let own: Vec<_> = episodes
            .iter()
            .filter(|episode| episode.info().agent_id == agent)
            .cloned()
            .collect();
        if agent % 3 == 0 {
            assert_eq!(parts(&own), [(Some(1), 4), (Some(2), 3)], "agent {agent}");
        } else {
            assert_eq!(parts(&own), [(Some(1), 7)], "agent {agent}");
        }
    }
}

#[test]
fn an_end_at_the_change_of_a_match_is_not_a_split() {
    let (mut test, player) = play(recording(), false);
    test.ticks(4);
    test.world_mut().get_mut::<Match>(player).unwrap().0 = 2;
    test.world_mut().trigger(EndEpisode::terminated(player, "won"));
    test.ticks(3);
    let episodes = test.finish();
    let reasons: Vec<_> = episodes
        .iter()
        .map(|episode| (episode.info().continues, matches(episode)[0]))
        .collect();
    assert_eq!(reasons, [(None, Some(1)), (None, Some(2))]);
}
