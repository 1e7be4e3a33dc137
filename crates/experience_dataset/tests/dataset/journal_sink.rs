//! `JournalSink`: a recovery writes its segments to the dataset that a `DatasetSink` would have written.

use crate::{
    episodes::{
        account, assert_same, assert_valid, episodes, fighter, generated, info, listing, read, recording, report, write,
    },
    unfinished::{account_path, copy, recover, run_account, write_journal},
};
use arrow_array::RecordBatch;
use experience_core::{
    account::RunReport,
    transition::{Episode, RunId, StepHeader},
};
use experience_dataset::{Dataset, JournalSink, RecoverSettings, RunStatus};
use experience_export::{MissingEpisodes, Sink, SinkError};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);
const SEGMENTS: &str = "fighter/segments/00000001";

fn some(count: u32) -> Vec<Episode> {
    episodes(&fighter().into_shared(), RUN, count)
}

fn open(root: &Path, all: &[Episode]) -> JournalSink {
    open_with(JournalSink::new(root), all)
}

fn open_with(mut sink: JournalSink, all: &[Episode]) -> JournalSink {
    sink.check(all[0].schema()).unwrap();
    sink.check_run(all[0].schema(), RUN).unwrap();
    sink.open(&recording(all[0].schema(), RUN)).unwrap();
    sink
}

/// A closed run of `all`.
fn closed(all: &[Episode]) -> TempDir {
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), all);
    for some in all.chunks(3) {
        sink.write(some).unwrap();
    }
    sink.flush(&report(&all[..1])).unwrap();
    assert_eq!(sink.durable(0), all.len() as u64);
    sink.close(&report(all)).unwrap();
    root
}

/// All rows of the shards, in the order of their names.
fn rows(root: &Path) -> RecordBatch {
    let mut shards: Vec<_> = fs::read_dir(root.join("fighter/data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    shards.sort();
    let batches: Vec<_> = shards
        .iter()
        .flat_map(|path| {
            let file = fs::File::open(path).unwrap();
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap()
        })
        .map(Result::unwrap)
        .collect();
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn a_closed_run_becomes_the_dataset_of_a_dataset_sink() {
    let all = some(20);
    let root = closed(&all);
    let before = account(&account_path(root.path(), RUN));
    assert_eq!(before.status, RunStatus::Journaled);
    assert_eq!(before.account, report(&all));
    assert!(read(root.path()).is_empty(), "loaders find no row");
    let overview = Dataset::open(root.path()).unwrap().recordings()[0].overview().unwrap();
    assert_eq!(overview.segments, [root.path().join(SEGMENTS)]);
    assert_valid(root.path());

    let recovery = recover(root.path());
    let run = &recovery.recovered[0];
    assert_eq!(
        (run.episodes, run.transitions, run.cut_short, run.lost, run.closed),
        (20, 200, 0, 0, true)
    );
    assert_eq!(run.unread, [""; 0]);

    let expected = tempdir().unwrap();
    write(expected.path(), &all);
    assert_eq!(rows(root.path()), rows(expected.path()));
    let (own, other) = (run_account(root.path(), RUN), run_account(expected.path(), RUN));
    assert_eq!(
        (own.status, &own.account, own.tick_rate, own.ended),
        (other.status, &other.account, other.tick_rate, before.ended)
    );
    let totals = |account: &experience_dataset::RunAccount| {
        let shards = account.shards.iter();
        shards.fold((0, 0), |sum, shard| (sum.0 + shard.episodes, sum.1 + shard.transitions))
    };
    assert_eq!(totals(&own), totals(&other));
    // The file that a recovery locks stays.
    let files = |root: &Path| -> Vec<_> {
        let all = listing(root).into_iter();
        all.filter(|file| !file.ends_with(".cleaning.lock")).collect()
    };
    assert_eq!(files(root.path()), files(expected.path()));
    let card = |root: &Path| fs::read_to_string(root.join("README.md")).unwrap();
    assert_eq!(card(root.path()), card(expected.path()));
    assert_valid(root.path());
    assert!(recover(root.path()).is_empty());
}

#[test]
fn segments_are_bounded_and_long_episodes_span_them() {
    let schema = fighter().into_shared();
    let mut rows = generated(&schema, info(RUN, 0, 1), 0, 2000, 1).rows().to_vec();
    for (ordinal, row) in (0..).zip(rows.chunks_exact_mut(schema.layout().row_words())) {
        StepHeader::of_mut(row).ordinal = ordinal;
    }
    let long = generated(&schema, info(RUN, 0, 1), 0, 2000, 1);
    let long = Episode::new(
        schema.clone(),
        *long.info(),
        rows,
        long.outcome(),
        long.reason().clone(),
    );
    let root = tempdir().unwrap();
    let all: Vec<_> = core::iter::once(long).chain(some(9).split_off(1)).collect();
    let mut sink = open_with(JournalSink::new(root.path()).with_segment_bytes(10_000), &all);
    for some in all.chunks(1) {
        sink.write(some).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    assert!(fs::read_dir(root.path().join(SEGMENTS)).unwrap().count() > 2);
    assert_eq!(recover(root.path()).recovered[0].lost, 0);
    let found = read(root.path());
    assert_eq!(found.len(), all.len());
    for (found, expected) in found.iter().zip(&all) {
        assert_same(found, expected);
    }
}

#[test]
fn a_run_that_died_is_recovered_from_its_segments_and_its_journal() {
    let all = some(9);
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), &all);
    // The journal holds an episode that is in segments too, and an open one.
    write_journal(&sink.journal_folder().unwrap(), &all[5..], None);
    sink.write(&all[..6]).unwrap();
    sink.flush(&report(&all)).unwrap();
    assert_eq!(recover(root.path()).alive, [RUN]);
    drop(sink);
    let recovery = recover(root.path());
    let run = &recovery.recovered[0];
    assert_eq!((run.episodes, run.cut_short, run.closed), (9, 1, false));
    assert_eq!(run_account(root.path(), RUN).status, RunStatus::Recovered);
    let found = read(root.path());
    let ids = |episodes: &[Episode]| {
        episodes
            .iter()
            .map(|episode| episode.info().episode_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&found), ids(&all));
    found[..6].iter().zip(&all).for_each(|(a, b)| assert_same(a, b));
    assert_valid(root.path());
    assert!(!root.path().join("fighter/segments").exists() && !root.path().join("fighter/journal").exists());
}

#[test]
fn a_recovery_that_was_interrupted_is_finished() {
    let all = some(6);
    let root = closed(&all);
    let copied = tempdir().unwrap();
    copy(root.path(), copied.path());
    recover(root.path());
    // The shards were committed, and then the process died: neither is the account new, nor are the segments removed.
    let data = copied.path().join("fighter/data");
    for entry in fs::read_dir(root.path().join("fighter/data")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
    }
    let recovery = recover(copied.path());
    assert_eq!((recovery.recovered[0].episodes, recovery.recovered[0].lost), (0, 0));
    assert_eq!(rows(copied.path()), rows(root.path()));
    let account = run_account(copied.path(), RUN);
    assert_eq!((account.status, &account.account), (RunStatus::Closed, &report(&all)));
    assert_eq!(account.shards.len(), 1);
    assert_valid(copied.path());
}

#[test]
fn episodes_that_were_written_twice_are_read_once() {
    let all = some(4);
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), &all);
    sink.write(&all[..3]).unwrap();
    sink.write(&all).unwrap();
    sink.close(&report(&all)).unwrap();
    recover(root.path());
    let found = read(root.path());
    assert_eq!(found.len(), 4);
    found.iter().zip(&all).for_each(|(a, b)| assert_same(a, b));
    assert_eq!(run_account(root.path(), RUN).account, report(&all));
}

