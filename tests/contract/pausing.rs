//! Recording that stands still while the game goes on.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

fn grow(mut players: Query<(&mut Age, &mut Reward)>) {
    for (mut age, mut reward) in &mut players {
        age.0 += 1.0;
        reward.add("step", 1.0);
    }
}

fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>().reward_terms(["step"]));
    test.add_systems(FixedUpdate, grow);
    test
}

fn experience(test: &mut TestApp) -> Mut<'_, Experience> {
    test.world_mut().resource_mut::<Experience>()
}

/// Each episode's first and last observation, its return, and why it ended.
fn lives(test: &mut TestApp) -> Vec<(f32, f32, f64, String)> {
    let life = |episode: &Episode| {
        let last = episode.transition(episode.len() - 1);
        assert_eq!(last.truncated(), !last.terminated());
        (
            episode.row(0).observation()[0],
            last.next_observation()[0],
            episode.total_reward(),
            episode.reason().to_string(),
        )
    };
    test.finish().iter().map(life).collect()
}

#[test]
fn a_pause_ends_episodes_at_the_next_capture_and_a_resume_begins_new_ones() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("lunch");
    test.ticks(4);
    experience(&mut test).resume();
    test.ticks(3);
    let lives = lives(&mut test);
    // The capture after the pause is the last that looked, and the one after the resume the first that looks again.
    assert_eq!(
        lives,
        [
            (1.0, 4.0, 3.0, "paused".to_owned()),
            (8.0, 10.0, 2.0, "shutdown".to_owned())
        ]
    );
    let report = test.report();
    assert_eq!((report.recorded, report.exported, report.dropped), (5, 5, 0));
    // The reward of the very first tick came of nothing that was seen; those of the pause are not counted.
    assert_eq!(report.orphaned_rewards, 1);
}

#[test]
fn a_pause_says_why() {
    let mut test = play(Recording::new("player"));
    test.record(Recording::<Player>::new("other").observe::<Age>());
    let mut paused = experience(&mut test);
    assert!(!paused.is_paused() && paused.is_recording());
    assert_eq!(paused.pause_reason("player"), None);
    paused.pause("lunch");
    assert!(paused.is_paused() && !paused.is_recording());
    assert_eq!(paused.pause_reason("player").unwrap().to_string(), "lunch");
    assert_eq!(paused.pause_reason("nobody"), None);
    assert!(paused.pause_recording("other", "it is broken"));
    assert!(!paused.pause_recording("nobody", "it is not there"));
    paused.resume();
    assert!(!paused.is_paused() && paused.is_recording());
    assert_eq!(paused.pause_reason("player"), None);
    assert_eq!(paused.pause_reason("other").unwrap().to_string(), "it is broken");
    assert!(paused.resume_recording("other"));
    assert_eq!(paused.pause_reason("other"), None);
}

#[test]
fn one_recording_pauses_without_the_others() {
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
fn a_pause_and_a_resume_between_two_captures_are_nothing() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("a mistake");
    experience(&mut test).resume();
    test.ticks(2);
    assert_eq!(lives(&mut test), [(1.0, 5.0, 4.0, "shutdown".to_owned())]);
}

#[test]
fn an_end_at_the_capture_that_pauses_is_the_games() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    experience(&mut test).pause("lunch");
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(2);
    assert_eq!(lives(&mut test), [(1.0, 3.0, 2.0, "goal".to_owned())]);
}

#[test]
fn a_pause_in_mid_decision_ends_at_what_is_seen_then() {
    let mut test = play(Recording::new("player").decision_interval(4));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(7);
    experience(&mut test).pause("lunch");
    test.ticks(2);
    let episodes = test.finish();
    let ticks: Vec<_> = episodes[0].transitions().map(Transition::ticks).collect();
    assert_eq!(ticks, [4, 3]);
    assert_eq!(episodes[0].transition(1).next_observation(), [8.0]);
    assert_eq!(episodes[0].transition(1).reward(), 3.0);
}

#[test]
fn a_pause_closes_a_still_stretch() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .mode(RecordMode::OnChange),
    );
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(7);
    experience(&mut test).pause("lunch");
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].len(), 1);
    assert_eq!(episodes[0].transition(0).ticks(), 7);
    assert_eq!(episodes[0].reason(), &EndReason::PAUSED);
}

#[test]
fn who_comes_and_goes_in_a_pause_is_known_after_it() {
    let mut test = play(Recording::new("player"));
    let leaver = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(2);
    experience(&mut test).pause("lunch");
    test.ticks(1);
    test.world_mut().despawn(leaver);
    test.world_mut().spawn((Player, Age(100.0), AgentId(2)));
    test.ticks(2);
    experience(&mut test).resume();
    test.ticks(2);
    assert_eq!(
        lives(&mut test),
        [
            (1.0, 3.0, 2.0, "paused".to_owned()),
            (103.0, 104.0, 1.0, "shutdown".to_owned())
        ]
    );
    assert_eq!(test.report().refused_agents, 0);
}

#[test]
fn a_corpse_that_waits_through_a_pause_waits_on() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(2);
    experience(&mut test).pause("lunch");
    test.ticks(1);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(2);
    experience(&mut test).resume();
    test.ticks(3);
    test.world_mut().trigger(BeginEpisode { entity: player });
    test.ticks(3);
    assert_eq!(
        lives(&mut test),
        [
            (1.0, 3.0, 2.0, "paused".to_owned()),
            (9.0, 11.0, 2.0, "shutdown".to_owned())
        ]
    );
}

#[test]
fn an_app_that_ends_in_a_pause_has_nothing_more_to_say() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    experience(&mut test).pause("lunch");
    test.ticks(3);
    assert_eq!(lives(&mut test).len(), 1);
    assert_eq!(test.report().pending, 0);
}

#[derive(Resource, Default)]
struct Story(DefaultHasher);

/// A game in which ends and resets follow from what happened before, and its whole story as a number.
fn story(pauses: bool) -> u64 {
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
    test.init_resource::<Story>();
    test.add_observer(
        |ended: On<EpisodeEnded>, mut ages: Query<&mut Age>, mut story: ResMut<Story>, mut commands: Commands| {
            ended.reason.as_str().hash(&mut story.0);
            if let Ok(mut age) = ages.get_mut(ended.entity) {
                age.0 *= 0.25;
            }
            commands.trigger(BeginEpisode { entity: ended.entity });
        },
    );
    test.add_systems(
        FixedUpdate,
        (|players: Query<(Entity, Ref<Age>, Ref<Reward>)>, mut story: ResMut<Story>, mut commands: Commands| {
            for (player, age, reward) in &players {
                (
                    player.to_bits(),
                    age.0.to_bits(),
                    age.is_changed(),
                    reward.is_changed(),
                    reward.is_added(),
                )
                    .hash(&mut story.0);
                if age.0 > 20.0 {
                    commands.trigger(EndEpisode::terminated(player, "old"));
                }
                if age.0 == 13.0 {
                    commands.entity(player).despawn();
                    commands.spawn((Player, Age(age.0 - 7.5)));
                }
            }
        })
        .before(grow),
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
    let story = test.world().resource::<Story>().0.finish();
    test.finish();
    let report = test.report();
    assert_eq!(report.recorded, report.exported + report.dropped + report.discarded);
    story
}

#[test]
fn the_game_does_not_notice_a_pause() {
    assert_eq!(story(true), story(false));
}
