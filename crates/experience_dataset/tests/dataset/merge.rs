//! `merge`: datasets become one, with columns matched by name.

use crate::{
    episodes::{
        account, assert_same, assert_valid, choice, episodes, fighter, generated, info, listing, read, recording,
        report, tensor, write,
    },
    unfinished::{copy, recover, unfinished},
};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, RunId},
};
use experience_dataset::{Dataset, DatasetError, DatasetSink, MergeSettings, Merged, merge};
use experience_export::Sink;
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};

const FILL: MergeSettings = MergeSettings {
    fill: Some(0.0),
    keep_apart: false,
};
const APART: MergeSettings = MergeSettings {
    fill: None,
    keep_apart: true,
};

fn dataset(schema: Schema, bits: u32) -> (TempDir, Vec<Episode>) {
    let root = tempdir().unwrap();
    let all = episodes(&schema.into_shared(), RunId::from_bits(bits), 6);
    write(root.path(), &all);
    (root, all)
}

fn merged(roots: &[&TempDir], to: &Path, settings: MergeSettings) -> Result<Vec<Merged>, DatasetError> {
    let datasets: Vec<_> = roots.iter().map(|root| Dataset::open(root.path()).unwrap()).collect();
    let mut reports = Vec::new();
    let merged = merge(&datasets, to, settings, &mut |progress| reports.push(progress));
    if merged.is_ok() {
        assert_eq!(
            reports.last().map(|progress| progress.done),
            reports.last().map(|progress| progress.total)
        );
    }
    merged
}

fn refusal(roots: &[&TempDir], settings: MergeSettings) -> String {
    let to = tempdir().unwrap();
    let refusal = merged(roots, &to.path().join("c"), settings).unwrap_err().to_string();
    assert_eq!(listing(to.path()), [""; 0], "temporary files are removed");
    refusal
}

#[test]
fn recordings_with_the_same_schema_are_copied() {
    let ((a, first), (b, second)) = (dataset(fighter(), 1), dataset(fighter(), 2));
    let to = tempdir().unwrap();
    let c = to.path().join("not/yet");
    let results = merged(&[&a, &b], &c, MergeSettings::default()).unwrap();
    assert_eq!(
        (
            results[0].transitions,
            results[0].runs,
            results[0].sources,
            results[0].aligned
        ),
        (120, 2, 2, 0)
    );
    for shard in ["fighter/data/00000001-00000.parquet", "fighter/runs/00000001.json"] {
        assert_eq!(
            fs::read(a.path().join(shard)).unwrap(),
            fs::read(c.join(shard)).unwrap()
        );
    }
    for (read, written) in read(&c).iter().zip(first.iter().chain(&second)) {
        assert_same(read, written);
    }
    assert_valid(&c);
    assert_eq!(
        listing(to.path()).iter().filter(|path| path.contains(".tmp")).count(),
        0
    );
    let card = fs::read_to_string(c.join("README.md")).unwrap();
    assert!(card.contains("config_name: \"fighter\""), "{card}");
}

#[test]
fn recordings_of_different_names_stay_separate() {
    let other = Schema::new("coin").with_observation([Column::feature("x")]);
    let ((a, _), (b, _)) = (dataset(fighter(), 1), dataset(other, 1));
    let to = tempdir().unwrap();
    let results = merged(&[&a, &b], to.path(), MergeSettings::default()).unwrap();
    assert_eq!(
        results.iter().map(|merged| &*merged.recording).collect::<Vec<_>>(),
        ["coin", "fighter"]
    );
    assert_eq!(read(to.path()).len(), 12);
}

