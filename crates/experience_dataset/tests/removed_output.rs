//! A dataset whose files are removed while its run is recorded.

#[path = "../../experience_export/tests/support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;

use core::time::Duration;
use experience_buffer::BufferKind;
use experience_dataset::{Dataset, DatasetSink};
use experience_export::{ExportSettings, RetrySettings, SinkFailure};
use harness::{ExportHarness, TIMEOUT, settings, wait_until};
use std::{fs, path::Path};

fn play(root: &Path, settings: ExportSettings) -> ExportHarness {
    let sink = DatasetSink::new(root).with_shard_episodes(64);
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    assert!(harness.play(2000, TIMEOUT));
    let shards = || fs::read_dir(root.join("player/data")).map_or(0, Iterator::count);
    wait_until("some shards", || shards() > 2);
    assert!(harness.exporter.flush(TIMEOUT));
    harness
}

#[test]
fn a_removed_output_counts_as_dropped_and_fails_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let mut settings = settings(folder.path(), 1 << 30);
    settings.journal.as_mut().unwrap().folder = None;
    settings.retry = RetrySettings {
        patience: Duration::from_millis(100),
        ..RetrySettings::default()
    };
    let mut harness = play(&root, settings);
    // The exporter may create a file while its folder is removed.
    wait_until("the output is removed", || fs::remove_dir_all(&root).is_ok());
    harness.play(500, Duration::from_secs(10));
    assert!(!harness.exporter.close(TIMEOUT));
    let report = &harness.reports()[0];
    assert_eq!((report.exported, report.episodes), (0, 0), "{report:?}");
    assert!(report.dropped > 0 && report.missing > 0, "{report:?}");
    assert_eq!(report.pending, 0, "{report:?}");
    assert!(harness.failures().contains(&SinkFailure::Refuses));
}

#[test]
fn a_removed_shard_counts_as_dropped_and_fails_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let mut settings = settings(folder.path(), 1 << 30);
    settings.journal.as_mut().unwrap().folder = None;
    let mut harness = play(&root, settings);
    let shard = root.join("player/data/00000007-00000.parquet");
    fs::remove_file(shard).unwrap();
    assert!(harness.play(100, TIMEOUT));
    assert!(!harness.exporter.close(TIMEOUT));
    let report = harness.reports()[0].clone();
    assert!(report.missing > 0, "{report:?}");
    assert_eq!(
        (report.dropped, report.exported),
        (report.missing, report.recorded - report.missing),
        "{report:?}"
    );
    // The account says the same, and its journal is not needed any more.
    let dataset = Dataset::open(&root).unwrap();
    let recording = dataset.recording("player").unwrap();
    let account = &recording.runs().unwrap()[0].account;
    assert_eq!((account.exported, account.dropped), (report.exported, report.dropped));
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    assert!(!root.join("player/journal").exists());
}
