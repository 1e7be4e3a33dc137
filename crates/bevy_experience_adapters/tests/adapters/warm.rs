//! Capture of many players: a warm tick allocates nothing, and several threads record the same rows as one.

use crate::{
    allocations::allocations,
    game::{Place, is_pressed, recording, set_key},
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::SingleThreadedExecutor};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_adapters::prelude::*;
use bevy_input::{InputPlugin, gamepad::Gamepad, prelude::*};

const PLAYERS: i64 = 150;

fn move_all(mut places: Query<&mut Place>) {
    for mut place in &mut places {
        place.0 += 1.0;
    }
}

fn of_devices() -> Recording<Place> {
    recording()
        .act_buttons([(KeyCode::KeyA, "left"), (KeyCode::ArrowLeft, "left")])
        .act_just_pressed_buttons([(KeyCode::Space, "jump")])
        .act_discrete_buttons("turn", [(KeyCode::KeyQ, "left"), (KeyCode::KeyE, "right")])
        .act_button_axes([(KeyCode::KeyS, KeyCode::KeyW, "move.y")])
        .act_mouse_motion(["look.x", "look.y"])
        .act_gamepad_axes::<GamepadOf, _>([(GamepadAxis::LeftStickX, "move.x")])
        .act_gamepad_buttons::<GamepadOf>([(GamepadButton::South, "fire")])
        .act_discrete_gamepad_buttons::<GamepadOf>("weapon", [(GamepadButton::East, "next")])
}

/// A game of many players, each with a gamepad.
fn game(enabled: bool, recording: Recording<Place>, scaling: PlayerScaling) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled,
        ..Default::default()
    });
    test.add_plugins(InputPlugin).add_systems(FixedUpdate, move_all);
    add_input_managers(&mut test);
    test.record(recording.scaling(scaling).buffers(BufferSettings {
        capacity: 512,
        ..Default::default()
    }));
    App::finish(&mut test);
    App::cleanup(&mut test);
    for agent in 0..PLAYERS {
        let world = test.world_mut();
        let mut gamepad = Gamepad::default();
        gamepad
            .analog_mut()
            .set(GamepadAxis::LeftStickX, (agent % 20) as f32 / 20.0);
        if agent % 3 == 0 {
            gamepad.digital_mut().press(GamepadButton::South);
        }
        if agent % 5 == 0 {
            gamepad.digital_mut().press(GamepadButton::East);
        }
        let gamepad = world.spawn(gamepad).id();
        let mut player = world.spawn((Place(agent as f32), AgentId(agent), GamepadOf(gamepad)));
        insert_input_managers(&mut player);
    }
    // The allocations of a multi-threaded executor depend on timing.
    for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
        schedule.set_executor(SingleThreadedExecutor::new());
    }
    test
}

fn add_input_managers(test: &mut TestApp) {
    #[cfg(feature = "leafwing")]
    test.add_plugins(leafwing_input_manager::prelude::InputManagerPlugin::<
        crate::leafwing::Action,
    >::default());
    #[cfg(feature = "enhanced_input")]
    {
        use bevy_enhanced_input::prelude::*;
        test.add_plugins(EnhancedInputPlugin).add_input_context::<Place>();
    }
    let _ = test;
}

fn insert_input_managers(player: &mut EntityWorldMut<'_>) {
    #[cfg(feature = "leafwing")]
    player.insert(crate::leafwing::input_map());
    #[cfg(feature = "enhanced_input")]
    player.insert(crate::enhanced_input::actions());
    let _ = player;
}

/// The recordings of the adapters.
fn recordings() -> Vec<(&'static str, fn() -> Recording<Place>)> {
    vec![
        ("devices", of_devices),
        #[cfg(feature = "leafwing")]
        ("leafwing", crate::leafwing::recorded),
        #[cfg(feature = "enhanced_input")]
        ("enhanced_input", crate::enhanced_input::recorded),
    ]
}

fn press_keys(test: &mut TestApp, frame: u32) {
    let keys = [
        KeyCode::KeyA,
        KeyCode::KeyQ,
        KeyCode::KeyW,
        KeyCode::Space,
        KeyCode::ShiftLeft,
    ];
    for (index, key) in keys.into_iter().enumerate() {
        set_key(test.world_mut(), key, is_pressed(frame, index as u32));
    }
}

fn expecting() -> PlayerScaling {
    PlayerScaling {
        expected_players: PLAYERS as usize,
        ..Default::default()
    }
}

fn allocations_of_a_game(enabled: bool, recording: Recording<Place>) -> u64 {
    let mut test = game(enabled, recording, expecting());
    for frame in 0..120 {
        press_keys(&mut test, frame);
        test.ticks(1);
    }
    let mut sum = 0;
    for frame in 120..250 {
        press_keys(&mut test, frame);
        let before = allocations();
        test.ticks(1);
        sum += allocations() - before;
    }
    sum
}

