//! Contract, rule 6 (changes): `changed` is a diff of encoded values, and on-change recording skips unchanged ticks.

use crate::{player::Player, support::Choice};
use bevy_app::prelude::*;
use bevy_ecs::{change_detection::DetectChangesMut, prelude::*};
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;

#[derive(Component, Reflect)]
struct Place {
    x: f32,
    y: f32,
}

#[derive(Component, Reflect)]
struct Allowed([bool; 3]);

#[derive(Resource, Default)]
struct Tick(u32);

/// An app with one player, to which each change is applied at its tick.
fn play(recording: Recording<Player>, changes: &'static [(u32, fn(&mut Place, &mut Choice, &mut Allowed))]) -> TestApp {
    let mut test = TestApp::new();
    test.record(
        recording
            .observe::<Place>()
            .act::<Choice>()
            .action_mask::<Allowed>()
            .reward_terms(["tick"]),
    );
    test.init_resource::<Tick>();
    test.add_systems(
        FixedUpdate,
        move |mut tick: ResMut<Tick>, mut players: Query<(&mut Place, &mut Choice, &mut Allowed, &mut Reward)>| {
            for (mut place, mut choice, mut allowed, mut reward) in &mut players {
                reward.add("tick", 1.0);
                for (at, change) in changes {
                    if *at == tick.0 {
                        change(&mut place, &mut choice, &mut allowed);
                    }
                }
            }
            tick.0 += 1;
        },
    );
    test.world_mut().spawn((
        Player,
        Place { x: 0.0, y: 0.0 },
        Choice(0.0),
        Allowed([true, false, true]),
    ));
    test
}

/// (x before, action, ticks, reward, x after)
fn steps(episode: &Episode) -> Vec<(f32, f64, u32, f64, f32)> {
    episode
        .transitions()
        .map(|t| {
            (
                t.observation()[0],
                t.action().next().unwrap(),
                t.ticks(),
                t.reward(),
                t.next_observation()[0],
            )
        })
        .collect()
}

#[test]
fn changed_compares_encoded_bits() {
    let mut test = play(
        Recording::new("player"),
        &[
            (1, |place, _, _| place.x = 1.0),
            (2, |place, _, _| place.y = -0.0),
            // An equal value is written: change detection reports it, the diff does not.
            (3, |place, _, _| place.x = 1.0),
        ],
    );
    test.ticks(4);
    let episode = &test.finish()[0];
    let changed: Vec<_> = episode.transitions().map(|t| [t.changed(0), t.changed(1)]).collect();
    assert_eq!(changed, [[true, false], [false, true], [false, false]]);
}

#[test]
fn on_change_skips_unchanged_ticks_and_sums_their_rewards() {
    let mut test = play(
        Recording::new("player").mode(RecordMode::OnChange),
        &[
            (10, |place, _, _| place.x = 1.0),
            (11, |place, _, _| place.x = 2.0),
            (500, |place, _, _| place.x = 3.0),
        ],
    );
    test.ticks(501);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1, "a skip is not a gap");
    assert_eq!(
        steps(&episodes[0]),
        [
            (0.0, 0.0, 10, 10.0, 1.0),
            (1.0, 0.0, 1, 1.0, 2.0),
            (2.0, 0.0, 489, 489.0, 3.0)
        ]
    );
    let ticks: Vec<_> = episodes[0].transitions().map(Transition::tick).collect();
    assert_eq!(ticks, [0, 10, 11]);
}

#[test]
fn on_change_a_changed_action_starts_a_transition() {
    let mut test = play(
        Recording::new("player").mode(RecordMode::OnChange),
        &[
            (3, |_, choice, _| choice.0 = 7.0),
            (6, |place, choice, _| {
                choice.0 = 8.0;
                place.x = 1.0;
            }),
        ],
    );
    test.ticks(8);
    let episodes = test.finish();
    assert_eq!(
        steps(&episodes[0]),
        [
            // Two ticks of the first action, without a changed observation.
            (0.0, 0.0, 2, 2.0, 0.0),
            (0.0, 7.0, 3, 3.0, 0.0),
            (0.0, 8.0, 1, 1.0, 1.0),
            // The transition that is open at shutdown.
            (1.0, 8.0, 1, 1.0, 1.0),
        ]
    );
    let total: u32 = episodes[0].transitions().map(Transition::ticks).sum();
    assert_eq!(total, 7);
}

#[test]
fn on_change_a_changed_mask_writes_a_row() {
    let mut test = play(
        Recording::new("player").mode(RecordMode::OnChange),
        &[(4, |_, _, allowed| allowed.0[1] = true)],
    );
    test.ticks(6);
    let episode = &test.finish()[0];
    assert_eq!(episode.transition(0).ticks(), 4);
    assert!(!episode.row(0).allows(1));
    assert!(episode.row(1).allows(1));
}

#[test]
fn on_change_an_end_writes_the_skipped_ticks() {
    let mut test = play(Recording::new("player").mode(RecordMode::OnChange), &[]);
    let player = test
        .world_mut()
        .query_filtered::<Entity, With<Player>>()
        .single(test.world())
        .unwrap();
    test.ticks(20);
    test.add_systems(FixedUpdate, move |mut commands: Commands, tick: Res<Tick>| {
        if tick.0 == 21 {
            commands.trigger(EndEpisode::terminated(player, "goal"));
        }
    });
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(episodes[0].len(), 1);
    let last = episodes[0].transition(0);
    assert!(last.terminated());
    assert!(last.ticks() >= 20, "{}", last.ticks());
    assert_eq!(f64::from(last.ticks()), last.reward());
}

#[test]
fn on_change_records_writes_that_bypass_change_detection() {
    let mut test = play(Recording::new("player").mode(RecordMode::OnChange), &[]);
    test.add_systems(FixedUpdate, |mut players: Query<&mut Place>, tick: Res<Tick>| {
        let mut place = players.single_mut().unwrap();
        if tick.0 >= 5 {
            place.bypass_change_detection().x = 9.0;
        }
    });
    test.ticks(8);
    assert_eq!(test.finish()[0].row(1).observation(), [9.0, 0.0]);
}

#[test]
fn rows_stay_with_their_agent_after_a_swap_remove() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe::<Place>());
    let players: Vec<_> = (0..5)
        .map(|id| {
            let place = Place { x: id as f32, y: 0.0 };
            test.world_mut().spawn((Player, AgentId(id), place)).id()
        })
        .collect();
    test.ticks(2);
    // The last row of the table is moved to the first.
    test.world_mut().despawn(players[0]);
    test.ticks(2);
    // Moves the player to another table.
    test.world_mut().entity_mut(players[2]).insert(Choice(0.0));
    test.ticks(2);
    for episode in test.finish() {
        for row in 0..=episode.len() {
            assert_eq!(episode.row(row).observation()[0], episode.info().agent_id as f32);
        }
    }
}
