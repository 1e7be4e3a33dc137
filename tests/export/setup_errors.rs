//! Setup errors: an invalid recording is refused with an error that names the cause and the remedy.

use crate::player::{Age, Player};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::ExportSettings, journal::JournalSettings, prelude::*, recording::SetupError, sink::DatasetSink,
    test_app::TestApp, transition::RunId,
};
use bevy_reflect::Reflect;

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

/// The error of a recording that cannot be added.
fn setup_error(recording: Recording<Player>) -> String {
    match app().try_add_recording(recording) {
        Ok(_) => panic!("the recording was accepted"),
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
fn duplicate_recording_names_are_refused() {
    let mut app = app();
    app.add_recording(recording());
    let error = app.try_add_recording(recording()).err().unwrap();
    assert!(error.to_string().contains("`player` already"), "{error}");
}

#[test]
#[should_panic(expected = "`player` already")]
fn add_recording_panics_on_a_setup_error() {
    app().add_recording(recording()).add_recording(recording());
}

#[test]
#[should_panic(expected = "already added")]
fn adding_the_plugin_twice_is_refused() {
    app().add_plugins(ExperiencePlugin::default());
}

#[test]
fn the_plugin_group_adds_the_recorder_and_the_diagnostics() {
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
fn a_run_id_that_was_used_before_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::from_bits(5);
    let plugin = || ExperiencePlugin {
        run: Some(run),
        ..Default::default()
    };
    let recording = || recording().sink(DatasetSink::new(folder.path()));
    let mut first = TestApp::with_plugin(plugin());
    first.record(recording());
    first.ticks(2);
    first.finish();
    let mut second = App::new();
    second.add_plugins(plugin());
    let error = second.try_add_recording(recording()).err().unwrap().to_string();
    assert!(
        error.contains("run 00000005 already wrote to") && error.contains("`ExperiencePlugin::run`"),
        "{error}"
    );
    app().add_recording(recording());
}

#[test]
fn two_sinks_of_a_recording_in_one_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/dataset");
    let sink = || DatasetSink::new(&root);
    // The same folder by another path.
    let again = DatasetSink::new(folder.path().join("new/../new/./dataset/"));
    std::fs::create_dir(folder.path().join("new")).unwrap();
    let error = setup_error(recording().sink(sink()).sink(again));
    assert!(
        error.contains("already writes to") && error.contains("each sink of one, a dataset of its own"),
        "{error}"
    );
    // A recording that was refused leaves nothing behind, and other folders are other sinks.
    app().add_recording(
        recording()
            .sink(sink())
            .sink(DatasetSink::new(folder.path().join("other"))),
    );
    let mut test = TestApp::with_plugin(ExperiencePlugin::default());
    test.record(recording().sink(sink()));
    test.ticks(2);
    test.finish();
}

#[test]
#[should_panic(expected = "the run id 00000005 left a journal")]
fn a_run_id_with_a_journal_of_a_dead_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("journal/00000005-0")).unwrap();
    App::new().add_plugins(ExperiencePlugin {
        run: Some(RunId::from_bits(5)),
        export: ExportSettings {
            journal: Some(JournalSettings {
                folder: Some(folder.path().to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        },
        ..Default::default()
    });
}

#[test]
#[should_panic(expected = "at least one step")]
fn max_steps_of_zero_is_refused() {
    let _ = recording().episodes(EpisodeRules {
        max_steps: 0,
        ..Default::default()
    });
}

#[test]
#[should_panic(expected = "at least one player")]
fn expected_players_of_zero_is_refused() {
    let _ = recording().scaling(PlayerScaling {
        expected_players: 0,
        ..Default::default()
    });
}

#[test]
fn a_recording_without_an_observation_or_a_name_is_refused() {
    let error = setup_error(Recording::new("player").act::<Age>());
    assert!(error.contains("observes nothing"), "{error}");
    let error = setup_error(Recording::new("").observe::<Age>());
    assert!(error.contains("needs a name"), "{error}");
}

#[test]
fn an_unsupported_type_is_refused_with_its_path_and_the_remedy() {
    let error = setup_error(recording().observe::<Named>());
    assert!(error.contains("named.name"), "{error}");
    assert!(
        error.contains("observe_with") || error.contains("observe_fields"),
        "{error}"
    );
    let error = setup_error(recording().observe::<Fine>());
    assert!(error.contains("allow_lossy"), "{error}");
    app().add_recording(recording().observe::<Fine>().allow_lossy());
    app().add_recording(recording().observe_fields::<Named>(["age"]));
}

#[test]
fn a_remedy_names_methods_that_exist_for_the_use_of_the_type() {
    #[derive(Component, Reflect)]
    struct Title(String);
    #[derive(Resource, Reflect)]
    struct Map(String);
    let refused = "is of type `alloc::string::String`";
    let error = setup_error(recording().act::<Title>());
    assert!(
        error.contains(refused) && error.contains("`act_with`") && !error.contains("observe"),
        "{error}"
    );
    let error = setup_error(recording().info::<Title>());
    assert!(
        error.contains(refused) && error.contains("a separate component"),
        "{error}"
    );
    assert!(!error.contains("_with"), "{error}");
    let error = setup_error(recording().observe_resource::<Map>());
    assert!(
        error.contains(refused) && error.contains("`observe_resource_with`"),
        "{error}"
    );
    assert!(
        !error.contains("`observe_fields`") && !error.contains("`observe_with`"),
        "{error}"
    );
    let nearest = Nearest::<Player>::new(1, 1.0).with_field::<Title>("");
    let error = setup_error(recording().observe_nearest_with(nearest));
    assert!(error.contains(refused) && error.contains("`with_field`"), "{error}");
    assert!(
        !error.contains("observe_fields") && !error.contains("observe_with"),
        "{error}"
    );
    let error = setup_error(recording().match_id::<Title>());
    assert!(error.contains("`match_id` a component with one integer"), "{error}");
    let error = setup_error(recording().act::<Player>());
    assert!(
        error.contains("`act_discrete_with`") && !error.contains("observe_with"),
        "{error}"
    );
}

#[test]
fn an_unknown_field_is_refused_with_the_known_fields() {
    let error = setup_error(recording().observe_fields::<Named>(["wage"]));
    assert!(error.contains("wage") && error.contains("age"), "{error}");
}

#[test]
fn duplicate_columns_are_refused() {
    let error = setup_error(recording().observe::<Age>());
    assert!(error.contains("two columns `age`"), "{error}");
    let error = setup_error(recording().reward_terms(["coin", "coin"]));
    assert!(error.contains("two columns `coin`"), "{error}");
}

#[test]
fn bounds_of_an_unknown_column_are_refused() {
    let error = setup_error(recording().bounds("aeg", 0.0, 1.0));
    assert!(error.contains("`aeg`") && error.contains("age"), "{error}");
}

#[test]
fn a_match_id_has_to_be_one_integer() {
    let error = setup_error(recording().match_id::<Age>());
    assert!(error.contains("one integer"), "{error}");
}

#[test]
fn an_action_schedule_outside_the_main_and_fixed_loops_is_refused() {
    let error = setup_error(recording().read_actions_after(Startup));
    assert!(error.contains("Startup"), "{error}");
}

#[test]
fn a_recording_added_after_the_first_capture_is_ignored() {
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
fn an_end_for_an_unknown_entity_or_recording_is_ignored() {
    let mut test = TestApp::new();
    test.record(recording());
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    let other = test.world_mut().spawn_empty().id();
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(other, "goal"));
    test.world_mut()
        .trigger(EndEpisode::terminated(player, "goal").in_recording("no_such"));
    test.world_mut().trigger(BeginEpisode { entity: other });
    test.ticks(2);
    assert_eq!(test.finish().len(), 1);
}

#[test]
#[should_panic(expected = "at least one tick")]
fn a_decision_interval_of_zero_is_refused() {
    let _ = recording().decision_interval(0);
}

#[test]
#[should_panic(expected = "at least one step")]
fn a_buffer_capacity_of_zero_is_refused() {
    let _ = recording().buffers(BufferSettings {
        capacity: 0,
        ..Default::default()
    });
}

#[test]
fn a_buffer_larger_than_the_address_space_is_refused() {
    let error = setup_error(recording().buffers(BufferSettings {
        capacity: usize::MAX / 2,
        ..Default::default()
    }));
    assert!(error.contains("larger than the address space"), "{error}");
}

#[cfg(feature = "dataset")]
#[test]
fn a_file_or_a_foreign_folder_as_dataset_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "do not touch").unwrap();
    let error = setup_error(recording().sink(DatasetSink::new(folder.path())));
    assert!(error.contains("is not a dataset"), "{error}");
    let file = folder.path().join("thesis.txt");
    let error = setup_error(recording().sink(DatasetSink::new(&file)));
    assert!(error.contains("thesis.txt"), "{error}");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["thesis.txt"], "the folder is unchanged");
}

#[test]
fn a_disabled_plugin_creates_no_dataset() {
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
