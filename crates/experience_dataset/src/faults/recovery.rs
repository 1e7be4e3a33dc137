//! Tests that inject every fault while a run whose process died is recovered.

use super::{
    Acknowledged, assert_valid, at_every_point, copy_of, episode, episodes, journal, new_run, old, old_run, open,
    put_episode, schema,
};
use crate::{Dataset, RecoverSettings, RunStatus, sink::DatasetSink};
use experience_core::account::RunReport;
use experience_export::{
    RecordingInfo, Sink,
    disk::{
        Operation,
        faults::{Fault, Faults},
    },
    journal::{Counts, Record},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tempfile::TempDir;

/// A dataset with a closed run, and a run whose process died: two episodes in a shard; in its journal the same two and two
/// more, an open one, and one that was discarded.
fn unfinished() -> (TempDir, PathBuf) {
    let (folder, root) = old();
    leave_unfinished(&root, None);
    (folder, root)
}

/// Leaves that run in the dataset `root`. With a report its account was saved after the shard was committed.
pub(super) fn leave_unfinished(root: &Path, flushed: Option<&RunReport>) {
    let schema = schema();
    let run = new_run();
    let mut sink = DatasetSink::new(root).with_shard_bytes(1);
    let info = RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).unwrap();
    let episodes: Vec<_> = (0..6)
        .map(|number| episode(&schema, run, number, i64::from(number % 3)))
        .collect();
    sink.write(&episodes[..2]).unwrap();
    if let Some(report) = flushed {
        sink.flush(report).unwrap();
    }
    let mut journal = journal(&sink.journal_folder().unwrap(), run).unwrap();
    journal.begin().unwrap();
    for (number, episode) in (0..).zip(&episodes) {
        put_episode(&mut journal, number, episode, number < 4);
    }
    journal.put(&Record::Discard { captured_as: 5 });
    journal.put(&Record::Counts(Counts {
        recorded: 30,
        discarded: 5,
        ..Counts::default()
    }));
    journal.commit().unwrap();
    // The process dies without dropping the sink.
    core::mem::forget(sink);
}

#[test]
fn a_recovery_that_stops_at_any_moment_is_finished_by_another() {
    let (_folder, left) = unfinished();
    let recover = |root: &Path| {
        let dataset = Dataset::open(root).unwrap();
        dataset.recover(&RecoverSettings::default())
    };
    at_every_point(
        &left,
        &Fault::ALL,
        |root, _| {
            let _ = recover(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            assert_valid(root, when);
            for found in recover(root).unwrap() {
                assert!(found.recovery.failed.is_empty(), "{when}: {found:?}");
            }
            assert!(recover(root).unwrap().is_empty(), "{when}");
            assert_valid(root, when);
            let found: Vec<i64> = episodes(root)
                .unwrap()
                .into_iter()
                .map(|(episode, _)| episode)
                .collect();
            let old = (0..6).map(|number| old_run().episode_id(number));
            let new = (0..5).map(|number| new_run().episode_id(number));
            assert_eq!(found, old.chain(new).collect::<Vec<_>>(), "{when}");
            let run = open(root).runs().unwrap().remove(1);
            assert_eq!(run.status, RunStatus::Recovered, "{when}");
            assert_eq!(
                (run.account.exported, run.account.discarded, run.account.dropped),
                (25, 5, 0),
                "{when}"
            );
            assert!(!root.join("player/journal").exists(), "{when}");
            let unfinished = open(root).overview().unwrap().unfinished;
            assert!(
                unfinished
                    .iter()
                    .all(|path| !path.starts_with(root.join("player/data"))),
                "{when}: {unfinished:?}"
            );
        },
    );
}

#[test]
fn an_unfinished_shard_is_removed_before_another_is_written() {
    let (_folder, original) = unfinished();
    let (_copy, root) = copy_of(&original);
    // A nearly full disk may need its space for the shards of the recovery.
    let shard = root.join("player/partial/00000002-00007.parquet.tmp");
    fs::create_dir_all(shard.parent().unwrap()).unwrap();
    fs::write(&shard, "rows that are in the journal too").unwrap();
    let operations = Faults::count(|| {
        Dataset::open(&root)
            .unwrap()
            .recover(&RecoverSettings::default())
            .unwrap();
    });
    let first = |operation: Operation, is_one: &dyn Fn(&Path) -> bool| {
        operations
            .iter()
            .position(|(done, path)| *done == operation && is_one(path))
            .unwrap_or_else(|| panic!("{operation:?} is not among {:?}", operations))
    };
    let removed = first(Operation::Remove, &|path| *path == *shard);
    let created = first(Operation::CreateFile, &|path| {
        path.file_name().unwrap().to_string_lossy().ends_with(".parquet.tmp")
    });
    assert!(removed < created, "{operations:?}");
    assert!(!shard.exists());
}
