//! Schedules that run within systems of the loops, such as that of a physics engine.

use super::games::{
    Expected, GameLog, Intent, Position, Walker, app, assert_every_row, assert_rows, close, input, nth_input,
    recording, rows, run, timing, walk,
};
use crate::log_lines::LogLines;
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{plugin::ExperienceTick, prelude::*};

/// The schedule of the simulation.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Simulate;

/// A part of the simulation.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Substep;

/// A schedule that decides.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Decide;

fn simulate(world: &mut World) {
    world.run_schedule(Simulate);
}

fn decide(world: &mut World) {
    world.run_schedule(Decide);
}

fn captured_after(capture: impl ScheduleLabel) -> Expected {
    Expected {
        capture: capture.intern(),
        read: None,
    }
}

/// Whether a text names a system, or counts it without Bevy's feature `debug`.
fn names(text: &str, system: &str, schedule: &str) -> bool {
    let counted = format!(" in `{schedule}`");
    text.contains(&format!("`{system}` in `{schedule}`")) || (text.contains("system ") && text.contains(&counted))
}

/// Plays a game with a recording, and returns the app and the log.
fn play(recording: Recording<Walker>, hertz: u32, build: impl Fn(&mut App)) -> (App, LogLines) {
    let log = LogLines::default();
    let app = log.collect(|| {
        let mut app = app();
        app.add_recording(recording.sink(MemorySink::default()));
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        build(&mut app);
        run(&mut app, hertz, 300);
        close(&mut app);
        app
    });
    (app, log)
}

#[test]
fn a_schedule_that_an_exclusive_system_of_a_frame_runs() {
    assert_every_row("nested in update", &captured_after(Last), |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(Update, simulate);
    });
}

#[test]
fn a_schedule_that_an_exclusive_system_of_a_fixed_tick_runs() {
    assert_every_row("nested in fixed update", &captured_after(FixedLast), |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, simulate);
    });
}

#[test]
fn the_reason_names_the_system_and_what_runs_it() {
    for (hertz, outer) in [(30, "FixedUpdate"), (144, "FixedUpdate"), (144, "Update")] {
        let (app, log) = play(recording(), hertz, |app| {
            app.add_systems(Simulate, (input, walk).chain());
            if outer == "Update" {
                app.add_systems(Update, simulate);
            } else {
                app.add_systems(FixedUpdate, simulate);
            }
        });
        let reason = timing(&app).reason;
        assert!(names(&reason, "walk", "Simulate"), "{reason}");
        let (_, runner) = reason.split_once("(run by ").expect("what runs the schedule");
        assert!(
            names(runner, "simulate", outer) || runner.starts_with("system 1 of 1"),
            "{reason}"
        );
        assert!(reason.contains("writes `Position`"), "{reason}");
        let lines = log.lines();
        let chosen = lines
            .iter()
            .filter(|line| line.contains("recording `walker` is captured"));
        assert_eq!(chosen.count(), 1, "{lines:?}");
        assert!(log.warnings().is_empty(), "{:?}", log.warnings());
    }
}

#[test]
fn a_schedule_within_a_nested_schedule() {
    /// Moves nothing, but is the system of the outer schedule.
    fn substeps(world: &mut World) {
        world.run_schedule(Substep);
    }
    assert_every_row("substeps", &captured_after(FixedLast), |app| {
        app.add_systems(Update, input)
            .add_systems(Substep, walk)
            .add_systems(Simulate, substeps)
            .add_systems(FixedPostUpdate, simulate);
    });
}

#[test]
fn a_system_of_the_other_loop_that_could_write_is_outweighed_by_a_nested_one_that_reads_the_action() {
    fn wake(mut walkers: Query<&mut Position>, asleep: Local<bool>) {
        for mut position in &mut walkers {
            if *asleep {
                position.0 = 0.0;
            }
        }
    }
    assert_every_row("wake in update", &captured_after(FixedLast), |app| {
        app.add_systems(Update, wake)
            .add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, simulate);
    });
    assert_every_row("wake in fixed update", &captured_after(Last), |app| {
        app.add_systems(FixedUpdate, wake)
            .add_systems(Simulate, (input, walk).chain())
            .add_systems(Update, simulate);
    });
}

