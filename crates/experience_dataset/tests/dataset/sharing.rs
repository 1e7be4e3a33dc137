//! Concurrent writers of one dataset, with other runs, recordings and schemas.

use crate::{
    episodes::{episodes, fighter, listing, recording, report},
    unfinished::{recover, unfinished},
};
use experience_core::{
    schema::{Column, Schema},
    transition::RunId,
};
use experience_dataset::DatasetSink;
use experience_export::{Sink, SinkError};
use std::fs;
use tempfile::tempdir;

#[test]
fn many_runs_start_and_write_at_once() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    std::thread::scope(|scope| {
        for bits in 0..8 {
            let (schema, root) = (&schema, root.path());
            scope.spawn(move || {
                for again in 0..3 {
                    let run = RunId::from_bits(bits * 10 + again);
                    let all = episodes(schema, run, 3);
                    let mut sink = DatasetSink::new(root);
                    sink.check(schema).unwrap();
                    sink.open(&recording(schema, run)).unwrap();
                    sink.write(&all).unwrap();
                    sink.flush(&report(&all)).unwrap();
                    sink.close(&report(&all)).unwrap();
                }
            });
        }
    });
    let found = listing(root.path());
    assert_eq!(found.iter().filter(|path| path.ends_with(".parquet")).count(), 24);
    assert_eq!(
        found.iter().filter(|path| path.starts_with("fighter/runs/")).count(),
        24
    );
    assert!(
        !found.iter().any(|path| path.contains('@') || path.ends_with(".tmp")),
        "{found:?}"
    );
}

#[test]
fn the_card_lists_concurrent_recordings_and_keeps_user_content() {
    let root = tempdir().unwrap();
    fs::write(root.path().join("README.md"), "---\nlicense: mit\n---\nMy words.\n").unwrap();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let root = root.path();
            scope.spawn(move || {
                let schema = Schema::new(name).with_observation([Column::feature("x")]).into_shared();
                let mut sink = DatasetSink::new(root);
                sink.check(&schema).unwrap();
                sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
            });
        }
    });
    let card = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(card.starts_with("---\nlicense: mit\nconfigs:\n"), "{card}");
    assert!(card.ends_with("\n---\nMy words.\n"), "{card}");
    for name in ["a", "b", "c", "d"] {
        assert_eq!(card.matches(&format!("config_name: \"{name}\"")).count(), 1, "{card}");
    }
}

#[test]
fn one_run_cannot_write_one_recording_twice() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let open = || DatasetSink::new(root.path()).open(&recording(&schema, RunId::from_bits(1)));
    open().unwrap();
    assert!(
        open()
            .unwrap_err()
            .to_string()
            .contains("run 00000001 already writes to")
    );
}

#[test]
fn another_schema_is_written_to_a_sibling_folder() {
    let root = tempdir().unwrap();
    let old = fighter().into_shared();
    let new = fighter().with_observation([Column::feature("armour")]).into_shared();
    for (schema, bits) in [(&old, 1), (&new, 2), (&new, 3), (&old, 4)] {
        let run = RunId::from_bits(bits);
        let all = episodes(schema, run, 1);
        let mut sink = DatasetSink::new(root.path());
        sink.check(schema).unwrap();
        sink.open(&recording(schema, run)).unwrap();
        sink.write(&all).unwrap();
        sink.close(&report(&all)).unwrap();
    }
    let sibling = format!("fighter@{:016x}", new.hash());
    let data = |folder: &str| listing(&root.path().join(folder).join("data"));
    assert_eq!(data("fighter"), ["00000001-00000.parquet", "00000004-00000.parquet"]);
    assert_eq!(data(&sibling), ["00000002-00000.parquet", "00000003-00000.parquet"]);
    let card = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(card.contains(&format!("config_name: \"{sibling}\"")), "{card}");
}

