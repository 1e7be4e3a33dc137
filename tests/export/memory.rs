//! Where the buffers of a game lie.

use bevy_ecs::prelude::*;
use bevy_experience::{
    buffer::ring::MappedRing,
    export::ExportSettings,
    prelude::*,
    recording::SetupError,
    test_app::TestApp,
    transition::{Episode, StepHeader},
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

fn expecting(expected_players: usize) -> PlayerScaling {
    PlayerScaling {
        expected_players,
        ..Default::default()
    }
}

fn holding(capacity: usize) -> BufferSettings {
    BufferSettings {
        capacity,
        ..Default::default()
    }
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

/// A test in which the buffers of so many players of [`recording`] fit.
fn with_room_for(players: usize) -> TestApp {
    let mut probe = TestApp::new();
    probe.record(recording());
    let experience = probe.world_mut().resource::<Experience>();
    let buffers = experience.buffers("player").unwrap();
    let bytes = buffers.settings().bytes(buffers.row_words()).unwrap();
    TestApp::with_plugin(ExperiencePlugin {
        memory_budget: players * bytes + bytes / 2,
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
    test.record(recording().buffers(BufferSettings {
        memory: Memory::File(folder.path().to_owned()),
        ..Default::default()
    }));
    for age in [1.0, 2.0] {
        test.world_mut().spawn((Player, Age(age)));
    }
    test.ticks(10);
    let experience = test.world_mut().resource::<Experience>();
    let (run, schema) = (experience.run(), experience.schema("player").unwrap());
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
    assert_eq!(episodes.iter().map(Episode::len).sum::<usize>(), 18);
    drop(test);
    assert_eq!(files(folder.path()).len(), 0, "a clean end leaves none");
}

#[test]
fn a_folder_in_which_no_file_can_be_made_is_refused_while_the_app_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thesis.txt");
    fs::write(&file, "do not touch").unwrap();
    let error = TestApp::new()
        .try_add_recording(recording().buffers(BufferSettings {
            memory: Memory::File(file.clone()),
            ..Default::default()
        }))
        .err()
        .unwrap();
    assert!(matches!(error, SetupError::Buffer { .. }));
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    let error = TestApp::new()
        .try_add_recording(recording().buffers(BufferSettings {
            kind: BufferKind::Queue,
            memory: Memory::File(file),
            ..Default::default()
        }))
        .err()
        .unwrap();
    assert!(error.to_string().contains("does not support a file"), "{error}");
}

#[test]
fn a_disabled_plugin_makes_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled: false,
        ..Default::default()
    });
    test.record(recording().buffers(BufferSettings {
        memory: Memory::File(folder.path().join("rings")),
        ..Default::default()
    }));
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(3);
    assert_eq!(files(folder.path()).len(), 0);
}

/// What is said about recordings whose buffers do not fit 1 MiB, of which the last is refused.
fn complaint(recordings: impl IntoIterator<Item = Recording<Player>>) -> String {
    let mut test = small();
    let mut results: Vec<_> = recordings
        .into_iter()
        .map(|recording| test.try_add_recording(recording).err())
        .collect();
    let error = results.pop().flatten().expect("it is refused");
    assert!(results.into_iter().all(|error| error.is_none()), "those before it fit");
    assert!(matches!(error, SetupError::OverBudget { .. }));
    error.to_string()
}

fn small() -> TestApp {
    TestApp::with_plugin(ExperiencePlugin {
        memory_budget: 1 << 20,
        ..Default::default()
    })
}

/// The number that stands in `text` behind `start`.
fn number(text: &str, start: &str) -> usize {
    let (_, rest) = text.split_once(start).expect("it is said");
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn recordings_that_do_not_fit_the_budget_are_refused_with_the_arithmetic() {
    // A stamp, a header of 64 bytes, a float and the bit that says whether it changed; and 48 words of counters.
    let error = complaint([recording().scaling(expecting(100))]);
    assert!(
        error.contains("`player`: 100 players × (512 steps × 80 bytes + 384 bytes) = 3.9 MiB"),
        "{error}"
    );
    assert!(error.contains("3.9 MiB together, and the budget is 1.0 MiB"), "{error}");

    // What it says would fit does, and a byte less would not.
    let capacity = number(&error, "BufferSettings { capacity: ");
    assert!(
        small()
            .try_add_recording(recording().scaling(expecting(100)).buffers(holding(capacity)))
            .is_ok()
    );
    assert!(
        small()
            .try_add_recording(recording().scaling(expecting(100)).buffers(holding(2 * capacity)))
            .is_err()
    );
    let memory_budget = number(&error, "`ExperiencePlugin::memory_budget` to ");
    for (memory_budget, fits) in [(memory_budget, true), (memory_budget - 1, false)] {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            memory_budget,
            ..Default::default()
        });
        assert_eq!(
            test.try_add_recording(recording().scaling(expecting(100))).is_ok(),
            fits
        );
    }
}

