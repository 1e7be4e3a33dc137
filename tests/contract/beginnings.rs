//! Contract, rule 4 (beginnings): joins, the time between episodes, and the next episode.

use crate::{
    player::{Age, Player},
    support::play,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};

#[derive(Resource, Default)]
struct EndedCount(usize);

fn count_ended(_: On<EpisodeEnded>, mut ended: ResMut<EndedCount>) {
    ended.0 += 1;
}

#[test]
fn players_join_at_capture_in_order_of_agent_id() {
    let mut test = play(Recording::new("player"));
    let players = [7, 3, 5].map(|id| test.world_mut().spawn((Player, Age(id as f32), AgentId(id))).id());
    test.ticks(2);
    // The first episode of the run belongs to the lowest id.
    let mut episodes = test.finish();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    let agents: Vec<_> = episodes.iter().map(|episode| episode.info().agent_id).collect();
    assert_eq!(agents, [3, 5, 7]);
    assert_eq!(players.len(), 3);
}

#[test]
fn a_player_without_an_agent_id_gets_the_next_negative_number() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0), AgentId(1)));
    test.world_mut().spawn((Player, Age(0.0)));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(2);
    let agents: Vec<_> = test.finish().iter().map(|episode| episode.info().agent_id).collect();
    assert_eq!(agents, [1, -1, -2]);
}

#[test]
fn a_rejoining_player_keeps_its_agent_id() {
    let mut test = play(Recording::new("player"));
    for join in 0..3 {
        let player = test
            .world_mut()
            .spawn((Player, Age(10.0 * join as f32), AgentId(42)))
            .id();
        test.ticks(3);
        test.world_mut().despawn(player);
        test.ticks(2);
    }
    let episodes = test.finish();
    assert_eq!(episodes.len(), 3);
    for (join, episode) in episodes.iter().enumerate() {
        assert_eq!(episode.info().agent_id, 42);
        assert_eq!(episode.row(0).observation()[0], 10.0 * join as f32 + 1.0);
    }
}

#[test]
fn ends_between_episodes_are_counted_and_ignored() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    test.init_resource::<EndedCount>().add_observer(count_ended);
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    for _ in 0..4 {
        test.world_mut().trigger(EndEpisode::terminated(player, "death"));
        test.ticks(1);
    }
    assert_eq!(test.world().resource::<EndedCount>().0, 1);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(test.report().ignored_ends, 3);
}

#[test]
fn two_ends_in_one_tick_trigger_episode_ended_once() {
    let mut test = play(Recording::new("player"));
    test.init_resource::<EndedCount>().add_observer(count_ended);
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(1);
    assert_eq!(test.world().resource::<EndedCount>().0, 1);
}

#[test]
fn no_row_is_written_between_episodes() {
    let mut test = play(
        Recording::new("player")
            .episodes(EpisodeRules {
                start: EpisodeStart::OnEvent,
                ..Default::default()
            })
            .reward_terms(["late"]),
    );
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.add_systems(FixedUpdate, move |players: Query<&Age>, mut commands: Commands| {
        let Ok(age) = players.single() else { return };
        if age.0 == 5.0 {
            commands.trigger(EndEpisode::terminated(player, "death"));
        }
        if age.0 == 65.0 {
            commands.trigger(BeginEpisode { entity: player });
        }
    });
    test.ticks(20);
    test.world_mut().get_mut::<Reward>(player).unwrap().add("late", 3.0);
    test.ticks(50);
    let episodes = test.finish();
    let bounds: Vec<_> = episodes
        .iter()
        .map(|episode| {
            (
                episode.row(0).observation()[0],
                episode.row(episode.len()).observation()[0],
            )
        })
        .collect();
    // The system above is not ordered against `grow`. Compare what does not depend on which of them runs first.
    assert_eq!(bounds.len(), 2);
    assert_eq!(bounds[0].0, 1.0);
    assert_eq!(bounds[1].1, 70.0);
    assert!(bounds[1].0 - bounds[0].1 >= 59.0, "{bounds:?}");
    assert_eq!(test.report().orphaned_rewards, 1);
    assert_eq!(test.report().recorded, test.report().exported);
}

#[test]
fn an_end_and_a_begin_in_one_tick_make_two_episodes() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.world_mut().trigger(BeginEpisode { entity: player });
    test.ticks(3);
    assert_eq!(test.finish().len(), 2);
}

#[test]
fn an_episode_without_a_transition_is_counted_and_not_exported() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(1);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(test.report().empty_episodes, 1);
    assert_eq!(episodes[0].row(0).observation()[0], 2.0);
}

#[test]
fn rewards_outside_an_episode_are_counted_as_orphaned() {
    let mut test = play(Recording::new("player").reward_terms(["early"]));
    let mut reward = Reward::default();
    reward.add("early", 1.0);
    test.world_mut().spawn((Player, Age(0.0), reward));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(test.report().orphaned_rewards, 1);
    assert_eq!(episodes[0].total_reward(), 0.0);
}

#[test]
fn a_duplicate_agent_id_is_refused_until_the_first_player_leaves() {
    let mut test = play(Recording::new("player"));
    let first = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(2);
    test.world_mut().spawn((Player, Age(100.0), AgentId(1)));
    test.ticks(3);
    assert_eq!(test.report().refused_agents, 1, "counted once, not at each capture");
    test.world_mut().despawn(first);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].row(0).observation()[0], 1.0);
    assert_eq!(episodes[1].row(0).observation()[0], 104.0);
    assert_eq!(episodes[0].reason(), &EndReason::LEFT);
}

#[test]
fn a_player_joins_when_it_has_all_recorded_components() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(Player).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(Age(0.0));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].transition(0).tick(), 3);
}

#[test]
fn players_spawned_before_the_recording_was_added_are_recorded_and_rewarded() {
    let mut test = TestApp::new();
    test.world_mut().spawn((Player, Age(0.0)));
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .reward_terms(["tick"]),
    );
    test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
        for mut reward in &mut players {
            reward.add("tick", 1.0);
        }
    });
    test.ticks(3);
    // A player spawned later, too: the marker was in use, so `Reward` could not become a required component of it.
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].total_reward(), 5.0);
    assert_eq!(episodes[1].total_reward(), 2.0);
}
