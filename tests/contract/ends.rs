//! Contract, rule 3 (final observation), in games of several kinds: where the end is triggered, where the player moves, and where it
//! is reset.

use crate::{log_lines::LogLines, player::Player};
use FinalObservation::{AtCapture, AtTrigger};
use Reset::{Chained, Despawned, Observer, Queued};
use Trigger::{AfterMove, BeforeMove};
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;

/// 1, 2, 3 and so on within an episode.
#[derive(Component, Reflect, Clone, Copy)]
struct Position(f32);

/// A copy of the position.
#[derive(Component, Reflect)]
struct Sensor(f32);

/// The ticks of the game since the reset, which the rules of the game read.
#[derive(Component)]
struct Lifetime(u32);

/// Ticks of an episode.
const TICKS: u32 = 4;

/// Where the game resets a player whose episode has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reset {
    /// In an observer of `EpisodeEnded`.
    Observer,
    /// In a system chained after the trigger.
    Chained,
    /// By commands queued after the trigger.
    Queued,
    /// The player is despawned, and another one spawned.
    Despawned,
}

/// When the end is triggered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trigger {
    /// In the same schedule, after the player has moved.
    AfterMove,
    /// In an earlier schedule of the tick.
    BeforeMove,
}

#[derive(Resource, Clone, Copy)]
struct Kind(Reset);

fn tick_lifetime(mut players: Query<&mut Lifetime>) {
    for mut lifetime in &mut players {
        lifetime.0 += 1;
    }
}

fn integrate(mut players: Query<&mut Position>) {
    for mut position in &mut players {
        position.0 += 1.0;
    }
}

fn sense(mut players: Query<(&mut Sensor, &Position)>) {
    for (mut sensor, position) in &mut players {
        sensor.0 = position.0;
    }
}

fn player() -> (Player, Position, Lifetime, Sensor, AgentId) {
    (Player, Position(0.0), Lifetime(0), Sensor(0.0), AgentId(7))
}

fn die(players: Query<(Entity, &Lifetime)>, kind: Res<Kind>, mut commands: Commands) {
    for (player_id, lifetime) in &players {
        if lifetime.0 < TICKS {
            continue;
        }
        match kind.0 {
            Despawned => {
                commands.entity(player_id).despawn();
                commands.spawn(player());
            }
            Queued => {
                commands.trigger(EndEpisode::terminated(player_id, "death"));
                commands.entity(player_id).insert((Position(0.0), Lifetime(0)));
            }
            Observer | Chained => {
                commands.trigger(EndEpisode::terminated(player_id, "death"));
            }
        }
    }
}

fn reset_chained(mut players: Query<(&mut Position, &mut Lifetime)>, kind: Res<Kind>) {
    for (mut position, mut lifetime) in &mut players {
        if kind.0 == Chained && lifetime.0 >= TICKS {
            (position.0, lifetime.0) = (0.0, 0);
        }
    }
}

fn reset_observed(ended: On<EpisodeEnded>, mut players: Query<(&mut Position, &mut Lifetime)>, kind: Res<Kind>) {
    if kind.0 == Observer
        && let Ok((mut position, mut lifetime)) = players.get_mut(ended.entity)
    {
        (position.0, lifetime.0) = (0.0, 0);
    }
}

/// A game whose players move in `moves`, with captures after `capture_after`.
fn game(
    moves: impl ScheduleLabel,
    capture_after: InternedScheduleLabel,
    trigger: Trigger,
    reset: Reset,
    when: FinalObservation,
) -> TestApp {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Position>()
            .capture_after(capture_after)
            .episodes(EpisodeRules {
                final_observation: when,
                ..Default::default()
            }),
    );
    test.insert_resource(Kind(reset)).add_observer(reset_observed);
    let moves = moves.intern();
    match trigger {
        AfterMove => {
            test.add_systems(moves, (tick_lifetime, integrate, die, reset_chained).chain());
        }
        BeforeMove if moves == FixedPostUpdate.intern() => {
            test.add_systems(FixedUpdate, (tick_lifetime, die, reset_chained).chain())
                .add_systems(moves, integrate);
        }
        BeforeMove => {
            test.add_systems(moves, (tick_lifetime, die, reset_chained, integrate).chain());
        }
    }
    test.world_mut().spawn(player());
    test
}