#[test]
fn all_recordings_share_the_budget_and_stand_in_the_arithmetic() {
    let other = || {
        Recording::<Player>::new("other")
            .observe::<Age>()
            .scaling(expecting(20))
    };
    let error = complaint([other(), recording().scaling(expecting(12))]);
    let lines: Vec<_> = error.lines().collect();
    assert!(
        lines[1].contains("`other`: 20 players") && lines[2].contains("`player`: 12 players"),
        "{error}"
    );
    let capacity = number(&error, "BufferSettings { capacity: ");
    let mut test = small();
    test.add_recording(other());
    assert!(
        test.try_add_recording(recording().scaling(expecting(12)).buffers(holding(capacity)))
            .is_ok()
    );
    // Where not even one step fits, a capacity is no remedy.
    let error = complaint([recording().scaling(expecting(100_000))]);
    assert!(
        !error.contains("capacity: ") && error.contains("lower `PlayerScaling::expected_players`"),
        "{error}"
    );
    let error = complaint([recording().scaling(expecting(usize::MAX))]);
    assert!(error.contains("does not fit"), "{error}");
}

#[test]
fn a_disabled_plugin_needs_no_memory() {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled: false,
        memory_budget: 0,
        ..Default::default()
    });
    test.record(recording());
}

#[derive(Resource, Default)]
struct Ends(u32);

#[test]
fn players_beyond_the_budget_are_counted_and_play_on_unrecorded() {
    let mut test = with_room_for(2);
    test.record(recording().scaling(expecting(1)));
    test.init_resource::<Ends>();
    test.add_observer(|_: On<EpisodeEnded>, mut ends: ResMut<Ends>| ends.0 += 1);
    let players: Vec<_> = (0..5)
        .map(|id| test.world_mut().spawn((Player, Age(0.0), AgentId(id))).id())
        .collect();
    test.ticks(5);
    assert_eq!(test.report().unbuffered_agents, 3);
    for player in players {
        test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    }
    test.ticks(5);
    assert_eq!(test.world_mut().resource::<Ends>().0, 5, "to the game all are alike");
    let episodes = test.finish();
    assert!(
        episodes.iter().all(|episode| episode.info().agent_id < 2),
        "the first come are recorded"
    );
    assert_eq!(episodes.len(), 4);
    let report = test.report();
    assert_eq!(report.unbuffered_agents, 3, "each counted once");
    assert_eq!((report.recorded, report.pending), (report.exported, 0));
}

#[test]
fn who_leaves_makes_room_for_who_comes() {
    let mut test = with_room_for(2);
    test.record(recording().scaling(expecting(1)));
    let spawn = |test: &mut TestApp, id| test.world_mut().spawn((Player, Age(0.0), AgentId(id))).id();
    let _stays = spawn(&mut test, 0);
    let mut leaves = spawn(&mut test, 1);
    test.ticks(3);
    for id in 2..20 {
        test.world_mut().despawn(leaves);
        test.ticks(1);
        // Its rows are on their way; until they are there, so is its buffer.
        let mut experience = test.world_mut().resource_mut::<Experience>();
        assert!(experience.flush(Duration::from_secs(30)));
        leaves = spawn(&mut test, id);
        test.ticks(3);
    }
    let episodes = test.finish();
    let mut agents: Vec<_> = episodes.iter().map(|episode| episode.info().agent_id).collect();
    agents.dedup();
    assert!(agents.into_iter().eq(0..20));
    assert_eq!(test.report().unbuffered_agents, 0);
}

#[test]
fn without_a_sink_the_players_of_now_have_the_memory() {
    let mut test = with_room_for(2);
    test.add_recording(recording().scaling(expecting(1)));
    for _ in 0..20 {
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(3);
        test.world_mut().despawn(player);
        test.ticks(1);
    }
    let experience = test.world_mut().resource::<Experience>();
    let stats = experience.buffers("player").unwrap().stats();
    assert!(stats.added >= 20 * 3, "{stats:?}");
}
