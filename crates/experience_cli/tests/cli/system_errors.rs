//! Datasets that the system does not let the command write: read-only file systems, and processes without free files.
#![cfg(target_os = "linux")]

use crate::{
    command::{dataset, experience, printed, text},
    episodes::{assert_valid, episodes, fighter, listing, read},
    unfinished::{account_path, lock_path, run_account, unfinished},
};
use experience_core::transition::RunId;
use experience_dataset::{DatasetSink, RunStatus};
use experience_export::Sink;
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(5);

/// A read-only view of a folder.
struct ReadOnly(TempDir);

impl ReadOnly {
    /// `None` where the process may not mount.
    fn mount(of: &Path) -> Option<Self> {
        let folder = tempdir().expect("a folder can be made");
        let mount = |arguments: &[&str]| {
            let mounted = Command::new("mount").args(arguments).arg(folder.path()).output();
            mounted.is_ok_and(|output| output.status.success())
        };
        if !mount(&["--bind", text(of)]) {
            return None;
        }
        let view = Self(folder);
        mount_read_only(view.path()).then_some(view)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn mount_read_only(folder: &Path) -> bool {
    let mounted = Command::new("mount")
        .args(["-o", "remount,bind,ro"])
        .arg(folder)
        .output();
    mounted.is_ok_and(|output| output.status.success())
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// A run like that of a process that died, in a journal.
fn dead(root: &Path) {
    drop(unfinished(root, &episodes(&fighter().into_shared(), RUN, 6), None));
    let path = account_path(root, RUN);
    let account = fs::read(&path).expect("it can be read");
    let mut account: Value = serde_json::from_slice(&account).expect("it is JSON");
    account["process"]["pid"] = u32::MAX.into();
    fs::write(&path, account.to_string()).expect("it can be written");
    // A process that another test starts holds copies of this one's files until it runs its program.
    let lock = fs::File::open(lock_path(root, RUN)).expect("it can be opened");
    lock.lock().expect("it can be locked");
}

#[test]
fn a_read_only_dataset_is_read_and_not_written() {
    let root = dataset();
    let Some(view) = ReadOnly::mount(root.path()) else {
        return;
    };
    let path = text(view.path());
    for reading in [
        &["info", path][..],
        &["head", path],
        &["stats", path],
        &["doctor", path],
        &["validate", path],
        // There is nothing to recover.
        &["recover", path],
    ] {
        let output = experience(reading);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{reading:?}: {output:?}");
    }
    let elsewhere = tempdir().expect("a folder can be made");
    let to = elsewhere.path().join("lines.jsonl");
    printed(&["convert", path, "--to", "jsonl", "-o", text(&to)], 0);
    let within = |name: &str| view.path().join(name).to_str().expect("plain names").to_owned();
    for (writing, of) in [
        (&["erase", path, "--agent", "1"][..], path),
        (
            &["convert", path, "--to", "jsonl", "-o", &within("x.jsonl")],
            &within("x.jsonl"),
        ),
        (&["convert", path, "--to", "minari", "-o", &within("m")], &within("m")),
        (&["convert", path, "--to", "lerobot", "-o", &within("l")], &within("l")),
        (&["convert", path, "--to", "bincode", "-o", &within("b")], &within("b")),
        (&["densify", path, "-o", &within("d")], &within("d")),
        (&["merge", path, "-o", &within("d")], &within("d")),
        (&["stats", path, "--plot", &within("p.png")], &within("p.png")),
    ] {
        let error = printed(writing, 3);
        assert!(
            error.contains(of) && error.contains("mount it writable, or name a folder elsewhere"),
            "{writing:?}: {error}"
        );
    }
    assert_valid(root.path());
}

#[test]
fn a_dead_run_on_a_read_only_disk_is_refused_and_not_called_alive() {
    let root = tempdir().expect("a folder can be made");
    dead(root.path());
    let before = listing(root.path());
    let Some(view) = ReadOnly::mount(root.path()) else {
        return;
    };
    let output = experience(&["recover", text(view.path())]);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert!(
        out.contains("run 00000005: NOT RECOVERED")
            && out.contains("mount it writable, or name a folder elsewhere")
            && !out.contains("may be alive"),
        "{out}"
    );
    assert_eq!(listing(root.path()), before);
}

#[test]
fn a_sink_is_refused_at_set_up_on_a_read_only_disk() {
    let root = dataset();
    let Some(view) = ReadOnly::mount(root.path()) else {
        return;
    };
    let schema = fighter();
    // The dataset itself, a new one in it, and the folder of a recording.
    for (folder, of) in [
        (view.path().to_owned(), view.path()),
        (view.path().join("new"), view.path()),
    ] {
        let error = DatasetSink::new(&folder).check(&schema).unwrap_err().to_string();
        assert!(
            error.contains(text(of)) && error.contains("mount it writable, or name a folder elsewhere"),
            "{error}"
        );
    }
    // A recording that alone is read-only.
    let other = tempdir().expect("a folder can be made");
    dead(other.path());
    let Some(view) = ReadOnly::mount(&other.path().join("fighter")) else {
        return;
    };
    let mounted = Command::new("mount")
        .args(["--bind", text(view.path()), text(&other.path().join("fighter"))])
        .status();
    assert!(mounted.expect("the command can be started").success());
    let error = mount_read_only(&other.path().join("fighter"))
        .then(|| DatasetSink::new(other.path()).check(&schema).unwrap_err().to_string());
    let _ = Command::new("umount").arg(other.path().join("fighter")).status();
    let error = error.expect("it can be mounted");
    assert!(
        error.contains("fighter") && error.contains("mount it writable"),
        "{error}"
    );
}

#[test]
fn a_dead_run_is_not_called_alive_for_lack_of_free_files() {
    let mut refused = 0;
    for limit in 3..40 {
        let root = tempdir().expect("a folder can be made");
        dead(root.path());
        let output = Command::new("sh")
            .args(["-c", "ulimit -n \"$1\" && exec \"$0\" recover \"$2\""])
            .args([env!("CARGO_BIN_EXE_experience"), &limit.to_string(), text(root.path())])
            .output()
            .expect("a shell can be started");
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!printed.contains("may be alive"), "{limit}: {printed}");
        match output.status.code() {
            Some(0) => assert_eq!(run_account(root.path(), RUN).status, RunStatus::Recovered, "{printed}"),
            Some(3) => {
                refused += u32::from(printed.contains("NOT RECOVERED"));
                assert!(
                    printed.contains("raise its limit with `ulimit -n`"),
                    "{limit}: {printed}"
                );
                assert_eq!(run_account(root.path(), RUN).status, RunStatus::Running, "{printed}");
                assert!(fs::exists(lock_path(root.path(), RUN)).expect("it can be listed"));
                // With enough files, all of it is recovered.
                printed_recovery(root.path());
            }
            // The loader of the system exits with 127 when it cannot open a library.
            code => assert_eq!(code, Some(127), "{limit}: {printed}"),
        }
    }
    assert!(refused > 0, "no limit refused the recovery of the run");
}

fn printed_recovery(root: &Path) {
    assert!(
        printed(&["recover", text(root)], 0).contains("recovered 6"),
        "all episodes"
    );
    assert_eq!(read(root).len(), 6);
}
