//! Keyboard and mouse: every row is what the game has read.

use crate::game::{
    FRAME_RATES, GameLog, Place, Schedules, Wanted, app, assert_rows, is_pressed, play, recording, schedules, set_key,
    step, timing, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel, system::SystemParam};
use bevy_experience::prelude::*;
use bevy_experience_adapters::prelude::*;
use bevy_input::{
    ButtonState,
    mouse::{
        AccumulatedMouseMotion, AccumulatedMouseScroll, MouseButtonInput, MouseMotion, MouseScrollUnit, MouseWheel,
    },
    prelude::*,
    touch::TouchPhase,
};
use bevy_math::Vec2;

const KEYS: [KeyCode; 8] = [
    KeyCode::KeyA,
    KeyCode::ArrowLeft,
    KeyCode::KeyD,
    KeyCode::Space,
    KeyCode::KeyQ,
    KeyCode::KeyE,
    KeyCode::KeyS,
    KeyCode::KeyW,
];

/// What the game reads.
#[derive(SystemParam)]
struct Devices<'w> {
    keys: Res<'w, ButtonInput<KeyCode>>,
    mouse: Res<'w, ButtonInput<MouseButton>>,
    motion: Res<'w, AccumulatedMouseMotion>,
    scroll: Res<'w, AccumulatedMouseScroll>,
}

impl Devices<'_> {
    fn action(&self) -> Vec<f64> {
        let pressed = |key| f64::from(self.keys.pressed(key));
        let turn = if self.keys.pressed(KeyCode::KeyQ) {
            1.0
        } else if self.keys.pressed(KeyCode::KeyE) {
            2.0
        } else {
            0.0
        };
        vec![
            pressed(KeyCode::KeyA).max(pressed(KeyCode::ArrowLeft)),
            pressed(KeyCode::KeyD),
            self.keys.just_pressed(KeyCode::Space).into(),
            turn,
            pressed(KeyCode::KeyW) - pressed(KeyCode::KeyS),
            self.mouse.pressed(MouseButton::Left).into(),
            self.motion.delta.x.into(),
            self.motion.delta.y.into(),
            self.scroll.delta.x.into(),
            self.scroll.delta.y.into(),
        ]
    }
}

fn recorded() -> Recording<Place> {
    recording()
        .act_buttons([
            (KeyCode::KeyA, "left"),
            (KeyCode::ArrowLeft, "left"),
            (KeyCode::KeyD, "right"),
        ])
        .act_just_pressed_buttons([(KeyCode::Space, "jump")])
        .act_discrete_buttons("turn", [(KeyCode::KeyQ, "left"), (KeyCode::KeyE, "right")])
        .act_button_axes([(KeyCode::KeyS, KeyCode::KeyW, "move.y")])
        .act_buttons([(MouseButton::Left, "fire")])
        .act_mouse_motion(["look.x", "look.y"])
        .act_mouse_scroll(["scroll.x", "scroll.y"])
}

fn script(world: &mut World, frame: u32) {
    for (index, key) in KEYS.into_iter().enumerate() {
        set_key(world, key, is_pressed(frame, index as u32));
    }
    let fires = is_pressed(frame, 20);
    if world.resource::<ButtonInput<MouseButton>>().pressed(MouseButton::Left) != fires {
        world.write_message(MouseButtonInput {
            button: MouseButton::Left,
            state: if fires {
                ButtonState::Pressed
            } else {
                ButtonState::Released
            },
            window: Entity::PLACEHOLDER,
        });
    }
    if is_pressed(frame, 21) {
        let delta = Vec2::new((frame % 5) as f32, (frame % 3) as f32 - 1.0);
        world.write_message(MouseMotion { delta });
        world.write_message(MouseMotion { delta });
    }
    if is_pressed(frame, 22) {
        world.write_message(MouseWheel {
            unit: MouseScrollUnit::Line,
            x: (frame % 2) as f32,
            y: (frame % 7) as f32,
            window: Entity::PLACEHOLDER,
            phase: TouchPhase::Moved,
        });
    }
}

fn read(devices: Devices<'_>, mut walkers: Query<&mut Wanted>) {
    for mut wanted in &mut walkers {
        wanted.0 = devices.action();
    }
}

fn read_and_walk(devices: Devices<'_>, mut walkers: Query<(&mut Place, &mut GameLog)>) {
    for (mut place, mut log) in &mut walkers {
        step(&mut place, &mut log, devices.action());
    }
}

