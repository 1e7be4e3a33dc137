//! `bevy_enhanced_input`: every row is what the game has read from its actions, or what its observers were given.

use crate::{
    game::{
        FRAME_RATES, GameLog, Place, Wanted, app, assert_rows, is_pressed, moved, play, recording, rows, schedules,
        set_key, step, timing, walk,
    },
    schemas::{action_columns, discrete, names, refusal},
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel, system::SystemParam};
use bevy_enhanced_input::{action::events::ActionEvents, prelude::*};
use bevy_experience::prelude::*;
use bevy_experience_adapters::prelude::*;
use bevy_input::prelude::*;
use bevy_math::{Vec2, Vec3};

#[derive(InputAction)]
#[action_output(Vec2)]
pub struct MoveBody;

#[derive(InputAction)]
#[action_output(f32)]
struct Zoom;

#[derive(InputAction)]
#[action_output(bool)]
pub struct Jump;

#[derive(InputAction)]
#[action_output(Vec3)]
struct Fly;

pub fn recorded() -> Recording<Place> {
    recording()
        .act_input_action::<Place, MoveBody>()
        .act_input_action::<Place, Zoom>()
        .act_input_action::<Place, Jump>()
        .act_started_input_action::<Place, Jump>()
}

pub fn actions() -> impl Bundle {
    actions!(Place[
        (Action::<MoveBody>::new(), Bindings::spawn(Cardinal::wasd_keys())),
        (Action::<Zoom>::new(), Bindings::spawn(Bidirectional::new(KeyCode::KeyE, KeyCode::KeyQ))),
        (Action::<Jump>::new(), bindings![KeyCode::Space]),
    ])
}

const KEYS: [KeyCode; 7] = [
    KeyCode::KeyW,
    KeyCode::KeyA,
    KeyCode::KeyS,
    KeyCode::KeyD,
    KeyCode::KeyQ,
    KeyCode::KeyE,
    KeyCode::Space,
];

fn script(world: &mut World, frame: u32) {
    for (index, key) in KEYS.into_iter().enumerate() {
        set_key(world, key, is_pressed(frame, index as u32));
    }
}

/// The actions of all walkers.
#[derive(SystemParam)]
struct Values<'w, 's> {
    moves: Query<'w, 's, &'static Action<MoveBody>>,
    zooms: Query<'w, 's, &'static Action<Zoom>>,
    jumps: Query<'w, 's, (&'static Action<Jump>, &'static ActionEvents)>,
}

impl Values<'_, '_> {
    fn action(&self, actions: &Actions<Place>) -> Vec<f64> {
        let by = self.moves.iter_many(actions).next().unwrap();
        let zoom = self.zooms.iter_many(actions).next().unwrap();
        let (jump, events) = self.jumps.iter_many(actions).next().unwrap();
        vec![
            by.x.into(),
            by.y.into(),
            (**zoom).into(),
            (**jump).into(),
            events.contains(ActionEvents::START).into(),
        ]
    }
}

fn read(values: Values<'_, '_>, mut walkers: Query<(&Actions<Place>, &mut Wanted)>) {
    for (actions, mut wanted) in &mut walkers {
        wanted.0 = values.action(actions);
    }
}

fn read_and_walk(values: Values<'_, '_>, mut walkers: Query<(&Actions<Place>, &mut Place, &mut GameLog)>) {
    for (actions, mut place, mut log) in &mut walkers {
        step(&mut place, &mut log, values.action(actions));
    }
}

/// A game whose context is evaluated in fixed ticks or in frames.
fn game(in_ticks: bool, sink: &MemorySink) -> App {
    let mut app = app();
    app.add_plugins(EnhancedInputPlugin);
    if in_ticks {
        app.add_input_context_to::<FixedPreUpdate, Place>();
    } else {
        app.add_input_context::<Place>();
    }
    app.add_recording(recorded().sink(sink.clone()));
    // The context has its resources from then on.
    app.finish();
    app.cleanup();
    for agent in [1, 2] {
        app.world_mut().spawn((Place(0.0), AgentId(agent), actions()));
    }
    app
}

#[track_caller]
fn assert_every_row(case: &str, in_ticks: bool, build: impl Fn(&mut App)) {
    for hertz in FRAME_RATES {
        let sink = MemorySink::default();
        let mut app = game(in_ticks, &sink);
        build(&mut app);
        play(&mut app, hertz, 400, script);
        for agent in [1, 2] {
            assert_rows(&format!("{case} at {hertz} Hz"), &mut app, &sink, agent);
        }
    }
}

