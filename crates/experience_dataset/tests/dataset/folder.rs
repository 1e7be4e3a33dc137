//! `DatasetSink`: the files of a dataset, and when they are created.

use crate::episodes::{account, episodes, fighter, listing, recording, report};
use experience_core::{account::RunReport, transition::RunId};
use experience_dataset::{DatasetSink, RunStatus};
use experience_export::Sink;
use std::{fs, time::Duration};
use tempfile::tempdir;

#[test]
fn a_run_writes_shards_an_account_a_schema_and_a_card() {
    let root = tempdir().unwrap();
    let folder = root.path().join("not/yet/there");
    let schema = fighter().into_shared();
    let run = RunId::from_bits(0xab);
    let all = episodes(&schema, run, 6);
    let mut sink = DatasetSink::new(&folder)
        .with_shard_age(Duration::ZERO)
        .with_seed(7)
        .with_build("game 1.2");
    sink.check(&schema).unwrap();
    assert!(listing(root.path()).is_empty(), "a check creates no file");
    sink.open(&recording(&schema, run)).unwrap();
    assert_eq!(
        account(&folder.join("fighter/runs/000000ab.json")).status,
        RunStatus::Running
    );
    for episodes in all.chunks(3) {
        sink.write(episodes).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    assert_eq!(
        listing(&folder),
        [
            "fighter",
            "fighter/data",
            "fighter/data/000000ab-00000.parquet",
            "fighter/data/000000ab-00001.parquet",
            "fighter/experience.json",
            "fighter/runs",
            "fighter/runs/000000ab.json",
        ]
    );
    let account = account(&folder.join("fighter/runs/000000ab.json"));
    assert_eq!(account.status, RunStatus::Closed);
    assert_eq!(account.account, report(&all));
    assert_eq!(
        (account.seed, account.build.as_deref(), account.tick_rate),
        (Some(7), Some("game 1.2"), Some(60.0))
    );
    assert_eq!(
        account
            .shards
            .iter()
            .map(|shard| (shard.episodes, shard.transitions))
            .collect::<Vec<_>>(),
        [(3, 30); 2]
    );
    assert!(account.ended.unwrap() >= account.started);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(
        card.contains("- config_name: \"fighter\"\n  data_files: \"fighter/data/*.parquet\"\n"),
        "{card}"
    );
    let described: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("fighter/experience.json")).unwrap()).unwrap();
    assert_eq!(described["recording"], "fighter");
    assert_eq!(described["features"][7], "board[1][3]");
    assert_eq!(described["observation_space"]["shape"][0], 9);
    assert_eq!(described["schema_hash"], format!("{:016x}", schema.hash()));
}

#[test]
fn an_open_shard_is_not_visible() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 3);
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, run)).unwrap();
    sink.write(&all).unwrap();
    let path = root.path().join("fighter/runs/00000001.json");
    sink.flush(&report(&all)).unwrap();
    assert_eq!(account(&path).account, report(&all));
    let updated = account(&path).updated;
    sink.flush(&report(&all)).unwrap();
    assert_eq!(account(&path).updated, updated, "an unchanged account is not saved");
    let [data, partial] = ["data", "partial"].map(|part| root.path().join("fighter").join(part));
    // Loaders open every file in `data`.
    assert!(listing(&data).is_empty());
    assert_eq!(listing(&partial), ["00000001-00000.parquet.tmp"]);
    assert!(
        account(&root.path().join("fighter/runs/00000001.json"))
            .shards
            .is_empty()
    );
    // The process dies here without dropping the sink: the unfinished file remains, and the run is not closed.
    core::mem::forget(sink);
    assert!(listing(&data).is_empty());
    assert_eq!(listing(&partial), ["00000001-00000.parquet.tmp"]);
    assert_eq!(
        account(&root.path().join("fighter/runs/00000001.json")).status,
        RunStatus::Running
    );
}

#[test]
fn a_run_without_episodes_writes_no_shard() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
    sink.write(&[]).unwrap();
    sink.close(&RunReport::default()).unwrap();
    assert_eq!(
        listing(root.path()),
        [
            "fighter",
            "fighter/data",
            "fighter/experience.json",
            "fighter/runs",
            "fighter/runs/00000001.json"
        ]
    );
}

#[test]
fn shards_are_committed_by_size() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 40);
    let mut sink = DatasetSink::new(root.path())
        .with_shard_bytes(1)
        .with_compression_level(3)
        .with_row_group_rows(15);
    sink.open(&recording(&schema, run)).unwrap();
    for episodes in all.chunks(20) {
        sink.write(episodes).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    assert_eq!(listing(&root.path().join("fighter/data")).len(), 2);
}
