//! Observations and actions from resources: the same values for all players.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;

#[derive(Resource, Reflect)]
struct Match {
    seconds_left: f32,
    round: u8,
    goals: [u8; 2],
}

/// The keys of a local player.
#[derive(Resource, Default)]
struct Keys {
    left: bool,
    right: bool,
    jump: bool,
}

#[derive(Resource, Reflect, Clone)]
struct Stick {
    turn: f32,
    fire: bool,
}

fn actions(test: &mut TestApp) -> Vec<Vec<f64>> {
    let episodes = test.finish();
    let steps = episodes.iter().flat_map(Episode::transitions);
    steps.map(|step| step.action().collect()).collect()
}

#[test]
fn fields_and_functions_of_a_resource_are_observed() {
    let mut test = TestApp::new();
    test.insert_resource(Match {
        seconds_left: 30.0,
        round: 2,
        goals: [1, 3],
    });
    test.record(
        Recording::<Player>::new("player")
            .observe_resource_fields::<Match>(["round", "seconds_left"])
            .observe::<Age>()
            .observe_resource_with::<Match>(["lead"], |game, out| {
                out[0] = f32::from(game.goals[0]) - f32::from(game.goals[1]);
            }),
    );
    test.add_systems(FixedUpdate, (grow, |mut game: ResMut<Match>| game.seconds_left -= 1.0));
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    assert_eq!(
        schema.feature_names(),
        ["match.round", "match.seconds_left", "age", "lead"]
    );
    for age in [0.0, 10.0] {
        test.world_mut().spawn((Player, Age(age)));
    }
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(episodes[0].row(1).observation(), [2.0, 28.0, 2.0, -2.0]);
    assert_eq!(episodes[1].row(1).observation(), [2.0, 28.0, 12.0, -2.0]);
}

#[test]
fn actions_come_from_resources_with_their_types() {
    let mut test = TestApp::new();
    test.insert_resource(Stick { turn: 0.5, fire: true })
        .insert_resource(Keys {
            right: true,
            jump: true,
            ..Default::default()
        });
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .act_resource::<Stick>()
            .act_resource_with::<Keys>(["walk"], |keys, out| {
                out[0] = f32::from(keys.right) - f32::from(keys.left);
            })
            .act_resource_discrete_with::<Keys>("jump", 2, |keys| i64::from(keys.jump)),
    );
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(2);
    let schema = test.world().resource::<Experience>().schema("player").unwrap().clone();
    let names: Vec<_> = schema.action().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["stick.turn", "stick.fire", "walk", "jump"]);
    assert_eq!(actions(&mut test), [[0.5, 1.0, 1.0, 1.0]]);
}

#[test]
fn an_action_of_a_resource_is_read_after_the_named_schedule() {
    let play = |recording: Recording<Player>| {
        let mut test = TestApp::new();
        test.insert_resource(Stick { turn: 0.0, fire: false });
        test.record(recording.observe::<Age>().act_resource::<Stick>());
        let mut tick = 0.0;
        test.add_systems(FixedPreUpdate, move |mut stick: ResMut<Stick>| {
            tick += 1.0;
            stick.turn = tick;
        });
        // The game consumes the input.
        test.add_systems(FixedUpdate, |mut stick: ResMut<Stick>| stick.turn = 0.0);
        test.world_mut().spawn((Player, Age(0.0)));
        test.ticks(4);
        actions(&mut test)
    };
    let at_capture = play(Recording::new("player"));
    assert_eq!(at_capture, [[0.0, 0.0]; 3]);
    let early = play(Recording::new("player").read_actions_after(FixedPreUpdate));
    assert_eq!(early, [[2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]);
}

#[test]
fn players_are_not_recorded_without_a_resource_which_is_logged_once() {
    for early in [false, true] {
        let log = LogLines::default();
        log.collect(|| {
            let mut test = TestApp::new();
            let mut recording = Recording::<Player>::new("player")
                .observe::<Age>()
                .act_resource::<Stick>();
            if early {
                recording = recording.read_actions_after(FixedPreUpdate);
            }
            test.record(recording);
            test.add_systems(FixedUpdate, grow);
            test.world_mut().spawn((Player, Age(0.0)));
            test.ticks(4);
            test.insert_resource(Stick { turn: 1.0, fire: false });
            test.ticks(3);
            test.world_mut().remove_resource::<Stick>();
            test.ticks(3);
            let episodes = test.finish();
            let lengths: Vec<_> = episodes.iter().map(Episode::len).collect();
            assert_eq!(lengths, [2], "early: {early}");
            assert_eq!(episodes[0].row(0).observation(), [5.0]);
            assert_eq!(episodes[0].reason(), &EndReason::COMPONENT_LOST);
        });
        let line = log.warning();
        assert!(
            line.contains("::Stick`") && line.contains("until it is inserted"),
            "{line}"
        );
    }
}

#[test]
fn a_resource_that_is_read_as_a_component_is_refused_with_the_method_for_it() {
    let error = |recording: Recording<Player>| {
        let error = TestApp::new().try_add_recording(recording.observe::<Age>()).err();
        error.expect("a resource is no component of players").to_string()
    };
    let recording = || Recording::<Player>::new("player");
    for (refused, method) in [
        (error(recording().observe::<Stick>()), "`observe_resource`"),
        (
            error(recording().observe_fields::<Stick>(["turn"])),
            "`observe_resource_fields`",
        ),
        (
            error(recording().observe_with::<Keys>(["x"], |_, _| ())),
            "`observe_resource_with`",
        ),
        (error(recording().act::<Stick>()), "`act_resource`"),
        (
            error(recording().act_with::<Keys>(["x"], |_, _| ())),
            "`act_resource_with`",
        ),
        (
            error(recording().act_discrete_with::<Keys>("x", 2, |_| 0)),
            "`act_resource_discrete_with`",
        ),
        (error(recording().info::<Stick>()), "a component of the players"),
        (error(recording().observe_has::<Stick>()), "`observe_resource`"),
        (error(recording().observe_optional::<Stick>()), "`observe_resource`"),
        (
            error(recording().observe_single::<Player, Stick>()),
            "`observe_resource`",
        ),
        (
            error(recording().observe_related::<ChildOf, Stick>()),
            "`observe_resource`",
        ),
        (error(recording().observe_count::<Stick>()), "`observe_resource`"),
        (error(recording().match_id::<Stick>()), "`match_id`"),
    ] {
        assert!(
            refused.contains("it is a resource") && refused.contains(method),
            "{refused}"
        );
    }
}