#[test]
fn columns_in_another_order_are_matched_by_name() {
    let here = Schema::new("p")
        .with_observation([tensor("board", DType::F32, &[2, 4]), Column::feature("health")])
        .with_action([
            Column::scalar("a", DType::F64, Space::bounded(-1.0, 1.0)),
            tensor("b", DType::U8, &[3]),
        ])
        .with_info([Column::scalar("logp", DType::F32, Space::unbounded())])
        .with_reward_terms(["coin", "hit"]);
    let there = Schema::new("p")
        .with_observation([Column::feature("health"), tensor("board", DType::F32, &[2, 4])])
        .with_action([
            tensor("b", DType::U8, &[3]),
            Column::scalar("a", DType::F64, Space::bounded(0.0, 9.0)),
        ])
        .with_info([Column::scalar("logp", DType::F32, Space::unbounded())])
        .with_reward_terms(["hit", "coin"]);
    let ((a, _), (b, second)) = (dataset(here, 1), dataset(there, 2));
    let to = tempdir().unwrap();
    let results = merged(&[&a, &b], to.path(), MergeSettings::default()).unwrap();
    // The bounds of `a` became wider, so the rows of both were converted.
    assert_eq!((results.len(), results[0].aligned), (1, 120));
    let all = read(to.path());
    let schema = all[0].schema();
    assert_eq!(schema.feature_names()[8], "health");
    assert_eq!(schema.action()[0].space, Space::bounded(-1.0, 9.0));
    for (read, written) in all[6..].iter().zip(&second) {
        assert_eq!(
            (read.info(), read.reason(), read.len()),
            (written.info(), written.reason(), written.len())
        );
        for (read, written) in read.transitions().zip(written.transitions()) {
            assert_eq!(read.observation()[8], written.observation()[0]);
            assert_eq!(read.observation()[..8], written.observation()[1..]);
            assert_eq!(read.next_observation()[..8], written.next_observation()[1..]);
            assert_eq!(read.after().action_bytes(0), written.after().action_bytes(1));
            assert_eq!(read.after().action_bytes(1), written.after().action_bytes(0));
            assert_eq!(read.after().info_bytes(0), written.after().info_bytes(0));
            assert_eq!(
                read.reward_terms(),
                [written.reward_terms()[1], written.reward_terms()[0]]
            );
            assert_eq!(
                (read.reward(), read.tick(), read.ticks()),
                (written.reward(), written.tick(), written.ticks())
            );
            assert_eq!(
                (read.timestamp(), read.match_id()),
                (written.timestamp(), written.match_id())
            );
        }
    }
}

#[test]
fn missing_columns_are_an_error_unless_they_are_filled() {
    let more = || {
        fighter()
            .with_observation([Column::feature("armour")])
            .with_info([Column::scalar("seed", DType::U64, Space::unbounded())])
            .with_reward_terms(["alive"])
    };
    let ((a, first), (b, second)) = (dataset(fighter(), 1), dataset(more(), 2));
    for roots in [[&a, &b], [&b, &a]] {
        let error = refusal(&roots, MergeSettings::default());
        assert!(error.contains("it has no `armour`, `seed`, `reward.alive`"), "{error}");
        let to = tempdir().unwrap();
        merged(
            &roots,
            to.path(),
            MergeSettings {
                fill: Some(7.0),
                ..FILL
            },
        )
        .unwrap();
        assert_valid(to.path());
        let all = read(to.path());
        for (read, written) in all
            .iter()
            .filter(|episode| episode.info().run == RunId::from_bits(1))
            .zip(&first)
        {
            assert!(read.transitions().all(|transition| transition.observation()[9] == 7.0));
            for (read, written) in read.transitions().zip(written.transitions()) {
                assert_eq!(read.observation()[..9], *written.observation());
                assert_eq!(
                    (read.after().info("seed"), read.reward_terms()[2]),
                    (Some(vec![7.0]), 0.0)
                );
                assert_eq!(read.before().mask_bits(), written.before().mask_bits());
            }
        }
        for (read, written) in all
            .iter()
            .filter(|episode| episode.info().run == RunId::from_bits(2))
            .zip(&second)
        {
            assert_same(
                read,
                &Episode::new(
                    written.schema().clone(),
                    *written.info(),
                    written.rows().to_vec(),
                    written.outcome(),
                    written.reason().clone(),
                ),
            );
        }
        let run = account(&to.path().join("fighter/runs/00000001.json"));
        assert_eq!((run.account, run.seed), (report(&first), None));
    }
    let to = tempdir().unwrap();
    let results = merged(&[&a, &b], to.path(), APART).unwrap();
    assert_eq!((results.len(), results[0].aligned, results[1].aligned), (2, 0, 0));
    assert_eq!(Dataset::open(to.path()).unwrap().recordings().len(), 2);
    assert_valid(to.path());
}

