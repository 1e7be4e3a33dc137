//! Tests that inject every fault while a dataset is erased or merged.

use super::{Acknowledged, assert_valid, at_every_point, episodes, old};
use crate::{Dataset, MergeSettings, merge};
use experience_export::disk::faults::Fault;
use std::path::Path;

#[test]
fn an_erasure_that_stops_at_any_moment_is_finished_by_another() {
    let (_folder, old) = old();
    let erase = |root: &Path| Dataset::open(root).and_then(|dataset| dataset.erase(1, &mut |_| {}));
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let _ = erase(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            // Each file is the old one or the new one, so all can be read.
            episodes(root).unwrap();
            erase(root).unwrap();
            assert_valid(root, when);
            assert!(episodes(root).unwrap().iter().all(|(_, agent)| *agent != 1), "{when}");
        },
    );
}

#[test]
fn a_merged_dataset_is_complete_or_missing() {
    let (_folder, old) = old();
    let expected = episodes(&old).unwrap();
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let to = root.with_file_name("merged");
            let _ = merge(
                &[Dataset::open(root).unwrap()],
                &to,
                MergeSettings::default(),
                &mut |_| {},
            );
            Acknowledged::default()
        },
        |root, fault, _, when| {
            let to = root.with_file_name("merged");
            if to.exists() {
                assert_valid(&to, when);
                assert_eq!(episodes(&to).unwrap(), expected, "{when}");
            } else if fault == Fault::Refused {
                merge(
                    &[Dataset::open(root).unwrap()],
                    &to,
                    MergeSettings::default(),
                    &mut |_| {},
                )
                .unwrap();
            }
        },
    );
}
