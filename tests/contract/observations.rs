//! What a recording can capture: reflected types, closures, sensors, match ids and reward terms.

use crate::player::Player;
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    schema::{DType, Space},
    test_app::TestApp,
};
use bevy_math::{Quat, Vec2, Vec3};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;

#[derive(Component, Reflect, Default)]
struct Health(f32);

#[derive(Reflect, Clone, Copy, Default)]
enum Weapon {
    #[default]
    Fists,
    Bow,
    Wand,
}

#[derive(Component, Reflect, Default)]
struct Kit {
    weapon: Weapon,
    ready: bool,
    charge: Option<f32>,
    arrows: u16,
    aim: Vec2,
}

#[derive(Component, Reflect)]
struct Board {
    cells: [[f32; 3]; 2],
}

#[derive(Component, Reflect, Default)]
struct Intent {
    thrust: Vec2,
    weapon: Weapon,
    jump: bool,
}

#[derive(Component, Reflect)]
struct Match(u32);

#[derive(Component, Reflect)]
struct Coin {
    value: f32,
}

/// Cannot be flattened by reflection.
#[derive(Component)]
struct Bag(Vec<f32>);

#[test]
fn reflected_types_become_named_features() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_fields::<Transform>(["translation.y", "rotation"])
            .observe::<Health>()
            .observe::<Kit>()
            .observe::<Board>()
            .bounds("health", 0.0, 100.0),
    );
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    assert_eq!(
        schema.feature_names(),
        [
            "transform.translation.y",
            "transform.rotation.x",
            "transform.rotation.y",
            "transform.rotation.z",
            "transform.rotation.w",
            "health",
            "kit.weapon=Fists",
            "kit.weapon=Bow",
            "kit.weapon=Wand",
            "kit.ready",
            "kit.charge",
            "kit.charge.is_some",
            "kit.arrows",
            "kit.aim.x",
            "kit.aim.y",
            "board.cells[0][0]",
            "board.cells[0][1]",
            "board.cells[0][2]",
            "board.cells[1][0]",
            "board.cells[1][1]",
            "board.cells[1][2]",
        ]
    );
    assert_eq!(schema.observation().last().unwrap().shape, [2, 3]);
    let health = schema
        .observation()
        .iter()
        .find(|column| column.name == "health")
        .unwrap();
    assert_eq!(health.space, Space::bounded(0.0, 100.0));

    test.world_mut().spawn((
        Player,
        Transform::from_xyz(1.0, 2.0, 3.0).with_rotation(Quat::from_xyzw(0.5, 0.5, 0.5, 0.5)),
        Health(80.0),
        Kit {
            weapon: Weapon::Bow,
            ready: true,
            charge: Some(0.25),
            arrows: 12,
            aim: Vec2::new(-1.0, 4.0),
        },
        Board {
            cells: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        },
    ));
    test.ticks(2);
    assert_eq!(
        test.finish()[0].row(0).observation(),
        [
            2.0, 0.5, 0.5, 0.5, 0.5, 80.0, 0.0, 1.0, 0.0, 1.0, 0.25, 1.0, 12.0, -1.0, 4.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
        ]
    );
}

#[test]
fn actions_keep_their_types() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Health>()
            .act::<Intent>()
            .act_discrete_with::<Health>("rest", 2, |health| i64::from(health.0 < 50.0)),
    );
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    let columns: Vec<_> = schema
        .action()
        .iter()
        .map(|column| (column.name.as_str(), column.dtype))
        .collect();
    assert_eq!(
        columns,
        [
            ("intent.thrust.x", DType::F32),
            ("intent.thrust.y", DType::F32),
            ("intent.weapon", DType::I64),
            ("intent.jump", DType::Bool),
            ("rest", DType::I64),
        ]
    );
    test.world_mut().spawn((
        Player,
        Health(10.0),
        Intent {
            thrust: Vec2::new(0.5, -0.5),
            weapon: Weapon::Wand,
            jump: true,
        },
    ));
    test.ticks(2);
    let action: Vec<_> = test.finish()[0].transition(0).action().collect();
    assert_eq!(action, [0.5, -0.5, 2.0, 1.0, 1.0]);
}

#[test]
fn a_closure_encodes_a_component_without_reflection() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_with::<Bag>(["first", "count"], |bag, out| {
                out[0] = bag.0.first().copied().unwrap_or(-1.0);
                out[1] = bag.0.len() as f32;
            })
            .act_with::<Bag>(["last"], |bag, out| out[0] = bag.0.last().copied().unwrap_or(-1.0)),
    );
    for id in 0..3 {
        let bag = Bag((0..id).map(|n| n as f32 + 0.5).collect());
        test.world_mut().spawn((Player, AgentId(id), bag));
    }
    test.ticks(2);
    let transitions: Vec<_> = test
        .finish()
        .iter()
        .map(|episode| {
            let transition = episode.transition(0);
            (transition.observation().to_vec(), transition.action().next().unwrap())
        })
        .collect();
    assert_eq!(
        transitions,
        [(vec![-1.0, 0.0], -1.0), (vec![0.5, 1.0], 0.5), (vec![0.5, 2.0], 1.5)]
    );
}

