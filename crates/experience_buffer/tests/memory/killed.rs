//! Files of processes that died, live, or have no room.

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

/// Where the child of the tests below writes.
const CHILD: &str = "BEVY_EXPERIENCE_TEST_CHILD";
const CHILD_ROWS: usize = 1024;

/// Not a test, but the life of a process: it pushes rows and drains some of them until it is killed.
#[test]
#[ignore = "is started by the tests below, to be killed"]
fn the_life_of_a_child() {
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

/// Not a test, but what a process does that may only make small files.
#[test]
#[ignore = "is started by the test below, with a limit"]
fn the_life_of_a_child_without_room() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let small = create(&settings(folder, 4), WORDS).unwrap();
    let error = create(&settings(folder, 1 << 14), WORDS).unwrap_err();
    assert!(matches!(error, BufferError::File { .. }), "{error}");
    assert!(error.to_string().contains("make room there"), "{error}");
    assert_eq!(files(folder).len(), 1, "nothing is left of it");
    drop(small);
}

#[cfg(unix)]
#[test]
fn a_file_for_which_there_is_no_room_is_refused_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    // What a full disk is to the file system, a limit of 64 blocks is to this process, if it ignores the signal.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::the_life_of_a_child_without_room",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

/// A process that does not outlive the test, however that ends.
struct Doomed(Child);

impl Doomed {
    /// SIGKILL, on Unix: nothing of the process runs any more.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(!status.success(), "it was killed, and did not end by itself");
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child, and waits until its ring is there and has gone round.
fn child(folder: &TempDir) -> (Doomed, MappedRing) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::the_life_of_a_child", "--ignored"])
        .env(CHILD, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .map(Doomed)
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ring");
        if let Some(path) = files(folder.path()).into_iter().find(is_whole) {
            let ring = open(&path);
            if ring.stats().added > 3 * CHILD_ROWS as u64 {
                return (child, ring);
            }
        }
        assert!(Instant::now() < deadline, "the child does nothing");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_killed_process_pushed_is_there() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        child(&folder).0.kill();
        let mut ring = open(&file(&folder));
        let stats = ring.stats();
        assert!(!ring.is_closed(), "it had no time to");
        assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
        assert!(stats.retrieved > 0 && stats.len > 0, "{stats:?}");
        let (missed, rows) = undrained(&mut ring);
        // One may be lost besides those that were overwritten: that which was being overwritten.
        let accounted = stats.added - stats.len as u64;
        let first = stats.added - rows.len() as u64;
        assert!(rows.len() >= stats.len - 1, "{stats:?}, {} rows", rows.len());
        assert!(rows.iter().copied().eq(first..stats.added), "all to the last, in order");
        assert!(missed >= first - accounted);
        // And again: nobody has taken anything.
        assert_eq!(undrained(&mut open(&file(&folder))).1, rows);
    }
}

#[test]
fn a_living_process_is_read_without_being_disturbed() {
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
            "at any moment"
        );
    }
    assert!(read > CHILD_ROWS as u64, "{read}");
    ring.read_undrained(usize::MAX, |found| assert_eq!(found, row(found[0]), "torn"));
    child.kill();
}