#[test]
fn a_warm_tick_allocates_nothing() {
    for (name, recording) in recordings() {
        let without = allocations_of_a_game(false, recording());
        assert_eq!(allocations_of_a_game(true, recording()), without, "{name}");
    }
}

#[test]
fn several_threads_record_the_same_rows_as_one() {
    for (name, recording) in recordings() {
        let play = |parallel_above: usize| {
            let scaling = PlayerScaling {
                parallel_above: Some(parallel_above),
                ..expecting()
            };
            let mut test = game(true, recording(), scaling);
            for frame in 0..60 {
                press_keys(&mut test, frame);
                test.ticks(1);
            }
            let episodes = test.finish();
            let rows = episodes.iter().flat_map(|episode| {
                let agent = episode.info().agent_id;
                episode.transitions().map(move |step| {
                    let action: Vec<_> = step.action().collect();
                    (
                        agent,
                        step.observation().to_vec(),
                        action,
                        step.next_observation().to_vec(),
                    )
                })
            });
            rows.collect::<Vec<_>>()
        };
        let serial = play(usize::MAX);
        assert_eq!(serial.len(), PLAYERS as usize * 59, "{name}");
        assert_eq!(play(0), serial, "{name}");
    }
}

/// Bodies, with contacts.
#[cfg(feature = "avian2d")]
mod bodies {
    use super::*;
    use avian2d::prelude::*;
    use bevy_ecs::schedule::ScheduleLabel;
    use bevy_experience::{
        plugin::{ExperienceCapture, ExperienceTick},
        transition::Episode,
    };
    use bevy_experience_adapters::avian2d::Avian2dRecordingExt;
    use bevy_transform::{TransformPlugin, components::Transform};

    #[derive(Component, bevy_reflect::Reflect)]
    struct Ball;

    fn recording() -> Recording<Ball> {
        Recording::<Ball>::new("ball")
            .observe_body()
            .observe_contacts()
            .observe_grounded(0.8)
    }

    fn game(recording: Recording<Ball>, parallel_above: usize) -> TestApp {
        let mut test = TestApp::new();
        test.add_plugins((TransformPlugin, PhysicsPlugins::default()));
        test.record(
            recording
                .scaling(PlayerScaling {
                    parallel_above: Some(parallel_above),
                    ..expecting()
                })
                .buffers(BufferSettings {
                    capacity: 512,
                    ..Default::default()
                }),
        );
        App::finish(&mut test);
        App::cleanup(&mut test);
        test.world_mut().spawn((
            RigidBody::Static,
            Collider::rectangle(1000.0, 1.0),
            Transform::default(),
        ));
        for agent in 0..PLAYERS {
            let at = Transform::from_xyz(agent as f32 * 1.5 - 100.0, 1.05, 0.0);
            test.world_mut()
                .spawn((Ball, AgentId(agent), RigidBody::Dynamic, Collider::circle(0.5), at));
        }
        for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
            schedule.set_executor(SingleThreadedExecutor::new());
        }
        test.ticks(40);
        test
    }

    #[test]
    fn several_threads_record_the_same_rows_as_one() {
        let play = |parallel_above| {
            let mut test = game(recording(), parallel_above);
            test.ticks(40);
            let episodes = test.finish();
            let rows = episodes.iter().flat_map(|episode| {
                let agent = episode.info().agent_id;
                episode
                    .transitions()
                    .map(move |step| (agent, step.observation().to_vec()))
            });
            rows.collect::<Vec<_>>()
        };
        let serial = play(usize::MAX);
        assert!(serial.len() >= PLAYERS as usize * 70);
        assert!(serial.iter().any(|(_, observation)| observation.last() == Some(&1.0)));
        assert_eq!(play(0), serial);
    }

    /// Names captures that the test runs itself, so that the allocations of avian do not count.
    #[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
    struct Measured;

    #[test]
    fn a_warm_capture_allocates_nothing() {
        let mut test = game(recording().capture_after(Measured), usize::MAX);
        let mut captures = |ticks: u32| {
            let mut sum = 0;
            for _ in 0..ticks {
                let before = allocations();
                test.world_mut().run_schedule(ExperienceTick);
                sum += allocations() - before;
                test.ticks(1);
                let before = allocations();
                test.world_mut().run_schedule(ExperienceCapture);
                sum += allocations() - before;
            }
            sum
        };
        assert!(captures(60) > 0, "the first captures allocate what is kept");
        assert_eq!(captures(200), 0);
        let episodes = test.finish();
        let rows = || episodes.iter().flat_map(Episode::transitions);
        assert!(rows().count() >= PLAYERS as usize * 255);
        assert!(rows().any(|row| row.observation().last() == Some(&1.0)), "bodies stand");
    }
}