#[test]
fn damage_costs_the_episodes_of_a_frame_and_is_counted() {
    let all = some(9);
    let root = closed(&all);
    let segment = root.path().join(SEGMENTS).join("00000.journal");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let recovery = recover(root.path());
    let run = &recovery.recovered[0];
    // Three episodes of ten transitions are in a frame.
    assert_eq!((run.episodes, run.lost, run.unread.len()), (6, 30, 1), "{run:?}");
    assert!(run.kept.as_ref().unwrap().join("00000.journal").is_file());
    let account = run_account(root.path(), RUN);
    let expected = RunReport {
        exported: 60,
        dropped: 30,
        episodes: 6,
        ..report(&all)
    };
    assert_eq!((account.status, account.account), (RunStatus::Closed, expected));
    assert_valid(root.path());
}

#[test]
fn segments_that_another_process_removes_are_counted() {
    let all = some(6);
    let root = tempdir().unwrap();
    let mut sink = open_with(JournalSink::new(root.path()).with_segment_bytes(1), &all);
    for some in all.chunks(2) {
        sink.write(some).unwrap();
    }
    fs::remove_file(root.path().join(SEGMENTS).join("00001.journal")).unwrap();
    sink.flush(&report(&all)).unwrap();
    let missing = MissingEpisodes {
        episodes: 2,
        transitions: 20,
    };
    assert_eq!(sink.missing(), missing);
    assert!(matches!(sink.close(&report(&all)), Err(SinkError::Missing { missing: found, .. }) if found == missing));
    drop(sink);
    let recovery = recover(root.path());
    let [run] = &*recovery.recovered else {
        panic!("{recovery:?}")
    };
    assert_eq!((run.episodes, run.lost), (4, 20));
    let account = run_account(root.path(), RUN);
    assert_eq!((account.account.missing, account.account.dropped), (20, 20));
}

