//! Contract, rule 4 (beginnings): agent ids of the game, and the numbers of players without one.

use crate::{
    player::{Age, Player},
    support::{experience, play},
};
use bevy_ecs::prelude::*;
use bevy_experience::{plugin::PlayerError, prelude::*, test_app::TestApp, transition::Episode};

fn spawn(test: &mut TestApp, age: f32) -> Entity {
    test.world_mut().spawn((Player, Age(age))).id()
}

/// The agent and the first observation of each episode.
fn beginnings(episodes: &[Episode]) -> Vec<(i64, f32)> {
    let beginning = |episode: &Episode| (episode.info().agent_id, episode.row(0).observation()[0]);
    episodes.iter().map(beginning).collect()
}

#[test]
fn people_with_the_lowest_ids_are_recorded_beside_bots_without_an_id() {
    let mut test = play(Recording::new("player"));
    spawn(&mut test, 0.0);
    spawn(&mut test, 100.0);
    test.ticks(2);
    let person = test.world_mut().spawn((Player, Age(1000.0), AgentId(0))).id();
    test.world_mut().spawn((Player, Age(2000.0), AgentId(1)));
    test.ticks(3);
    test.world_mut().despawn(person);
    spawn(&mut test, 5000.0);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(
        beginnings(&episodes),
        [(0, 1001.0), (1, 2001.0), (-1, 1.0), (-2, 101.0), (-3, 5001.0)],
        "the number of no bot is the id of a person who left"
    );
    assert_eq!(test.report().refused_agents, 0);
}

#[test]
fn a_player_without_an_id_gets_a_new_number_at_each_join() {
    let mut test = play(Recording::new("player"));
    for age in [0.0, 10.0] {
        let player = spawn(&mut test, age);
        test.ticks(3);
        test.world_mut().entity_mut(player).remove::<Player>();
        test.ticks(2);
    }
    assert_eq!(beginnings(&test.finish()), [(-1, 1.0), (-2, 11.0)]);
}

#[test]
fn a_player_with_a_negative_id_is_refused() {
    let mut test = play(Recording::new("player"));
    spawn(&mut test, 0.0);
    let player = test.world_mut().spawn((Player, Age(100.0), AgentId(-1))).id();
    test.ticks(3);
    assert_eq!(test.report().refused_agents, 1);
    assert_eq!(experience(&mut test).players("player").count(), 1);
    test.world_mut().entity_mut(player).insert(AgentId(1));
    test.ticks(3);
    assert_eq!(beginnings(&test.finish()), [(1, 104.0), (-1, 1.0)]);
}

#[test]
fn an_agent_id_that_is_inserted_changed_or_removed_applies_from_the_next_episode_on() {
    for start in [EpisodeStart::AtOnce, EpisodeStart::OnEvent] {
        let mut test = play(Recording::new("player").episodes(EpisodeRules {
            start,
            ..Default::default()
        }));
        let player = spawn(&mut test, 0.0);
        let end_and_begin = |test: &mut TestApp| {
            test.ticks(3);
            test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
            test.ticks(1);
            test.world_mut().trigger(BeginEpisode { entity: player });
            test.ticks(1);
        };
        test.ticks(1);
        test.world_mut().entity_mut(player).insert(AgentId(5));
        end_and_begin(&mut test);
        test.world_mut().get_mut::<AgentId>(player).unwrap().0 = 6;
        end_and_begin(&mut test);
        test.world_mut().entity_mut(player).remove::<AgentId>();
        end_and_begin(&mut test);
        end_and_begin(&mut test);
        test.ticks(2);
        let mut episodes = test.finish();
        episodes.sort_by_key(|episode| episode.info().episode_id);
        let agents: Vec<_> = episodes.iter().map(|episode| episode.info().agent_id).collect();
        assert_eq!(agents, [-1, 5, 6, -2, -2], "{start:?}");
        let report = test.report();
        assert_eq!(
            (report.recorded, report.dropped, report.refused_agents),
            (report.exported, 0, 0)
        );
        let ends: Vec<_> = episodes.iter().map(|episode| episode.reason().to_string()).collect();
        assert_eq!(ends, ["goal", "goal", "goal", "goal", "shutdown"]);
    }
}

#[test]
fn an_agent_id_that_is_inserted_in_the_pool_applies_from_the_next_episode_on() {
    let mut test = play(Recording::new("player").scaling(PlayerScaling {
        pool_above: Some(0),
        ..Default::default()
    }));
    let player = spawn(&mut test, 0.0);
    spawn(&mut test, 100.0);
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(AgentId(5));
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(3);
    assert_eq!(beginnings(&test.finish()), [(5, 7.0), (-1, 1.0), (-2, 101.0)]);
}

#[test]
fn an_agent_id_of_a_living_player_is_refused_at_the_next_episode_until_that_player_leaves() {
    let mut test = play(Recording::new("player"));
    let first = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    let second = test.world_mut().spawn((Player, Age(100.0), AgentId(2))).id();
    test.ticks(2);
    test.world_mut().entity_mut(second).insert(AgentId(1));
    test.world_mut().trigger(EndEpisode::terminated(second, "goal"));
    test.ticks(2);
    assert_eq!(test.report().refused_agents, 1);
    test.world_mut().despawn(first);
    test.ticks(3);
    assert_eq!(beginnings(&test.finish()), [(1, 1.0), (1, 105.0), (2, 101.0)]);
}

#[test]
fn an_exclusion_is_of_an_agent_id() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(2);
    experience(&mut test).exclude("player", 9).ok();
    test.world_mut().entity_mut(player).insert(AgentId(9));
    let rejoins = experience(&mut test).exclude("player", 1);
    assert_eq!(rejoins, Ok(()));
    test.ticks(2);
    let unknown = experience(&mut test).end_episode("player", 1, "late");
    assert!(matches!(
        unknown,
        Err(PlayerError::NoSuchPlayer { .. } | PlayerError::NoOpenEpisode { .. })
    ));
    assert_eq!(beginnings(&test.finish()).len(), 1, "both ids are excluded");
}
