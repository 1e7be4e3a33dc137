//! Captures after schedules that do not run, and reads of actions at the wrong place, are logged once each, with the remedy.

use crate::{
    log_lines::LogLines,
    player::{Age, Player},
    support::{Choice, assert_warning, log},
};
use bevy_app::{MainScheduleOrder, prelude::*};
use bevy_ecs::schedule::ScheduleLabel;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_time::{Time, TimePlugin, TimeUpdateStrategy, Virtual};
use core::time::Duration;

#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Simulation;

fn custom_capture() -> TestApp {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .capture_after(Simulation),
    );
    test
}

#[test]
fn a_capture_after_a_schedule_outside_of_the_loops_is_reported_once_there_are_players() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = custom_capture();
        test.ticks(500);
        assert!(log.warnings().is_empty(), "players may join late");
        test.world_mut().spawn((Player, Age(0.0)));
        test.ticks(500);
    });
    assert_warning(
        &log,
        &[
            "nothing is recorded",
            "`Simulation`",
            "`capture_after`",
            "`ExperienceCapture`",
        ],
    );
}

#[test]
fn a_capture_that_the_game_runs_itself_is_not_reported() {
    let log = log(|| {
        let mut test = custom_capture();
        test.world_mut().spawn((Player, Age(0.0)));
        for _ in 0..300 {
            test.world_mut().run_schedule(ExperienceCapture);
            test.update();
        }
        assert_eq!(test.finish().len(), 1);
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[test]
fn a_schedule_that_a_later_plugin_adds_to_a_loop_is_captured_after() {
    let mut test = custom_capture();
    test.init_schedule(Simulation);
    let mut order = test.world_mut().resource_mut::<MainScheduleOrder>();
    order.insert_after(Update, Simulation);
    test.world_mut().spawn((Player, Age(0.0)));
    App::finish(&mut test);
    test.ticks(3);
    let [episode] = &*test.finish() else {
        panic!("nothing was recorded")
    };
    assert_eq!(episode.len(), 2);
}

#[test]
fn a_fixed_loop_that_does_not_run_is_reported() {
    let log = log(|| {
        let mut app = App::new();
        app.add_plugins(ExperiencePlugin::default());
        app.add_recording(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .capture_after(FixedLast)
                .sink(MemorySink::default()),
        );
        app.world_mut().spawn((Player, Age(0.0)));
        for _ in 0..300 {
            app.update();
        }
    });
    assert_warning(&log, &["nothing is recorded", "`TimePlugin`"]);
}

/// Players whose captures run in each frame, and whose actions are read in a fixed loop that does not run.
fn play_without_fixed_ticks(app: &mut App) {
    app.add_plugins(ExperiencePlugin::default());
    app.add_recording(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .act::<Choice>()
            .capture_after(Last)
            .read_actions_after(FixedUpdate)
            .sink(MemorySink::default()),
    );
    app.world_mut().spawn((Player, Age(0.0), Choice(0.0)));
    for _ in 0..300 {
        app.update();
    }
}

#[test]
fn actions_that_are_read_in_a_fixed_loop_that_does_not_run_are_reported() {
    let log = log(|| play_without_fixed_ticks(&mut App::new()));
    assert_warning(
        &log,
        &["`player`", "`FixedUpdate`", "`TimePlugin`", "`read_actions_after`"],
    );
}

#[test]
fn a_policy_that_acts_in_a_fixed_loop_that_does_not_run_is_reported() {
    let log = log(|| {
        let mut app = App::new();
        app.add_plugins(ExperiencePlugin::default());
        let recording = Recording::<Player>::new("player").observe::<Age>().act::<Choice>();
        app.add_recording(recording.capture_after(Last).read_actions_after(PreUpdate));
        app.add_policy(
            Policy::<Player>::for_recording("player")
                .random()
                .act_before(FixedUpdate),
        );
        app.world_mut()
            .spawn((Player, Age(0.0), Choice(0.0), PolicyControlled::default()));
        for _ in 0..300 {
            app.update();
        }
    });
    let warnings = log.warnings();
    let policy: Vec<_> = warnings.iter().filter(|line| line.contains("policy")).collect();
    assert!(
        policy.len() == 1 && policy[0].contains("`FixedUpdate`") && policy[0].contains("`TimePlugin`"),
        "{warnings:?}"
    );
}

#[test]
fn a_fixed_loop_that_the_game_has_removed_is_reported() {
    let app = || {
        let mut app = App::new();
        app.add_plugins(TimePlugin);
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(5)));
        let mut order = app.world_mut().resource_mut::<MainScheduleOrder>();
        order.labels.retain(|label| *label != RunFixedMainLoop.intern());
        app
    };
    let reads = log(|| play_without_fixed_ticks(&mut app()));
    assert_warning(&reads, &["`FixedUpdate`", "`RunFixedMainLoop`", "`read_actions_after`"]);
    let captures = log(|| {
        let mut app = app();
        app.add_plugins(ExperiencePlugin::default());
        let recording = Recording::<Player>::new("player").observe::<Age>();
        app.add_recording(recording.capture_after(FixedLast).sink(MemorySink::default()));
        app.world_mut().spawn((Player, Age(0.0)));
        for _ in 0..300 {
            app.update();
        }
    });
    assert_warning(
        &captures,
        &["nothing is recorded", "`RunFixedMainLoop`", "`capture_after`"],
    );
}

#[test]
fn a_fixed_loop_that_waits_for_a_paused_game_is_not_reported() {
    let log = log(|| {
        let mut app = App::new();
        app.add_plugins(TimePlugin);
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(5)));
        app.world_mut().resource_mut::<Time<Virtual>>().pause();
        play_without_fixed_ticks(&mut app);
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[test]
fn actions_that_are_read_after_the_capture_are_reported_at_set_up() {
    let log = log(|| {
        let recording = || Recording::<Player>::new("player").observe::<Age>().act::<Choice>();
        TestApp::new().record(recording().capture_after(FixedUpdate).read_actions_after(FixedLast));
        TestApp::new().record(recording().read_actions_after(FixedUpdate));
    });
    assert_warning(&log, &["`FixedLast`", "`read_actions_after`"]);
    let recording = Recording::<Player>::new("player").observe::<Age>().act::<Choice>();
    let refused = TestApp::new()
        .try_add_recording(recording.read_actions_after(Simulation))
        .err();
    let refused = refused.expect("no loop has the schedule").to_string();
    assert!(
        refused.contains("`Simulation`") && refused.contains("add the plugin"),
        "{refused}"
    );
}
