//! Lists of entities: their columns, their order, and which entities they hold.

use crate::player::Player;
use bevy_app::prelude::*;
use bevy_ecs::{entity_disabling::Disabled, prelude::*};
use bevy_experience::{prelude::*, schema::Schema, test_app::TestApp};
use bevy_math::Vec3;
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Component, Reflect)]
struct Soldier;

#[derive(Component, Reflect)]
#[component(storage = "SparseSet")]
struct Tower;

#[derive(Component, Reflect)]
struct Health(f32);

#[derive(Component, Reflect)]
struct Team(i64);

fn units(capacity: usize) -> EntityList {
    EntityList::new("units", capacity)
        .kind::<Soldier>("soldier")
        .kind::<Tower>("tower")
        .xy()
        .with_field::<Health>("")
}

fn app(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording);
    test
}

fn schema(test: &TestApp) -> Arc<Schema> {
    test.world().resource::<Experience>().schema("player").unwrap().clone()
}

fn at(x: f32, y: f32) -> Transform {
    Transform::from_xyz(x, y, 0.0)
}

/// The first observation of the only player.
fn first_observation(mut test: TestApp) -> Vec<f32> {
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    episodes[0].row(0).observation().to_vec()
}

#[test]
fn a_list_has_a_mask_a_kind_a_position_and_fields() {
    let mut test = app(Recording::<Player>::new("player").observe_entities(units(3).within(5.0)));
    test.world_mut().spawn((Player, at(1.0, 1.0)));
    test.world_mut().spawn((Tower, Health(9.0), at(1.0, 3.0)));
    test.world_mut().spawn((Soldier, Transform::from_xyz(2.0, 1.0, 50.0)));
    test.world_mut().spawn((Soldier, Health(2.0), at(7.0, 1.0)));
    let schema = schema(&test);
    assert_eq!(
        schema.feature_names()[..7],
        [
            "units[0].present",
            "units[0].kind=soldier",
            "units[0].kind=tower",
            "units[0].dx",
            "units[0].dy",
            "units[0].health",
            "units[1].present"
        ]
    );
    assert_eq!(schema.feature_names().last().unwrap(), "units.overflow");
    let list = schema.list("units").unwrap();
    assert_eq!((list.capacity(), list.features().len()), (3, 6));
    let observation = first_observation(test);
    assert_eq!(
        list.present(&observation).collect::<Vec<_>>(),
        [
            // A soldier without health has zeros. The third soldier is out of sight.
            [1.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            [1.0, 0.0, 1.0, 0.0, 2.0, 9.0],
        ]
    );
    assert_eq!(observation[12..], [0.0; 7]);
}

#[test]
fn a_list_of_one_kind_has_no_kind() {
    let list = EntityList::new("units", 1).kind::<Soldier>("soldier").xz();
    let test = app(Recording::<Player>::new("player").observe_entities(list));
    assert_eq!(
        schema(&test).feature_names(),
        ["units[0].present", "units[0].dx", "units[0].dz", "units.overflow"]
    );
}

#[test]
fn an_entity_of_two_kinds_is_of_the_first() {
    let mut test = app(Recording::<Player>::new("player").observe_entities(units(2)));
    test.world_mut().spawn((Player, at(0.0, 0.0)));
    test.world_mut().spawn((Soldier, Tower, at(1.0, 0.0)));
    assert_eq!(first_observation(test)[..6], [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn the_nearest_are_in_the_list_and_the_others_are_counted() {
    for order in [EntityOrder::Distance, EntityOrder::Id] {
        let list = EntityList::new("units", 2)
            .kind::<Player>("player")
            .within(10.0)
            .xy()
            .order(order);
        let mut test = app(Recording::<Player>::new("player").observe_entities(list));
        for (agent, x) in [(0, 0.0), (1, 3.0), (2, -2.0), (3, 1.0), (4, 9.0), (5, 11.0)] {
            test.world_mut().spawn((Player, AgentId(agent), at(x, 0.0)));
        }
        test.ticks(2);
        let list = schema(&test).list("units").unwrap();
        let episodes = test.finish();
        let observation = episodes[0].row(0).observation();
        let along: Vec<_> = list.present(observation).map(|unit| unit[1]).collect();
        let expected = match order {
            EntityOrder::Distance => [1.0, -2.0],
            EntityOrder::Id => [-2.0, 1.0],
        };
        assert_eq!(along, expected, "{order:?}");
        assert_eq!(list.overflow(observation), 2.0, "agents 1 and 4 do not fit");
    }
}

#[test]
fn an_order_by_id_does_not_depend_on_movement() {
    let list = EntityList::new("units", 4)
        .kind::<Soldier>("soldier")
        .order(EntityOrder::Id)
        .world_positions();
    let mut test = app(Recording::<Player>::new("player").observe_entities(list));
    test.world_mut().spawn((Player, at(0.0, 0.0)));
    let soldiers: Vec<_> = [1.0, 2.0, 3.0]
        .map(|z| test.world_mut().spawn((Soldier, Transform::from_xyz(0.0, 0.0, z))).id())
        .to_vec();
    // They swap places, the order by distance reverses, and an archetype move changes the order in memory.
    for tick in 0..4 {
        for (index, &soldier) in soldiers.iter().enumerate() {
            let x = if tick % 2 == 0 {
                index as f32
            } else {
                -10.0 * index as f32
            };
            test.world_mut().get_mut::<Transform>(soldier).unwrap().translation.x = x;
        }
        if tick == 2 {
            test.world_mut().entity_mut(soldiers[0]).insert(Health(1.0));
        }
        test.ticks(1);
    }
    let schema = schema(&test);
    assert_eq!(schema.feature_names()[1..4], ["units[0].x", "units[0].y", "units[0].z"]);
    let list = schema.list("units").unwrap();
    let episodes = test.finish();
    assert!(episodes[0].len() >= 3);
    for row in 0..=episodes[0].len() {
        let along: Vec<_> = list
            .present(episodes[0].row(row).observation())
            .map(|unit| unit[3])
            .collect();
        assert_eq!(along, [1.0, 2.0, 3.0], "row {row}");
    }
}

#[test]
fn excluded_entities_and_the_player_itself_are_not_listed() {
    let list = EntityList::new("units", 4)
        .kind::<Player>("player")
        .kind::<Soldier>("soldier");
    let mut test = app(Recording::<Player>::new("player").observe_entities(list));
    test.world_mut().spawn((Player, at(0.0, 0.0)));
    let hidden = test.world_mut().spawn((Player, at(1.0, 0.0), DoNotRecord)).id();
    test.world_mut().spawn((Soldier, at(1.0, 0.0), ChildOf(hidden)));
    test.world_mut().spawn((Soldier, at(1.0, 0.0), Disabled));
    test.world_mut().spawn(Soldier);
    for far in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        test.world_mut().spawn((Soldier, at(far, 0.0)));
    }
    let observation = first_observation(test);
    assert_eq!(observation, vec![0.0; observation.len()]);
}

#[test]
fn a_final_observation_lists_what_is_within_sight() {
    let mut test = app(Recording::<Player>::new("player").observe_entities(units(2).within(5.0)));
    let player = test.world_mut().spawn((Player, at(0.0, 0.0))).id();
    for x in [1.0, 2.0, 3.0, 9.0] {
        test.world_mut().spawn((Soldier, Health(x), at(x, 0.0)));
    }
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
    test.ticks(1);
    let episodes = test.finish();
    let episode = &episodes[0];
    assert_eq!(episode.reason().as_str(), "death");
    let expected = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 0.0, 2.0, 1.0];
    for row in 0..=episode.len() {
        assert_eq!(episode.row(row).observation(), expected, "row {row}");
    }
}

#[test]
fn on_change_writes_a_row_when_a_listed_entity_moves() {
    for trusts_ticks in [false, true] {
        let mut recording = Recording::<Player>::new("player")
            .observe_entities(units(2).within(5.0))
            .mode(RecordMode::OnChange);
        if trusts_ticks {
            recording = recording.trust_change_ticks();
        }
        let mut test = app(recording);
        test.world_mut().spawn((Player, at(0.0, 0.0)));
        let soldier = test.world_mut().spawn((Soldier, at(1.0, 0.0))).id();
        test.ticks(5);
        test.world_mut().get_mut::<Transform>(soldier).unwrap().translation.x = 2.0;
        test.ticks(5);
        let episodes = test.finish();
        let along: Vec<_> = (0..=episodes[0].len())
            .map(|row| episodes[0].row(row).observation()[3])
            .collect();
        assert_eq!(along[..2], [1.0, 2.0], "{along:?}");
        assert!(along.len() <= 3, "{along:?}");
    }
}

#[test]
fn invalid_lists_are_refused() {
    let one = || EntityList::new("units", 2).kind::<Soldier>("soldier");
    let refuse = |recording: Recording<Player>| {
        let mut app = App::new();
        app.add_plugins(ExperiencePlugin::default());
        match app.try_add_recording(recording) {
            Ok(_) => panic!("the list was accepted"),
            Err(error) => error.to_string(),
        }
    };
    let observing = |list| Recording::<Player>::new("player").observe_entities(list);
    for (list, expected) in [
        (
            EntityList::new("units", 0).kind::<Soldier>("soldier"),
            "capacity of 1 or more",
        ),
        (
            EntityList::new("units", 5000).kind::<Soldier>("soldier"),
            "4096 or less",
        ),
        (EntityList::new("units", 2), "add one with `kind::<Component>"),
        (EntityList::new("", 2).kind::<Soldier>("soldier"), "has no name"),
        (one().within(f32::NAN), "the distance NaN"),
        (one().within(-1.0), "the distance -1"),
        (one().kind::<Tower>(""), "without a label"),
        (one().kind::<Tower>("soldier"), "the kind `soldier` twice"),
        (one().kind::<Soldier>("again"), "the kind `soldier` twice"),
    ] {
        let error = refuse(observing(list));
        assert!(error.contains("`player`") && error.contains(expected), "{error}");
    }
    let error = refuse(observing(one()).observe_entities(one()));
    assert!(error.contains("`units` exists twice"), "{error}");
    let error = refuse(observing(one().with_field::<Health>("").with_field::<Health>("")));
    assert!(error.contains("`units[0].health`"), "{error}");
    let error = refuse(observing(one()).observe_with::<Health>(["units[7].armor"], |_, _| {}));
    assert!(error.contains("`units` has the name of other columns"), "{error}");
    let error = refuse(observing(one().with_field::<Team>("")));
    assert!(error.contains("`team`") && error.contains("allow_lossy"), "{error}");
    let error = refuse(observing(one().with_field::<Health>("armor")));
    assert!(error.contains("no field `armor`"), "{error}");
}

#[test]
fn nearest_neighbours_are_no_list_of_the_schema() {
    let test = app(Recording::<Player>::new("player").observe_nearest::<Soldier>(2, 5.0));
    let schema = schema(&test);
    assert_eq!(schema.lists().count(), 0);
    // As before there were lists.
    assert_eq!(format!("{:016x}", schema.hash()), "c1dd5857c8766232");
}

/// A unit of a generated world.
#[derive(Clone, Copy, Debug)]
struct Unit {
    at: Vec3,
    is_tower: bool,
    team: Option<i64>,
}

fn unit() -> impl Strategy<Value = Unit> {
    let coordinate = || {
        prop_oneof![
            8 => -10.0..10.0_f32,
            // On a lattice, where distances tie.
            8 => (-4..4_i8).prop_map(f32::from),
            1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(1e30)],
        ]
    };
    let at = (coordinate(), coordinate(), coordinate()).prop_map(Vec3::from);
    let team = prop_oneof![Just(None), (0..3_i64).prop_map(Some)];
    (at, any::<bool>(), team).prop_map(|(at, is_tower, team)| Unit { at, is_tower, team })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_matches_a_search_of_all_entities(
        viewer in unit(),
        units in prop::collection::vec(unit(), 0..120),
        capacity in 1..12_usize,
        within in prop_oneof![0.0..15.0_f32, (1..5_i8).prop_map(f32::from), Just(f32::INFINITY)],
        by_id: bool,
        in_world: bool,
    ) {
        prop_assume!(viewer.at.is_finite());
        let mut list = EntityList::new("units", capacity)
            .kind::<Soldier>("soldier")
            .kind::<Tower>("tower")
            .within(within)
            .with_field::<Health>("");
        if by_id {
            list = list.order(EntityOrder::Id);
        }
        if in_world {
            list = list.world_positions();
        }
        let mut test = app(Recording::<Player>::new("player").observe_entities(list).match_id::<Team>());
        let place = |unit: &Unit| Transform::from_translation(unit.at);
        let mut spawned = test.world_mut().spawn((Player, place(&viewer)));
        if let Some(team) = viewer.team {
            spawned.insert(Team(team));
        }
        for (index, unit) in units.iter().enumerate() {
            let agent = AgentId((index as i64 * 7).rem_euclid(127));
            let mut spawned = test.world_mut().spawn((place(unit), Health(index as f32), agent));
            if unit.is_tower {
                spawned.insert(Tower);
            } else {
                spawned.insert(Soldier);
            }
            if let Some(team) = unit.team {
                spawned.insert(Team(team));
            }
        }
        let distance = |index: usize| units[index].at.distance_squared(viewer.at);
        let mut seen: Vec<usize> = (0..units.len())
            .filter(|&index| {
                let is_of_match = viewer.team.zip(units[index].team).is_none_or(|(own, other)| own == other);
                is_of_match && distance(index) <= within * within && distance(index).is_finite()
            })
            .collect();
        let agent = |index: usize| (index as i64 * 7).rem_euclid(127);
        seen.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(agent(a).cmp(&agent(b))));
        let overflow = seen.len().saturating_sub(capacity);
        seen.truncate(capacity);
        if by_id {
            seen.sort_by_key(|&index| agent(index));
        }
        let origin = if in_world { Vec3::ZERO } else { viewer.at };
        let mut expected: Vec<f32> = seen
            .into_iter()
            .flat_map(|index| {
                let Unit { at, is_tower, .. } = units[index];
                let position = at - origin;
                let kind = f32::from(u8::from(is_tower));
                [1.0, 1.0 - kind, kind, position.x, position.y, position.z, index as f32]
            })
            .collect();
        expected.resize(capacity * 7, 0.0);
        expected.push(overflow as f32);
        prop_assert_eq!(first_observation(test), expected);
    }
}
