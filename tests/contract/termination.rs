//! Contract, rule 5 (termination and truncation): outcomes and end reasons.

use crate::{
    player::{Age, Player, grow},
    support::play,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;

#[derive(Component, Reflect)]
struct Mood(f32);

#[derive(Component, Reflect)]
#[component(storage = "SparseSet")]
struct Luck(f32);

fn player() -> (Player, Age, Mood) {
    (Player, Age(0.0), Mood(0.5))
}

/// (length, outcome, reason)
fn ending(episode: &Episode) -> (usize, Outcome, &str) {
    (episode.len(), episode.outcome(), episode.reason().as_str())
}

#[test]
fn end_flags_are_set_on_the_last_transition_only() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(4);
    test.world_mut()
        .trigger(EndEpisode::truncated(player, EndReason::TIME_LIMIT));
    test.ticks(3);
    for episode in test.finish() {
        for transition in episode.transitions() {
            assert_eq!(transition.is_last(), transition.truncated());
            assert!(!transition.terminated());
            assert_eq!(transition.end_reason().is_some(), transition.is_last());
        }
    }
}

#[test]
fn end_reasons_are_an_open_list() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut()
        .trigger(EndEpisode::terminated(player, format!("eaten by {}", "a grue")));
    test.ticks(1);
    assert_eq!(test.finish()[0].reason().as_str(), "eaten by a grue");
}

#[test]
fn a_despawn_truncates_with_reason_left() {
    let mut test = play(Recording::new("player").reward_terms(["last"]));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.add_systems(
        FixedUpdate,
        (move |mut commands: Commands, mut rewards: Query<&mut Reward>| {
            if let Ok(mut reward) = rewards.single_mut() {
                reward.add("last", 2.0);
                commands.entity(player).despawn();
            }
        })
        .after(grow),
    );
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(ending(&episodes[0]), (3, Outcome::Truncated, "left"));
    assert_eq!(episodes[0].row(3).observation(), [4.0]);
    assert_eq!(
        episodes[0].transition(2).reward(),
        2.0,
        "reward given before the despawn"
    );
}

#[test]
fn a_removed_marker_truncates_with_reason_left() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).remove::<Player>();
    test.ticks(2);
    test.world_mut().entity_mut(player).insert(Player);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "left"));
    assert_eq!(episodes[1].row(0).observation(), [6.0]);
}

#[test]
fn a_marker_removed_and_inserted_in_one_tick_makes_two_episodes() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).remove::<Player>().insert(Player);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "left"));
    assert_eq!(test.report().recorded, test.report().exported);
}

#[test]
fn reinserting_the_marker_does_not_end_the_episode() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(Player);
    test.ticks(3);
    assert_eq!(test.finish().len(), 1);
}

#[test]
fn a_despawn_terminates_when_the_rules_say_so() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        on_despawn: Outcome::Terminated,
        ..Default::default()
    }));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().despawn(player);
    test.ticks(1);
    assert_eq!(ending(&test.finish()[0]), (2, Outcome::Terminated, "despawned"));
}

#[test]
fn a_disabled_player_truncates_with_reason_left() {
    use bevy_ecs::entity_disabling::Disabled;
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(Disabled);
    test.ticks(3);
    test.world_mut().entity_mut(player).remove::<Disabled>();
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "left"));
}

#[test]
fn clearing_all_entities_writes_open_episodes_and_does_not_panic() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn(player());
    test.ticks(3);
    let sink = MemorySink::default();
    let mut other = TestApp::new();
    other.add_recording(Recording::<Player>::new("other").observe::<Age>().sink(sink.clone()));
    other.world_mut().spawn(player());
    other.ticks(3);
    // Resources are entities, so this drops `Experience`, which closes the recording.
    other.world_mut().clear_entities();
    let episodes = sink.episodes();
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "shutdown"));
}

#[test]
fn a_lost_component_truncates_and_the_player_rejoins_with_it() {
    let mut test = play(Recording::new("player").observe::<Mood>());
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().entity_mut(player).remove::<Mood>();
    test.ticks(3);
    test.world_mut().entity_mut(player).insert(Mood(0.1));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "component_lost"));
    assert_eq!(episodes[1].row(0).observation(), [0.1, 7.0]);
    assert_eq!(episodes[0].info().agent_id, episodes[1].info().agent_id);
}

#[test]
fn a_lost_sparse_set_component_truncates() {
    let mut test = play(Recording::new("player").observe::<Luck>());
    let lucky = test.world_mut().spawn((player(), Luck(0.25))).id();
    test.world_mut().spawn((player(), Luck(0.5)));
    test.world_mut().spawn((player(), Luck(0.75)));
    test.ticks(3);
    test.world_mut().entity_mut(lucky).remove::<Luck>();
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "component_lost"));
    assert_eq!(episodes[1].row(0).observation(), [0.5, 1.0]);
    assert_eq!(episodes[2].row(5).observation(), [0.75, 6.0]);
}

#[test]
fn a_lost_resource_truncates_all_players_until_it_returns() {
    #[derive(Resource, Reflect)]
    struct Weather {
        rain: f32,
    }
    let mut test = play(Recording::new("player").observe_resource::<Weather>());
    test.world_mut().spawn(player());
    test.ticks(2);
    test.world_mut().insert_resource(Weather { rain: 0.5 });
    test.ticks(3);
    test.world_mut().remove_resource::<Weather>();
    test.ticks(2);
    test.world_mut().insert_resource(Weather { rain: 0.75 });
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 2);
    assert_eq!(ending(&episodes[0]), (2, Outcome::Truncated, "component_lost"));
    assert_eq!(episodes[0].row(0).observation(), [0.5, 3.0]);
    assert_eq!(episodes[1].row(0).observation(), [0.75, 8.0]);
}

