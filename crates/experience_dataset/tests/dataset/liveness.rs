//! What may be recovered and deleted: runs of live processes, of other hosts and containers, and copies of them.

use crate::{
    episodes::{assert_valid, episodes, fighter, listing, read, report},
    unfinished::{account_path, copy, lock_path, recover, recover_with, run_account, unfinished},
};
use experience_buffer::{BufferSettings, Label, Memory, create_for};
use experience_core::transition::{Episode, RunId, StepHeader, StepKind};
use experience_dataset::{RecoverSettings, RunStatus};
use experience_export::Sink;
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(5);

fn all(count: u32) -> Vec<Episode> {
    episodes(&fighter().into_shared(), RUN, count)
}

/// Replaces the lock file, as tools that synchronize folders do.
fn replace_lock(root: &Path) {
    let lock = lock_path(root, RUN);
    fs::write(lock.with_extension("new"), "").unwrap();
    fs::rename(lock.with_extension("new"), lock).unwrap();
}

/// A run like that of a process that died.
fn dead(root: &Path) {
    drop(unfinished(root, &all(6), None));
    // Dropping the sink removes the open shard.
    fs::write(root.join("fighter/data/00000005-00000.parquet.tmp"), "half").unwrap();
}

/// Changes the record of the process in the account of an unfinished run.
fn edit_process(root: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = account_path(root, RUN);
    let mut account: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // Another process, or this process would know that it holds no such run.
    account["process"]["token"] = serde_json::json!(1);
    edit(&mut account["process"]);
    fs::write(&path, account.to_string()).unwrap();
}

/// Sets when the last heartbeat was.
fn set_heartbeat(root: &Path, time: SystemTime) {
    let file = File::options().write(true).open(lock_path(root, RUN)).unwrap();
    file.set_modified(time).unwrap();
}

#[track_caller]
fn assert_untouched(root: &Path) {
    assert_eq!(run_account(root, RUN).status, RunStatus::Running);
    let files = listing(root);
    for left in ["fighter/journal/00000005/00000.journal", "fighter/runs/.00000005.lock"] {
        assert!(files.iter().any(|path| path == left), "{left}: {files:?}");
    }
    assert!(files.iter().any(|path| path.ends_with(".tmp")), "{files:?}");
}

#[test]
fn a_live_run_whose_lock_was_replaced_is_not_recovered() {
    let root = tempdir().unwrap();
    let all = all(6);
    let mut sink = unfinished(root.path(), &all, None);
    replace_lock(root.path());
    assert_eq!(recover(root.path()).alive, [RUN]);
    fs::remove_file(lock_path(root.path(), RUN)).unwrap();
    let settings = RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    };
    assert_eq!(recover_with(root.path(), &settings).alive, [RUN]);
    replace_lock(root.path());
    assert_untouched(root.path());
    // The run reports once that its lock was replaced, and locks the new file.
    let error = sink.flush(&report(&all)).unwrap_err().to_string();
    assert!(
        error.contains(".00000005.lock") && error.contains("replaced"),
        "{error}"
    );
    sink.flush(&report(&all)).unwrap();
    assert!(File::open(lock_path(root.path(), RUN)).unwrap().try_lock().is_err());
    sink.close(&report(&all)).unwrap();
    assert_valid(root.path());
    assert_eq!(read(root.path()).len(), 6);
    assert!(!lock_path(root.path(), RUN).exists());
}

#[test]
fn a_run_whose_lock_another_process_holds_waits() {
    let root = tempdir().unwrap();
    let all = all(8);
    let mut sink = unfinished(root.path(), &all[..6], None);
    replace_lock(root.path());
    let other = File::options().write(true).open(lock_path(root.path(), RUN)).unwrap();
    other.try_lock().unwrap();
    for _ in 0..2 {
        let error = sink.write(&all[6..]).unwrap_err();
        assert!(error.to_string().contains("may be recovering it"), "{error}");
        assert!(error.may_pass(), "the other process may fail");
    }
    drop(other);
    sink.write(&all[6..]).unwrap();
    sink.flush(&report(&all)).unwrap_err();
    sink.close(&report(&all)).unwrap();
    assert_valid(root.path());
    assert_eq!(read(root.path()).len(), 8);
}

