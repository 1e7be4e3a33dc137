//! Retention of a `JournalSink`: deletion of the oldest segments.

use crate::{
    episodes::{assert_valid, episodes, fighter, generated, info, listing, read, recording, report, tensor},
    unfinished::{account_path, recover, run_account},
};
use experience_core::{
    schema::{DType, Schema},
    transition::{Episode, RunId, StepHeader},
};
use experience_dataset::{Dataset, JournalSink, RunAccount, RunStatus};
use experience_export::{MissingEpisodes, Sink};
use std::{fs, path::Path};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

/// The segments of a run but for the first, which holds no episode: another one begins with each write.
fn segments(root: &Path, run: RunId) -> Vec<String> {
    let folder = root.join("fighter/segments").join(run.to_string());
    let mut names = if folder.exists() { listing(&folder) } else { Vec::new() };
    names.retain(|name| name != "00000.journal");
    names
}

/// The size of the segments of all runs.
fn bytes(root: &Path) -> u64 {
    let runs = fs::read_dir(root.join("fighter/segments")).into_iter().flatten();
    let segments = runs.flat_map(|run| fs::read_dir(run.unwrap().path()).unwrap());
    segments.map(|segment| segment.unwrap().metadata().unwrap().len()).sum()
}

/// The sizes of a segment with one episode, and of one without.
fn sizes() -> (u64, u64) {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 1);
    write_and_keep(root.path(), &all, u64::MAX, || ());
    let folder = root.path().join("fighter/segments/00000001");
    let size = |segment: &str| fs::metadata(folder.join(segment)).unwrap().len();
    (size("00001.journal"), size("00000.journal"))
}

fn open(root: &Path, all: &[Episode], keep: u64) -> JournalSink {
    let mut sink = JournalSink::new(root).with_segment_bytes(1).with_keep_bytes(keep);
    let run = all[0].info().run;
    sink.check(all[0].schema()).unwrap();
    sink.check_run(all[0].schema(), run).unwrap();
    sink.open(&recording(all[0].schema(), run)).unwrap();
    sink
}

/// Writes each episode to a segment of its own, with a limit.
fn write_and_keep(root: &Path, all: &[Episode], keep: u64, mut look: impl FnMut()) -> JournalSink {
    let mut sink = open(root, all, keep);
    for (index, episode) in all.iter().enumerate() {
        sink.write(core::slice::from_ref(episode)).unwrap();
        sink.flush(&report(&all[..=index])).unwrap();
        look();
    }
    sink
}

fn ids(root: &Path) -> Vec<i64> {
    read(root).iter().map(|episode| episode.info().episode_id).collect()
}

/// Asserts that the account of a recovered run counts all of `all` as exported, and that its shards hold those that retention has
/// not deleted, which are the last ones.
#[track_caller]
fn assert_exported(root: &Path, all: &[Episode], status: RunStatus) -> RunAccount {
    let run = all[0].info().run;
    let account = run_account(root, run);
    assert_eq!(account.status, status);
    assert_eq!(account.account, report(all), "deleted transitions count as exported");
    let retired = account.retired.episodes as usize;
    assert_eq!(account.retired.transitions, 10 * account.retired.episodes);
    let kept: Vec<_> = ids(root).into_iter().filter(|id| id >> 32 == run.get()).collect();
    let expected = all[retired..].iter().map(|episode| episode.info().episode_id);
    assert_eq!(kept, expected.collect::<Vec<_>>());
    assert!(account.segments.is_empty());
    assert_valid(root);
    account
}

#[test]
fn the_newest_segments_are_kept_and_the_account_counts_deleted_ones() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 30);
    let (one, _) = sizes();
    let keep = 5 * one + one / 2;
    let mut most = 0;
    let mut sink = write_and_keep(root.path(), &all, keep, || {
        most = most.max(bytes(root.path()));
        assert_valid(root.path());
    });
    assert!(most <= keep && most > 2 * one, "{most} bytes, of {keep}");
    assert_eq!(sink.missing(), MissingEpisodes::default());
    assert_eq!(sink.disk_bytes(), bytes(root.path()));
    sink.close(&report(&all)).unwrap();
    let account = run_account(root.path(), RUN);
    assert_eq!(
        (account.status, &account.account),
        (RunStatus::Journaled, &report(&all))
    );
    let listed: Vec<_> = account
        .segments
        .iter()
        .map(|listed| format!("{:05}.journal", listed.segment))
        .collect();
    assert_eq!(listed, segments(root.path(), RUN));
    assert_eq!(account.retired.episodes + 1, account.retired.segments);
    assert!(account.retired.segments > 20 && account.retired.shards == 0);
    let recovery = recover(root.path());
    assert_eq!(recovery.recovered[0].lost, 0, "{recovery:?}");
    assert_eq!(recovery.recovered[0].unread, [""; 0]);
    let recovered = assert_exported(root.path(), &all, RunStatus::Closed);
    assert_eq!(recovered.retired, account.retired);
}