#[test]
fn a_missing_mask_allows_every_action() {
    let one = || {
        Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([Column::scalar("c", DType::U8, choice(5))])
    };
    let ((a, _), (b, _)) = (dataset(one(), 1), dataset(one().with_action_mask(5), 2));
    assert!(refusal(&[&a, &b], MergeSettings::default()).contains("`action_mask`"));
    let to = tempdir().unwrap();
    merged(&[&a, &b], to.path(), FILL).unwrap();
    let all = read(to.path());
    assert!(
        all[..6]
            .iter()
            .flat_map(Episode::transitions)
            .all(|transition| transition.before().mask_bits() == [0b11111])
    );
    assert_valid(to.path());
}

#[test]
fn columns_of_different_meaning_are_refused() {
    let one = |column: Column| {
        Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([column])
    };
    let number = |dtype| Column::scalar("a", dtype, Space::unbounded());
    let base = one(number(DType::F32));
    for (other, what) in [
        (base.clone().with_version("2"), "version Some(\"2\")"),
        (one(number(DType::F64)), "`a` is F64, and another is F32"),
        (one(tensor("a", DType::F32, &[2])), "another shape"),
        (one(Column::scalar("a", DType::F32, choice(2))), "other alternatives"),
        (
            base.clone().with_observation([Column::feature("x")]),
            "cannot be matched by name",
        ),
    ] {
        let ((a, _), (b, _)) = (dataset(base.clone(), 1), dataset(other, 2));
        let error = refusal(&[&a, &b], FILL);
        assert!(error.contains(what), "{what}: {error}");
    }
    let masked = |width| base.clone().with_action_mask(width);
    let ((a, _), (b, _)) = (dataset(masked(2), 1), dataset(masked(3), 2));
    assert!(refusal(&[&a, &b], FILL).contains("mask has 3 entries, and another has 2"));
    // Fill values that the missing column cannot represent.
    for (column, fill) in [
        (Column::scalar("c", DType::U8, Space::unbounded()), 256.0),
        (Column::scalar("c", DType::U8, Space::unbounded()), 0.5),
        (Column::scalar("c", DType::I64, Space::unbounded()), f64::NAN),
        (Column::scalar("c", DType::Bool, Space::unbounded()), 2.0),
        (Column::scalar("c", DType::U8, choice(3)), 3.0),
        (Column::scalar("c", DType::F32, Space::bounded(1.0, 2.0)), 0.0),
    ] {
        let ((a, _), (b, _)) = (dataset(base.clone(), 1), dataset(base.clone().with_action([column]), 2));
        let error = refusal(
            &[&a, &b],
            MergeSettings {
                fill: Some(fill),
                ..FILL
            },
        );
        assert!(
            error.contains("is not a valid value of its missing column `c`"),
            "{error}"
        );
    }
}