#[test]
fn neighbours_are_sorted_by_distance_and_padded_with_zeros() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_nearest_with(Nearest::<Coin>::new(3, 5.0).xy().with_field::<Coin>("value")),
    );
    let coin = |x: f32, y: f32, value| (Coin { value }, Transform::from_xyz(x, y, 50.0));
    test.world_mut().spawn((Player, Transform::from_xyz(1.0, 1.0, 0.0)));
    test.world_mut().spawn(coin(4.0, 1.0, 30.0));
    test.world_mut().spawn(coin(1.0, 2.0, 10.0));
    test.world_mut().spawn(coin(7.0, 1.0, 99.0));
    test.ticks(2);
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    assert_eq!(
        schema.feature_names()[..4],
        ["coin[0].present", "coin[0].dx", "coin[0].dy", "coin[0].value"]
    );
    let episode = &test.finish()[0];
    assert_eq!(
        episode.row(0).observation(),
        [1.0, 0.0, 1.0, 10.0, 1.0, 3.0, 0.0, 30.0, 0.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn neighbours_are_of_the_same_match_and_ties_break_by_agent_id() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_nearest_with(Nearest::<Player>::new(2, 10.0).with_field::<Health>(""))
            .match_id::<Match>(),
    );
    let mut spawn = |agent, game, x: f32| {
        let place = Transform::from_xyz(x, 0.0, 0.0);
        test.world_mut()
            .spawn((Player, AgentId(agent), Match(game), place, Health(agent as f32)));
    };
    // Players 1 and 2 are at distance 1 from player 0. Player 9 is nearer, and in another match.
    spawn(2, 7, 1.0);
    spawn(1, 7, -1.0);
    spawn(0, 7, 0.0);
    spawn(9, 8, 0.1);
    test.ticks(2);
    let episodes = test.finish();
    let zero = episodes[0].row(0).observation();
    // present, dx, dy, dz, health
    assert_eq!(zero, [1.0, -1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
    assert_eq!(episodes[3].row(0).observation(), [0.0; 10]);
    assert_eq!(episodes[0].transition(0).match_id(), Some(7));
    assert_eq!(episodes[3].transition(0).match_id(), Some(8));
}

#[test]
fn the_sensor_finds_the_nearest_of_many_entities() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_nearest::<Coin>(4, 3.0));
    let noise = |n: u32| ((n.wrapping_mul(2_654_435_761) >> 16) % 1000) as f32 / 100.0;
    let coins: Vec<_> = (0..200)
        .map(|n| Vec3::new(noise(3 * n), noise(3 * n + 1), noise(3 * n + 2)))
        .collect();
    for &coin in &coins {
        test.world_mut()
            .spawn((Coin { value: 0.0 }, Transform::from_translation(coin)));
    }
    let here = Vec3::new(5.0, 5.0, 5.0);
    test.world_mut().spawn((Player, Transform::from_translation(here)));
    test.ticks(2);
    let mut near: Vec<_> = coins
        .iter()
        .map(|coin| *coin - here)
        .filter(|to| to.length() <= 3.0)
        .collect();
    near.sort_by(|a, b| a.length_squared().total_cmp(&b.length_squared()));
    assert!(near.len() > 4);
    let expected: Vec<_> = near[..4].iter().flat_map(|to| [1.0, to.x, to.y, to.z]).collect();
    assert_eq!(test.finish()[0].row(0).observation(), expected);
}

#[test]
fn rows_stay_with_their_agent_under_a_sparse_set_marker() {
    #[derive(Component)]
    #[component(storage = "SparseSet")]
    struct Playing;
    let mut test = TestApp::new();
    test.record(Recording::<Playing>::new("player").observe::<Health>().act::<Health>());
    // One table, of which every third row is a player.
    for id in 0..300 {
        let mut entity = test.world_mut().spawn((AgentId(id), Health(id as f32)));
        if id % 3 == 0 {
            entity.insert(Playing);
        }
    }
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 100);
    for episode in episodes {
        let id = episode.info().agent_id as f32;
        assert_eq!(episode.row(2).observation(), [id]);
        assert_eq!(episode.transition(1).action().next().unwrap() as f32, id);
    }
}

#[test]
fn several_recordings_capture_one_entity() {
    #[derive(Component)]
    struct SecondMarker;
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("a")
            .observe::<Health>()
            .reward_terms(["all", "a"]),
    );
    test.record(
        Recording::<SecondMarker>::new("b")
            .observe::<Kit>()
            .decision_interval(2)
            .reward_terms(["all"]),
    );
    test.record(Recording::<Player>::new("c").observe::<Health>());
    let player = test
        .world_mut()
        .spawn((Player, SecondMarker, Health(1.0), Kit::default()))
        .id();
    test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
        let mut reward = players.single_mut().unwrap();
        reward.add("all", 1.0);
        reward.add_to("a", "a", 10.0);
    });
    test.ticks(3);
    test.world_mut()
        .trigger(EndEpisode::truncated(player, "a_only").in_recording("a"));
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(player, "all"));
    test.ticks(3);
    let total = |episodes: &[bevy_experience::transition::Episode]| {
        episodes
            .iter()
            .map(|episode| (episode.len(), episode.total_reward(), episode.reason().to_string()))
            .collect::<Vec<_>>()
    };
    let reason = |text: &str| text.to_owned();
    let b = total(&test.finish_recording("b"));
    assert_eq!(b[0], (2, 4.0, reason("all")));
    let a = total(&test.finish_recording("a"));
    assert_eq!(a[0], (2, 22.0, reason("a_only")));
    assert_eq!(a[1], (1, 11.0, reason("all")));
    let c = total(&test.finish_recording("c"));
    assert_eq!(c[0], (4, 4.0, reason("all")));
}

#[test]
fn an_undeclared_reward_term_is_added_to_the_sum() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Health>()
            .reward_terms(["known"]),
    );
    test.world_mut().spawn((Player, Health(1.0)));
    test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
        let mut reward = players.single_mut().unwrap();
        reward.add("known", 1.0);
        reward.add("unknown", 0.5);
    });
    test.ticks(2);
    let episode = &test.finish()[0];
    assert_eq!(episode.transition(0).reward(), 1.5);
    assert_eq!(episode.transition(0).reward_terms(), [1.0]);
}
