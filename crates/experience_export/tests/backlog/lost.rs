//! A sink that loses what it has accepted: its episodes are written again from the journal, or counted as dropped.

use crate::harness::{ExportHarness, TIMEOUT, assert_empty, assert_in_order, settings};
use experience_buffer::BufferKind;
use experience_core::{account::RunReport, transition::Episode};
use experience_export::{MemorySink, RecordingInfo, RetrySettings, Sink, SinkError};
use std::{borrow::Cow, time::Duration};

/// A sink that makes episodes durable at every second flush, and loses the others at every fifth.
#[derive(Default)]
struct ForgetfulSink {
    accepted: Vec<Episode>,
    durable: MemorySink,
    committed: u64,
    flushes: u32,
}

impl ForgetfulSink {
    fn commit(&mut self) {
        self.committed += self.accepted.len() as u64;
        self.durable.write(&self.accepted).unwrap();
        self.accepted.clear();
    }
}

impl Sink for ForgetfulSink {
    fn describe(&self) -> Cow<'_, str> {
        "forgetful".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.accepted.extend_from_slice(episodes);
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        self.flushes += 1;
        if self.flushes.is_multiple_of(5) && !self.accepted.is_empty() {
            self.accepted.clear();
            return Err(SinkError::Lost {
                path: "shard".into(),
                reason: "the test says so".to_owned(),
            });
        }
        if self.flushes.is_multiple_of(2) {
            self.commit();
        }
        Ok(())
    }
    fn durable(&self, _: u64) -> u64 {
        self.committed
    }
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        // The first close fails like a flush, and the next one succeeds.
        self.flushes = self.flushes.next_multiple_of(5) - u32::from(!self.flushes.is_multiple_of(5));
        self.flush(report)?;
        self.commit();
        Ok(())
    }
}

/// Plays with a sink that loses episodes. Returns what became durable, and the account.
fn play(folder: &std::path::Path, has_journal: bool) -> (MemorySink, RunReport) {
    let sink = ForgetfulSink::default();
    let durable = sink.durable.clone();
    let mut settings = settings(folder, 1 << 30);
    settings.retry = RetrySettings {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1),
        ..RetrySettings::default()
    };
    if !has_journal {
        settings.journal = None;
    }
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    for _ in 0..40 {
        assert!(harness.play(100, TIMEOUT));
        assert!(harness.exporter.flush(TIMEOUT));
    }
    (durable, harness.close().remove(0))
}

#[test]
fn episodes_that_a_sink_has_lost_are_written_again_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (durable, report) = play(folder.path(), true);
    assert!(report.failures > 0);
    assert_eq!((report.exported, report.dropped), (report.recorded, 0));
    assert_eq!(report.episodes, durable.episodes().len() as u64);
    assert_in_order(&durable, &report);
    assert_empty(folder.path());
}

#[test]
fn without_a_journal_episodes_that_a_sink_has_lost_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (durable, report) = play(folder.path(), false);
    assert!(report.dropped > 0 && report.exported > 0, "{report:?}");
    assert_eq!(report.exported + report.dropped, report.recorded);
    assert_eq!(report.episodes, durable.episodes().len() as u64);
    let totals: u64 = durable.episodes().iter().map(|episode| episode.len() as u64).sum();
    assert_eq!(totals, report.exported);
    assert_in_order(&durable, &report);
}
