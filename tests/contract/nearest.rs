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
            other != viewer && !in_other_match
        })
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= within * within)
        .collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(agents[a.1].cmp(&agents[b.1])));
    others.truncate(count);
    let mut row: Vec<f32> = others
        .into_iter()
        .flat_map(|(_, other)| core::iter::once(1.0).chain(to(other)))
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

/// The position of the nearest other player, relative to the player with agent id 0, as each of its rows has it.
fn relative_positions(mut test: TestApp) -> Vec<Vec3> {
    let episodes = test.finish();
    let viewer = episodes.iter().find(|episode| episode.info().agent_id == 0).unwrap();
    let row = |row: usize| viewer.row(row).observation().to_vec();
    (0..=viewer.len())
        .map(|index| {
            let row = row(index);
            assert_eq!(row[0], 1.0, "a neighbour is present: {row:?}");
            Vec3::new(row[1], row[2], row[3])
        })
        .collect()
}

fn nearest_app() -> TestApp {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_nearest_with(Nearest::<Player>::new(1, 100.0)));
    test
}

#[test]
fn a_neighbour_below_a_parent_is_where_the_world_has_it() {
    let mut test = nearest_app();
    test.world_mut()
        .spawn((Player, AgentId(0), Transform::from_xyz(1.0, 0.0, 0.0)));
    let root = Transform::from_xyz(10.0, 0.0, 0.0);
    // A quarter turn about z and twice the size: (1, 0) becomes (0, 2).
    let turned = Transform::from_xyz(0.0, 5.0, 0.0)
        .with_rotation(bevy_math::Quat::from_rotation_z(core::f32::consts::FRAC_PI_2))
        .with_scale(Vec3::splat(2.0));
    let root = test.world_mut().spawn(root).id();
    let turned = test.world_mut().spawn((turned, ChildOf(root))).id();
    test.world_mut()
        .spawn((Player, AgentId(1), Transform::from_xyz(1.0, 0.0, 0.0), ChildOf(turned)));
    test.ticks(2);
    for position in relative_positions(test) {
        assert!(position.abs_diff_eq(Vec3::new(9.0, 7.0, 0.0), 1e-4), "{position}");
    }
}

#[test]
fn a_viewer_below_a_parent_sees_from_where_the_world_has_it() {
    let mut test = nearest_app();
    let vehicle = test.world_mut().spawn(Transform::from_xyz(10.0, 0.0, 0.0)).id();
    test.world_mut()
        .spawn((Player, AgentId(0), Transform::from_xyz(1.0, 0.0, 0.0), ChildOf(vehicle)));
    test.world_mut()
        .spawn((Player, AgentId(1), Transform::from_xyz(12.0, 0.0, 0.0)));
    test.ticks(2);
    assert_eq!(relative_positions(test), [Vec3::X; 2]);
}

#[test]
fn a_parent_that_moves_in_this_tick_moves_its_children_in_this_tick() {
    #[derive(Component)]
    struct Vehicle;
    let mut test = nearest_app();
    test.world_mut().spawn((Player, AgentId(0), Transform::IDENTITY));
    let vehicle = test
        .world_mut()
        .spawn((Vehicle, Transform::from_xyz(10.0, 0.0, 0.0)))
        .id();
    test.world_mut()
        .spawn((Player, AgentId(1), Transform::from_xyz(1.0, 0.0, 0.0), ChildOf(vehicle)));
    test.add_systems(
        bevy_app::FixedUpdate,
        |mut vehicles: Query<&mut Transform, With<Vehicle>>| {
            for mut transform in &mut vehicles {
                transform.translation.x += 1.0;
            }
        },
    );
    test.ticks(3);
    let along: Vec<_> = relative_positions(test).iter().map(|position| position.x).collect();
    assert!(
        along.len() >= 3 && along.windows(2).all(|pair| pair[1] == pair[0] + 1.0),
        "{along:?}"
    );
    assert_eq!(along[0], 12.0, "the first capture follows the first tick");
}

#[test]
fn a_player_that_ends_sees_children_where_the_world_has_them() {
    let mut test = nearest_app();
    let viewer = test.world_mut().spawn((Player, AgentId(0), Transform::IDENTITY)).id();
    let root = test.world_mut().spawn(Transform::from_xyz(10.0, 0.0, 0.0)).id();
    test.world_mut()
        .spawn((Player, AgentId(1), Transform::from_xyz(-1.0, 0.0, 0.0), ChildOf(root)));
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(viewer, "death"));
    test.ticks(1);
    assert!(
        relative_positions(test)
            .iter()
            .all(|&position| position == Vec3::new(9.0, 0.0, 0.0))
    );
}

#[test]
fn a_child_of_an_excluded_player_is_not_observed() {
    #[derive(Component, bevy_reflect::Reflect)]
    struct Weapon;
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_nearest::<Weapon>(1, 100.0));
    test.world_mut().spawn((Player, AgentId(0), Transform::IDENTITY));
    let excluded = test
        .world_mut()
        .spawn((Player, AgentId(1), Transform::IDENTITY, DoNotRecord))
        .id();
    test.world_mut().spawn((Weapon, Transform::IDENTITY, ChildOf(excluded)));
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].row(0).observation(), [0.0; 4]);
}

#[test]
fn parents_in_a_cycle_do_not_hang_a_capture() {
    let mut test = nearest_app();
    let [first, second] = [0, 1].map(|agent| {
        test.world_mut()
            .spawn((Player, AgentId(agent), Transform::from_xyz(agent as f32, 0.0, 0.0)))
            .id()
    });
    test.world_mut().entity_mut(first).insert(ChildOf(second));
    test.world_mut().entity_mut(second).insert(ChildOf(first));
    test.ticks(2);
}
