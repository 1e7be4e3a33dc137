//! Buffer memory: files, the memory budget, and buffers of despawned players.

use crate::{
    player::{Age, Player},
    support::app_with_idle_exporter,
};
use bevy_ecs::prelude::*;
use bevy_experience::{
    buffer::ring::MappedRing,
    prelude::*,
    recording::SetupError,
    test_app::TestApp,
    transition::{Episode, StepHeader},
};
use core::time::Duration;
use std::{fs, path::Path};

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

/// An app whose memory budget fits the buffers of this many players of [`recording`].
fn app_with_budget_for(players: usize) -> TestApp {
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
fn rows_stay_in_the_buffer_files_until_they_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = app_with_idle_exporter();
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
        // Drained rows stay readable until they are overwritten.
        assert_eq!(undrained, ring.stats().len);
        let mut ticks = Vec::new();
        ring.reader()
            .read(usize::MAX, |row| ticks.push(StepHeader::of(row).tick));
        assert!(ticks.into_iter().eq(0..10));
    }
    agents.sort_unstable();
    assert_eq!(agents, [-2, -1], "the players have no `AgentId`");
    let episodes = test.finish();
    assert_eq!(episodes.iter().map(Episode::len).sum::<usize>(), 18);
    drop(test);
    assert_eq!(files(folder.path()).len(), 0, "an orderly shutdown removes the files");
}

#[test]
fn an_unusable_buffer_folder_is_refused_at_setup() {
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
fn a_disabled_plugin_creates_no_buffer_files() {
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

/// The error of the last recording, whose buffers do not fit in 1 MiB beside those of the others.
fn budget_error(recordings: impl IntoIterator<Item = Recording<Player>>) -> String {
    let mut test = app_with_1_mib();
    let mut results: Vec<_> = recordings
        .into_iter()
        .map(|recording| test.try_add_recording(recording).err())
        .collect();
    let error = results.pop().flatten().expect("the last recording is refused");
    assert!(
        results.into_iter().all(|error| error.is_none()),
        "the recordings before it fit"
    );
    assert!(matches!(error, SetupError::OverBudget { .. }));
    error.to_string()
}

fn app_with_1_mib() -> TestApp {
    TestApp::with_plugin(ExperiencePlugin {
        memory_budget: 1 << 20,
        ..Default::default()
    })
}

/// The number that follows `start` in `text`.
fn number(text: &str, start: &str) -> usize {
    let (_, rest) = text.split_once(start).expect("`start` is in the text");
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn recordings_that_do_not_fit_the_budget_are_refused_with_the_arithmetic() {
    // A row is a stamp, a header of 64 bytes, a float and its changed bit. A buffer has 48 words of counters.
    let error = budget_error([recording().scaling(expecting(100))]);
    assert!(
        error.contains("`player`: 100 players × (512 steps × 80 bytes + 384 bytes) = 3.9 MiB"),
        "{error}"
    );
    assert!(error.contains("3.9 MiB together, and the budget is 1.0 MiB"), "{error}");

    // The capacity and the budget that the error suggests fit. One byte less does not.
    let capacity = number(&error, "BufferSettings { capacity: ");
    assert!(
        app_with_1_mib()
            .try_add_recording(recording().scaling(expecting(100)).buffers(holding(capacity)))
            .is_ok()
    );
    assert!(
        app_with_1_mib()
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
fn recordings_share_the_budget_and_are_listed_in_the_error() {
    let other = || {
        Recording::<Player>::new("other")
            .observe::<Age>()
            .scaling(expecting(20))
    };
    let error = budget_error([other(), recording().scaling(expecting(12))]);
    let lines: Vec<_> = error.lines().collect();
    assert!(
        lines[1].contains("`other`: 20 players") && lines[2].contains("`player`: 12 players"),
        "{error}"
    );
    let capacity = number(&error, "BufferSettings { capacity: ");
    let mut test = app_with_1_mib();
    test.add_recording(other());
    assert!(
        test.try_add_recording(recording().scaling(expecting(12)).buffers(holding(capacity)))
            .is_ok()
    );
    // No capacity is suggested where not even one step fits.
    let error = budget_error([recording().scaling(expecting(100_000))]);
    assert!(
        !error.contains("capacity: ") && error.contains("lower `PlayerScaling::expected_players`"),
        "{error}"
    );
    let error = budget_error([recording().scaling(expecting(usize::MAX))]);
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
fn players_beyond_the_budget_are_counted_and_not_recorded() {
    let mut test = app_with_budget_for(2);
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
    assert_eq!(
        test.world_mut().resource::<Ends>().0,
        5,
        "`EpisodeEnded` is triggered for unrecorded players too"
    );
    let episodes = test.finish();
    assert!(
        episodes.iter().all(|episode| episode.info().agent_id < 2),
        "the first two players are recorded"
    );
    assert_eq!(episodes.len(), 4);
    let report = test.report();
    assert_eq!(report.unbuffered_agents, 3, "each counted once");
    assert_eq!((report.recorded, report.pending), (report.exported, 0));
}

#[test]
fn a_despawned_player_frees_its_buffer_for_the_next_one() {
    let mut test = app_with_budget_for(2);
    test.record(recording().scaling(expecting(1)));
    let spawn = |test: &mut TestApp, id| test.world_mut().spawn((Player, Age(0.0), AgentId(id))).id();
    let _staying = spawn(&mut test, 0);
    let mut leaving = spawn(&mut test, 1);
    test.ticks(3);
    for id in 2..20 {
        test.world_mut().despawn(leaving);
        test.ticks(1);
        // The buffer is freed when its rows are exported.
        let mut experience = test.world_mut().resource_mut::<Experience>();
        assert!(experience.flush(Duration::from_secs(30)));
        leaving = spawn(&mut test, id);
        test.ticks(3);
    }
    let episodes = test.finish();
    let mut agents: Vec<_> = episodes.iter().map(|episode| episode.info().agent_id).collect();
    agents.dedup();
    assert!(agents.into_iter().eq(0..20));
    assert_eq!(test.report().unbuffered_agents, 0);
}

#[test]
fn without_a_sink_new_players_reuse_the_buffers_of_despawned_ones() {
    let mut test = app_with_budget_for(2);
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
