//! Failures of the journal behind a backlog: write errors, lost and damaged segments, and a full disk.

use crate::harness::{ExportHarness, Gate, GatedSink, TIMEOUT, assert_in_order, settings, wait_until};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{ExportSettings, MemorySink, SinkFailure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A harness whose only sink is blocked, its gate, and the episodes that it has written.
fn blocked(settings: ExportSettings) -> (ExportHarness, Gate, MemorySink) {
    let (gate, written) = (Gate::default(), MemorySink::default());
    let sink = GatedSink {
        gate: gate.clone(),
        inner: written.clone(),
    };
    (
        ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]),
        gate,
        written,
    )
}

/// The folder of the only journal.
fn journal(folder: &Path) -> PathBuf {
    let journals = fs::read_dir(folder.join("journal")).unwrap();
    let journals = journals.map(|entry| entry.unwrap().path());
    // Beside it is the file of its lock.
    let mut journals: Vec<_> = journals.filter(|path| path.is_dir()).collect();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

#[test]
fn while_the_journal_cannot_be_written_draining_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (mut harness, gate, written) = blocked(settings(folder.path(), 1 << 30));
    assert!(harness.play(1000, TIMEOUT));
    wait_until("a backlog", || harness.paces()[0].backlog_bytes > 100_000);
    // The next segment cannot be created: a file is in the place of the folder.
    let (journal, away) = (journal(folder.path()), folder.path().join("away"));
    fs::rename(&journal, &away).unwrap();
    fs::write(&journal, "").unwrap();
    assert!(!harness.play(20_000, Duration::from_millis(500)), "draining stops");
    assert_eq!(harness.failures(), [SinkFailure::Refuses]);
    let backlog = harness.paces()[0].backlog_bytes;
    (0..500).for_each(|_| harness.tick());
    assert!(harness.buffers.stats().dropped > 0, "the buffers overflow");
    harness.reports();
    fs::remove_file(&journal).unwrap();
    fs::rename(&away, &journal).unwrap();
    gate.open();
    assert!(harness.play(1000, TIMEOUT), "draining resumes");
    assert!(backlog > 0);
    let reports = harness.close();
    assert!(reports[0].dropped > 0);
    assert_in_order(&written, &reports[0]);
}

#[test]
fn unreadable_segments_are_counted_as_dropped_and_the_others_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (mut harness, gate, written) = blocked(settings(folder.path(), 1 << 30));
    assert!(harness.play(3000, TIMEOUT));
    wait_until("a backlog", || harness.paces()[0].backlog_bytes > 1 << 20);
    let journal = journal(folder.path());
    let mut segments: Vec<_> = fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    // One segment is deleted, and one is damaged.
    let count = segments.len();
    assert!(count > 8, "{count}");
    fs::remove_file(&segments[count / 2]).unwrap();
    let mut bytes = fs::read(&segments[count / 4]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segments[count / 4], bytes).unwrap();
    gate.open();
    let reports = harness.close();
    assert!(
        reports[0].dropped > 0 && reports[0].dropped < reports[0].recorded / 4,
        "{:?}",
        reports[0]
    );
    assert_in_order(&written, &reports[0]);
}

#[test]
fn a_journal_folder_that_cannot_be_created_acts_like_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let settings = settings(&file, 1 << 30);
    assert!(settings.journal.as_ref().unwrap().prepare_folder().is_err());
    let (mut harness, gate, written) = blocked(settings);
    assert!(!harness.play(5000, Duration::from_millis(500)));
    assert_eq!(harness.failures(), [SinkFailure::Refuses]);
    gate.open();
    let reports = harness.close();
    assert_in_order(&written, &reports[0]);
}

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test is reported")]
fn a_full_journal_disk_stops_draining_and_does_not_pause_the_recording() {
    struct Disk(tempfile::TempDir);
    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount")
                .arg("--lazy")
                .arg(self.0.path())
                .status();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    }
    let disk = Disk(folder);
    let (mut harness, gate, written) = blocked(settings(disk.0.path(), 1 << 30));
    assert!(!harness.play(20_000, Duration::from_millis(500)), "draining stops");
    assert!(
        !harness.exporter.is_storage_full(0),
        "only the disk of the backlog is full"
    );
    assert!(harness.paces()[0].backlog_bytes > 256 << 10);
    (0..500).for_each(|_| harness.tick());
    assert!(harness.buffers.stats().dropped > 0);
    harness.reports();
    gate.open();
    assert!(harness.play(2000, TIMEOUT), "draining resumes");
    let reports = harness.close();
    assert_in_order(&written, &reports[0]);
    assert_eq!(fs::read_dir(disk.0.path()).unwrap().count(), 0);
}
