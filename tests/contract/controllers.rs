//! Contract, rule 1 (alignment): the controller belongs to the action of its row.

use crate::{log_lines::LogLines, player::Player, support::Choice};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{
    buffer::pool::PoolSettings,
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Outcome},
};
use bevy_reflect::Reflect;
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[derive(Component, Reflect, Clone, Copy)]
struct Place(f32);

/// Who controls the player, by the number in its action.
fn controller(number: u8) -> Option<Controller> {
    match number {
        0 => None,
        1 => Some(Controller::Person),
        2 => Some(Controller::script("hunter")),
        other => Some(Controller::policy("fighter", other)),
    }
}

fn label(number: u8) -> Option<String> {
    controller(number).map(|controller| controller.to_string())
}

fn recording(name: &'static str) -> Recording<Player> {
    Recording::new(name)
        .observe::<Place>()
        .act::<Choice>()
        .buffers(BufferSettings {
            capacity: 4096,
            ..Default::default()
        })
}

fn advance(mut places: Query<&mut Place>) {
    for mut place in &mut places {
        place.0 += 1.0;
    }
}

fn spawn(test: &mut TestApp, agent: i64) -> Entity {
    let player = (Player, Place(0.0), Choice(0.0), AgentId(agent));
    test.world_mut().spawn(player).id()
}

/// Something else takes over the player, and acts: its number is the action.
fn take_over(world: &mut World, player: Entity, number: u8) {
    let mut player = world.entity_mut(player);
    match controller(number) {
        Some(controller) => player.insert(controller),
        None => player.remove::<Controller>(),
    };
    if let Some(mut choice) = player.get_mut::<Choice>() {
        choice.0 = f32::from(number);
    }
}

/// The action and the controller of each transition.
fn acted(episodes: &[Episode]) -> Vec<(u8, Option<String>)> {
    let transitions = episodes.iter().flat_map(Episode::transitions);
    let step = |transition: bevy_experience::transition::Transition<'_>| {
        let action = transition.action().next().unwrap() as u8;
        (action, transition.controller().map(str::to_owned))
    };
    transitions.map(step).collect()
}

#[track_caller]
fn check(episodes: &[Episode], actions: &[u8]) {
    let expected: Vec<_> = actions.iter().map(|&number| (number, label(number))).collect();
    assert_eq!(acted(episodes), expected);
}

