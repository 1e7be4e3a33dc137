//! Observations and actions of other entities: unique ones, related ones, and how many there are.

use crate::{
    log_lines::LogLines,
    player::{Age, Player},
};
use bevy_app::prelude::*;
use bevy_ecs::{entity_disabling::Disabled, prelude::*};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_math::Vec3;
use bevy_reflect::{Reflect, TypePath};
use bevy_transform::components::Transform;

#[derive(Component, TypePath)]
struct Ball;

#[derive(Component, Reflect)]
struct Weapon {
    damage: f32,
    ammo: u16,
}

/// The state of an input action, on an entity of its own.
#[derive(Component, Reflect)]
struct Pressed(bool);

#[derive(Component)]
struct Value(f32);

#[derive(Component, TypePath)]
#[relationship(relationship_target = Crew)]
struct Aboard(Entity);

#[derive(Component, TypePath)]
#[relationship_target(relationship = Aboard)]
struct Crew(Vec<Entity>);

fn names(test: &TestApp) -> Vec<String> {
    test.world()
        .resource::<Experience>()
        .schema("player")
        .unwrap()
        .feature_names()
}

/// The observation of each row of the first episode.
fn rows(test: &mut TestApp) -> Vec<Vec<f32>> {
    let episodes = test.finish();
    let episode = &episodes[0];
    (0..=episode.len())
        .map(|row| episode.row(row).observation().to_vec())
        .collect()
}

#[test]
fn the_only_entity_with_a_marker_is_observed() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe_single_fields::<Ball, Transform>(["translation.x"])
                .observe_single_with::<Ball, Value>(["value"], |value, out| {
                    out[0] = value.map_or(-1.0, |value| value.0);
                }),
        );
        assert_eq!(
            names(&test),
            ["ball.transform.translation.x", "ball.transform.present", "value"]
        );
        test.world_mut().spawn(Player);
        test.ticks(1);
        let ball = test.world_mut().spawn((Ball, Transform::from_xyz(3.0, 0.0, 0.0))).id();
        test.ticks(1);
        test.world_mut().entity_mut(ball).insert(Value(7.0));
        test.ticks(1);
        let second = test.world_mut().spawn((Ball, Transform::default())).id();
        test.ticks(2);
        test.world_mut().entity_mut(second).insert(DoNotRecord);
        test.ticks(1);
        test.world_mut()
            .entity_mut(second)
            .remove::<DoNotRecord>()
            .insert(Disabled);
        test.ticks(1);
        let rows = rows(&mut test);
        let (absent, without_value, with_value) = ([0.0, 0.0, -1.0], [3.0, 1.0, -1.0], [3.0, 1.0, 7.0]);
        let several = [0.0, 0.0, 7.0];
        assert_eq!(
            rows,
            [
                absent,
                without_value,
                with_value,
                several,
                several,
                with_value,
                with_value
            ]
        );
    });
    let line = log.warning();
    assert!(line.contains("::Ball`") && line.contains("`observe_single`"), "{line}");
}

#[test]
fn the_parent_is_a_related_entity() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_related_fields::<ChildOf, Transform>(["translation.y"]));
    assert_eq!(
        names(&test),
        ["child_of.transform.translation.y", "child_of.transform.present"]
    );
    let horse = test.world_mut().spawn(Transform::from_xyz(0.0, 2.0, 0.0)).id();
    let player = test.world_mut().spawn((Player, AgentId(0), ChildOf(horse))).id();
    test.ticks(2);
    test.world_mut().entity_mut(player).remove::<ChildOf>();
    test.ticks(1);
    let rows = rows(&mut test);
    assert_eq!(rows, [[2.0, 1.0], [2.0, 1.0], [0.0, 0.0]]);
}

