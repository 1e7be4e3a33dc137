//! Gamepads: each player's row has the input of its own gamepad.

use crate::game::{
    FRAME_RATES, GameLog, Place, Wanted, app, assert_rows, is_pressed, play, recording, schedules, step, timing, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::prelude::*;
use bevy_experience_adapters::prelude::*;
use bevy_input::gamepad::{
    Gamepad, GamepadAxis, GamepadButton, GamepadConnection, GamepadConnectionEvent, RawGamepadAxisChangedEvent,
    RawGamepadButtonChangedEvent, RawGamepadEvent,
};

const BUTTONS: [GamepadButton; 5] = [
    GamepadButton::South,
    GamepadButton::East,
    GamepadButton::DPadLeft,
    GamepadButton::DPadRight,
    GamepadButton::West,
];

fn action(gamepad: Option<&Gamepad>) -> Vec<f64> {
    let Some(gamepad) = gamepad else {
        return vec![0.0; 7];
    };
    let weapon = if gamepad.pressed(GamepadButton::DPadLeft) {
        1.0
    } else if gamepad.pressed(GamepadButton::DPadRight) {
        2.0
    } else {
        0.0
    };
    vec![
        gamepad.left_stick().x.into(),
        gamepad.left_stick().y.into(),
        gamepad.get(GamepadButton::RightTrigger2).unwrap_or(0.0).into(),
        gamepad.pressed(GamepadButton::South).into(),
        (gamepad.pressed(GamepadButton::East) || gamepad.pressed(GamepadButton::West)).into(),
        gamepad.just_pressed(GamepadButton::South).into(),
        weapon,
    ]
}

fn recorded() -> Recording<Place> {
    recording()
        .act_gamepad_axes::<GamepadOf, _>([(GamepadAxis::LeftStickX, "move.x"), (GamepadAxis::LeftStickY, "move.y")])
        .act_gamepad_axes::<GamepadOf, _>([(GamepadButton::RightTrigger2, "throttle")])
        .act_gamepad_buttons::<GamepadOf>([
            (GamepadButton::South, "jump"),
            (GamepadButton::East, "fire"),
            (GamepadButton::West, "fire"),
        ])
        .act_just_pressed_gamepad_buttons::<GamepadOf>([(GamepadButton::South, "jump.just_pressed")])
        .act_discrete_gamepad_buttons::<GamepadOf>(
            "weapon",
            [
                (GamepadButton::DPadLeft, "previous"),
                (GamepadButton::DPadRight, "next"),
            ],
        )
}

fn read(gamepads: Query<&Gamepad>, mut walkers: Query<(&GamepadOf, &mut Wanted)>) {
    for (gamepad, mut wanted) in &mut walkers {
        wanted.0 = action(gamepads.get(gamepad.0).ok());
    }
}

fn read_and_walk(gamepads: Query<&Gamepad>, mut walkers: Query<(&GamepadOf, &mut Place, &mut GameLog)>) {
    for (gamepad, mut place, mut log) in &mut walkers {
        step(&mut place, &mut log, action(gamepads.get(gamepad.0).ok()));
    }
}

fn connect(world: &mut World, gamepad: Entity, connection: GamepadConnection) {
    world.write_message(GamepadConnectionEvent { gamepad, connection });
}

fn connected() -> GamepadConnection {
    GamepadConnection::Connected {
        name: "gamepad".to_owned(),
        vendor_id: None,
        product_id: None,
    }
}

fn script(world: &mut World, gamepad: Entity, frame: u32, salt: u32) {
    for (index, button) in BUTTONS.into_iter().enumerate() {
        let value = if is_pressed(frame, salt + index as u32) {
            1.0
        } else {
            0.0
        };
        world.write_message(RawGamepadEvent::Button(RawGamepadButtonChangedEvent::new(
            gamepad, button, value,
        )));
    }
    let value = |salt: u32| ((frame * 7 + salt) % 20) as f32 / 10.0 - 1.0;
    let axes = [(GamepadAxis::LeftStickX, salt), (GamepadAxis::LeftStickY, salt + 5)];
    for (axis, salt) in axes {
        world.write_message(RawGamepadEvent::Axis(RawGamepadAxisChangedEvent::new(
            gamepad,
            axis,
            value(salt),
        )));
    }
    let trigger = value(salt).abs();
    let trigger = RawGamepadButtonChangedEvent::new(gamepad, GamepadButton::RightTrigger2, trigger);
    world.write_message(RawGamepadEvent::Button(trigger));
}

fn spawn(world: &mut World) -> [Entity; 2] {
    [1, 2].map(|agent| {
        let gamepad = world.spawn_empty().id();
        connect(world, gamepad, connected());
        world.spawn((Place(0.0), AgentId(agent), GamepadOf(gamepad)));
        gamepad
    })
}

fn assert_every_row(case: &str, build: impl Fn(&mut App)) {
    for hertz in FRAME_RATES {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_recording(recorded().sink(sink.clone()));
        let gamepads = spawn(app.world_mut());
        build(&mut app);
        play(&mut app, hertz, 400, |world, frame| {
            // The second gamepad is disconnected for a while.
            match frame {
                150 => connect(world, gamepads[1], GamepadConnection::Disconnected),
                200 => connect(world, gamepads[1], connected()),
                _ => {}
            }
            script(world, gamepads[0], frame, 0);
            if !(150..=200).contains(&frame) {
                script(world, gamepads[1], frame, 30);
            }
        });
        let case = format!("{case} at {hertz} Hz");
        for agent in [1, 2] {
            assert_rows(&case, &mut app, &sink, agent);
        }
    }
}

#[test]
fn every_row_is_what_the_game_has_read() {
    for schedules in schedules() {
        assert_every_row(&format!("{schedules:?}"), |app| {
            if schedules.read == schedules.walk {
                app.add_systems(schedules.read, (read, walk).chain());
            } else {
                app.add_systems(schedules.read, read).add_systems(schedules.walk, walk);
            }
        });
    }
    for schedule in [Update.intern(), FixedUpdate.intern()] {
        assert_every_row(&format!("{schedule:?}"), |app| {
            app.add_systems(schedule, read_and_walk);
        });
    }
}

#[test]
fn a_player_without_a_gamepad_does_nothing() {
    let sink = MemorySink::default();
    let mut app = app();
    app.add_recording(recorded().sink(sink.clone()))
        .add_systems(Update, |mut walkers: Query<&mut Place>| {
            walkers.iter_mut().for_each(|mut place| place.0 += 1.0);
        });
    app.world_mut().spawn((Place(0.0), AgentId(1)));
    play(&mut app, 60, 20, |_, _| {});
    let rows = crate::game::rows(&sink, 1);
    assert_eq!(rows.len(), 19, "{}", timing(&app));
    assert!(rows.iter().all(|row| row.action == [0.0; 7]));
}
