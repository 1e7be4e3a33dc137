//! When the exporter's journal is written, and when it goes.

use crate::game::{Age, PATIENCE, Player, by_hand};
use bevy_experience::{
    journal::{JournalReader, Record},
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{fs, path::PathBuf, time::Instant};
use tempfile::tempdir;

/// A sink that has a place for the journal, and nothing for good before it is closed.
struct Forgetful {
    journal: PathBuf,
    /// How long its close takes.
    close: Duration,
}

impl Sink for Forgetful {
    fn describe(&self) -> std::borrow::Cow<'_, str> {
        "forgetful".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        assert!(
            episodes.iter().all(|episode| episode.info().agent_id != 13),
            "agent 13 is bad luck"
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
fn a_journal_goes_when_every_sink_has_all_of_it_for_good_and_stays_otherwise() {
    for (agent, stays) in [(12, false), (13, true)] {
        let folder = tempdir().unwrap();
        let journal = folder.path().join("of my own");
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            export: by_hand(),
            ..ExperiencePlugin::default()
        });
        test.record(Recording::<Player>::new("player").observe::<Age>().sink(Forgetful {
            journal: journal.clone(),
            close: Duration::ZERO,
        }));
        test.world_mut().spawn((Player, Age(0.0), AgentId(1)));
        test.ticks(3);
        for _ in 0..2 {
            assert!(test.world_mut().resource_mut::<Experience>().flush(PATIENCE));
        }
        // Taken, and not for good.
        let first = test.world_mut().spawn((Player, Age(0.0), AgentId(2))).id();
        test.ticks(3);
        test.world_mut().despawn(first);
        test.ticks(1);
        assert!(test.world_mut().resource_mut::<Experience>().flush(PATIENCE));
        let last = test.world_mut().spawn((Player, Age(0.0), AgentId(agent))).id();
        test.ticks(3);
        assert!(journal.join("00000.journal").exists());
        if stays {
            // The sink panics over this one. What it had taken stays, and nothing is added that nobody would bring back.
            test.world_mut().despawn(last);
            test.ticks(1);
            for _ in 0..2 {
                assert!(test.world_mut().resource_mut::<Experience>().flush(PATIENCE));
            }
            let player = test.world_mut().spawn((Player, Age(0.0), AgentId(14))).id();
            test.ticks(3);
            test.world_mut().despawn(player);
            test.ticks(1);
            let bytes = || fs::metadata(journal.join("00000.journal")).unwrap().len();
            let before = bytes();
            assert!(test.world_mut().resource_mut::<Experience>().flush(PATIENCE));
            assert_eq!(bytes(), before);
        }
        test.finish();
        assert_eq!(journal.exists(), stays, "agent {agent}");
    }
}

#[test]
fn what_is_not_written_by_the_deadline_is_in_the_journal() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: by_hand(),
        ..ExperiencePlugin::default()
    });
    test.record(Recording::<Player>::new("player").observe::<Age>().sink(Forgetful {
        journal: journal.clone(),
        close: Duration::from_secs(3600),
    }));
    for agent in 0..3 {
        test.world_mut().spawn((Player, Age(0.0), AgentId(agent)));
    }
    test.ticks(3);
    for _ in 0..2 {
        assert!(test.world_mut().resource_mut::<Experience>().flush(PATIENCE));
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