#[test]
fn the_first_of_several_children_with_the_component_is_observed() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = TestApp::new();
        test.record(Recording::<Player>::new("player").observe_related::<Children, Weapon>());
        assert_eq!(
            names(&test),
            [
                "children.weapon.damage",
                "children.weapon.ammo",
                "children.weapon.present"
            ]
        );
        let player = test.world_mut().spawn(Player).id();
        test.world_mut().spawn((Value(0.0), ChildOf(player)));
        test.ticks(1);
        let weapon = |damage| (Weapon { damage, ammo: 7 }, ChildOf(player));
        let first = test.world_mut().spawn(weapon(1.0)).id();
        test.ticks(1);
        test.world_mut().spawn(weapon(2.0));
        test.ticks(1);
        test.world_mut().entity_mut(first).insert(DoNotRecord);
        test.ticks(1);
        test.world_mut().despawn(first);
        test.ticks(1);
        assert_eq!(
            rows(&mut test),
            [
                [0.0, 0.0, 0.0],
                [1.0, 7.0, 1.0],
                [1.0, 7.0, 1.0],
                [2.0, 7.0, 1.0],
                [2.0, 7.0, 1.0]
            ]
        );
    });
    let line = log.warning();
    assert!(
        line.contains("::Weapon`") && line.contains("`observe_related` records the first"),
        "{line}"
    );
}

#[test]
fn any_relationship_leads_to_related_entities() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_related_with::<Aboard, Value>(["vehicle"], |value, out| {
                out[0] = value.map_or(-1.0, |value| value.0);
            })
            .observe_related_with::<Crew, Value>(["crew"], |value, out| out[0] = value.map_or(-1.0, |value| value.0)),
    );
    let vehicle = test.world_mut().spawn(Value(4.0)).id();
    let player = test.world_mut().spawn((Player, Aboard(vehicle))).id();
    test.world_mut().spawn((Value(5.0), Aboard(player)));
    test.ticks(2);
    assert_eq!(rows(&mut test)[0], [4.0, 5.0]);
}

#[test]
fn a_related_entity_holds_the_action() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .act_related::<Children, Pressed>()
            .act_related_with::<Children, Value>(["move"], |value, out| out[0] = value.map_or(0.0, |value| value.0))
            .act_related_discrete_with::<Children, Pressed>("jump", 3, |pressed| {
                pressed.map_or(0, |pressed| 1 + i64::from(pressed.0))
            }),
    );
    for (agent, has_actions) in [(0, true), (1, false)] {
        let player = test.world_mut().spawn((Player, AgentId(agent), Age(0.0))).id();
        if has_actions {
            test.world_mut().spawn((Pressed(true), ChildOf(player)));
            test.world_mut().spawn((Value(0.5), ChildOf(player)));
        }
    }
    test.ticks(2);
    let episodes = test.finish();
    let action = |episode: usize| episodes[episode].transition(0).action().collect::<Vec<_>>();
    assert_eq!(action(0), [1.0, 0.5, 2.0]);
    assert_eq!(action(1), [0.0, 0.0, 0.0]);
}

#[test]
fn entities_below_one_that_opted_out_are_left_out_but_not_those_of_the_player() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_related_with::<Children, Weapon>(["own"], |weapon, out| out[0] = f32::from(weapon.is_some()))
            .observe_single_with::<Ball, Transform>(["ball"], |ball, out| out[0] = f32::from(ball.is_some()))
            .observe_count::<Ball>(),
    );
    let squad = test.world_mut().spawn_empty().id();
    let player = test.world_mut().spawn((Player, ChildOf(squad))).id();
    test.world_mut()
        .spawn((Weapon { damage: 1.0, ammo: 0 }, ChildOf(player)));
    let other = test.world_mut().spawn_empty().id();
    let hand = test.world_mut().spawn(ChildOf(other)).id();
    test.world_mut().spawn((Ball, Transform::default(), ChildOf(hand)));
    test.ticks(1);
    test.world_mut().entity_mut(other).insert(DoNotRecord);
    test.world_mut().entity_mut(squad).insert(DoNotRecord);
    test.ticks(1);
    assert_eq!(rows(&mut test), [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]);
}