#[track_caller]
fn assert_every_row(case: &str, expected: &Schedules, build: impl Fn(&mut App)) {
    for hertz in FRAME_RATES {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_recording(recorded().sink(sink.clone()));
        app.world_mut().spawn((Place(0.0), AgentId(1)));
        build(&mut app);
        play(&mut app, hertz, 400, script);
        let case = format!("{case} at {hertz} Hz");
        assert_eq!(timing(&app).capture_after, expected.capture, "{case}");
        assert_rows(&case, &mut app, &sink, 1);
    }
}

#[test]
fn every_row_is_what_the_game_has_read() {
    for schedules in schedules() {
        assert_every_row(&format!("{schedules:?}"), &schedules, |app| {
            if schedules.read == schedules.walk {
                app.add_systems(schedules.read, (read, walk).chain());
            } else {
                app.add_systems(schedules.read, read).add_systems(schedules.walk, walk);
            }
        });
    }
}

#[test]
fn every_row_of_a_system_that_reads_and_moves() {
    for (schedule, capture) in [
        (Update.intern(), Last.intern()),
        (FixedUpdate.intern(), FixedLast.intern()),
    ] {
        let schedules = Schedules {
            read: schedule,
            walk: schedule,
            capture,
        };
        assert_every_row(&format!("{schedule:?}"), &schedules, |app| {
            app.add_systems(schedule, read_and_walk);
        });
    }
}

/// A jump that waits in a component for the next fixed tick is recorded from there.
#[test]
fn presses_that_the_game_keeps_for_the_next_tick() {
    #[derive(Component, bevy_reflect::Reflect, Default)]
    struct Jump {
        wanted: bool,
    }
    fn keep(keys: Res<ButtonInput<KeyCode>>, mut walkers: Query<&mut Jump>) {
        for mut jump in &mut walkers {
            jump.wanted |= keys.just_pressed(KeyCode::Space);
        }
    }
    fn take(mut walkers: Query<(&mut Jump, &mut Place, &mut GameLog)>) {
        for (mut jump, mut place, mut log) in &mut walkers {
            step(&mut place, &mut log, vec![jump.wanted.into()]);
            jump.wanted = false;
        }
    }
    for hertz in FRAME_RATES {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_recording(recording().act::<Jump>().sink(sink.clone()))
            .add_systems(Update, keep)
            .add_systems(FixedUpdate, take);
        app.world_mut().spawn((Place(0.0), Jump::default(), AgentId(1)));
        let mut presses = 0;
        play(&mut app, hertz, 400, |world, frame| {
            // Apart, so that no two presses are in one tick.
            let press = frame % 12 == 5;
            set_key(world, KeyCode::Space, press);
            presses += u32::from(press);
        });
        let rows = assert_rows(&format!("{hertz} Hz"), &mut app, &sink, 1);
        let jumps = rows.iter().filter(|row| row.action == [1.0]).count();
        assert!(jumps as u32 + 1 >= presses, "{jumps} of {presses} jumps at {hertz} Hz");
    }
}

/// A press in a frame without a fixed tick is read by no tick, and is in no row.
#[test]
fn presses_between_ticks_are_lost_to_the_game_and_to_the_recording() {
    let sink = MemorySink::default();
    let mut app = app();
    app.add_recording(
        recording()
            .act_just_pressed_buttons([(KeyCode::Space, "jump")])
            .sink(sink.clone()),
    )
    .add_systems(
        FixedUpdate,
        |keys: Res<ButtonInput<KeyCode>>, mut walkers: Query<(&mut Place, &mut GameLog)>| {
            for (mut place, mut log) in &mut walkers {
                step(&mut place, &mut log, vec![keys.just_pressed(KeyCode::Space).into()]);
            }
        },
    );
    app.world_mut().spawn((Place(0.0), AgentId(1)));
    let mut presses = 0;
    play(&mut app, 144, 400, |world, frame| {
        let press = frame % 3 == 1;
        set_key(world, KeyCode::Space, press);
        presses += usize::from(press);
    });
    let rows = assert_rows("144 Hz", &mut app, &sink, 1);
    let jumps = rows.iter().filter(|row| row.action == [1.0]).count();
    assert!(jumps > 20 && jumps < presses, "{jumps} of {presses}");
}