#[test]
fn an_episode_longer_than_max_steps_is_split_and_linked() {
    let mut test = play(
        Recording::new("player")
            .episodes(EpisodeRules {
                max_steps: 3,
                ..Default::default()
            })
            .reward_terms(["tick"]),
    );
    test.world_mut().spawn(player());
    test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
        players.single_mut().unwrap().add("tick", 1.0);
    });
    test.ticks(9);
    let episodes = test.finish();
    let lengths: Vec<_> = episodes.iter().map(ending).collect();
    assert_eq!(
        lengths,
        [
            (3, Outcome::Truncated, "split"),
            (3, Outcome::Truncated, "split"),
            (2, Outcome::Truncated, "shutdown")
        ]
    );
    for pair in episodes.windows(2) {
        assert_eq!(pair[1].info().continues, Some(pair[0].info().episode_id));
        assert_eq!(pair[0].row(3).observation(), pair[1].row(0).observation());
    }
    let total: f64 = episodes.iter().map(Episode::total_reward).sum();
    assert_eq!(total, 8.0);
}

#[test]
fn an_open_episode_truncates_with_shutdown_when_the_app_is_dropped() {
    let sink = MemorySink::default();
    {
        let mut test = TestApp::new();
        test.add_recording(Recording::<Player>::new("player").observe::<Age>().sink(sink.clone()));
        test.add_systems(FixedUpdate, grow);
        test.world_mut().spawn(player());
        test.ticks(4);
    }
    assert_eq!(ending(&sink.episodes()[0]), (3, Outcome::Truncated, "shutdown"));
    assert_eq!(sink.report().pending, 0);
}

#[test]
fn a_panic_in_a_system_loses_no_captured_row() {
    let sink = MemorySink::default();
    let copy = sink.clone();
    let result = std::panic::catch_unwind(move || {
        let mut test = TestApp::new();
        test.add_recording(Recording::<Player>::new("player").observe::<Age>().sink(copy));
        test.add_systems(FixedUpdate, grow);
        test.world_mut().spawn(player());
        test.ticks(4);
        test.add_systems(FixedUpdate, || panic!("a bug in the game"));
        test.ticks(1);
    });
    assert!(result.is_err());
    assert_eq!(ending(&sink.episodes()[0]), (3, Outcome::Truncated, "shutdown"));
}

#[test]
fn an_open_decision_interval_is_closed_when_the_app_exits() {
    let mut test = play(Recording::new("player").decision_interval(4));
    test.world_mut().spawn(player());
    test.ticks(7);
    test.world_mut().write_message(AppExit::Success);
    test.frame(0);
    let episode = &test.finish()[0];
    let ticks: Vec<_> = episode.transitions().map(Transition::ticks).collect();
    assert_eq!(ticks, [4, 2]);
    assert_eq!(episode.row(2).observation(), [7.0]);
}

#[test]
fn a_non_finite_observation_truncates_at_the_row_before_it() {
    let mut test = play(Recording::new("player").observe::<Mood>());
    let player = test.world_mut().spawn(player()).id();
    test.ticks(4);
    test.world_mut().get_mut::<Mood>(player).unwrap().0 = f32::NAN;
    test.ticks(2);
    test.world_mut().get_mut::<Mood>(player).unwrap().0 = 1.0;
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(ending(&episodes[0]), (3, Outcome::Truncated, "non_finite"));
    assert_eq!(episodes[1].row(0).observation(), [1.0, 7.0]);
    let report = test.report();
    assert_eq!((report.non_finite, report.dropped, report.pending), (1, 1, 0));
    assert_eq!(report.recorded, report.exported + 1);
}

#[test]
fn a_non_finite_reward_or_action_truncates() {
    let mut test = play(Recording::new("player").act::<Mood>());
    let player = test.world_mut().spawn(player()).id();
    test.ticks(3);
    test.world_mut().get_mut::<Reward>(player).unwrap().add("bug", f64::NAN);
    test.ticks(3);
    test.world_mut().get_mut::<Mood>(player).unwrap().0 = f32::INFINITY;
    test.ticks(1);
    test.world_mut().get_mut::<Mood>(player).unwrap().0 = 0.0;
    test.ticks(2);
    let episodes = test.finish();
    let endings: Vec<_> = episodes.iter().map(ending).collect();
    assert_eq!(
        endings.iter().filter(|ending| ending.2 == "non_finite").count(),
        2,
        "{endings:?}"
    );
    for episode in &episodes {
        assert!(episode.total_reward().is_finite());
    }
}

#[test]
fn non_finite_values_are_kept_or_replaced_when_the_rules_say_so() {
    for (rule, expected) in [(NonFinite::Keep, f32::NAN), (NonFinite::Replace(-1.0), -1.0)] {
        let mut test = play(Recording::new("player").observe::<Mood>().episodes(EpisodeRules {
            non_finite: rule,
            ..Default::default()
        }));
        let player = test.world_mut().spawn(player()).id();
        test.ticks(3);
        test.world_mut().get_mut::<Mood>(player).unwrap().0 = f32::NAN;
        test.ticks(1);
        let episodes = test.finish();
        assert_eq!(episodes.len(), 1);
        let found = episodes[0].row(3).observation()[0];
        assert!(found == expected || (found.is_nan() && expected.is_nan()));
    }
}
