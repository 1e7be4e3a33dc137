//! What is logged about a timing, and the method that returns it.

use super::games::{GameLog, Intent, Position, Walker, app, close, input, recording, run, timing, walk};
use crate::log_lines::LogLines;
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::prelude::*;

/// Plays a game with a recording, and returns the app and the log.
fn play(recording: Recording<Walker>, build: impl Fn(&mut App)) -> (App, LogLines) {
    let log = LogLines::default();
    let app = log.collect(|| {
        let mut app = app();
        app.add_recording(recording.sink(MemorySink::default()));
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        build(&mut app);
        run(&mut app, 64, 200);
        close(&mut app);
        app
    });
    (app, log)
}

/// The lines about where the recording is captured.
fn infos(log: &LogLines) -> Vec<String> {
    let lines = log.lines();
    let chosen = lines
        .into_iter()
        .filter(|line| line.starts_with("INFO recording `walker` is captured"));
    chosen.collect()
}

#[test]
fn the_choice_is_logged_once_and_returned() {
    let (app, log) = play(recording(), |app| {
        app.add_systems(Update, (input, walk).chain());
    });
    let infos = infos(&log);
    assert_eq!(infos.len(), 1, "{infos:?}");
    for part in ["after `Last`", "at the capture", "in `Update` writes `Position`"] {
        assert!(infos[0].contains(part), "`{part}` is not in: {}", infos[0]);
    }
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
    let timing = timing(&app);
    assert_eq!(timing.capture_after, Last.intern());
    assert!(!timing.is_capture_given && !timing.is_read_given);
    assert!(timing.reason.contains("`Position`"), "{timing}");
}

#[test]
fn systems_are_named_or_counted() {
    let (_, log) = play(recording(), |app| {
        app.add_systems(Update, (input, walk).chain());
    });
    let line = infos(&log).remove(0);
    let is_named = line.contains("`walk` in `Update`");
    let is_counted = line.contains("system 2 of 2 in `Update`") && line.contains("feature `debug`");
    assert!(is_named || is_counted, "{line}");
}

#[test]
fn exclusive_systems_are_named_if_no_other_is_known() {
    fn simulate(_: &mut World) {}
    let (_, log) = play(recording(), |app| {
        app.add_systems(FixedUpdate, simulate);
    });
    let line = infos(&log).remove(0);
    for part in [
        "after `FixedLast`",
        "no system is known",
        "in `FixedUpdate` can write anything",
    ] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn there_is_no_timing_before_the_first_player() {
    let mut app = app();
    app.add_recording(recording().sink(MemorySink::default()));
    run(&mut app, 64, 20);
    let experience = app.world().resource::<Experience>();
    assert_eq!(experience.timing("walker"), None);
    assert_eq!(experience.timing("other"), None);
}

#[test]
fn a_capture_that_contradicts_the_systems_is_reported() {
    let (app, log) = play(recording().capture_after(FixedLast), |app| {
        app.add_systems(Update, (input, walk).chain());
    });
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for part in [
        "in `Update` writes `Position`",
        "`walker`",
        "`FixedLast`",
        "`Last`",
        "`capture_after",
    ] {
        assert!(warnings[0].contains(part), "`{part}` is not in: {}", warnings[0]);
    }
    assert!(warnings[1].contains("changes only outside"), "{}", warnings[1]);
    let timing = timing(&app);
    assert_eq!(timing.capture_after, FixedLast.intern());
    assert!(timing.is_capture_given);
}

#[test]
fn a_capture_that_agrees_with_the_systems_is_not_reported() {
    let (app, log) = play(recording().capture_after(Last), |app| {
        app.add_systems(Update, (input, walk).chain());
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
    assert!(timing(&app).is_capture_given);
}

#[test]
fn an_action_that_is_read_too_early_or_too_late_is_reported() {
    let (app, log) = play(recording().read_actions_after(FixedFirst), |app| {
        app.add_systems(FixedUpdate, (input, walk).chain());
    });
    let line = log.warning();
    assert!(line.contains("`read_actions_after(FixedFirst)`"), "{line}");
    assert!(timing(&app).is_read_given);
    let (_, log) = play(recording().read_actions_after(FixedPostUpdate), |app| {
        app.add_systems(FixedUpdate, walk).add_systems(FixedPostUpdate, input);
    });
    assert!(log.warning().contains("`read_actions_after(FixedPostUpdate)`"));
    let (_, log) = play(recording().read_actions_after(FixedUpdate), |app| {
        app.add_systems(FixedUpdate, walk).add_systems(FixedPostUpdate, input);
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[test]
fn systems_without_an_order_are_reported() {
    let (_, log) = play(recording(), |app| {
        app.add_systems(Update, (input, walk));
    });
    let line = log.warning();
    for part in ["`Intent`", "in no order", "`.chain()`", "in `Update`"] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
    let (_, log) = play(recording(), |app| {
        app.add_systems(Update, (input.in_set(Decide), walk.in_set(Move)))
            .configure_sets(Update, (Decide, Move).chain());
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Decide;

#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Move;

#[test]
fn an_intent_that_is_written_and_taken_in_one_schedule_is_reported() {
    fn take(mut walkers: Query<(&mut Intent, &mut Position)>) {
        for (mut intent, mut position) in &mut walkers {
            position.0 += core::mem::take(&mut intent.step);
        }
    }
    let (_, log) = play(recording(), |app| {
        app.add_systems(Update, (input, take).chain());
    });
    let line = log.warning();
    assert!(
        line.contains("may also clear it") && line.contains("earlier schedule"),
        "{line}"
    );
}

#[test]
fn an_intent_that_is_reset_after_the_end_of_an_episode_is_not_reported() {
    fn respawn(mut walkers: Query<(&mut Intent, &mut Position)>, log: Res<GameLog>) {
        if log.0.last().is_some_and(|step| step.ends) {
            for (mut intent, mut position) in &mut walkers {
                intent.step = 0.0;
                position.0 = 0.0;
            }
        }
    }
    let (_, log) = play(recording(), |app| {
        app.add_systems(Update, (input, walk, respawn).chain());
    });
    assert!(
        infos(&log)[0].contains("in the schedule in which it is read"),
        "{:?}",
        infos(&log)
    );
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[test]
fn a_position_that_is_also_written_for_rendering_is_reported() {
    fn interpolate(mut walkers: Query<&mut Position>) {
        for mut position in &mut walkers {
            position.0 += 0.001;
        }
    }
    let (app, log) = play(recording(), |app| {
        app.add_systems(FixedUpdate, (input, walk).chain())
            .add_systems(PostUpdate, interpolate);
    });
    let line = log.warning();
    assert!(
        line.contains("outside of them") && line.contains("interpolated"),
        "{line}"
    );
    assert_eq!(timing(&app).capture_after, FixedLast.intern());
}