#[test]
fn the_controller_belongs_to_the_action_of_its_row() {
    let mut test = TestApp::new();
    test.record(recording("own"));
    test.record(recording("shared").scaling(PlayerScaling {
        pool_above: Some(0),
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, advance);
    let player = spawn(&mut test, 1);
    take_over(test.world_mut(), player, 2);
    test.ticks(1);
    for number in [2, 2, 1, 0, 3, 2] {
        take_over(test.world_mut(), player, number);
        test.ticks(1);
    }
    // An end between two ticks makes the last row the final one.
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    take_over(test.world_mut(), player, 1);
    test.ticks(1);
    for number in [1, 3] {
        take_over(test.world_mut(), player, number);
        test.ticks(1);
    }
    for name in ["own", "shared"] {
        let episodes = test.finish_recording(name);
        check(&episodes[..1], &[2, 2, 1, 0, 3, 2]);
        check(&episodes[1..], &[1, 3]);
    }
}

#[test]
fn the_controller_of_the_final_action_is_that_at_the_end() {
    // Within the tick: by an event, by a despawn, and by the removal of all components at once.
    for way in 0..3 {
        let mut test = TestApp::new();
        test.record(recording("player"));
        let player = spawn(&mut test, 1);
        let end = move |world: &mut World| {
            let Ok(found) = world.get_entity(player) else { return };
            if found.get::<Place>().is_some_and(|place| place.0 == 3.0) {
                take_over(world, player, 2);
                match way {
                    0 => world.trigger(EndEpisode::terminated(player, "goal")),
                    1 => {
                        world.despawn(player);
                    }
                    _ => {
                        world.entity_mut(player).remove::<(Controller, Player)>();
                    }
                }
                if way == 0 {
                    take_over(world, player, 1);
                }
            }
        };
        test.add_systems(FixedUpdate, (advance, end).chain());
        take_over(test.world_mut(), player, 1);
        test.ticks(4);
        let episodes = test.finish();
        check(&episodes[..1], &[1, 2]);
    }
}

#[test]
fn a_takeover_within_a_decision_interval_is_labelled_with_who_began_the_decision() {
    let mut test = TestApp::new();
    test.record(recording("first").decision_interval(3));
    test.record(recording("last").decision_interval(3).decision_tick(DecisionTick::Last));
    test.add_systems(FixedUpdate, advance);
    let player = spawn(&mut test, 1);
    test.ticks(1);
    for number in [1, 2, 3, 2, 2, 1, 0, 1, 2] {
        take_over(test.world_mut(), player, number);
        test.ticks(1);
    }
    check(&test.finish_recording("first"), &[1, 2, 0]);
    check(&test.finish_recording("last"), &[3, 1, 2]);
}

#[test]
fn an_action_that_is_read_early_has_the_controller_of_that_moment() {
    let mut test = TestApp::new();
    test.record(recording("player").read_actions_after(FixedPreUpdate));
    test.add_systems(FixedUpdate, advance);
    test.add_systems(
        FixedUpdate,
        |world: &mut World, players: &mut QueryState<Entity, With<Player>>| {
            let players: Vec<_> = players.iter(world).collect();
            for player in players {
                take_over(world, player, 0);
            }
        },
    );
    let player = spawn(&mut test, 1);
    test.ticks(1);
    for number in [1, 2, 3] {
        take_over(test.world_mut(), player, number);
        test.ticks(1);
    }
    check(&test.finish(), &[1, 2, 3]);
}

#[test]
fn a_change_of_the_controller_writes_a_row_in_on_change_mode() {
    for trusts in [false, true] {
        let mut test = TestApp::new();
        let recording = recording("player").mode(RecordMode::OnChange);
        test.record(if trusts {
            recording.trust_change_ticks()
        } else {
            recording
        });
        let player = spawn(&mut test, 1);
        test.ticks(1);
        // Neither the observation nor the action changes.
        for number in [1, 1, 1, 2, 2, 0, 0, 0, 1] {
            let mut player = test.world_mut().entity_mut(player);
            let now = player.get::<Controller>().cloned();
            if now != controller(number) {
                match controller(number) {
                    Some(controller) => player.insert(controller),
                    None => player.remove::<Controller>(),
                };
            }
            test.ticks(1);
        }
        let episodes = test.finish();
        let found: Vec<_> = episodes[0]
            .transitions()
            .map(|transition| (transition.controller().map(str::to_owned), transition.ticks()))
            .collect();
        assert_eq!(
            found,
            [(label(1), 3), (label(2), 2), (None, 3), (label(1), 1)],
            "trusts: {trusts}"
        );
    }
}

#[test]
fn a_decision_on_demand_has_the_controller_that_wrote_the_action() {
    for signals in [false, true] {
        let mut test = TestApp::new();
        test.record(recording("player").decision_on_demand());
        let player = spawn(&mut test, 1);
        test.world_mut().trigger(RequestDecision::of(player));
        test.ticks(1);
        for number in [1, 2, 3] {
            // One takes over after the request, acts, and leaves the seat before the next request.
            take_over(test.world_mut(), player, number);
            if signals {
                test.world_mut().trigger(DecisionMade::by(player));
            }
            test.ticks(1);
            if number == 3 {
                // Another one takes over after the action, and acts as well.
                take_over(test.world_mut(), player, 4);
                test.ticks(1);
            }
            let seat = controller(if number == 1 { 2 } else { 1 }).unwrap();
            test.world_mut().entity_mut(player).insert(seat);
            test.world_mut().trigger(RequestDecision::of(player));
            test.ticks(1);
        }
        // The first one has said that its decision is made.
        check(&test.finish(), if signals { &[1, 2, 3] } else { &[1, 2, 4] });
    }
}

#[test]
fn parallel_captures_record_the_same_controllers() {
    let play = |parallel_above: Option<usize>| {
        let mut test = TestApp::new();
        test.record(recording("player").scaling(PlayerScaling {
            expected_players: 600,
            parallel_above,
            pool: Some(PoolSettings {
                bytes: 32 << 20,
                shards: 3,
                ..PoolSettings::default()
            }),
            ..Default::default()
        }));
        test.add_systems(FixedUpdate, advance);
        let players: Vec<_> = (0..600).map(|agent| spawn(&mut test, agent)).collect();
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..40 {
            for _ in 0..60 {
                let player = players[random.random_range(0..players.len())];
                take_over(test.world_mut(), player, random.random_range(0..5));
            }
            test.ticks(1);
        }
        let episodes = test.finish();
        assert_eq!(episodes.len(), 600);
        acted(&episodes)
    };
    let serial = play(Some(usize::MAX));
    assert!(serial.iter().all(|(number, found)| *found == label(*number)));
    assert_eq!(play(Some(0)), serial);
}

#[test]
fn a_split_episode_continues_the_one_before_and_keeps_the_controller() {
    let mut test = TestApp::new();
    test.record(recording("player").episodes(EpisodeRules {
        max_steps: 2,
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, advance);
    let player = spawn(&mut test, 1);
    take_over(test.world_mut(), player, 2);
    test.ticks(6);
    let episodes = test.finish();
    check(&episodes, &[2, 2, 2, 2, 2]);
    let ids: Vec<_> = episodes.iter().map(|episode| Some(episode.info().episode_id)).collect();
    let continued: Vec<_> = episodes.iter().map(|episode| episode.info().continues).collect();
    assert_eq!(continued, [None, ids[0], ids[1]]);
    assert_eq!(episodes[1].outcome(), Outcome::Truncated);
}

#[test]
fn more_controllers_than_codes_are_other_and_logged_once() {
    let mut test = TestApp::new();
    test.record(recording("player"));
    test.add_systems(FixedUpdate, advance);
    let player = spawn(&mut test, 1);
    test.ticks(1);
    let log = LogLines::default();
    log.collect(|| {
        for version in 0..4099_u32 {
            let policy = Controller::policy("fighter", version);
            test.world_mut().entity_mut(player).insert(policy);
        }
        test.ticks(1);
    });
    let policy = Controller::policy("fighter", 7);
    test.world_mut().entity_mut(player).insert(policy);
    test.ticks(1);
    let labels: Vec<_> = acted(&test.finish())
        .into_iter()
        .map(|(_, label)| label.unwrap())
        .collect();
    assert_eq!(labels, ["other", "policy:fighter@7"]);
    let lines = log.lines();
    let warnings = lines.iter().filter(|line| line.contains("one controller too many"));
    assert_eq!(warnings.count(), 1, "{lines:?}");
}

/// One tick of a game with rollback, which it runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Simulate;

#[test]
fn a_tick_that_is_simulated_again_has_the_controller_of_its_last_simulation() {
    let mut test = TestApp::new();
    test.record(recording("player").capture_after(Simulate));
    test.add_systems(Simulate, |world: &mut World| {
        world.run_schedule(ExperienceCapture);
    });
    let player = spawn(&mut test, 1);
    for (simulated, confirmed, number) in [
        (1, 0, 1),
        (2, 0, 2),
        (2, 0, 3),
        (3, 2, 1),
        (4, 2, 3),
        (3, 2, 0),
        (4, 4, 2),
    ] {
        take_over(test.world_mut(), player, number);
        let ticks = SpeculativeTicks { simulated, confirmed };
        test.world_mut().insert_resource(ticks);
        test.world_mut().run_schedule(Simulate);
    }
    check(&test.finish(), &[3, 0, 2]);
}
