//! Tests that inject every fault while shards are compacted, and while a dataset is filtered.

use super::{Acknowledged, assert_valid, at_every_point, episodes, new_run, old, old_run, open, record};
use crate::{
    CompactSettings, Dataset, DatasetSink, EpisodeFilter, RecordingData, RecoverSettings, filter,
    sink::compaction::Compactions,
};
use experience_export::disk::faults::Fault;
use std::{cell::RefCell, collections::BTreeSet, path::Path};

fn compact(root: &Path) -> Result<u64, crate::DatasetError> {
    let dataset = Dataset::open(root)?;
    let compacted = dataset.compact(CompactSettings::default(), &mut |_| {})?;
    Ok(compacted.iter().map(|recording| recording.after).sum())
}

/// The ids of the episodes in the order in which they are read.
fn ids(root: &Path) -> Vec<i64> {
    let found = episodes(root).unwrap();
    found.into_iter().map(|(episode, _)| episode).collect()
}

#[test]
fn compaction_leaves_a_valid_dataset_with_each_episode_once_at_any_moment() {
    let (_folder, old) = old();
    // A second run, so that one of two is compacted when the process dies.
    record(&old, new_run(), &mut Acknowledged::default()).unwrap();
    let expected = ids(&old);
    let counts: Vec<_> = open(&old).runs().unwrap().into_iter().map(|run| run.account).collect();
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let _ = compact(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            assert_valid(root, when);
            assert_eq!(ids(root), expected, "{when}");
            assert_eq!(compact(root).unwrap(), 2, "{when}");
            assert_valid(root, when);
            assert_eq!(ids(root), expected, "{when}");
            let left: Vec<_> = open(root).runs().unwrap().into_iter().map(|run| run.account).collect();
            assert_eq!(left, counts, "{when}");
            assert!(!root.join("player/partial").exists(), "{when}");
            let unfinished = open(root).overview().unwrap().unfinished;
            assert!(unfinished.is_empty(), "{when}: {unfinished:?}");
        },
    );
}

#[test]
fn an_erasure_after_an_interrupted_compaction_reaches_all_shards() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss],
        |root, _| {
            let _ = compact(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            // A recovery does not spoil what is left.
            let dataset = Dataset::open(root).unwrap();
            dataset.recover(&RecoverSettings::default()).unwrap();
            assert_valid(root, when);
            Dataset::open(root).unwrap().erase(1, &mut |_| {}).unwrap();
            assert_valid(root, when);
            assert!(episodes(root).unwrap().iter().all(|(_, agent)| *agent != 1), "{when}");
            compact(root).unwrap();
            assert!(episodes(root).unwrap().iter().all(|(_, agent)| *agent != 1), "{when}");
            assert_valid(root, when);
        },
    );
}

#[test]
fn retention_after_an_interrupted_compaction_leaves_a_valid_dataset() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Killed],
        |root, _| {
            let _ = compact(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            let sink = DatasetSink::new(root).with_keep_bytes(1);
            super::record_with(sink, new_run(), &mut Acknowledged::default(), &mut || ()).unwrap();
            // Deleted shards of an exchange that is pending are an error until it is ended.
            compact(root).unwrap();
            assert_valid(root, when);
            let found: BTreeSet<i64> = ids(root).into_iter().collect();
            assert_eq!(found.len(), ids(root).len(), "{when}");
        },
    );
}

/// A reader lists the shards at each moment of a compaction, and sees each episode once.
#[test]
fn a_reader_during_a_compaction_sees_each_episode_once() {
    let (_folder, old) = old();
    let expected: BTreeSet<i64> = ids(&old).into_iter().collect();
    let listings = RefCell::new(BTreeSet::new());
    at_every_point(
        &old,
        &[Fault::Killed],
        |root, _| {
            let _ = compact(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            // The process has died, so the folder is as a reader found it at this moment.
            let recording: RecordingData = open(root);
            let shards = recording.shards().unwrap();
            listings.borrow_mut().insert(shards.len());
            let found = ids(root);
            assert_eq!(found.len(), expected.len(), "{when}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{when}");
            let stats = recording.stats().unwrap();
            assert_eq!(stats.episodes, expected.len() as u64, "{when}");
        },
    );
    assert_eq!(listings.into_inner(), BTreeSet::from([1, 3]));
}

#[test]
fn a_filtered_dataset_is_complete_or_missing() {
    let (_folder, old) = old();
    let conditions = EpisodeFilter {
        agents: vec![1],
        ..EpisodeFilter::default()
    };
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let to = root.with_file_name("filtered");
            let _ = filter(&open(root), &to, &conditions, &mut |_| {});
            Acknowledged::default()
        },
        |root, fault, _, when| {
            let to = root.with_file_name("filtered");
            if to.exists() {
                assert_valid(&to, when);
                assert_eq!(ids(&to), [old_run().episode_id(1), old_run().episode_id(4)], "{when}");
            } else if fault == Fault::Refused {
                filter(&open(root), &to, &conditions, &mut |_| {}).unwrap();
            }
            assert_valid(root, when);
        },
    );
}

#[test]
fn a_damaged_file_of_compactions_is_named() {
    let (_folder, root) = old();
    let path = root.join("player/compaction.json");
    std::fs::write(&path, "{").unwrap();
    let error = open(&root).shards().unwrap_err().to_string();
    assert!(error.contains("compaction.json` is damaged"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Compactions::read(&root.join("player")).unwrap(), Compactions::default());
    assert_valid(&root, "without the file");
}
