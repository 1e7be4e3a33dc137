//! Contract, rule 4: joining, being between episodes, and beginning again.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

fn grow(mut players: Query<&mut Age>) {
    for mut age in &mut players {
        age.0 += 1.0;
    }
}

fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test
}

#[derive(Resource, Default)]
struct Endings(usize);

fn count(_: On<EpisodeEnded>, mut endings: ResMut<Endings>) {
    endings.0 += 1;
}

#[test]
fn players_join_at_capture_in_agent_order() {
    let mut test = play(Recording::new("player"));
    let born = [7, 3, 5].map(|id| test.world_mut().spawn((Player, Age(id as f32), AgentId(id))).id());
    test.ticks(2);
    // The first episode of the run belongs to the lowest id.
    let mut episodes = test.finish();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    let agents: Vec<_> = episodes.iter().map(|episode| episode.info().agent_id).collect();
    assert_eq!(agents, [3, 5, 7]);
    assert_eq!(born.len(), 3);
}

#[test]
fn a_player_without_an_id_gets_the_next_free_number() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0), AgentId(1)));
    test.world_mut().spawn((Player, Age(0.0)));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(2);
    let agents: Vec<_> = test.finish().iter().map(|episode| episode.info().agent_id).collect();
    assert_eq!(agents, [0, 1, 2]);
}

#[test]
fn a_rejoining_player_keeps_its_agent_id() {
    let mut test = play(Recording::new("player"));
    for life in 0..3 {
        let player = test
            .world_mut()
            .spawn((Player, Age(10.0 * life as f32), AgentId(42)))
            .id();
        test.ticks(3);
        test.world_mut().despawn(player);
        test.ticks(2);
    }
    let episodes = test.finish();
    assert_eq!(episodes.len(), 3);
    for (life, episode) in episodes.iter().enumerate() {
        assert_eq!(episode.info().agent_id, 42);
        assert_eq!(episode.row(0).observation()[0], 10.0 * life as f32 + 1.0);
    }
}

#[test]
fn further_ends_between_episodes_are_counted_and_do_nothing() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    test.init_resource::<Endings>().add_observer(count);
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    for _ in 0..4 {
        test.world_mut().trigger(EndEpisode::terminated(player, "death"));
        test.ticks(1);
    }
    assert_eq!(test.world().resource::<Endings>().0, 1);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(test.report().ignored_ends, 3);
}

#[test]
fn an_end_twice_in_one_tick_resets_once() {
    let mut test = play(Recording::new("player"));
    test.init_resource::<Endings>().add_observer(count);
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(1);
    assert_eq!(test.world().resource::<Endings>().0, 1);
}

#[test]
fn a_dead_player_of_60_ticks_is_no_episode() {
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
    let seen: Vec<_> = episodes
        .iter()
        .map(|episode| {
            (
                episode.row(0).observation()[0],
                episode.row(episode.len()).observation()[0],
            )
        })
        .collect();
    // `die` sees the age before or after `grow`, the two being unordered: compare what does not depend on it.
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].0, 1.0);
    assert_eq!(seen[1].1, 70.0);
    assert!(seen[1].0 - seen[0].1 >= 59.0, "{seen:?}");
    assert_eq!(test.report().orphaned_rewards, 1);
    assert_eq!(test.report().recorded, test.report().exported);
}

#[test]
fn an_end_and_a_beginning_in_one_tick_are_two_episodes() {
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
fn an_episode_without_a_transition_is_counted_not_written() {
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
fn rewards_outside_any_episode_are_counted_as_orphans() {
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
fn a_second_living_player_with_one_agent_id_is_refused_and_joins_when_the_first_is_gone() {
    let mut test = play(Recording::new("player"));
    let first = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(2);
    test.world_mut().spawn((Player, Age(100.0), AgentId(1)));
    test.ticks(3);
    assert_eq!(test.report().refused_agents, 1, "counted once, however long it waits");
    test.world_mut().despawn(first);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].row(0).observation()[0], 1.0);
    assert_eq!(episodes[1].row(0).observation()[0], 104.0);
    assert_eq!(episodes[0].reason(), &EndReason::LEFT);
}

#[test]
fn a_player_joins_when_it_has_everything_that_is_read() {
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
    // And those after, of a marker that could not be given a required component any more.
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].total_reward(), 5.0);
    assert_eq!(episodes[1].total_reward(), 2.0);
}
