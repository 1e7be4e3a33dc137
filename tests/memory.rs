//! Where the buffers of a game lie.

use bevy_ecs::prelude::*;
use bevy_experience::{
    buffer::ring::MappedRing, export::ExportSettings, prelude::*, recording::SetupError, test_app::TestApp,
    transition::StepHeader,
};
use bevy_reflect::Reflect;
use core::time::Duration;
use std::{fs, path::Path};

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

fn recording() -> Recording<Player> {
    Recording::new("player").observe::<Age>()
}

/// A test whose exporter looks at the buffers only when it is closed.
fn asleep() -> TestApp {
    TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            poll_interval: Duration::from_secs(3600),
            flush_interval: Duration::from_secs(3600),
            ..Default::default()
        },
        ..Default::default()
    })
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn what_is_on_its_way_to_a_sink_can_be_found_in_files_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = asleep();
    test.record(recording().memory(Memory::File(folder.path().to_owned())));
    for age in [1.0, 2.0] {
        test.world_mut().spawn((Player, Age(age)));
    }
    test.ticks(10);
    let experience = test.world_mut().resource::<Experience>();
    let (run, schema) = (experience.run().unwrap(), experience.schema("player").unwrap());
    assert!(experience.buffers("player").unwrap().stats().memory.file > 0);
    let mut agents = Vec::new();
    for file in files(folder.path()) {
        let mut ring = MappedRing::open(&file, schema.hash(), schema.layout().row_words()).unwrap();
        assert_eq!(ring.label().run, run);
        let mut undrained = 0;
        let agent_id = ring.label().agent_id;
        ring.read_undrained(usize::MAX, |row| {
            let header = StepHeader::of(row);
            assert_eq!(header.agent_id, agent_id);
            undrained += 1;
        });
        agents.push(agent_id);
        // Some may be drained already; they stay until others need their place.
        assert_eq!(undrained, ring.stats().len);
        let mut ticks = Vec::new();
        ring.reader()
            .read(usize::MAX, |row| ticks.push(StepHeader::of(row).tick));
        assert!(ticks.into_iter().eq(0..10));
    }
    agents.sort_unstable();
    assert_eq!(agents, [0, 1]);
    let episodes = test.finish();
    assert_eq!(episodes.iter().map(|episode| episode.len()).sum::<usize>(), 18);
    drop(test);
    assert_eq!(files(folder.path()).len(), 0, "a clean end leaves none");
}

#[test]
fn a_folder_in_which_no_file_can_be_made_is_refused_while_the_app_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thesis.txt");
    fs::write(&file, "do not touch").unwrap();
    let error = TestApp::new()
        .try_add_recording(recording().memory(Memory::File(file.clone())))
        .err()
        .unwrap();
    assert!(matches!(error, SetupError::Buffer { .. }));
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    let error = TestApp::new()
        .try_add_recording(recording().buffer(BufferKind::Queue).memory(Memory::File(file)))
        .err()
        .unwrap();
    assert!(error.to_string().contains("cannot have a file"), "{error}");
}

#[test]
fn a_disabled_plugin_makes_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled: false,
        ..Default::default()
    });
    test.record(recording().memory(Memory::File(folder.path().join("rings"))));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    assert_eq!(files(folder.path()).len(), 0);
}
