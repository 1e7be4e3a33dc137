//! Property test: the nearest-neighbour sensor against a brute-force search in random worlds.

use crate::player::Player;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_math::Vec3;
use bevy_transform::components::Transform;
use proptest::prelude::*;

#[derive(Component, bevy_reflect::Reflect)]
struct Match(i64);

/// A player of a generated world.
#[derive(Clone, Copy, Debug)]
struct PlacedPlayer {
    at: Vec3,
    match_id: Option<i64>,
}

/// A coordinate: spread out, on a lattice, near the origin, far from it, or extreme.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -10.0..10.0_f32,
        // On a lattice, where distances tie.
        8 => (-4..4_i8).prop_map(f32::from),
        4 => -0.01..0.01_f32,
        2 => -1e6..1e6_f32,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(1e30), Just(1e-30)],
    ]
}

/// The players of a world: one strategy for their places, and one for their match ids.
fn world() -> impl Strategy<Value = Vec<PlacedPlayer>> {
    let lattice = (-3..4_i8).prop_map(f32::from);
    let place = |one: BoxedStrategy<f32>| (one.clone(), one.clone(), one).prop_map(Vec3::from);
    let places = prop_oneof![
        Just(place(coordinate().boxed()).boxed()),
        Just(place(lattice.boxed()).boxed()),
        Just(place((-10.0..10.0_f32).boxed()).boxed()),
    ];
    let match_id = || {
        prop_oneof![
            Just(Just(None).boxed()),
            Just(prop_oneof![Just(None), (0..3_i64).prop_map(Some)].boxed()),
        ]
    };
    (places, match_id(), 1..160_usize).prop_flat_map(|(places, match_id, players)| {
        let player = (places, match_id).prop_map(|(at, match_id)| PlacedPlayer { at, match_id });
        prop::collection::vec(player, players)
    })
}

/// The observation of the player with index `viewer`, from its distance to each other player.
fn brute_force(
    viewer: usize,
    all: &[PlacedPlayer],
    agents: &[i64],
    (count, within, axes): (usize, f32, usize),
) -> Vec<f32> {
    let here = all[viewer];
    let to = |other: usize| (0..axes).map(move |axis| all[other].at[axis] - here.at[axis]);
    let distance = |other: usize| to(other).map(|along| along * along).sum::<f32>();
    let mut others: Vec<_> = (0..all.len())
        .filter(|&other| {
            let in_other_match = match (here.match_id, all[other].match_id) {
                (Some(own), Some(its)) => own != its,
                _ => false,
            };
            other != viewer && !in_other_match && distance(other) <= within * within
        })
        .collect();
    others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(agents[a].cmp(&agents[b])));
    others.truncate(count);
    let mut row: Vec<f32> = others
        .into_iter()
        .flat_map(|other| core::iter::once(1.0).chain(to(other)))
        .collect();
    row.resize(count * (1 + axes), 0.0);
    row
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sensor_matches_a_brute_force_search(
        all in world(),
        count in 1..9_usize,
        within in prop_oneof![0.5..30.0_f32, (1..5_i8).prop_map(f32::from), Just(1e7)],
        is_flat: bool,
        odd in prop_oneof![Just(1_i64), Just(7), Just(-1)],
    ) {
        let mut test = TestApp::new();
        let mut nearest = Nearest::<Player>::new(count, within);
        if is_flat {
            nearest = nearest.xy();
        }
        test.record(
            Recording::<Player>::new("player")
                .observe_nearest_with(nearest)
                .match_id::<Match>(),
        );
        // Agent ids are not always in spawn order.
        let agents: Vec<i64> = (0..all.len() as i64).map(|player| (player * odd).rem_euclid(163)).collect();
        for (player, &agent) in all.iter().zip(&agents) {
            let mut spawned = test
                .world_mut()
                .spawn((Player, AgentId(agent), Transform::from_translation(player.at)));
            if let Some(match_id) = player.match_id {
                spawned.insert(Match(match_id));
            }
        }
        test.ticks(2);
        for episode in test.finish() {
            let viewer = agents.iter().position(|&agent| agent == episode.info().agent_id).unwrap();
            let axes = if is_flat { 2 } else { 3 };
            let expected = brute_force(viewer, &all, &agents, (count, within, axes));
            prop_assert_eq!(episode.row(0).observation(), &expected[..], "player {}", viewer);
        }
    }
}