#[test]
fn every_row_is_what_the_game_has_read() {
    for schedules in schedules() {
        let in_ticks = schedules.read != Update.intern();
        assert_every_row(&format!("{schedules:?}"), in_ticks, |app| {
            if schedules.read == schedules.walk {
                app.add_systems(schedules.read, (read, walk).chain());
            } else {
                app.add_systems(schedules.read, read).add_systems(schedules.walk, walk);
            }
        });
    }
    for (schedule, in_ticks) in [
        (Update.intern(), false),
        (FixedUpdate.intern(), true),
        (FixedUpdate.intern(), false),
    ] {
        assert_every_row(&format!("{schedule:?}, in ticks: {in_ticks}"), in_ticks, |app| {
            app.add_systems(schedule, read_and_walk);
        });
    }
}

/// Observers of events move the walkers: the place follows from the action of each row.
#[test]
fn every_row_is_what_the_observers_were_given() {
    fn advance(mut walkers: Query<&mut Place>) {
        for mut place in &mut walkers {
            place.0 = moved(place.0, &[]);
        }
    }
    fn act(place: &mut Place, column: usize, value: f32) {
        let mut action = [0.0; 5];
        action[column] = f64::from(value);
        place.0 = moved(place.0 - 1.0, &action);
    }
    for in_ticks in [false, true] {
        for hertz in FRAME_RATES {
            let sink = MemorySink::default();
            let mut app = game(in_ticks, &sink);
            app.add_observer(|fire: On<Fire<MoveBody>>, mut walkers: Query<&mut Place>| {
                let mut place = walkers.get_mut(fire.context).unwrap();
                act(&mut place, 0, fire.value.x);
                act(&mut place, 1, fire.value.y);
            })
            .add_observer(|fire: On<Fire<Zoom>>, mut walkers: Query<&mut Place>| {
                act(&mut walkers.get_mut(fire.context).unwrap(), 2, fire.value);
            })
            .add_observer(|fire: On<Fire<Jump>>, mut walkers: Query<&mut Place>| {
                act(&mut walkers.get_mut(fire.context).unwrap(), 3, 1.0);
            })
            .add_observer(|start: On<Start<Jump>>, mut walkers: Query<&mut Place>| {
                act(&mut walkers.get_mut(start.context).unwrap(), 4, 1.0);
            });
            // Something moves in each evaluation, before it.
            if in_ticks {
                app.add_systems(FixedFirst, advance);
            } else {
                app.add_systems(First, advance);
            }
            play(&mut app, hertz, 400, script);
            let timing = timing(&app);
            let case = format!("in ticks: {in_ticks}, at {hertz} Hz ({timing})");
            let schedule = if in_ticks { FixedLast.intern() } else { Last.intern() };
            assert_eq!(timing.capture_after, schedule, "{case}");
            let rows = rows(&sink, 1);
            assert!(rows.len() > 150, "{case}: {} rows", rows.len());
            for (index, row) in rows.iter().enumerate() {
                assert_eq!(
                    row.after,
                    moved(row.before, &row.action),
                    "{case}: row {index}: {row:?}"
                );
            }
            assert!(rows.iter().filter(|row| row.action[4] == 1.0).count() > 10, "{case}");
        }
    }
}

#[test]
fn an_inactive_context_does_nothing() {
    let sink = MemorySink::default();
    let mut app = game(false, &sink);
    app.add_systems(Update, read_and_walk);
    let mut walkers = app.world_mut().query_filtered::<(Entity, &AgentId), With<Place>>();
    let walker = walkers.iter(app.world()).find(|(_, id)| id.0 == 1).unwrap().0;
    play(&mut app, 60, 400, |world, frame| {
        match frame {
            100 => _ = world.entity_mut(walker).insert(ContextActivity::<Place>::INACTIVE),
            200 => _ = world.entity_mut(walker).insert(ContextActivity::<Place>::ACTIVE),
            _ => {}
        }
        script(world, frame);
    });
    let rows = assert_rows("inactive", &mut app, &sink, 1);
    assert!(rows[105..195].iter().all(|row| row.action == [0.0; 5]));
}

#[test]
fn columns_are_the_outputs() {
    let columns = action_columns(
        recorded()
            .act_input_action::<Place, Fly>()
            .act_named_input_action::<Place, Jump>("hop"),
    );
    assert_eq!(
        names(&columns),
        [
            "move_body.x",
            "move_body.y",
            "zoom",
            "jump",
            "jump.started",
            "fly.x",
            "fly.y",
            "fly.z",
            "hop"
        ]
    );
    assert_eq!(columns[3].space, discrete(2, &[]));
    assert_eq!(columns[4].space, discrete(2, &[]));
    let refusal = refusal(recorded().act_input_action::<Place, Jump>());
    assert!(
        refusal.starts_with("recording `walker` has two columns `jump`: "),
        "{refusal}"
    );
}

#[test]
#[should_panic(expected = "enhanced_input::Jump` was given an empty name")]
fn an_empty_name() {
    let _ = recording().act_named_input_action::<Place, Jump>("");
}
