//! The lifetime of the exporter's journal: when it is written, and when it is removed.

use crate::{
    game::{Game, TIMEOUT, manual_flush},
    player::{Age, Player},
};
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::Dataset,
    journal::{JournalReader, Record},
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{fs, path::PathBuf, time::Instant};
use tempfile::tempdir;

/// A sink with a journal folder, which makes no episode durable before it is closed.
struct VolatileSink {
    journal: PathBuf,
    /// The duration of `close`.
    close: Duration,
}

impl Sink for VolatileSink {
    fn describe(&self) -> std::borrow::Cow<'_, str> {
        "volatile".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        assert!(
            episodes.iter().all(|episode| episode.info().agent_id != 13),
            "agent 13 makes the sink panic"
        );
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn durable(&self, _: u64) -> u64 {
        0
    }
    fn journal_folder(&self) -> Option<PathBuf> {
        Some(self.journal.clone())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        std::thread::sleep(self.close);
        Ok(())
    }
}

#[test]
fn a_journal_is_removed_once_every_sink_has_made_all_of_it_durable() {
    for (agent, is_kept) in [(12, false), (13, true)] {
        let folder = tempdir().unwrap();
        let journal = folder.path().join("custom");
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            export: manual_flush(),
            ..ExperiencePlugin::default()
        });
        test.record(Recording::<Player>::new("player").observe::<Age>().sink(VolatileSink {
            journal: journal.clone(),
            close: Duration::ZERO,
        }));
        test.world_mut().spawn((Player, Age(0.0), AgentId(1)));
        test.ticks(3);
        for _ in 0..2 {
            assert!(test.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
        }
        // Written by the sink, and not durable.
        let first = test.world_mut().spawn((Player, Age(0.0), AgentId(2))).id();
        test.ticks(3);
        test.world_mut().despawn(first);
        test.ticks(1);
        assert!(test.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
        let last = test.world_mut().spawn((Player, Age(0.0), AgentId(agent))).id();
        test.ticks(3);
        assert!(journal.join("00000.journal").exists());
        if is_kept {
            // The sink panics on this episode and is retired. Its journal is_kept, and nothing is appended to it.
            test.world_mut().despawn(last);
            test.ticks(1);
            for _ in 0..2 {
                assert!(test.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
            }
            let player = test.world_mut().spawn((Player, Age(0.0), AgentId(14))).id();
            test.ticks(3);
            test.world_mut().despawn(player);
            test.ticks(1);
            let bytes = || fs::metadata(journal.join("00000.journal")).unwrap().len();
            let before = bytes();
            assert!(test.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
            assert_eq!(bytes(), before);
        }
        test.finish();
        assert_eq!(journal.exists(), is_kept, "agent {agent}");
    }
}

#[test]
fn rows_not_exported_by_the_deadline_are_in_the_journal() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: manual_flush(),
        ..ExperiencePlugin::default()
    });
    test.record(Recording::<Player>::new("player").observe::<Age>().sink(VolatileSink {
        journal: journal.clone(),
        close: Duration::from_secs(3600),
    }));
    for agent in 0..3 {
        test.world_mut().spawn((Player, Age(0.0), AgentId(agent)));
    }
    test.ticks(3);
    for _ in 0..2 {
        assert!(test.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
    }
    test.ticks(40);
    let begun = Instant::now();
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(!experience.close(Duration::from_millis(500)));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let (mut rows, mut ends) = (0, Vec::new());
    let row_bytes = experience.schema("player").unwrap().layout().row_bytes();
    JournalReader::read(&journal, |_, record| match record {
        Record::Rows { rows: found, .. } => rows += found.len() / row_bytes,
        Record::Close { reason, .. } => ends.push(reason.to_owned()),
        _ => {}
    })
    .unwrap();
    assert_eq!(rows, 3 * 43);
    assert_eq!(ends, ["shutdown"; 3]);
}

#[derive(Resource, Default)]
struct Failures(Vec<SinkFailed>);

#[test]
fn a_journal_that_another_process_removed_is_reported_and_begun_again() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    game.test.init_resource::<Failures>();
    game.test
        .add_observer(|failed: On<SinkFailed>, mut failures: ResMut<Failures>| failures.0.push(failed.clone()));
    game.spawn(1);
    game.test.ticks(10);
    game.flush();
    fs::remove_dir_all(game.journal()).unwrap();
    game.spawn(2);
    game.test.ticks(10);
    // The first flush finds that the journal is gone, and the second begins another one.
    game.flush();
    game.test.ticks(1);
    let failures = &game.test.world().resource::<Failures>().0;
    assert!(
        failures.len() == 1 && failures[0].error.contains("removed or replaced"),
        "{failures:?}"
    );
    game.flush();
    let crashed = game.killed();
    let [recovered] = &*crashed.recover() else { panic!() };
    assert!(recovered.transitions >= 9, "{recovered:?}");
    game.finish();
    let run = &Dataset::open(&game.data)
        .unwrap()
        .recording("player")
        .unwrap()
        .runs()
        .unwrap()[0];
    // The rows of the first player were in the lost segment alone.
    let counts = &run.account;
    assert!(counts.dropped > 0, "{counts:?}");
    assert_eq!(counts.recorded, counts.exported + counts.dropped);
    assert!(!game.journal().exists());
}
