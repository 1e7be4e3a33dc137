//! Pausing and resuming recordings while the game goes on.

use crate::{
    player::{Age, Player},
    support::{experience, grow_with_reward, play_with_reward as play},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

/// The first observation, last observation, return and end reason of each episode.
fn summaries(test: &mut TestApp) -> Vec<(f32, f32, f64, String)> {
    let summary = |episode: &Episode| {
        let last = episode.transition(episode.len() - 1);
        assert_eq!(last.truncated(), !last.terminated());
        (
            episode.row(0).observation()[0],
            last.next_observation()[0],
            episode.total_reward(),
            episode.reason().to_string(),
        )
    };
    test.finish().iter().map(summary).collect()
}

#[test]
fn a_pause_ends_episodes_at_the_next_capture_and_a_resume_begins_new_ones() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("menu open");
    test.ticks(4);
    experience(&mut test).resume();
    test.ticks(3);
    let summaries = summaries(&mut test);
    // The first capture after the pause closes the episode, and the first after the resume begins the next one.
    assert_eq!(
        summaries,
        [
            (1.0, 4.0, 3.0, "paused".to_owned()),
            (8.0, 10.0, 2.0, "shutdown".to_owned())
        ]
    );
    let report = test.report();
    assert_eq!((report.recorded, report.exported, report.dropped), (5, 5, 0));
    // The reward of the first tick precedes the first observation. Rewards during the pause are not counted.
    assert_eq!(report.orphaned_rewards, 1);
}

#[test]
fn a_pause_reports_its_reason() {
    let mut test = play(Recording::new("player"));
    test.record(Recording::<Player>::new("other").observe::<Age>());
    let mut paused = experience(&mut test);
    assert!(!paused.is_paused() && paused.is_recording());
    assert_eq!(paused.pause_reason("player"), None);
    paused.pause("menu open");
    assert!(paused.is_paused() && !paused.is_recording());
    assert_eq!(paused.pause_reason("player").unwrap().to_string(), "menu open");
    assert_eq!(paused.pause_reason("no_such"), None);
    assert!(paused.pause_recording("other", "broken"));
    assert!(!paused.pause_recording("no_such", "no effect"));
    paused.resume();
    assert!(!paused.is_paused() && paused.is_recording());
    assert_eq!(paused.pause_reason("player"), None);
    assert_eq!(paused.pause_reason("other").unwrap().to_string(), "broken");
    assert!(paused.resume_recording("other"));
    assert_eq!(paused.pause_reason("other"), None);
}

#[test]
fn one_recording_can_be_paused_alone() {
    let mut test = play(Recording::new("player"));
    test.record(Recording::<Player>::new("other").observe::<Age>());
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(2);
    experience(&mut test).pause_recording("other", "enough");
    test.ticks(5);
    let lengths = |test: &mut TestApp, name: &str| -> Vec<usize> {
        let episodes = test.finish_recording(name);
        episodes.iter().map(Episode::len).collect()
    };
    assert_eq!(lengths(&mut test, "player"), [6]);
    assert_eq!(lengths(&mut test, "other"), [2]);
}

#[test]
fn a_pause_and_a_resume_between_two_captures_have_no_effect() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("a mistake");
    experience(&mut test).resume();
    test.ticks(2);
    assert_eq!(summaries(&mut test), [(1.0, 5.0, 4.0, "shutdown".to_owned())]);
}

#[test]
fn an_end_of_the_game_takes_precedence_over_a_pause() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    experience(&mut test).pause("menu open");
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(2);
    assert_eq!(summaries(&mut test), [(1.0, 3.0, 2.0, "goal".to_owned())]);
}

#[test]
fn a_pause_within_a_decision_interval_closes_the_transition() {
    let mut test = play(Recording::new("player").decision_interval(4));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(7);
    experience(&mut test).pause("menu open");
    test.ticks(2);
    let episodes = test.finish();
    let ticks: Vec<_> = episodes[0].transitions().map(Transition::ticks).collect();
    assert_eq!(ticks, [4, 3]);
    assert_eq!(episodes[0].transition(1).next_observation(), [8.0]);
    assert_eq!(episodes[0].transition(1).reward(), 3.0);
}

