//! Bad input gets a clear error, and loses nothing.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, recording::SetupError, test_app::TestApp};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

#[derive(Component, Reflect)]
struct Named {
    name: String,
    age: f32,
}

#[derive(Component, Reflect)]
struct Fine(f64);

fn app() -> App {
    let mut app = App::new();
    app.add_plugins(ExperiencePlugin::default());
    app
}

fn recording() -> Recording<Player> {
    Recording::new("player").observe::<Age>()
}

/// What is said about a recording that cannot be set up.
fn complaint(recording: Recording<Player>) -> String {
    match app().try_add_recording(recording) {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_recording_before_the_plugin_is_refused() {
    let error = App::new().try_add_recording(recording()).err().unwrap();
    assert!(matches!(error, SetupError::NoPlugin(_)));
    assert!(error.to_string().contains("add the plugin first"), "{error}");
}

#[test]
fn two_recordings_of_one_name_are_refused() {
    let mut app = app();
    app.add_recording(recording());
    let error = app.try_add_recording(recording()).err().unwrap();
    assert!(error.to_string().contains("`player` already"), "{error}");
}

#[test]
#[should_panic(expected = "`player` already")]
fn a_mistake_in_setting_up_panics() {
    app().add_recording(recording()).add_recording(recording());
}

#[test]
#[should_panic(expected = "already added")]
fn the_plugin_added_twice_is_refused_by_bevy() {
    app().add_plugins(ExperiencePlugin::default());
}

#[test]
fn the_plugins_come_as_a_group_too() {
    let mut app = App::new();
    app.add_plugins(ExperiencePlugins.set(ExperiencePlugin {
        memory_budget: 1 << 20,
        ..Default::default()
    }));
    assert!(app.is_plugin_added::<ExperienceDiagnosticsPlugin>());
    assert_eq!(app.world().resource::<Experience>().memory_budget(), 1 << 20);
    app.add_recording(recording());
}

#[test]
#[should_panic(expected = "at least one step")]
fn episodes_of_no_steps_are_refused() {
    let _ = recording().episodes(EpisodeRules {
        max_steps: 0,
        ..Default::default()
    });
}

#[test]
#[should_panic(expected = "at least one player")]
fn a_recording_of_no_players_is_refused() {
    let _ = recording().scaling(PlayerScaling {
        expected_players: 0,
        ..Default::default()
    });
}

#[test]
fn a_recording_that_observes_nothing_is_refused() {
    let error = complaint(Recording::new("player").act::<Age>());
    assert!(error.contains("observes nothing"), "{error}");
    let error = complaint(Recording::new("").observe::<Age>());
    assert!(error.contains("needs a name"), "{error}");
}

#[test]
fn what_cannot_be_a_feature_is_refused_by_path_with_the_remedy() {
    let error = complaint(recording().observe::<Named>());
    assert!(error.contains("named.name"), "{error}");
    assert!(
        error.contains("observe_with") || error.contains("observe_fields"),
        "{error}"
    );
    let error = complaint(recording().observe::<Fine>());
    assert!(error.contains("allow_lossy"), "{error}");
    app().add_recording(recording().observe::<Fine>().allow_lossy());
    app().add_recording(recording().observe_fields::<Named>(["age"]));
}

#[test]
fn a_field_that_does_not_exist_is_refused_and_those_that_do_are_named() {
    let error = complaint(recording().observe_fields::<Named>(["wage"]));
    assert!(error.contains("wage") && error.contains("age"), "{error}");
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let error = complaint(recording().observe::<Age>());
    assert!(error.contains("two columns `age`"), "{error}");
    let error = complaint(recording().reward_terms(["coin", "coin"]));
    assert!(error.contains("two columns `coin`"), "{error}");
}

#[test]
fn bounds_of_a_column_that_does_not_exist_are_refused() {
    let error = complaint(recording().bounds("aeg", 0.0, 1.0));
    assert!(error.contains("`aeg`") && error.contains("age"), "{error}");
}

#[test]
fn a_match_is_one_integer() {
    let error = complaint(recording().match_id::<Age>());
    assert!(error.contains("one integer"), "{error}");
}

#[test]
fn a_schedule_of_neither_loop_is_refused() {
    let error = complaint(recording().read_actions_after(Startup));
    assert!(error.contains("Startup"), "{error}");
}

#[test]
fn a_recording_after_the_first_capture_is_logged_and_left_out() {
    let mut test = TestApp::new();
    test.record(recording());
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(2);
    test.add_recording(Recording::<Player>::new("late").observe::<Age>());
    let error = test
        .try_add_recording(Recording::<Player>::new("late").observe::<Age>())
        .err()
        .unwrap();
    assert!(matches!(error, SetupError::TooLate(_)));
    test.ticks(2);
    assert_eq!(test.finish()[0].len(), 3);
}

#[test]
fn an_end_for_nobody_does_no_harm() {
    let mut test = TestApp::new();
    test.record(recording());
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    let stranger = test.world_mut().spawn_empty().id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(stranger, "goal"));
    test.world_mut()
        .trigger(EndEpisode::terminated(player, "goal").in_recording("no_such"));
    test.world_mut().trigger(BeginEpisode { entity: stranger });
    test.ticks(2);
    assert_eq!(test.finish().len(), 1);
}

#[test]
#[should_panic(expected = "at least one tick")]
fn a_decision_of_no_ticks_is_refused() {
    let _ = recording().decision_interval(0);
}

#[test]
#[should_panic(expected = "at least one step")]
fn a_buffer_of_no_steps_is_refused() {
    let _ = recording().buffers(BufferSettings {
        capacity: 0,
        ..Default::default()
    });
}

#[test]
fn a_buffer_larger_than_memory_is_refused() {
    let error = complaint(recording().buffers(BufferSettings {
        capacity: usize::MAX / 2,
        ..Default::default()
    }));
    assert!(error.contains("larger than the address space"), "{error}");
}

#[cfg(feature = "dataset")]
#[test]
fn an_unwritable_or_foreign_folder_is_refused_while_the_app_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "do not touch").unwrap();
    let error = complaint(recording().sink(DatasetSink::new(folder.path())));
    assert!(error.contains("is not a dataset"), "{error}");
    let file = folder.path().join("thesis.txt");
    let error = complaint(recording().sink(DatasetSink::new(&file)));
    assert!(error.contains("thesis.txt"), "{error}");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["thesis.txt"], "nothing was left behind");
}

#[test]
fn a_disabled_plugin_touches_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled: false,
        ..Default::default()
    });
    #[cfg(feature = "dataset")]
    test.add_recording(recording().sink(DatasetSink::new(folder.path().join("data"))));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(10);
    drop(test);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
