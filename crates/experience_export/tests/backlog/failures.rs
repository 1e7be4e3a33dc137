//! Journals that cannot be written or read, disks that are full, and a process that dies with a backlog.

use crate::game::{Game, SlowSink, TIMEOUT, Valve, assert_in_order, settings, wait_until};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{ExportSettings, MemorySink, SinkFailure};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn blocked(settings: ExportSettings) -> (Game, Valve, MemorySink) {
    let (valve, kept) = (Valve::default(), MemorySink::default());
    let sink = SlowSink {
        valve: valve.clone(),
        inner: kept.clone(),
    };
    (Game::new(settings, BufferKind::Ring, vec![Box::new(sink)]), valve, kept)
}

/// The folder of the one journal.
fn journal(folder: &Path) -> PathBuf {
    let journals = fs::read_dir(folder.join("journal")).unwrap();
    let mut journals: Vec<_> = journals.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

#[test]
fn while_the_journal_cannot_be_written_the_recording_is_held_up() {
    let folder = tempfile::tempdir().unwrap();
    let (mut game, valve, kept) = blocked(settings(folder.path(), 1 << 30));
    assert!(game.play(1000, TIMEOUT));
    wait_until("a backlog", || game.paces()[0].backlog_bytes > 100_000);
    // The next segment cannot be created.
    let (journal, away) = (journal(folder.path()), folder.path().join("away"));
    fs::rename(&journal, &away).unwrap();
    assert!(!game.play(20_000, Duration::from_millis(500)), "draining stops");
    assert_eq!(game.failures(), [SinkFailure::Refuses]);
    let backlog = game.paces()[0].backlog_bytes;
    (0..500).for_each(|_| game.tick());
    assert!(game.buffers.stats().dropped > 0, "the buffers overflow");
    game.reports();
    fs::rename(&away, &journal).unwrap();
    valve.open();
    assert!(game.play(1000, TIMEOUT), "draining goes on");
    assert!(backlog > 0);
    let reports = game.close();
    assert!(reports[0].dropped > 0);
    assert_in_order(&kept, &reports[0]);
}

#[test]
fn what_cannot_be_read_back_is_counted_and_the_rest_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let (mut game, valve, kept) = blocked(settings(folder.path(), 1 << 30));
    assert!(game.play(3000, TIMEOUT));
    wait_until("a backlog", || game.paces()[0].backlog_bytes > 1 << 20);
    let journal = journal(folder.path());
    let mut segments: Vec<_> = fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    // One segment is lost, and one damaged.
    let count = segments.len();
    assert!(count > 8, "{count}");
    fs::remove_file(&segments[count / 2]).unwrap();
    let mut bytes = fs::read(&segments[count / 4]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segments[count / 4], bytes).unwrap();
    valve.open();
    let reports = game.close();
    assert!(
        reports[0].dropped > 0 && reports[0].dropped < reports[0].recorded / 4,
        "{:?}",
        reports[0]
    );
    assert_in_order(&kept, &reports[0]);
}

#[test]
fn a_folder_that_cannot_be_created_is_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let settings = settings(&file, 1 << 30);
    assert!(settings.journal.as_ref().unwrap().prepare_folder().is_err());
    let (mut game, valve, kept) = blocked(settings);
    assert!(!game.play(5000, Duration::from_millis(500)));
    assert_eq!(game.failures(), [SinkFailure::Refuses]);
    valve.open();
    let reports = game.close();
    assert_in_order(&kept, &reports[0]);
}

#[cfg(target_os = "linux")]
#[test]
#[expect(
    clippy::print_stderr,
    reason = "the reader of the test's output must learn that nothing was tested"
)]
fn a_full_disk_holds_up_the_recording_and_does_not_pause_it() {
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
        eprintln!("skipped: no disk can be mounted; as root it can");
        return;
    }
    let disk = Disk(folder);
    let (mut game, valve, kept) = blocked(settings(disk.0.path(), 1 << 30));
    assert!(!game.play(20_000, Duration::from_millis(500)), "draining stops");
    assert!(!game.exporter.is_storage_full(0), "it is only the backlog's disk");
    assert!(game.paces()[0].backlog_bytes > 256 << 10);
    (0..500).for_each(|_| game.tick());
    assert!(game.buffers.stats().dropped > 0);
    game.reports();
    valve.open();
    assert!(game.play(2000, TIMEOUT), "there is room again");
    let reports = game.close();
    assert_in_order(&kept, &reports[0]);
    assert_eq!(fs::read_dir(disk.0.path()).unwrap().count(), 0);
}

#[cfg(feature = "dataset")]
#[test]
fn a_process_that_dies_with_a_backlog_loses_nothing_of_it() {
    use experience_dataset::{Dataset, DatasetSink, RecoverSettings};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let valve = Valve::default();
    let sink = SlowSink {
        valve: valve.clone(),
        inner: DatasetSink::new(&root),
    };
    let mut settings = settings(folder.path(), 1 << 30);
    settings.journal.as_mut().unwrap().folder = None;
    let mut game = Game::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    wait_until("the journal has begun", || root.join("player/journal").exists());
    assert!(game.play(2000, TIMEOUT));
    wait_until("a backlog", || game.paces()[0].backlog_bytes > 512 << 10);
    assert!(
        !game.exporter.flush(Duration::from_millis(200)),
        "it is in the journal then"
    );
    let recorded = game.reports()[0].recorded;
    let copied = folder.path().join("copy");
    let status = std::process::Command::new("cp")
        .arg("-r")
        .arg(&root)
        .arg(&copied)
        .status();
    assert!(status.unwrap().success());
    let recovered = Dataset::open(&copied)
        .unwrap()
        .recover(&RecoverSettings::default())
        .unwrap();
    let recovered = &recovered[0].recovery.recovered[0];
    assert_eq!((recovered.transitions, recovered.lost), (recorded, 0), "{recovered:?}");
    valve.open();
    let reports = game.close();
    assert_eq!((reports[0].dropped, reports[0].exported), (0, reports[0].recorded));
    assert!(!root.join("player/journal").exists());
    let dataset = Dataset::open(&root).unwrap();
    let validation = dataset.recording("player").unwrap().validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
}
