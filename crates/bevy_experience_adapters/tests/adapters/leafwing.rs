//! leafwing-input-manager: every row is what the game has read from `ActionState`, in frames and in fixed ticks.

use crate::{
    game::{
        FRAME_RATES, GameLog, Place, Wanted, app, assert_rows, is_pressed, play, recording, schedules, set_key, step,
        timing, walk,
    },
    schemas::{action_columns, discrete, names},
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::prelude::*;
use bevy_experience_adapters::prelude::*;
use bevy_input::prelude::*;
use bevy_reflect::Reflect;
use leafwing_input_manager::prelude::*;

#[derive(Actionlike, Reflect, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    #[actionlike(DualAxis)]
    Move,
    #[actionlike(Axis)]
    Zoom,
    Run,
    Jump,
}

pub fn input_map() -> InputMap<Action> {
    InputMap::default()
        .with_dual_axis(Action::Move, VirtualDPad::wasd())
        .with_axis(Action::Zoom, VirtualAxis::new(KeyCode::KeyQ, KeyCode::KeyE))
        .with(Action::Run, KeyCode::ShiftLeft)
        .with(Action::Jump, KeyCode::Space)
}

const KEYS: [KeyCode; 7] = [
    KeyCode::KeyW,
    KeyCode::KeyA,
    KeyCode::KeyS,
    KeyCode::KeyD,
    KeyCode::KeyQ,
    KeyCode::KeyE,
    KeyCode::ShiftLeft,
];

/// Taps the key of the jump for one frame, now and then.
const TAPS: u32 = 8;

fn script(world: &mut World, frame: u32) {
    press_other_keys(world, frame);
    set_key(world, KeyCode::Space, frame % TAPS == 3);
}

fn press_other_keys(world: &mut World, frame: u32) {
    for (index, key) in KEYS.into_iter().enumerate() {
        set_key(world, key, is_pressed(frame, index as u32));
    }
}

fn action(state: &ActionState<Action>) -> Vec<f64> {
    vec![
        state.axis_pair(&Action::Move).x.into(),
        state.axis_pair(&Action::Move).y.into(),
        state.value(&Action::Zoom).into(),
        state.pressed(&Action::Run).into(),
        state.pressed(&Action::Jump).into(),
        state.just_pressed(&Action::Jump).into(),
    ]
}

fn just_pressed() -> ActionColumns<Action> {
    ActionColumns::new().with_just_pressed("jump.just_pressed", Action::Jump)
}

pub fn recorded() -> Recording<Place> {
    recording()
        .act_leafwing::<Action>()
        .act_leafwing_columns(just_pressed())
}

fn game(recording: Recording<Place>, sink: &MemorySink) -> App {
    let mut app = app();
    app.add_plugins(InputManagerPlugin::<Action>::default())
        .add_recording(recording.sink(sink.clone()));
    app
}

fn read(mut walkers: Query<(&ActionState<Action>, &mut Wanted)>) {
    for (state, mut wanted) in &mut walkers {
        wanted.0 = action(state);
    }
}

fn read_and_walk(mut walkers: Query<(&ActionState<Action>, &mut Place, &mut GameLog)>) {
    for (state, mut place, mut log) in &mut walkers {
        step(&mut place, &mut log, action(state));
    }
}

#[track_caller]
fn assert_every_row(case: &str, recording: fn() -> Recording<Place>, build: impl Fn(&mut App)) {
    for hertz in FRAME_RATES {
        let sink = MemorySink::default();
        let mut app = game(recording(), &sink);
        app.world_mut().spawn((Place(0.0), AgentId(1), input_map()));
        build(&mut app);
        play(&mut app, hertz, 400, script);
        let rows = assert_rows(&format!("{case} at {hertz} Hz"), &mut app, &sink, 1);
        let jumps = rows.iter().filter(|row| row.action[5] == 1.0).count();
        assert!(jumps > 10, "{case} at {hertz} Hz: {jumps} jumps ({})", timing(&app));
    }
}

#[test]
fn every_row_is_what_the_game_has_read() {
    for schedules in schedules() {
        assert_every_row(&format!("{schedules:?}"), recorded, |app| {
            if schedules.read == schedules.walk {
                app.add_systems(schedules.read, (read, walk).chain());
            } else {
                app.add_systems(schedules.read, read).add_systems(schedules.walk, walk);
            }
        });
    }
    for schedule in [Update.intern(), FixedUpdate.intern()] {
        assert_every_row(&format!("{schedule:?}"), recorded, |app| {
            app.add_systems(schedule, read_and_walk);
        });
    }
}