#[test]
fn entities_are_counted() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_count::<Ball>());
    assert_eq!(names(&test), ["ball.count"]);
    test.world_mut().spawn(Player);
    test.ticks(1);
    let balls: Vec<_> = (0..5).map(|_| test.world_mut().spawn(Ball).id()).collect();
    test.world_mut().entity_mut(balls[0]).insert(Value(1.0));
    test.ticks(1);
    test.world_mut().entity_mut(balls[1]).insert(DoNotRecord);
    test.world_mut().entity_mut(balls[2]).insert(Disabled);
    test.world_mut().despawn(balls[3]);
    test.ticks(1);
    assert_eq!(rows(&mut test), [[0.0], [5.0], [2.0]]);
}

#[test]
fn the_final_observation_is_that_of_the_moment_of_the_end() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe_single_fields::<Ball, Transform>(["translation.x"])
            .observe_related_fields::<Children, Weapon>(["damage"])
            .observe_count::<Ball>()
            .observe_world_position_fields(["x"]),
    );
    test.add_observer(
        |ended: On<EpisodeEnded>,
         mut transforms: Query<&mut Transform>,
         mut weapons: Query<&mut Weapon>,
         balls: Query<Entity, With<Ball>>,
         mut commands: Commands| {
            transforms.get_mut(ended.entity).unwrap().translation = Vec3::ZERO;
            weapons.single_mut().unwrap().damage = 0.0;
            commands.entity(balls.single().unwrap()).despawn();
        },
    );
    let player = test
        .world_mut()
        .spawn((Player, Transform::from_xyz(5.0, 0.0, 0.0)))
        .id();
    test.world_mut()
        .spawn((Weapon { damage: 9.0, ammo: 1 }, ChildOf(player)));
    test.world_mut().spawn((Ball, Transform::from_xyz(3.0, 0.0, 0.0)));
    let mut tick = 0;
    test.add_systems(FixedUpdate, move |mut commands: Commands| {
        tick += 1;
        if tick == 3 {
            commands.trigger(EndEpisode::terminated(player, "goal"));
        }
    });
    test.ticks(4);
    let episodes = test.finish();
    assert_eq!(episodes[0].len(), 2);
    assert_eq!(episodes[0].row(2).observation(), [3.0, 1.0, 9.0, 1.0, 1.0, 5.0]);
    assert_eq!(episodes[1].row(0).observation(), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_player_below_a_parent_is_where_the_world_has_it() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_world_position());
    assert_eq!(
        names(&test),
        ["world_position.x", "world_position.y", "world_position.z"]
    );
    let ship = test
        .world_mut()
        .spawn(Transform::from_xyz(10.0, 20.0, 30.0).with_scale(Vec3::splat(2.0)))
        .id();
    test.world_mut()
        .spawn((Player, Transform::from_xyz(1.0, 2.0, 3.0), ChildOf(ship)));
    test.ticks(1);
    test.world_mut().get_mut::<Transform>(ship).unwrap().translation.x = 0.0;
    test.ticks(1);
    assert_eq!(rows(&mut test), [[12.0, 24.0, 36.0], [2.0, 24.0, 36.0]]);
}

#[test]
fn a_coordinate_that_does_not_exist_is_refused() {
    let recording = Recording::<Player>::new("player").observe_world_position_fields(["w"]);
    let error = TestApp::new().try_add_recording(recording).err().unwrap().to_string();
    assert!(error.contains("`w`") && error.contains("`x`"), "{error}");
}

#[test]
fn what_is_never_found_is_reported_at_the_end() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .observe_single::<Ball, Transform>()
                .observe_related::<Children, Weapon>()
                .observe_count::<Ball>(),
        );
        test.world_mut().spawn((Player, Age(0.0)));
        test.ticks(3);
        assert!(log.warnings().is_empty());
        test.world_mut().write_message(AppExit::Success);
        test.update();
    });
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (line, method) in warnings
        .iter()
        .zip(["`observe_single`", "`observe_related`", "`observe_count`"])
    {
        assert!(line.contains(method), "{line}");
    }
}

#[test]
fn columns_of_one_name_are_refused() {
    let recording = Recording::<Player>::new("player")
        .observe_single::<Ball, Transform>()
        .observe_single::<Ball, Transform>();
    let error = TestApp::new().try_add_recording(recording).err().unwrap().to_string();
    assert!(error.contains("two columns `ball.transform.translation.x`"), "{error}");
}