#[test]
fn another_schema_is_refused_on_request() {
    let root = tempdir().unwrap();
    let old = fighter().into_shared();
    let new = fighter().with_observation([Column::feature("armour")]).into_shared();
    DatasetSink::new(root.path())
        .open(&recording(&old, RunId::from_bits(1)))
        .unwrap();
    let before = listing(root.path());
    let mut sink = DatasetSink::new(root.path()).refuse_other_schema();
    sink.check(&old).unwrap();
    for refusal in [sink.check(&new), sink.open(&recording(&new, RunId::from_bits(2)))] {
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, SinkError::OtherSchema { .. }));
        assert!(
            refusal.to_string().contains("observation column `armour` is only here"),
            "{refusal}"
        );
        assert!(
            refusal.to_string().contains("remove `refuse_other_schema`"),
            "{refusal}"
        );
    }
    assert_eq!(listing(root.path()), before);
}

#[test]
fn another_version_is_another_schema() {
    let root = tempdir().unwrap();
    for (schema, bits) in [(fighter(), 1), (fighter().with_version("reward-v2"), 2)] {
        DatasetSink::new(root.path())
            .open(&recording(&schema.into_shared(), RunId::from_bits(bits)))
            .unwrap();
    }
    assert_eq!(
        listing(root.path())
            .iter()
            .filter(|path| path.ends_with("experience.json"))
            .count(),
        2
    );
}

#[test]
fn bounds_are_part_of_the_schema_that_is_read_back() {
    use experience_core::schema::{DType, Space};
    let root = tempdir().unwrap();
    let bounds = [
        Space::bounded(0.1, 1.0 / 3.0),
        Space::bounded(f64::NEG_INFINITY, f64::from(0.1_f32)),
        Space::bounded(5e-324, f64::MAX),
    ];
    let columns = bounds
        .into_iter()
        .enumerate()
        .map(|(index, space)| Column::scalar(format!("f{index}"), DType::F32, space));
    let schema = Schema::new("p").with_observation(columns).into_shared();
    for bits in 0..2 {
        DatasetSink::new(root.path())
            .open(&recording(&schema, RunId::from_bits(bits)))
            .unwrap();
    }
    let runs = listing(&root.path().join("p/runs"));
    assert_eq!(runs.iter().filter(|name| name.ends_with(".json")).count(), 2);
}

#[test]
fn a_run_id_that_was_used_before_is_refused_at_set_up() {
    let schema = fighter().into_shared();
    let run = RunId::from_bits(5);
    let all = episodes(&schema, run, 6);
    let root = tempdir().unwrap();
    // Its process dies.
    drop(unfinished(root.path(), &all, None));
    let before = listing(root.path());
    let mut again = DatasetSink::new(root.path());
    for refusal in [again.check_run(&schema, run), again.open(&recording(&schema, run))] {
        let refusal = refusal.unwrap_err().to_string();
        assert!(
            refusal.contains("run 00000005") && refusal.contains("`ExperiencePlugin::run`"),
            "{refusal}"
        );
    }
    assert_eq!(listing(root.path()), before, "the lock of the dead run stays");
    assert_eq!(recover(root.path()).recovered[0].episodes, 6);
    // A run that is over keeps its id.
    for refusal in [again.check_run(&schema, run), again.open(&recording(&schema, run))] {
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains("`ExperiencePlugin::run`"), "{refusal}");
    }
    // Without the account, its shards show that the id was used.
    fs::remove_file(root.path().join("fighter/runs/00000005.json")).unwrap();
    assert!(again.check_run(&schema, run).is_err());
    assert!(again.open(&recording(&schema, run)).is_err());
    assert!(again.check_run(&schema, RunId::from_bits(6)).is_ok());
    // Another schema has a folder of its own.
    let other = fighter().with_version("2").into_shared();
    assert!(again.check_run(&other, run).is_ok());
    assert!(again.check_run(&Schema::new("x"), run).is_ok());
}