#[test]
fn an_action_that_a_nested_schedule_writes_after_it_was_consumed() {
    let expected = Expected {
        capture: FixedLast.intern(),
        read: Some(FixedUpdate.intern()),
    };
    assert_every_row("decided later", &expected, |app| {
        app.add_systems(Simulate, walk)
            .add_systems(Decide, input)
            .add_systems(FixedUpdate, simulate)
            .add_systems(FixedPostUpdate, decide);
    });
    // In one schedule the action is read before it.
    let expected = Expected {
        capture: FixedLast.intern(),
        read: Some(FixedPreUpdate.intern()),
    };
    assert_every_row("decided in one schedule", &expected, |app| {
        app.add_systems(Simulate, walk)
            .add_systems(Decide, input)
            .add_systems(FixedUpdate, (simulate, decide).chain());
    });
}

#[test]
fn a_schedule_that_a_command_runs() {
    fn command_simulation(mut commands: Commands) {
        commands.run_schedule(Simulate);
    }
    assert_every_row("by command", &captured_after(FixedLast), |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, command_simulation);
    });
    let (app, _) = play(recording(), 60, |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, command_simulation);
    });
    let reason = timing(&app).reason;
    assert!(
        reason.contains("(run within `FixedUpdate`) writes `Position`"),
        "{reason}"
    );
}

