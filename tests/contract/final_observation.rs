//! Contract, rule 3: the true final observation, and the right and wrong places to reset.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Player;

/// Dies at 3, and is reset to 0.
#[derive(Component, Reflect)]
struct Age(f32);

#[derive(Component, Reflect)]
struct Choice(f32);

fn grow(mut players: Query<(&mut Age, &mut Choice)>) {
    for (mut age, mut choice) in &mut players {
        age.0 += 1.0;
        choice.0 = age.0;
    }
}

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
fn a_reset_in_an_observer_of_episode_ended_is_the_idiom() {
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
        "the action that the last tick consumed, not the reset one"
    );
    // The next episode begins where the reset left it.
    assert_eq!(ages(&episodes[1]), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_reset_in_a_system_chained_after_is_right() {
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
fn a_reset_in_commands_queued_after_is_right() {
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
fn a_reset_in_the_triggering_system_itself_records_the_reset_state() {
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
    // The wrong way: documented, and this is what it gives.
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 0.0]);
}

#[test]
fn an_immediate_trigger_reads_at_once() {
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
fn at_capture_reads_sensors_that_are_computed_late() {
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
    fn die_and_go(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.trigger(EndEpisode::terminated(player, "death"));
                commands.entity(player).despawn();
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, die_and_go).chain());
    });
    assert_eq!(episodes.len(), 1);
    assert_eq!(ages(&episodes[0]), [1.0, 2.0, 3.0]);
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
}

#[test]
fn a_despawn_before_the_end_is_upgraded_by_it() {
    fn go_and_die(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (player, age) in &players {
            if age.0 == 3.0 {
                commands.entity(player).despawn();
                commands.trigger(EndEpisode::terminated(player, "death"));
            }
        }
    }
    let episodes = play(recording(), |app| {
        app.add_systems(FixedUpdate, (grow, go_and_die).chain());
    });
    assert_eq!(
        ages(&episodes[0]),
        [1.0, 2.0, 3.0],
        "read by the despawn, before the values were gone"
    );
    assert!(episodes[0].transition(1).terminated());
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
}

#[test]
fn a_kill_credited_after_the_victims_end_in_the_same_tick_counts() {
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
fn a_stronger_word_in_the_same_tick_upgrades_the_end() {
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
fn ends_from_update_take_the_open_row_and_invent_no_transition() {
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
        // The new life's: in no episode until the capture.
        test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
            players.single_mut().unwrap().add("late", 100.0);
        });
        test.ticks(2);
        let episodes = test.finish();
        let seen = (2 + ticks) as usize;
        let expected: Vec<_> = (1..=seen).map(|age| age as f32).collect();
        assert_eq!(ages(&episodes[0]), expected, "{ticks} ticks");
        let last = episodes[0].transition(episodes[0].len() - 1);
        assert!(last.terminated());
        assert_eq!(last.reward(), 7.0, "given before the end, it came of the last action");
        assert_eq!(test.report().orphaned_rewards, 1);
        assert_eq!(ages(&episodes[1]), [1.0, 2.0]);
        assert_eq!(episodes[1].transition(0).reward(), 100.0);
    }
}

#[test]
fn no_published_flag_is_changed() {
    // The rows themselves, as a reader of the buffer sees them.
    let mut test = TestApp::new();
    test.record(recording());
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(1);
    let buffers = test.world().resource::<Experience>().buffers("player").unwrap().clone();
    let mut outcomes = Vec::new();
    buffers.get(0).unwrap().peek_all(&mut |row| {
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