#[test]
fn a_run_in_two_datasets_is_copied_once_or_refused() {
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 12);
    let root = tempdir().unwrap();
    let mut sink = DatasetSink::new(root.path()).with_shard_age(core::time::Duration::ZERO);
    sink.open(&recording(&schema, run)).unwrap();
    sink.write(&all[..6]).unwrap();
    sink.flush(&report(&all[..6])).unwrap();
    // A dataset is copied while the run continues.
    let copy = tempdir().unwrap();
    merged(&[&root], copy.path(), MergeSettings::default()).unwrap();
    sink.write(&all[6..]).unwrap();
    sink.close(&report(&all)).unwrap();
    for roots in [[&root, &copy], [&copy, &root]] {
        let to = tempdir().unwrap();
        let results = merged(&roots, to.path(), MergeSettings::default()).unwrap();
        assert_eq!((results[0].transitions, results[0].runs, results[0].same), (120, 1, 1));
        assert_eq!(
            account(&to.path().join("fighter/runs/00000001.json")).account,
            report(&all)
        );
        assert_valid(to.path());
    }
    // Another run has the same id.
    let (other, _) = dataset(fighter(), 1);
    let changed = tempdir().unwrap();
    write(changed.path(), &[generated(&schema, info(run, 0, 9), 0, 3, 5)]);
    assert!(refusal(&[&other, &changed], MergeSettings::default()).contains("with different content"));
    let (wider, _) = dataset(fighter().with_observation([Column::feature("armour")]), 1);
    assert!(refusal(&[&other, &wider], FILL).contains("would be duplicated"));
}

#[test]
fn the_output_must_be_a_new_or_an_empty_folder() {
    let (a, _) = dataset(fighter(), 1);
    let before = listing(a.path());
    let into = |to: &Path| merged(&[&a], to, MergeSettings::default()).map(|_| ());
    assert!(into(a.path()).unwrap_err().to_string().contains("is not empty"));
    assert!(
        into(&a.path().join("README.md"))
            .unwrap_err()
            .to_string()
            .contains("it is a file")
    );
    assert!(into(&a.path().join("README.md/c")).is_err());
    assert_eq!(listing(a.path()), before);
    let shard = a.path().join("fighter/data/00000001-00000.parquet");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&[&a], MergeSettings::default()).contains("is damaged"));
}

#[test]
fn a_finished_run_is_taken_before_a_recovered_copy_of_it() {
    let schema = fighter().into_shared();
    let run = RunId::from_bits(5);
    let all = episodes(&schema, run, 12);
    let root = tempdir().unwrap();
    let mut sink = unfinished(root.path(), &all[..9], None);
    let crashed = tempdir().unwrap();
    copy(root.path(), crashed.path());
    assert_eq!(recover(crashed.path()).recovered[0].episodes, 9);
    sink.write(&all[9..]).unwrap();
    sink.close(&report(&all)).unwrap();
    for roots in [[&root, &crashed], [&crashed, &root]] {
        let to = tempdir().unwrap();
        let results = merged(&roots, to.path(), MergeSettings::default()).unwrap();
        assert_eq!((results[0].transitions, results[0].runs, results[0].same), (120, 1, 0));
        assert_valid(to.path());
        assert_eq!(
            account(&to.path().join("fighter/runs/00000005.json")).account,
            report(&all)
        );
        for (read, written) in read(to.path()).iter().zip(&all) {
            assert_same(read, written);
        }
    }
}

#[test]
fn copies_of_a_run_that_contradict_each_other_are_refused() {
    let schema = fighter().into_shared();
    let all = episodes(&schema, RunId::from_bits(5), 9);
    let root = tempdir().unwrap();
    let sink = unfinished(root.path(), &all, None);
    let copies = [tempdir().unwrap(), tempdir().unwrap()];
    for copied in &copies {
        copy(root.path(), copied.path());
    }
    drop(sink);
    // In one of them, a shard with another name holds the same episodes.
    fs::write(copies[1].path().join("fighter/data/00000005-00007.parquet.tmp"), "").unwrap();
    for copied in &copies {
        assert_eq!(recover(copied.path()).recovered[0].episodes, 9);
    }
    let error = refusal(&[&copies[0], &copies[1]], MergeSettings::default());
    assert!(
        error.contains("run 00000005") && error.contains("leave one of them out"),
        "{error}"
    );
    // An episode of the recovered copy that the finished run lacks: it was changed since.
    let finished = tempdir().unwrap();
    write(finished.path(), &all[..4]);
    let error = refusal(&[&finished, &copies[0]], MergeSettings::default());
    assert!(error.contains("run 00000005"), "{error}");
}
