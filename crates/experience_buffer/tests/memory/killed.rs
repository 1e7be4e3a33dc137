//! Ring files of killed processes, of live processes, and without disk space.

use super::{WORDS, file, files, label, open, row, settings, undrained};
use experience_buffer::{
    BufferError, TransitionBuffer, create,
    ring::{MappedRing, Ring},
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Environment variable: the folder in which the child process writes.
const CHILD: &str = "BEVY_EXPERIENCE_TEST_CHILD";
const CHILD_ROWS: usize = 1024;

/// Body of the child process: pushes rows and drains some of them until it is killed.
#[test]
#[ignore = "child process of the tests below, which kill it"]
fn child_process() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let settings = settings(Path::new(&folder), CHILD_ROWS);
    let (mut writer, ring) = Ring::with_label(&settings, WORDS, label()).unwrap();
    for n in 0.. {
        writer.push(&row(n)).unwrap();
        if n % 64 == 63 {
            ring.drain(48, &mut |_| ());
        }
    }
}

/// Body of a child process with a limit on file sizes.
#[test]
#[ignore = "child process of the test below, which limits its file size"]
fn child_process_without_disk_space() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let small = create(&settings(folder, 4), WORDS).unwrap();
    let error = create(&settings(folder, 1 << 14), WORDS).unwrap_err();
    assert!(matches!(error, BufferError::File { .. }), "{error}");
    assert!(error.to_string().contains("free disk space"), "{error}");
    assert_eq!(files(folder).len(), 1, "the file of the failed ring is deleted");
    drop(small);
}

#[cfg(unix)]
#[test]
fn creating_a_ring_file_without_disk_space_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    // A file size limit of 64 blocks, with its signal ignored, makes writes fail as a full disk does.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::child_process_without_disk_space",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{output:?}");
}

/// A child process that is killed on drop, so that it does not outlive its test.
struct KillOnDrop(Child);

impl KillOnDrop {
    /// Kills the process, on Unix with SIGKILL, and waits for its end.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(!status.success(), "the process ended before it was killed");
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child process, and waits until its ring exists and has wrapped.
fn child(folder: &TempDir) -> (KillOnDrop, MappedRing) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child_process", "--ignored"])
        .env(CHILD, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .map(KillOnDrop)
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let is_ring = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ring");
        if let Some(path) = files(folder.path()).into_iter().find(is_ring) {
            let ring = open(&path);
            if ring.stats().added > 3 * CHILD_ROWS as u64 {
                return (child, ring);
            }
        }
        assert!(Instant::now() < deadline, "the child process pushed too few rows");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn rows_of_a_killed_process_can_be_read() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        child(&folder).0.kill();
        let mut ring = open(&file(&folder));
        let stats = ring.stats();
        assert!(!ring.is_closed(), "a killed process does not close its ring");
        assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
        assert!(stats.retrieved > 0 && stats.len > 0, "{stats:?}");
        let (missed, rows) = undrained(&mut ring);
        // Beyond the overwritten rows one more may be lost: the row that was being overwritten.
        let accounted = stats.added - stats.len as u64;
        let first = stats.added - rows.len() as u64;
        assert!(rows.len() >= stats.len - 1, "{stats:?}, {} rows", rows.len());
        assert!(rows.iter().copied().eq(first..stats.added), "all newest rows, in order");
        assert!(missed >= first - accounted);
        // A second open reads the same rows, because reads remove none.
        assert_eq!(undrained(&mut open(&file(&folder))).1, rows);
    }
}

#[test]
fn the_ring_of_a_live_process_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut ring) = child(&folder);
    let mut reader = ring.reader();
    let (mut read, mut missed, mut last) = (0, 0, None);
    let began = reader.position();
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        let part = reader.read(usize::MAX, |found| {
            assert_eq!(found, row(found[0]), "torn");
            assert!(last < Some(found[0]), "in order");
            last = Some(found[0]);
        });
        read += part.steps as u64;
        missed += part.missed;
        assert_eq!(reader.position(), began + read + missed, "each row is read or missed");
        let stats = ring.stats();
        assert_eq!(
            stats.added,
            stats.retrieved + stats.dropped + stats.len as u64,
            "stats add up at any moment"
        );
    }
    assert!(read > CHILD_ROWS as u64, "{read}");
    ring.read_undrained(usize::MAX, |found| assert_eq!(found, row(found[0]), "torn"));
    child.kill();
}