fn fixed(trigger: Trigger, reset: Reset, when: FinalObservation) -> TestApp {
    game(FixedPostUpdate, FixedLast.intern(), trigger, reset, when)
}

fn per_frame(trigger: Trigger, reset: Reset, when: FinalObservation) -> TestApp {
    game(Update, Last.intern(), trigger, reset, when)
}

fn positions(episode: &Episode) -> Vec<f32> {
    (0..=episode.len())
        .map(|row| episode.row(row).observation()[0])
        .collect()
}

/// The positions of the second and the third episode, and the warnings.
fn play(mut test: TestApp, ticks: usize) -> (Vec<Vec<f32>>, Vec<String>) {
    let log = LogLines::default();
    let episodes = log.collect(|| {
        test.ticks(ticks);
        test.finish()
    });
    let warnings = log.warnings();
    let warnings = warnings.into_iter().filter(|line| line.contains("final observations"));
    (episodes[1..3].iter().map(positions).collect(), warnings.collect())
}

#[test]
fn an_end_after_the_player_moved_has_the_true_final_observation_wherever_the_reset_is() {
    for build in [fixed, per_frame] {
        for reset in [Observer, Chained, Queued] {
            let (episodes, warnings) = play(build(AfterMove, reset, AtTrigger), 80);
            let expected = [0.0, 1.0, 2.0, 3.0, 4.0];
            assert_eq!(episodes, [expected, expected], "{reset:?}");
            assert_eq!(warnings, [""; 0], "{reset:?}");
        }
        let (episodes, warnings) = play(build(AfterMove, Observer, AtCapture), 80);
        let expected = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(
            (&episodes[..], warnings.len()),
            (&[expected.to_vec(), expected.to_vec()][..], 0)
        );
    }
}

