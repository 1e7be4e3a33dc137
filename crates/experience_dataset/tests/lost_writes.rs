//! A dataset on a disk that loses writes: ext4 on an image in a small tmpfs, where the test is allowed to mount them.
//!
//! While the tmpfs is full, what the file system sends to the image is lost. The kernel reports that once for each file.
#![cfg(target_os = "linux")]

#[path = "../../experience_export/tests/support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;

use core::time::Duration;
use experience_buffer::BufferKind;
use experience_core::account::RunReport;
use experience_dataset::{Dataset, DatasetSink};
use experience_export::journal::Fsync;
use harness::{ExportHarness, TIMEOUT, settings};
use std::{path::Path, process::Command, time::Instant};
use tempfile::TempDir;

fn run(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

/// An ext4 file system of 200 MB in a tmpfs of 30 MB.
struct ThinDisk(TempDir);

impl ThinDisk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let (pool, image, mounted) = (disk.path("pool"), disk.path("pool/image"), disk.path("mounted"));
        std::fs::create_dir(&pool).unwrap();
        std::fs::create_dir(&mounted).unwrap();
        let is_mounted = run("mount", &["-t", "tmpfs", "-o", "size=30m", "tmpfs", &pool])
            && run("truncate", &["-s", "200M", &image])
            && run("mkfs.ext4", &["-q", "-F", "-N", "512", "-O", "^has_journal", &image])
            && disk.mount_image();
        if !is_mounted {
            return None;
        }
        // Uses each block of inodes, so that only content is lost later.
        let touched: Vec<_> = (0..400).map(|number| disk.path(&format!("mounted/{number}"))).collect();
        for path in &touched {
            std::fs::write(path, "").unwrap();
            assert!(run("sync", &["-f", &mounted]));
        }
        touched.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert!(run("sync", &["-f", &mounted]));
        Some(disk)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn mount_image(&self) -> bool {
        run(
            "mount",
            &["-o", "loop", &self.path("pool/image"), &self.path("mounted")],
        )
    }

    fn enlarge(&self) {
        assert!(run("mount", &["-o", "remount,size=400m", &self.path("pool")]));
    }

    fn is_full(&self) -> bool {
        let output = Command::new("stat")
            .args(["-f", "-c", "%f", &self.path("pool")])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim() == "0"
    }
}

impl Drop for ThinDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.path("mounted")]);
        run("umount", &["--lazy", &self.path("pool")]);
    }
}

/// Plays until the disk has lost writes, gives it space, and plays on. Returns the account.
fn play(disk: &ThinDisk, root: &Path) -> RunReport {
    let mut settings = settings(root, 1 << 30);
    settings.queue_bytes = 32 << 20;
    let journal = settings.journal.as_mut().unwrap();
    (journal.folder, journal.segment_bytes, journal.fsync) = (None, 1 << 20, Fsync::Interval(Duration::from_secs(1)));
    let sink = DatasetSink::new(root).with_shard_bytes(512 << 10);
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    let begun = Instant::now();
    while !disk.is_full() {
        assert!(begun.elapsed() < TIMEOUT, "the disk does not fill");
        harness.play(500, Duration::from_millis(100));
        // Other content takes most of the disk.
        let other = disk.path("mounted/other");
        std::fs::write(&other, noise(begun.elapsed().subsec_nanos())).unwrap();
        let _ = std::fs::rename(
            &other,
            disk.path(&format!("mounted/other-{}", begun.elapsed().as_nanos())),
        );
        // The kernel writes what it has in memory whenever it likes.
        run("sync", &["-f", &disk.path("mounted")]);
    }
    let full = Instant::now();
    while full.elapsed() < Duration::from_secs(3) {
        harness.play(200, Duration::from_millis(100));
        run("sync", &["-f", &disk.path("mounted")]);
    }
    disk.enlarge();
    harness.play(2000, TIMEOUT);
    harness.close().remove(0)
}

/// A mebibyte that the file system cannot store in less.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..1 << 20).map(|_| next()).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output")]
fn every_exported_transition_is_on_a_disk_that_has_lost_writes() {
    let Some(disk) = ThinDisk::mount() else {
        eprintln!("skipped: mounting ext4 in a tmpfs needs root");
        return;
    };
    let root = disk.0.path().join("mounted/data");
    let report = play(&disk, &root);
    assert!(report.failures > 0, "the disk has lost nothing: {report:?}");
    assert!(report.exported > 0 && report.pending == 0, "{report:?}");
    // From the disk, not from memory.
    assert!(run("umount", &[&disk.path("mounted")]) && disk.mount_image());
    let dataset = Dataset::open(&root).unwrap();
    let player = dataset.recording("player").unwrap();
    let readable: usize = player.episodes().map(|episode| episode.unwrap().len()).sum();
    assert_eq!(readable as u64, report.exported);
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
}