#[test]
fn a_segment_is_deleted_when_another_one_begins() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 12);
    let mut sink = open(root.path(), &all, 1);
    sink.write(&all[..1]).unwrap();
    sink.flush(&report(&all[..1])).unwrap();
    sink.write(&all[1..2]).unwrap();
    assert!(
        segments(root.path(), RUN).len() <= 2,
        "the first is durable, and was deleted"
    );
    for episode in all[2..].chunks(1) {
        sink.write(episode).unwrap();
    }
    assert!(
        segments(root.path(), RUN).len() >= 10,
        "what was not synced stays: a recovery may need it"
    );
    sink.flush(&report(&all)).unwrap();
    assert_eq!(segments(root.path(), RUN).len(), 1, "the segment that is written stays");
    sink.close(&report(&all)).unwrap();
    recover(root.path());
    assert_exported(root.path(), &all, RunStatus::Closed);
}

#[test]
fn an_episode_is_deleted_with_the_segment_that_it_begins_in() {
    // A row has 4 KiB, so that the first episode takes three frames, and as many segments.
    let schema = Schema::new("fighter")
        .with_observation([tensor("image", DType::F32, &[1024])])
        .into_shared();
    let long = generated(&schema, info(RUN, 0, 1), 0, 2500, 1);
    let mut rows = long.rows().to_vec();
    for (ordinal, row) in (0..).zip(rows.chunks_exact_mut(schema.layout().row_words())) {
        StepHeader::of_mut(row).ordinal = ordinal;
    }
    let reason = long.reason().clone();
    let long = Episode::new(schema.clone(), *long.info(), rows, long.outcome(), reason);
    let all: Vec<_> = core::iter::once(long)
        .chain((1..4).map(|number| generated(&schema, info(RUN, number, 1), 2500 * i64::from(number), 10, 1)))
        .collect();
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), &all, 1);
    sink.write(&all[..1]).unwrap();
    sink.flush(&report(&all[..1])).unwrap();
    assert_eq!(segments(root.path(), RUN), ["00003.journal"], "the end of the episode");
    let account = run_account(root.path(), RUN);
    assert_eq!((account.retired.episodes, account.retired.transitions), (1, 2500));
    sink.write(&all[1..]).unwrap();
    sink.close(&report(&all)).unwrap();
    let recovery = recover(root.path());
    let [run] = &*recovery.recovered else {
        panic!("{recovery:?}")
    };
    assert_eq!((run.episodes, run.lost, run.unread.len()), (3, 0, 0), "{recovery:?}");
    let account = run_account(root.path(), RUN);
    assert_eq!((&account.account, account.retired.episodes), (&report(&all), 1));
    assert_valid(root.path());
}

#[test]
fn a_run_that_died_is_recovered_without_its_deleted_segments() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 20);
    drop(write_and_keep(root.path(), &all, 4 * sizes().0, || ()));
    let before = run_account(root.path(), RUN);
    assert!(
        before.status == RunStatus::Running && before.retired.episodes > 10,
        "{before:?}"
    );
    let recovery = recover(root.path());
    assert_eq!(recovery.recovered[0].lost, 0, "{recovery:?}");
    assert_exported(root.path(), &all, RunStatus::Recovered);
}

#[test]
fn a_deletion_that_was_interrupted_is_finished_or_undone() {
    for is_deleted in [false, true] {
        let root = tempdir().unwrap();
        let all = episodes(&fighter().into_shared(), RUN, 6);
        drop(write_and_keep(root.path(), &all, u64::MAX, || ()));
        let path = account_path(root.path(), RUN);
        let mut account: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let first: Vec<_> = account["segments"].as_array_mut().unwrap().drain(..2).collect();
        account["retiring_segments"] = serde_json::json!(first);
        fs::write(&path, account.to_string()).unwrap();
        for name in ["00000.journal", "00001.journal"].into_iter().filter(|_| is_deleted) {
            fs::remove_file(root.path().join("fighter/segments/00000001").join(name)).unwrap();
        }
        let recovery = recover(root.path());
        assert_eq!(recovery.recovered[0].lost, 0, "{recovery:?}");
        let account = assert_exported(root.path(), &all, RunStatus::Recovered);
        assert_eq!(account.retired.segments, 2 * u64::from(is_deleted));
    }
}

