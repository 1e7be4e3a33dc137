//! Contract, rule 3 (final observation): the state in which the player ended, and where a game may reset it.

use crate::{
    player::{Age, Player},
    support::Choice,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};

fn grow(mut players: Query<(&mut Age, &mut Choice)>) {
    for (mut age, mut choice) in &mut players {
        age.0 += 1.0;
        choice.0 = age.0;
    }
}

/// Terminates the episode at age 3.
fn die(players: Query<(Entity, &Age)>, mut commands: Commands) {
    for (player, age) in &players {
        if age.0 == 3.0 {
            commands.trigger(EndEpisode::terminated(player, "death"));
        }
    }
}

fn recording() -> Recording<Player> {
    Recording::new("player").observe::<Age>().act::<Choice>()
}

fn play(recording: Recording<Player>, set_up: impl FnOnce(&mut App)) -> Vec<Episode> {
    let mut test = TestApp::new();
    test.record(recording);
    set_up(&mut test);
    test.world_mut().spawn((Player, Age(0.0), Choice(0.0)));
    test.ticks(6);
    test.finish()
}

fn ages(episode: &Episode) -> Vec<f32> {
    (0..=episode.len())
        .map(|row| episode.row(row).observation()[0])
        .collect()
}

fn reset(ended: On<EpisodeEnded>, mut players: Query<(&mut Age, &mut Choice)>) {
    let (mut age, mut choice) = players.get_mut(ended.entity).unwrap();
    age.0 = 0.0;
    choice.0 = -1.0;
}

#[test]
fn a_reset_in_an_observer_of_episode_ended_follows_the_final_observation() {
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, die).chain()).add_observer(reset);
    });
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
    let actions: Vec<_> = episodes[0].transitions().map(|t| t.action().next().unwrap()).collect();
    assert_eq!(
        actions,
        [2.0, 3.0],
        "the action that the last tick consumed, not the value after the reset"
    );
    // The next episode begins with the state after the reset.
    assert_eq!(ages(&episodes[1]), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_reset_in_a_system_chained_after_the_trigger_follows_the_final_observation() {
    fn reset(mut players: Query<&mut Age>) {
        for mut age in &mut players {
            if age.0 >= 3.0 {
                age.0 = 0.0;
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, die, reset).chain());
    });
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
    assert_eq!(ages(&episodes[1]), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_reset_by_commands_queued_after_the_trigger_follows_the_final_observation() {
    fn die_and_reset(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.trigger(EndEpisode::terminated(player, "death"));
                commands.entity(player).insert(Age(0.0));
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, die_and_reset).chain());
    });
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
    assert_eq!(ages(&episodes[1]), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_reset_in_the_triggering_system_is_recorded_as_reset() {
    fn die_and_reset(mut players: Query<(Entity, &mut Age)>, mut commands: Commands) {
        for (player, mut age) in &mut players {
            if age.0 == 3.0 {
                commands.trigger(EndEpisode::terminated(player, "death"));
                age.0 = 0.0;
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, die_and_reset).chain());
    });
    // Documented as wrong: the state is read when the commands are applied, after the reset.
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 0.0]);
}

#[test]
fn a_trigger_with_world_access_reads_immediately() {
    let episodes = play(recording(), |app| {
        app.add_systems(
            FixedUpdate,
            (grow, |world: &mut World| {
                let mut players = world.query::<(Entity, &mut Age)>();
                let (player, age) = players.single_mut(world).unwrap();
                if age.0 == 3.0 {
                    world.trigger(EndEpisode::terminated(player, "death"));
                    world.get_mut::<Age>(player).unwrap().0 = 0.0;
                }
            })
                .chain(),
        );
    });
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
}

#[test]
fn at_capture_reads_the_state_after_late_systems() {
    fn late(mut players: Query<&mut Age>) {
        for mut age in &mut players {
            age.0 += 0.5;
        }
    }
    fn die(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 4.0 {
                commands.trigger(EndEpisode::terminated(player, "death"));
            }
        }
    }
    let end_with = |when| {
        let episodes = play(
            recording().episodes(EpisodeRules {
                final_observation: when,
                ..Default::default()
            }),
            |app| {
                app.add_systems(FixedUpdate, (grow, die).chain())
                    .add_systems(FixedPostUpdate, late);
            },
        );
        ages(&episodes[0])
    };
    assert_eq!(end_with(FinalObservation::AtCapture), [1.5, 3.0, 4.5]);
    assert_eq!(end_with(FinalObservation::AtTrigger), [1.5, 3.0, 4.0]);
}

