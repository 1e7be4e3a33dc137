//! Observations and actions that read-only systems compute.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, system::NonSendMarker};
use bevy_experience::{prelude::*, test_app::TestApp};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Resource)]
struct Wind(f32);

#[derive(Component)]
struct Other;

fn sum_of_ages(players: PlayerValues, ages: Query<&Age>, wind: Res<Wind>) {
    let sum: f32 = ages.iter().map(|age| age.0).sum();
    for (player, values) in players {
        values[0] = sum - ages.get(player).unwrap().0;
        values[1] = wind.0;
    }
}

fn odd_age(players: PlayerChoices, ages: Query<&Age>) {
    for (player, choice) in players {
        *choice = ages.get(player).unwrap().0 as i64 % 2;
    }
}

#[test]
fn a_system_reads_the_experience_without_recordings() {
    let mut test = TestApp::new();
    let count = |players: PlayerValues, experience: Res<Experience>| {
        let recordings = experience.recordings().count() + experience.reports("player").len();
        for (_, values) in players {
            values[0] = recordings as f32;
        }
    };
    test.record(
        Recording::<Player>::new("player")
            .observe_system(["recordings"], count)
            .observe::<Age>(),
    );
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    let experience = test.world().resource::<Experience>();
    assert_eq!(experience.recordings().count(), 1);
    let episodes = test.finish();
    assert_eq!(episodes[0].len(), 2);
    assert!(episodes[0].transitions().all(|step| step.observation()[0] == 0.0));
}

#[test]
fn a_system_writes_the_values_of_all_players() {
    let mut test = TestApp::new();
    test.insert_resource(Wind(0.25));
    test.record(
        Recording::<Player>::new("player")
            .observe_system(["others", "wind"], sum_of_ages)
            .observe::<Age>()
            .act_system(["age"], |players: PlayerValues, ages: Query<&Age>| {
                for (player, values) in players {
                    values[0] = ages.get(player).unwrap().0;
                }
            })
            .act_discrete_system("odd", 2, odd_age),
    );
    test.add_systems(FixedUpdate, grow);
    // Two archetypes.
    test.world_mut().spawn((Player, AgentId(0), Age(0.0)));
    test.world_mut().spawn((Player, AgentId(1), Age(100.0), Other));
    test.world_mut().spawn((Player, AgentId(2), Age(200.0)));
    test.ticks(2);
    let episodes = test.finish();
    let first = |agent: usize| {
        let step = episodes[agent].transition(0);
        (step.observation().to_vec(), step.action().collect::<Vec<_>>())
    };
    assert_eq!(first(0), (vec![302.0, 0.25, 1.0], vec![2.0, 0.0]));
    assert_eq!(first(1), (vec![202.0, 0.25, 101.0], vec![102.0, 0.0]));
    assert_eq!(first(2), (vec![102.0, 0.25, 201.0], vec![202.0, 0.0]));
}

#[test]
fn a_system_runs_for_the_player_whose_final_observation_is_read() {
    let sizes = Arc::<std::sync::Mutex<Vec<usize>>>::default();
    let seen = sizes.clone();
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_system(
        ["age"],
        move |players: PlayerValues, ages: Query<&Age>| {
            let mut size = 0;
            for (player, values) in players {
                values[0] = ages.get(player).unwrap().0;
                size += 1;
            }
            seen.lock().unwrap().push(size);
        },
    ));
    test.add_systems(FixedUpdate, grow);
    test.add_observer(|ended: On<EpisodeEnded>, mut ages: Query<&mut Age>| ages.get_mut(ended.entity).unwrap().0 = 0.0);
    let players = [0, 1].map(|agent| test.world_mut().spawn((Player, AgentId(agent), Age(10.0))).id());
    let mut tick = 0;
    test.add_systems(FixedPostUpdate, move |mut commands: Commands| {
        tick += 1;
        if tick == 3 {
            commands.trigger(EndEpisode::terminated(players[1], "goal"));
        }
    });
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes[1].len(), 2);
    assert_eq!(episodes[1].row(2).observation(), [13.0], "the age before the reset");
    assert_eq!(*sizes.lock().unwrap(), [2, 2, 1, 2]);
}

#[test]
fn values_that_a_system_does_not_write_are_zero() {
    let mut test = TestApp::new();
    let calls = AtomicUsize::new(0);
    test.record(
        Recording::<Player>::new("player").observe_system(["once"], move |players: PlayerValues| {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                players.into_iter().for_each(|(_, values)| values[0] = 1.0);
            }
        }),
    );
    test.world_mut().spawn(Player);
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!([0, 1].map(|row| episodes[0].row(row).observation()[0]), [1.0, 0.0]);
}

#[test]
fn players_are_not_recorded_while_a_system_cannot_run_which_is_logged_once() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = TestApp::new();
        test.record(Recording::<Player>::new("player").observe_system(["others", "wind"], sum_of_ages));
        test.add_systems(FixedUpdate, grow);
        test.world_mut().spawn((Player, Age(0.0)));
        test.ticks(5);
        test.insert_resource(Wind(0.5));
        test.ticks(3);
        let episodes = test.finish();
        assert_eq!(episodes.len(), 1);
        assert_eq!(episodes[0].len(), 2);
        assert_eq!(episodes[0].row(0).observation(), [0.0, 0.5]);
    });
    let line = log.warning();
    assert!(
        line.contains("sum_of_ages") && line.contains("no player is recorded"),
        "{line}"
    );
}

#[test]
fn systems_that_write_later_or_need_a_thread_are_refused() {
    let error = |recording: Recording<Player>| {
        let error = TestApp::new().try_add_recording(recording).err();
        error.expect("the system is refused").to_string()
    };
    let commands = |_: PlayerValues, _: Commands| {};
    let refused = error(Recording::new("player").observe_system(["x"], commands));
    assert!(
        refused.contains("`Commands`") && refused.contains("remove them"),
        "{refused}"
    );
    let non_send = |_: PlayerValues, _: NonSendMarker| {};
    let refused = error(Recording::new("player").observe_system(["x"], non_send));
    assert!(refused.contains("one thread"), "{refused}");
}