#[test]
fn segments_of_live_runs_are_never_deleted() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let [closed, dead, alive, new] = [1, 2, 3, 4].map(RunId::from_bits);
    let record = |run| {
        let all = episodes(&schema, run, 4);
        let mut sink = write_and_keep(root.path(), &all, u64::MAX, || ());
        if run == closed {
            sink.close(&report(&all)).unwrap();
        }
        sink
    };
    record(closed);
    drop(record(dead));
    let living = record(alive);
    let of = |run: RunId| segments(root.path(), run).len();
    assert_eq!([closed, dead, alive].map(of), [4, 4, 4]);
    let (one, empty) = sizes();
    let all = episodes(&schema, new, 10);
    let keep = 9 * one + 2 * empty + empty / 2;
    let mut sink = write_and_keep(root.path(), &all[..4], keep, || ());
    let found = [closed, dead, alive, new].map(of);
    assert_eq!(found, [1, 4, 4, 4], "the oldest segments that may be deleted");
    for number in 5..=10 {
        sink.write(&all[number - 1..number]).unwrap();
        sink.flush(&report(&all[..number])).unwrap();
    }
    assert_eq!(of(closed), 0);
    assert_eq!(of(dead), 1, "its account may not count all of the last one");
    assert_eq!(of(alive), 4);
    sink.close(&report(&all)).unwrap();
    assert_valid(root.path());
    let account = run_account(root.path(), closed);
    assert_eq!((account.status, account.retired.segments), (RunStatus::Closed, 5));
    assert_eq!(account.account, report(&episodes(&schema, closed, 4)));
    drop(living);
    let recovery = recover(root.path());
    assert_eq!(recovery.recovered.len(), 3, "{recovery:?}");
    assert_exported(root.path(), &episodes(&schema, dead, 4), RunStatus::Recovered);
    assert_exported(root.path(), &episodes(&schema, alive, 4), RunStatus::Recovered);
    assert_exported(root.path(), &all, RunStatus::Closed);
}

#[test]
fn segments_that_another_process_removes_are_not_counted_as_deleted() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 8);
    let mut sink = write_and_keep(root.path(), &all[..6], u64::MAX, || ());
    let folder = root.path().join("fighter/segments/00000001");
    fs::remove_file(folder.join(&segments(root.path(), RUN)[2])).unwrap();
    for number in 7..=8 {
        sink.write(&all[number - 1..number]).unwrap();
        sink.flush(&report(&all[..number])).unwrap();
    }
    assert_eq!((sink.missing().episodes, sink.missing().transitions), (1, 10));
    drop(sink);
    let recovery = recover(root.path());
    assert_eq!((recovery.recovered[0].episodes, recovery.recovered[0].lost), (7, 10));
    let account = run_account(root.path(), RUN);
    assert_eq!((account.account.missing, account.retired.segments), (10, 0));
}

#[test]
fn a_hostile_account_deletes_and_counts_nothing_else() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let old = episodes(&schema, RunId::from_bits(9), 2);
    write_and_keep(root.path(), &old, u64::MAX, || ())
        .close(&report(&old))
        .unwrap();
    let path = account_path(root.path(), RunId::from_bits(9));
    let mut account: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let listed = |segment: u32| {
        serde_json::json!({
            "segment": segment, "episodes": u64::MAX, "transitions": u64::MAX, "committed": u64::MAX
        })
    };
    account["segments"] = serde_json::json!([listed(0), listed(0), listed(u32::MAX), listed(7)]);
    account["retiring_segments"] = serde_json::json!([listed(1), listed(1), listed(u32::MAX)]);
    fs::write(&path, account.to_string()).unwrap();
    let victim = root.path().join("fighter/runs/victim.txt");
    fs::write(&victim, "precious").unwrap();
    let all = episodes(&schema, RUN, 4);
    write_and_keep(root.path(), &all, 1, || ())
        .close(&report(&all))
        .unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    Dataset::open(root.path()).unwrap().recordings()[0]
        .validate(&mut |_| {})
        .unwrap();
    recover(root.path());
    let account = run_account(root.path(), RUN);
    assert_eq!((account.status, account.account), (RunStatus::Closed, report(&all)));
}