/// leafwing keeps a press for the next fixed tick, so each tap that lasts until a tick is one jump, also in a frame without a tick.
#[test]
fn a_press_between_fixed_ticks_is_in_the_row_of_the_next_one() {
    let sink = MemorySink::default();
    let mut app = game(recorded(), &sink);
    app.world_mut().spawn((Place(0.0), AgentId(1), input_map()));
    app.add_systems(FixedUpdate, read_and_walk);
    let mut taps = 0;
    play(&mut app, 144, 800, |world, frame| {
        press_other_keys(world, frame);
        // Held for three frames, in which there is at least one tick at 64 ticks a second.
        let is_held = frame % 9 < 3;
        set_key(world, KeyCode::Space, is_held);
        taps += u32::from(frame % 9 == 0);
    });
    let rows = assert_rows("144 Hz", &mut app, &sink, 1);
    let jumps = rows.iter().filter(|row| row.action[5] == 1.0).count() as u32;
    assert!((taps - 1..=taps).contains(&jumps), "{jumps} of {taps} taps");
}

#[test]
fn an_exclusive_system_needs_the_schedule() {
    fn read_exclusively(world: &mut World) {
        let mut walkers = world.query::<(&ActionState<Action>, &mut Place, &mut GameLog)>();
        for (state, mut place, mut log) in walkers.iter_mut(world) {
            step(&mut place, &mut log, action(state));
        }
    }
    assert_every_row("exclusive in update", recorded, |app| {
        app.add_systems(Update, read_exclusively);
    });
    let fixed = || recorded().read_actions_after(FixedUpdate);
    assert_every_row("exclusive in fixed update", fixed, |app| {
        app.add_systems(FixedUpdate, read_exclusively);
    });
}

/// The input of a controller that is the parent of the body.
#[test]
fn a_state_on_a_related_entity() {
    fn read_from_parent(states: Query<&ActionState<Action>>, mut walkers: Query<(&ChildOf, &mut Place, &mut GameLog)>) {
        for (controller, mut place, mut log) in &mut walkers {
            let Ok(state) = states.get(controller.parent()) else {
                continue;
            };
            step(&mut place, &mut log, action(state));
        }
    }
    for (schedule, hertz) in [
        (Update.intern(), 60),
        (FixedUpdate.intern(), 30),
        (FixedUpdate.intern(), 144),
    ] {
        let sink = MemorySink::default();
        let recording = recording()
            .act_related_leafwing::<ChildOf, _>(ActionColumns::<Action>::all())
            .act_related_leafwing::<ChildOf, _>(just_pressed());
        let mut app = game(recording, &sink);
        let controller = app.world_mut().spawn(input_map()).id();
        app.world_mut().spawn((Place(0.0), AgentId(1), ChildOf(controller)));
        app.add_systems(schedule, read_from_parent);
        play(&mut app, hertz, 400, script);
        assert_rows(&format!("{schedule:?} at {hertz} Hz"), &mut app, &sink, 1);
    }
}

#[test]
fn a_disabled_action_is_zero() {
    let sink = MemorySink::default();
    let mut app = game(recorded(), &sink);
    let walker = app.world_mut().spawn((Place(0.0), AgentId(1), input_map())).id();
    app.add_systems(Update, read_and_walk);
    play(&mut app, 60, 400, |world, frame| {
        let mut state = world.get_mut::<ActionState<Action>>(walker).unwrap();
        match frame {
            100 => state.disable_action(&Action::Run),
            200 => state.disable(),
            300 => state.enable(),
            _ => {}
        }
        script(world, frame);
    });
    let rows = assert_rows("disabled", &mut app, &sink, 1);
    assert!(rows[210..290].iter().all(|row| row.action == [0.0; 6]));
    assert!(rows[110..].iter().all(|row| row.action[3] == 0.0));
}

#[test]
fn columns_are_the_variants() {
    let columns = action_columns(recorded());
    assert_eq!(
        names(&columns),
        ["move.x", "move.y", "zoom", "run", "jump", "jump.just_pressed"]
    );
    assert_eq!(columns[3].space, discrete(2, &[]));
}