#[test]
#[cfg(unix)]
fn a_lock_file_that_is_a_link_is_neither_locked_nor_written() {
    let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    dead(root.path());
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let lock = lock_path(root.path(), RUN);
    for is_hard in [false, true] {
        fs::remove_file(&lock).unwrap();
        if is_hard {
            fs::hard_link(&victim, &lock).unwrap();
        } else {
            std::os::unix::fs::symlink(&victim, &lock).unwrap();
            assert_eq!(recover(root.path()).unclear, [RUN]);
        }
        recover(root.path());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}

#[test]
fn a_run_that_was_recovered_while_it_was_alive_stops_and_counts_the_rest() {
    let root = tempdir().unwrap();
    let all = all(8);
    let mut sink = unfinished(root.path(), &all[..6], None);
    sink.flush(&report(&all[..6])).unwrap();
    // Another process recovers the run: it sees neither the lock nor another sign of life. A copy stands for it.
    let other = tempdir().unwrap();
    copy(root.path(), other.path());
    assert_eq!(recover(other.path()).recovered[0].episodes, 6);
    fs::remove_dir_all(root.path().join("fighter")).unwrap();
    copy(&other.path().join("fighter"), &root.path().join("fighter"));
    let recovered = run_account(root.path(), RUN);
    let shards = listing(&root.path().join("fighter/data"));
    for _ in 0..2 {
        let error = sink.write(&all[6..]).unwrap_err();
        assert!(
            error.to_string().contains("was recovered by another process"),
            "{error}"
        );
        assert!(!error.may_pass(), "no episode can be written any more");
    }
    let mut totals = report(&all[..6]);
    totals.recorded += 20;
    totals.dropped += 20;
    sink.flush(&totals).unwrap_err();
    sink.close(&totals).unwrap_err();
    drop(sink);
    assert_eq!(listing(&root.path().join("fighter/data")), shards);
    assert_valid(root.path());
    let run = run_account(root.path(), RUN);
    assert_eq!((run.status, &run.shards), (RunStatus::Recovered, &recovered.shards));
    assert_eq!(
        (run.account.recorded, run.account.exported, run.account.dropped),
        (80, 60, 20)
    );
    assert!(recover(root.path()).is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_live_process_is_alive_whatever_its_lock() {
    let root = tempdir().unwrap();
    dead(root.path());
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let started: u64 = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split(' ')
        .nth(20)
        .unwrap()
        .parse()
        .unwrap();
    edit_process(root.path(), |process| {
        process["pid"] = child.id().into();
        process["started"] = started.into();
    });
    assert_eq!(recover(root.path()).alive, [RUN], "the lock is free");
    replace_lock(root.path());
    assert_eq!(recover(root.path()).alive, [RUN], "the lock is another file");
    assert_untouched(root.path());
    // Another process has the id of the dead one.
    let edited = fs::read(account_path(root.path(), RUN)).unwrap();
    edit_process(root.path(), |process| process["started"] = (started - 1).into());
    let copied = tempdir().unwrap();
    copy(root.path(), copied.path());
    assert_eq!(recover(root.path()).recovered[0].episodes, 6);
    fs::remove_dir_all(root.path().join("fighter")).unwrap();
    copy(&copied.path().join("fighter"), &root.path().join("fighter"));
    fs::write(account_path(root.path(), RUN), edited).unwrap();
    assert_eq!(
        recover(root.path()).alive,
        [RUN],
        "the folder has another id, and the recorded path"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(recover(root.path()).recovered[0].episodes, 6);
    assert_valid(root.path());
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_of_another_host_is_unclear_until_its_heartbeat_is_old() {
    let root = tempdir().unwrap();
    dead(root.path());
    edit_process(root.path(), |process| process["boot"] = "another".into());
    let now = SystemTime::now();
    // A host whose clock is ahead, or was when it died, is not taken for dead.
    for time in [now, now - Duration::from_secs(30), now + Duration::from_secs(1000)] {
        set_heartbeat(root.path(), time);
        assert_eq!(recover(root.path()).unclear, [RUN]);
    }
    assert_untouched(root.path());
    set_heartbeat(root.path(), SystemTime::now() - Duration::from_secs(100));
    assert_eq!(recover(root.path()).recovered[0].episodes, 6);
    assert_valid(root.path());
}

#[test]
#[cfg(target_os = "linux")]
fn a_container_that_restarts_with_the_old_process_id_recovers_at_once() {
    let root = tempdir().unwrap();
    dead(root.path());
    edit_process(root.path(), |process| {
        process["pid_namespace"] = 1.into();
        process["pid"] = std::process::id().into();
    });
    let copied = tempdir().unwrap();
    copy(root.path(), copied.path());
    assert_eq!(recover(root.path()).recovered[0].episodes, 6);
    // A copy is recovered, too. It has another lock file, and so has a run whose lock was replaced: that one is unclear.
    assert_eq!(recover(copied.path()).recovered[0].episodes, 6);
    let root = tempdir().unwrap();
    dead(root.path());
    edit_process(root.path(), |process| process["pid_namespace"] = 1.into());
    replace_lock(root.path());
    assert_eq!(recover(root.path()).unclear, [RUN]);
    assert_untouched(root.path());
}

/// A ring buffer file of the run in `folder`, with the rows of an episode of agent 9.
fn ring_file(folder: &Path, episode: &Episode) {
    let schema = episode.schema();
    let settings = BufferSettings {
        memory: Memory::File(folder.to_owned()),
        ..BufferSettings::default()
    };
    let label = Label {
        run: RUN,
        schema_hash: schema.hash(),
        agent_id: 9,
    };
    let words = schema.layout().row_words();
    let (mut writer, buffer) = create_for(&settings, words, label).unwrap();
    for (index, row) in episode.rows().chunks_exact(words).enumerate() {
        let mut row = row.to_vec();
        let header = StepHeader::of_mut(&mut row);
        let kind = if index == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        let (tick, ticks) = (header.tick, header.ticks);
        *header = StepHeader::new(kind);
        (header.agent_id, header.episode, header.ordinal) = (9, 77, index as u32);
        (header.tick, header.ticks) = (tick, ticks);
        writer.push(&row).unwrap();
    }
    // The process dies before it drains the ring.
    core::mem::forget((writer, buffer));
}

#[test]
fn only_the_original_dataset_of_a_dead_run_deletes_its_ring_files() {
    let (root, rings) = (tempdir().unwrap(), tempdir().unwrap());
    let all = all(6);
    let sink = unfinished(root.path(), &all, Some(rings.path().to_owned()));
    ring_file(rings.path(), &all[0]);
    let outside = listing(rings.path());
    assert_eq!(outside.len(), 1);
    let copied = tempdir().unwrap();
    copy(root.path(), copied.path());
    let found = recover(copied.path());
    assert_eq!(found.recovered[0].episodes, 7, "a copy reads the rows of the ring");
    assert_eq!(listing(rings.path()), outside, "and deletes nothing outside of itself");
    assert!(
        found.recovered[0].kept_buffers.as_deref() == Some(rings.path()),
        "{found:?}"
    );
    assert_eq!(recover(root.path()).alive, [RUN]);
    assert_eq!(listing(rings.path()), outside);
    drop(sink);
    // The account of the original, in another folder.
    let moved = tempdir().unwrap();
    copy(root.path(), moved.path());
    fs::write(lock_path(moved.path(), RUN), "").unwrap();
    assert_eq!(recover(moved.path()).recovered[0].episodes, 7);
    assert_eq!(listing(rings.path()), outside);
    let found = recover(root.path());
    assert_eq!(found.recovered[0].episodes, 7);
    assert_eq!(found.recovered[0].kept_buffers, None);
    assert_eq!(
        listing(rings.path()),
        [""; 0],
        "the rows are in shards of the dataset that the run wrote to"
    );
    assert_valid(root.path());
}

#[test]
fn an_old_or_hostile_account_deletes_no_ring_file() {
    let (root, rings) = (tempdir().unwrap(), tempdir().unwrap());
    let all = all(6);
    drop(unfinished(root.path(), &all, Some(rings.path().to_owned())));
    ring_file(rings.path(), &all[0]);
    let outside = listing(rings.path());
    // Version 0.1.0 wrote no record of the process.
    let path = account_path(root.path(), RUN);
    let mut account: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    account.as_object_mut().unwrap().remove("process");
    fs::write(&path, account.to_string()).unwrap();
    assert_eq!(recover(root.path()).recovered[0].episodes, 7);
    assert_eq!(listing(rings.path()), outside);
    assert_valid(root.path());
}

#[test]
#[cfg(unix)]
fn a_folder_that_is_a_link_out_of_the_dataset_is_not_recovered() {
    for part in ["journal", "data", "runs"] {
        let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let all = all(6);
        let sink = unfinished(root.path(), &all, None);
        let moved = elsewhere.path().join(part);
        copy(&root.path().join("fighter").join(part), &moved);
        let copied = tempdir().unwrap();
        copy(root.path(), copied.path());
        let link = copied.path().join("fighter").join(part);
        fs::remove_dir_all(&link).unwrap();
        std::os::unix::fs::symlink(&moved, &link).unwrap();
        let before = listing(elsewhere.path());
        let dataset = experience_dataset::Dataset::open(copied.path()).unwrap();
        let error = dataset.recover(&RecoverSettings::default()).unwrap_err().to_string();
        assert!(error.contains("outside"), "{error}");
        assert_eq!(listing(elsewhere.path()), before);
        drop(sink);
    }
}
