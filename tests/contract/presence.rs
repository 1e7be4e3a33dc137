//! Components that come and go: their presence, and their values while they are there.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::{Reflect, TypePath};

#[derive(Component, TypePath)]
struct Stunned;

/// Stored in a sparse set, not in a table.
#[derive(Component, Reflect)]
#[component(storage = "SparseSet")]
struct Burning(f32);

#[derive(Component, Reflect)]
struct Shield {
    strength: f32,
    kind: Kind,
}

#[derive(Reflect, Clone, Copy)]
enum Kind {
    Wood,
    Iron,
}

fn app(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(
        recording
            .observe::<Age>()
            .observe_has::<Stunned>()
            .observe_optional::<Shield>()
            .observe_optional_fields::<Burning>(["0"])
            .observe_optional_with::<Burning>(["heat"], |burning, out| {
                out[0] = burning.map_or(-5.0, |burning| burning.0);
            }),
    );
    test.add_systems(FixedUpdate, grow);
    test
}

/// Plays with components that come and go, and returns the rows of the only episode without the age.
fn play(mut test: TestApp) -> Vec<(u32, Vec<f32>)> {
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(1);
    test.world_mut().entity_mut(player).insert(Stunned);
    test.ticks(1);
    test.world_mut().entity_mut(player).insert(Shield {
        strength: 3.0,
        kind: Kind::Iron,
    });
    test.ticks(1);
    test.world_mut()
        .entity_mut(player)
        .remove::<Stunned>()
        .insert(Burning(2.0));
    test.ticks(1);
    test.world_mut().entity_mut(player).remove::<(Shield, Burning)>();
    test.ticks(2);
    let _ = Kind::Wood;
    let episodes = test.finish();
    let [episode] = &*episodes else {
        panic!("one episode, not {}", episodes.len())
    };
    (0..episode.len())
        .map(|step| episode.transition(step))
        .map(|step| (step.ticks(), step.next_observation().to_vec()))
        .collect()
}

#[test]
fn components_come_and_go_within_an_episode() {
    let test = app(Recording::new("player"));
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    assert_eq!(
        schema.feature_names(),
        [
            "age",
            "stunned.present",
            "shield.strength",
            "shield.kind=Wood",
            "shield.kind=Iron",
            "shield.present",
            "burning",
            "burning.present",
            "heat"
        ]
    );
    assert_eq!(
        play(test),
        [
            (1, vec![2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -5.0]),
            (1, vec![3.0, 1.0, 3.0, 0.0, 1.0, 1.0, 0.0, 0.0, -5.0]),
            (1, vec![4.0, 0.0, 3.0, 0.0, 1.0, 1.0, 2.0, 1.0, 2.0]),
            (1, vec![5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -5.0]),
            (1, vec![6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -5.0]),
        ]
    );
}

/// A component that is removed leaves no change tick on the player.
#[test]
fn a_removed_component_is_a_change() {
    let still = |recording: Recording<Player>| {
        let mut test = TestApp::new();
        test.record(
            recording
                .observe_has::<Stunned>()
                .observe_optional::<Burning>()
                .mode(RecordMode::OnChange),
        );
        // Others stay as they are.
        for _ in 0..3 {
            test.world_mut().spawn(Player);
        }
        let player = test.world_mut().spawn((Player, AgentId(0))).id();
        for tick in 0..12 {
            let mut entity = test.world_mut().entity_mut(player);
            match tick {
                2 => drop(entity.insert(Stunned)),
                4 => drop(entity.remove::<Stunned>()),
                6 => drop(entity.insert(Burning(2.0))),
                7 => entity.get_mut::<Burning>().unwrap().0 = 3.0,
                9 => drop(entity.remove::<Burning>()),
                _ => {}
            }
            test.ticks(1);
        }
        let episodes = test.finish();
        let steps = episodes[0].transitions();
        steps
            .map(|step| (step.ticks(), step.next_observation().to_vec()))
            .collect::<Vec<_>>()
    };
    let expected = [
        (2, vec![1.0, 0.0, 0.0]),
        (2, vec![0.0, 0.0, 0.0]),
        (2, vec![0.0, 2.0, 1.0]),
        (1, vec![0.0, 3.0, 1.0]),
        (2, vec![0.0, 0.0, 0.0]),
        (2, vec![0.0, 0.0, 0.0]),
    ];
    assert_eq!(still(Recording::new("player")), expected);
    assert_eq!(still(Recording::new("player").trust_change_ticks()), expected);
}

#[test]
fn an_optional_component_that_only_children_have_is_reported_at_the_end() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = app(Recording::new("player"));
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.world_mut().spawn((Stunned, ChildOf(player)));
        test.ticks(3);
        test.world_mut().write_message(AppExit::Success);
        test.update();
    });
    let line = log.warning();
    assert!(
        line.contains("::Stunned`") && line.contains("`observe_related`"),
        "{line}"
    );
}