#[test]
fn on_change_a_pause_writes_the_skipped_ticks() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .mode(RecordMode::OnChange),
    );
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(7);
    experience(&mut test).pause("menu open");
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].len(), 1);
    assert_eq!(episodes[0].transition(0).ticks(), 7);
    assert_eq!(episodes[0].reason(), &EndReason::PAUSED);
}

#[test]
fn joins_and_despawns_during_a_pause_take_effect_at_the_resume() {
    let mut test = play(Recording::new("player"));
    let leaving = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(2);
    experience(&mut test).pause("menu open");
    test.ticks(1);
    test.world_mut().despawn(leaving);
    test.world_mut().spawn((Player, Age(100.0), AgentId(2)));
    test.ticks(2);
    experience(&mut test).resume();
    test.ticks(2);
    assert_eq!(
        summaries(&mut test),
        [
            (1.0, 3.0, 2.0, "paused".to_owned()),
            (103.0, 104.0, 1.0, "shutdown".to_owned())
        ]
    );
    assert_eq!(test.report().refused_agents, 0);
}

#[test]
fn a_player_between_episodes_stays_there_through_a_pause() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(2);
    experience(&mut test).pause("menu open");
    test.ticks(1);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(2);
    experience(&mut test).resume();
    test.ticks(3);
    test.world_mut().trigger(BeginEpisode { entity: player });
    test.ticks(3);
    assert_eq!(
        summaries(&mut test),
        [
            (1.0, 3.0, 2.0, "paused".to_owned()),
            (9.0, 11.0, 2.0, "shutdown".to_owned())
        ]
    );
}

#[test]
fn closing_during_a_pause_adds_no_episode() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("menu open");
    test.ticks(3);
    assert_eq!(summaries(&mut test).len(), 1);
    assert_eq!(test.report().pending, 0);
}

#[derive(Resource, Default)]
struct GameHash(DefaultHasher);

/// Hashes a game in which ends and resets depend on the state before.
fn game_hash(pauses: bool) -> u64 {
    let mut test = play(
        Recording::new("player")
            .episodes(EpisodeRules {
                start: EpisodeStart::OnEvent,
                max_steps: 7,
                ..Default::default()
            })
            .buffers(BufferSettings {
                capacity: 16,
                ..Default::default()
            }),
    );
    test.init_resource::<GameHash>();
    test.add_observer(
        |ended: On<EpisodeEnded>,
         mut ages: Query<&mut Age>,
         mut game_hash: ResMut<GameHash>,
         mut commands: Commands| {
            ended.reason.as_str().hash(&mut game_hash.0);
            if let Ok(mut age) = ages.get_mut(ended.entity) {
                age.0 *= 0.25;
            }
            commands.trigger(BeginEpisode { entity: ended.entity });
        },
    );
    test.add_systems(
        FixedUpdate,
        (|players: Query<(Entity, Ref<Age>, Ref<Reward>)>, mut game_hash: ResMut<GameHash>, mut commands: Commands| {
            for (player, age, reward) in &players {
                (
                    player.to_bits(),
                    age.0.to_bits(),
                    age.is_changed(),
                    reward.is_changed(),
                    reward.is_added(),
                )
                    .hash(&mut game_hash.0);
                if age.0 > 20.0 {
                    commands.trigger(EndEpisode::terminated(player, "old"));
                }
                if age.0 == 13.0 {
                    commands.entity(player).despawn();
                    commands.spawn((Player, Age(age.0 - 7.5)));
                }
            }
        })
        .before(grow_with_reward),
    );
    for age in 0..6 {
        test.world_mut().spawn((Player, Age(age as f32 * 1.5)));
    }
    for round in 0..60 {
        if pauses {
            let mut experience = experience(&mut test);
            match round % 5 {
                1 => experience.pause("now and then"),
                3 => experience.resume(),
                _ => {}
            }
        }
        test.ticks(5);
    }
    let game_hash = test.world().resource::<GameHash>().0.finish();
    test.finish();
    let report = test.report();
    assert_eq!(report.recorded, report.exported + report.dropped + report.discarded);
    game_hash
}

#[test]
fn a_pause_does_not_change_the_simulation() {
    assert_eq!(game_hash(true), game_hash(false));
}