#[test]
fn a_despawn_after_the_end_keeps_the_end_and_its_observation() {
    fn end_and_despawn(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.trigger(EndEpisode::terminated(player, "death"));
                commands.entity(player).despawn();
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, end_and_despawn).chain());
    });
    assert_eq!(episodes.len(), 1);
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
}

#[test]
fn an_end_after_a_despawn_in_the_same_tick_takes_precedence() {
    fn despawn_and_end(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.entity(player).despawn();
                commands.trigger(EndEpisode::terminated(player, "death"));
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, despawn_and_end).chain());
    });
    assert_eq!(
        ages(&episodes[0]),
        [1.0, 2.0, 3.0],
        "read by the despawn, before the components were removed"
    );
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
}

#[test]
fn a_reward_given_after_the_end_in_the_same_tick_counts() {
    fn credit(mut players: Query<(&Age, &mut Reward)>) {
        for (age, mut reward) in &mut players {
            // The reset has run already.
            if age.0 == 0.0 {
                reward.add("kill", 5.0);
            }
        }
    }
    let episodes = play(recording().reward_terms(["kill"]), |app| {
        app.add_systems(FixedUpdate, (grow, die, credit).chain())
            .add_observer(reset);
    });
    assert_eq!(episodes[0].transition(1).reward(), 5.0);
    assert_eq!(episodes[1].transition(0).reward(), 0.0);
}

#[test]
fn the_strongest_end_of_a_tick_takes_precedence() {
    fn limit_then_death(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.trigger(EndEpisode::truncated(player, "time_limit"));
                commands.trigger(EndEpisode::terminated(player, "death"));
                commands.trigger(EndEpisode::truncated(player, "paused"));
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, limit_then_death).chain());
    });
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
}

#[test]
fn an_end_between_ticks_marks_the_last_row_and_adds_no_transition() {
    for ticks in [0, 1, 3] {
        let mut test = TestApp::new();
        test.record(recording().reward_terms(["late"]));
        test.add_systems(FixedUpdate, grow).add_observer(reset);
        let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
        test.ticks(2);
        test.frame(ticks);
        // As a system in `Update` would: after the ticks of the frame.
        test.world_mut().get_mut::<Reward>(player).unwrap().add("late", 7.0);
        test.world_mut().trigger(EndEpisode::terminated(player, "death"));
        // Given after the end: outside an episode until the next capture.
        test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
            players.single_mut().unwrap().add("late", 100.0);
        });
        test.ticks(2);
        let episodes = test.finish();
        let rows = (2 + ticks) as usize;
        let expected: Vec<_> = (1..=rows).map(|age| age as f32).collect();
        assert_eq!(ages(&episodes[0]), expected, "{ticks} ticks");
        let last = episodes[0].transition(episodes[0].len() - 1);
        assert!(last.terminated());
        assert_eq!(
            last.reward(),
            7.0,
            "reward given before the end belongs to the last action"
        );
        assert_eq!(test.report().orphaned_rewards, 1);
        assert_eq!(ages(&episodes[1]), [1.0, 2.0]);
        assert_eq!(episodes[1].transition(0).reward(), 100.0);
    }
}

#[test]
fn published_flags_do_not_change() {
    // The rows of the buffer, as a reader receives them.
    let mut test = TestApp::new();
    test.record(recording());
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(1);
    let buffers = test.world().resource::<Experience>().buffers("player").unwrap().clone();
    let mut outcomes = Vec::new();
    buffers.get(-1).unwrap().peek_all(&mut |row| {
        let header = bevy_experience::transition::StepHeader::of(row);
        outcomes.push((header.kind(), header.outcome()));
    });
    use bevy_experience::transition::StepKind::{Begin, End, Transition};
    assert_eq!(
        outcomes,
        [
            (Begin, None),
            (Transition, None),
            (End, Some(Outcome::Terminated)),
            (Begin, None)
        ]
    );
}