#[test]
fn an_end_before_physics_has_the_true_final_observation_at_the_capture() {
    for build in [fixed, per_frame] {
        let (episodes, warnings) = play(build(BeforeMove, Observer, AtCapture), 80);
        let expected = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(episodes, [expected, expected]);
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn final_observations_that_repeat_the_one_before_are_logged_once_with_the_remedy() {
    for build in [fixed, per_frame] {
        for reset in [Observer, Chained, Queued] {
            let (episodes, warnings) = play(build(BeforeMove, reset, AtTrigger), 80);
            for episode in &episodes {
                let [.., before, last] = episode[..] else { panic!() };
                assert_eq!(before, last, "{reset:?}");
            }
            assert_eq!(warnings.len(), 1, "{reset:?}");
            assert!(warnings[0].contains("Position` of the tick before"), "{warnings:?}");
            assert!(warnings[0].contains("to `AtCapture`"), "{warnings:?}");
        }
        let (_, warnings) = play(build(BeforeMove, Despawned, AtTrigger), 80);
        assert_eq!(warnings.len(), 1);
    }
}

#[test]
fn a_despawn_after_the_player_moved_is_not_logged_and_has_the_documented_reason() {
    for build in [fixed, per_frame] {
        for (on_despawn, expected) in [
            (Outcome::Truncated, (Outcome::Truncated, "left")),
            (Outcome::Terminated, (Outcome::Terminated, "despawned")),
        ] {
            let mut test = build(AfterMove, Despawned, AtTrigger);
            test.record(
                Recording::<Player>::new("despawned")
                    .observe::<Position>()
                    .episodes(EpisodeRules {
                        on_despawn,
                        ..Default::default()
                    }),
            );
            let log = LogLines::default();
            log.collect(|| test.ticks(60));
            let warnings = log.warnings();
            assert!(
                warnings.iter().all(|line| !line.contains("final observations")),
                "{warnings:?}"
            );
            let episode = test.finish_recording("despawned").swap_remove(1);
            assert_eq!(positions(&episode), [0.0, 1.0, 2.0, 3.0, 4.0]);
            assert_eq!((episode.outcome(), episode.reason().as_str()), expected);
        }
    }
}

#[test]
fn sensors_that_are_computed_right_before_the_capture_are_those_of_the_observation() {
    let play = |when| {
        let mut test = fixed(BeforeMove, Observer, when);
        test.record(
            Recording::<Player>::new("sensing")
                .observe::<Position>()
                .observe::<Sensor>()
                .reward_terms(["tick"])
                .episodes(EpisodeRules {
                    final_observation: when,
                    ..Default::default()
                }),
        );
        test.add_systems(ExperienceCapture, sense.in_set(ExperienceSystems::Stage));
        let log = LogLines::default();
        log.collect(|| test.ticks(80));
        let episodes = test.finish_recording("sensing");
        let differing = episodes.iter().flat_map(|episode| {
            let rows = (0..=episode.len()).map(|row| episode.row(row).observation().to_vec());
            rows.filter(|row| row[0] != row[1]).collect::<Vec<_>>()
        });
        let warnings = log.warnings();
        let named = warnings.into_iter().filter(|line| line.contains("Sensor`"));
        (differing.count(), named.count(), episodes)
    };
    let (differing, warnings, episodes) = play(AtCapture);
    assert_eq!((differing, warnings), (0, 0));
    // The sensors have run when the player is reset, so the next episode begins one tick later.
    assert_eq!(positions(&episodes[1]), [1.0, 2.0, 3.0, 4.0]);
    let (_, warnings, _) = play(AtTrigger);
    assert_eq!(warnings, 1);
}

#[derive(Resource, Default, PartialEq, Debug)]
struct Seen(Vec<(f32, i64)>);

#[test]
fn episode_ended_is_triggered_after_the_final_observation_with_the_plugin_enabled_or_disabled() {
    let seen = |enabled| {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            enabled,
            ..Default::default()
        });
        test.init_resource::<Seen>().insert_resource(Kind(Observer));
        test.record(
            Recording::<Player>::new("player")
                .observe::<Position>()
                .episodes(EpisodeRules {
                    final_observation: AtCapture,
                    ..Default::default()
                }),
        );
        test.add_observer(
            |ended: On<EpisodeEnded>,
             mut players: Query<(&mut Position, &mut Lifetime)>,
             mut seen: ResMut<Seen>,
             experience: Res<Experience>| {
                let (mut position, mut lifetime) = players.get_mut(ended.entity).unwrap();
                seen.0.push((position.0, experience.tick("player").unwrap_or_default()));
                (position.0, lifetime.0) = (0.0, 0);
            },
        )
        .add_systems(FixedUpdate, (tick_lifetime, die).chain())
        .add_systems(FixedPostUpdate, integrate);
        let id = test.world_mut().spawn(player()).id();
        test.ticks(9);
        // Despawned before the capture: no event.
        test.world_mut().trigger(EndEpisode::terminated(id, "death"));
        test.ticks(1);
        test.add_systems(
            FixedUpdate,
            (move |mut commands: Commands| {
                commands.trigger(EndEpisode::terminated(id, "death"));
                commands.entity(id).try_despawn();
            })
            .after(die),
        );
        test.ticks(2);
        test.world_mut().remove_resource::<Seen>().unwrap()
    };
    let enabled = seen(true);
    assert_eq!(enabled.0[..2], [(4.0, 3), (4.0, 7)]);
    assert_eq!(enabled, seen(false));
}

#[test]
fn an_observer_that_ends_the_episodes_of_others_has_their_final_observations_read() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Position>()
            .episodes(EpisodeRules {
                final_observation: AtCapture,
                ..Default::default()
            }),
    );
    let ids: Vec<_> = (0..3)
        .map(|id| test.world_mut().spawn((Player, Position(0.0), AgentId(id))).id())
        .collect();
    test.add_systems(FixedPostUpdate, integrate);
    test.add_observer(
        move |ended: On<EpisodeEnded>, mut positions: Query<&mut Position>, mut commands: Commands| {
            positions.get_mut(ended.entity).unwrap().0 = 0.0;
            // The round is over for all.
            for &other in &ids {
                commands.trigger(EndEpisode::terminated(other, "round"));
            }
        },
    );
    test.ticks(3);
    test.add_systems(
        FixedUpdate,
        |players: Query<(Entity, &AgentId, &Position)>, mut commands: Commands| {
            for (player, agent, position) in &players {
                if agent.0 == 1 && position.0 == 3.0 {
                    commands.trigger(EndEpisode::terminated(player, "goal"));
                }
            }
        },
    );
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 6);
    for pair in episodes.chunks(2) {
        assert_eq!(positions(&pair[0]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(positions(&pair[1]), [0.0, 1.0, 2.0]);
    }
}