#[test]
fn a_segment_that_is_missing_at_a_recovery_is_named() {
    let all = some(6);
    let root = tempdir().unwrap();
    let mut sink = open_with(JournalSink::new(root.path()).with_segment_bytes(1), &all);
    for some in all.chunks(2) {
        sink.write(some).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    drop(sink);
    let first = run_account(root.path(), RUN)
        .segments
        .into_iter()
        .find(|listed| listed.episodes > 0);
    let name = format!("{:05}.journal", first.unwrap().segment);
    fs::remove_file(root.path().join(SEGMENTS).join(&name)).unwrap();
    let recovery = recover(root.path());
    let [run] = &*recovery.recovered else {
        panic!("{recovery:?}")
    };
    let sentence = format!("{name}` is missing, with 20 transitions in 2 episodes");
    assert!(run.damage().any(|unread| unread.contains(&sentence)), "{run:?}");
    assert_eq!((run.episodes, run.lost), (4, 20));
}

#[test]
fn a_run_without_episodes_leaves_no_segments() {
    let all = some(1);
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), &all);
    sink.close(&RunReport::default()).unwrap();
    assert_eq!(run_account(root.path(), RUN).status, RunStatus::Closed);
    assert!(!root.path().join("fighter/segments").exists());
    assert!(recover(root.path()).is_empty());
}

#[test]
fn a_run_id_is_used_once() {
    let all = some(2);
    let root = closed(&all);
    let refused = JournalSink::new(root.path())
        .check_run(all[0].schema(), RUN)
        .unwrap_err();
    assert!(matches!(refused, SinkError::RunExists { run: RUN, .. }));
    fs::remove_file(account_path(root.path(), RUN)).unwrap();
    let refused = JournalSink::new(root.path())
        .check_run(all[0].schema(), RUN)
        .unwrap_err();
    assert!(
        matches!(refused, SinkError::RunExists { run: RUN, .. }),
        "its segments are there"
    );
    // Without its account and its lock, nothing proves that its process is dead.
    assert_eq!(recover(root.path()).unclear, [RUN]);
    let settings = RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    };
    let recovered = Dataset::open(root.path()).unwrap().recover(&settings).unwrap();
    let run = &recovered[0].recovery.recovered[0];
    assert_eq!((run.episodes, run.transitions), (2, 20), "the account is made anew");
}

#[test]
fn the_label_of_a_run_is_in_its_segments() {
    let all = some(2);
    let root = tempdir().unwrap();
    let mut sink = open_with(JournalSink::new(root.path()).with_seed(7).with_build("1.2"), &all);
    sink.write(&all).unwrap();
    sink.close(&report(&all)).unwrap();
    fs::remove_file(account_path(root.path(), RUN)).unwrap();
    let settings = RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    };
    Dataset::open(root.path()).unwrap().recover(&settings).unwrap();
    let account = run_account(root.path(), RUN);
    assert_eq!((account.seed, account.build.as_deref()), (Some(7), Some("1.2")));
}

#[test]
fn an_erasure_names_segments() {
    let all = some(3);
    let root = closed(&all);
    let erased = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert!(
        erased.unreached.iter().any(|unreached| unreached.contains("segments")),
        "{erased:?}"
    );
}

#[test]
fn episodes_of_a_folder_that_another_process_removes_are_counted() {
    let all = some(3);
    let root = tempdir().unwrap();
    let mut sink = open(root.path(), &all);
    sink.write(&all).unwrap();
    fs::remove_dir_all(root.path().join("fighter/segments")).unwrap();
    // The first call reports the loss, and the next one succeeds.
    sink.flush(&report(&all)).unwrap_err();
    sink.flush(&report(&all)).unwrap();
    assert_eq!((sink.missing().episodes, sink.missing().transitions), (3, 30));
    let more = episodes(&fighter().into_shared(), RUN, 5).split_off(3);
    sink.write(&more).unwrap();
    let five = some(5);
    assert!(matches!(sink.close(&report(&five)), Err(SinkError::Missing { missing, .. }) if missing.transitions == 30));
    drop(sink);
    let recovery = recover(root.path());
    let [run] = &*recovery.recovered else {
        panic!("{recovery:?}")
    };
    assert_eq!((run.episodes, run.lost), (2, 30));
    assert_valid(root.path());
}

#[test]
fn runs_of_several_processes_are_recovered_once_they_have_ended() {
    let schema = fighter().into_shared();
    let root = tempdir().unwrap();
    let runs = [RUN, RunId::from_bits(2)];
    let mut sinks = runs.map(|run| {
        let mut sink = JournalSink::new(root.path());
        sink.check(&schema).unwrap();
        sink.check_run(&schema, run).unwrap();
        sink.open(&recording(&schema, run)).unwrap();
        sink
    });
    let all = runs.map(|run| episodes(&schema, run, 4));
    for (sink, all) in sinks.iter_mut().zip(&all) {
        sink.write(all).unwrap();
    }
    sinks[0].close(&report(&all[0])).unwrap();
    let recovery = recover(root.path());
    assert_eq!(recovery.recovered.iter().map(|run| run.run).collect::<Vec<_>>(), [RUN]);
    assert_eq!(recovery.alive, [runs[1]]);
    assert_eq!(read(root.path()).len(), 4);
    sinks[1].close(&report(&all[1])).unwrap();
    assert_eq!(recover(root.path()).recovered[0].run, runs[1]);
    assert_eq!(read(root.path()).len(), 8);
    assert_valid(root.path());
}