#[test]
fn a_capture_that_contradicts_a_nested_schedule_is_reported_by_its_systems() {
    for hertz in [30, 144] {
        let (app, log) = play(recording().capture_after(Last), hertz, |app| {
            app.add_systems(Simulate, (input, walk).chain())
                .add_systems(FixedUpdate, simulate);
        });
        let warnings = log.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(names(&warnings[0], "walk", "Simulate"), "{}", warnings[0]);
        for part in ["`Position`", "`walker`", "`capture_after(Last)`", "name `FixedLast`"] {
            assert!(warnings[0].contains(part), "`{part}` is not in: {}", warnings[0]);
        }
        assert!(warnings[1].contains("changes only in them"), "{}", warnings[1]);
        assert!(timing(&app).is_capture_given);
    }
    let (_, log) = play(recording().capture_after(FixedLast), 60, |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, simulate);
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

/// Moves the walkers back, in a schedule that runs once.
fn reset(mut walkers: Query<&mut Position>) {
    for mut position in &mut walkers {
        position.0 = 0.0;
    }
}

/// Consumes the intent with access to the whole world.
fn walk_exclusively(world: &mut World, mut count: Local<u32>) {
    *count += 1;
    let action = nth_input(*count);
    let mut walkers = world.query::<(Entity, &mut Intent, &Position)>();
    let walkers: Vec<_> = walkers
        .iter_mut(world)
        .map(|(walker, mut intent, position)| {
            intent.step = action;
            (walker, position.0)
        })
        .collect();
    for (walker, position) in walkers {
        let step = world.resource_mut::<GameLog>().step(position, action);
        world.get_mut::<Position>(walker).unwrap().0 = step.after;
        world.get_mut::<Reward>(walker).unwrap().add("step", step.reward);
    }
}

#[test]
fn a_schedule_that_runs_once_decides_nothing_for_long() {
    fn add_game(app: &mut App) {
        app.add_systems(Simulate, reset)
            .add_systems(
                PreUpdate,
                simulate.run_if(|mut ran: Local<bool>| !core::mem::replace(&mut *ran, true)),
            )
            .add_systems(FixedUpdate, walk_exclusively);
    }
    for hertz in [30, 60, 144] {
        let (app, log) = play(recording(), hertz, add_game);
        assert_eq!(timing(&app).capture_after, FixedLast.intern(), "{}", timing(&app));
        assert!(log.warnings().is_empty(), "{:?}", log.warnings());
        let (_, log) = play(recording().capture_after(FixedLast), hertz, add_game);
        assert!(log.warnings().is_empty(), "{:?}", log.warnings());
    }
}

/// Runs the simulation and the capture.
fn simulate_and_capture(world: &mut World) {
    world.run_schedule(ExperienceTick);
    world.run_schedule(Simulate);
    world.run_schedule(ExperienceCapture);
}

#[test]
fn a_capture_that_the_game_runs_says_what_moves_the_players() {
    let sink = MemorySink::default();
    let mut app = app();
    app.add_recording(recording().capture_after(Simulate).sink(sink.clone()))
        .add_systems(Simulate, (input, walk).chain())
        .add_systems(PreUpdate, simulate_and_capture);
    app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
    run(&mut app, 60, 200);
    close(&mut app);
    let timing = timing(&app);
    assert_eq!(timing.capture_after, Simulate.intern());
    assert!(timing.reason.contains("the game runs `ExperienceCapture`"), "{timing}");
    assert!(names(&timing.reason, "walk", "Simulate"), "{timing}");
    assert!(names(&timing.reason, "simulate_and_capture", "PreUpdate") || timing.reason.contains("(run by system"));
    assert_rows(
        "captured by the game",
        &rows(&sink),
        &app.world().resource::<GameLog>().0,
    );
}

#[test]
fn a_capture_that_the_game_runs_in_another_schedule_than_the_movement_is_reported() {
    let (_, log) = play(recording().capture_after(Simulate), 60, |app| {
        app.add_systems(Simulate, |_: Query<&Position>| {})
            .add_systems(Update, (input, walk).chain())
            .add_systems(PreUpdate, simulate_and_capture);
    });
    let warnings = log.warnings();
    let line = warnings.iter().find(|line| line.contains("`capture_after(Simulate)`"));
    let line = line.unwrap_or_else(|| panic!("{warnings:?}"));
    assert!(names(line, "walk", "Update"), "{line}");
    for part in ["`Position`", "name `Last`"] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn a_nested_schedule_that_is_named_without_captures_is_reported_with_the_one_that_runs_it() {
    let (_, log) = play(recording().capture_after(Simulate), 60, |app| {
        app.add_systems(Simulate, (input, walk).chain())
            .add_systems(FixedUpdate, simulate);
    });
    let line = log.warning();
    for part in [
        "no capture has run",
        "it runs within `FixedUpdate`",
        "or name `FixedUpdate`",
    ] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

/// The order in which systems without an order have run.
#[derive(Resource, Default)]
struct Ran(Vec<usize>);

#[test]
fn systems_of_a_nested_schedule_run_in_the_order_in_which_they_run_without_a_recording() {
    fn note<const N: usize>(mut ran: ResMut<Ran>, mut walkers: Query<&mut Position>) {
        ran.0.push(N);
        for mut position in &mut walkers {
            position.0 += N as f32;
        }
    }
    fn order(outer: InternedScheduleLabel, records: bool) -> Vec<usize> {
        let mut app = app();
        app.init_resource::<Ran>()
            .add_systems(
                Simulate,
                (note::<0>, note::<1>, note::<2>, note::<3>, note::<4>, note::<5>),
            )
            .add_systems(
                Simulate,
                (note::<6>.before(note::<2>), note::<7>.after(note::<3>), note::<8>),
            )
            .add_systems(outer, simulate);
        if records {
            app.add_recording(recording().sink(MemorySink::default()));
        }
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        run(&mut app, 60, 60);
        app.world_mut().resource_mut::<Ran>().0.split_off(0)
    }
    for outer in [Update.intern(), FixedUpdate.intern()] {
        let without = order(outer, false);
        assert!(without.len() > 9 * 20);
        assert_eq!(order(outer, true), without, "{outer:?}");
    }
}
