//! Tests that inject every fault while a run is recorded.

use super::{Acknowledged, assert_valid, at_every_point, episodes, new_run, old, record, record_and_wait, record_with};
use crate::sink::DatasetSink;
use experience_core::transition::RunId;
use experience_export::disk::faults::Fault;
use std::collections::BTreeSet;

#[test]
fn a_process_that_dies_at_any_moment_leaves_a_valid_dataset() {
    let (_folder, old) = old();
    let before = episodes(&old).unwrap();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record(root, new_run(), &mut acknowledged);
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            let after = episodes(root).unwrap();
            assert_eq!(after[..before.len()], before, "{when}");
            let new: Vec<i64> = after[before.len()..].iter().map(|(episode, _)| *episode).collect();
            let seen: BTreeSet<i64> = new.iter().copied().collect();
            assert_eq!(seen.len(), new.len(), "{when}");
            assert!(
                seen.is_superset(&acknowledged.visible),
                "{when}: {seen:?}, {:?}",
                acknowledged.visible
            );
            assert!(
                new.iter()
                    .zip(0..)
                    .all(|(episode, number)| *episode == new_run().episode_id(number))
            );
            // The next run is not impeded.
            record(root, RunId::from_bits(3), &mut Acknowledged::default()).unwrap();
            assert_valid(root, when);
        },
    );
}

#[test]
fn one_refused_operation_loses_nothing() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Refused, Fault::Lost],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            record(root, new_run(), &mut acknowledged).unwrap();
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            assert_eq!(acknowledged.accepted.len(), 6, "{when}");
            assert_eq!(episodes(root).unwrap().len(), 12, "{when}");
        },
    );
}

#[test]
fn a_full_disk_loses_only_refused_episodes() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Full],
        |root, plan| {
            let (mut acknowledged, mut failures) = (Acknowledged::default(), 0);
            // The disk has space again after the third failed attempt.
            let mut wait = || {
                failures += 1;
                if failures == 3 {
                    plan.free_space();
                }
            };
            if record_and_wait(root, new_run(), &mut acknowledged, &mut wait).is_err() {
                plan.free_space();
                // Either the open or the close failed.
                assert!(acknowledged.accepted.is_empty() || acknowledged.accepted.len() == 6);
            }
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            let after: BTreeSet<i64> = episodes(root).unwrap().iter().map(|(episode, _)| *episode).collect();
            assert!(after.is_superset(&acknowledged.visible), "{when}");
            assert!(
                acknowledged.accepted.is_empty() || acknowledged.visible.len() >= 4,
                "{when}: {:?}",
                acknowledged.visible
            );
        },
    );
}

#[test]
fn retention_leaves_a_valid_dataset_at_any_moment() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record_with(
                DatasetSink::new(root).with_keep_bytes(1),
                new_run(),
                &mut acknowledged,
                &mut || (),
            );
            acknowledged
        },
        |root, _, _, when| {
            assert_valid(root, when);
            // The next run finishes the deletions.
            record_with(
                DatasetSink::new(root).with_keep_bytes(1),
                RunId::from_bits(3),
                &mut Acknowledged::default(),
                &mut || (),
            )
            .unwrap();
            assert_valid(root, when);
            let left = episodes(root).unwrap();
            assert!(
                left.iter().all(|(episode, _)| *episode >= new_run().episode_id(0)),
                "{when}: {left:?}"
            );
        },
    );
}
