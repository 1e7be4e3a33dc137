//! `validate`: datasets that follow every rule of the format, and datasets that violate one.

mod changes;

use crate::episodes::{agent_totals, choice, episodes, generated, info, recording, report, tensor, write};
use arrow_array::{BooleanArray, Float64Array, RecordBatch, UInt8Array, cast::AsArray, types::UInt8Type};
use changes::{double, flag, float_item, int, items, long, reason, with};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader},
};
use experience_dataset::{Dataset, DatasetSink, Rule, RunAccount, Validation};
use experience_export::Sink;
use parquet::arrow::ArrowWriter;
use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);
const SHARD: &str = "p/data/00000001-00000.parquet";
const ACCOUNT: &str = "p/runs/00000001.json";

fn schema() -> Schema {
    Schema::new("p")
        .with_observation([
            tensor("board", DType::F32, &[2, 4]),
            Column::scalar("health", DType::F32, Space::bounded(-50.0, 50.0)),
        ])
        .with_action([Column::scalar("jump", DType::U8, choice(5))])
        .with_action_mask(5)
        .with_reward_terms(["coin"])
}

/// Two episodes of ten steps each, of two agents, at the same time.
fn valid_episodes(schema: &Arc<Schema>) -> Vec<Episode> {
    (0..2)
        .map(|index| generated(schema, info(RUN, index, i64::from(index)), 0, 10, u64::from(index)))
        .collect()
}

fn validation(root: &Path) -> Validation {
    let dataset = Dataset::open(root).unwrap();
    let mut reports = Vec::new();
    let found = dataset.recordings()[0]
        .validate(&mut |progress| reports.push(progress))
        .unwrap();
    assert!(
        reports.iter().all(|progress| progress.done <= progress.total),
        "{reports:?}"
    );
    found
}

fn broken(root: &Path) -> Vec<Rule> {
    validation(root).broken.into_keys().collect()
}

/// A valid dataset whose rows were changed by `change`.
fn changed(change: impl FnOnce(RecordBatch) -> RecordBatch) -> TempDir {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let all = valid_episodes(&schema);
    write(root.path(), &all);
    let batch = change(BatchEncoder::new(schema).unwrap().encode(&all).unwrap());
    let mut writer =
        ArrowWriter::try_new(File::create(root.path().join(SHARD)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    root
}

#[test]
fn datasets_of_the_sink_are_valid() {
    for schema in [
        schema(),
        Schema::new("p").with_observation([tensor("image", DType::F32, &[30, 30])]),
        crate::episodes::fighter().with_action([]),
    ] {
        let root = tempdir().unwrap();
        let schema = schema.into_shared();
        for run in [RUN, RunId::from_bits(9)] {
            write(root.path(), &episodes(&schema, run, 7));
        }
        let found = validation(root.path());
        let outside = found.broken.keys().all(|rule| *rule == Rule::Space);
        // Generated values of the fighter may be outside of their bounds.
        assert!(
            if schema.name() == "fighter" {
                outside
            } else {
                found.is_valid()
            },
            "{found:#?}"
        );
        assert_eq!((found.episodes, found.transitions), (14, 140));
    }
}

#[test]
fn each_violation_is_found_at_its_position() {
    type Change = Box<dyn FnOnce(RecordBatch) -> RecordBatch>;
    let cases: Vec<(Change, &[Rule], Option<i32>)> = vec![
        (Box::new(|batch| batch), &[], None),
        (Box::new(int("step", 4, 9)), &[Rule::Steps], Some(9)),
        (Box::new(int("step", 0, 7)), &[Rule::Steps], Some(7)),
        (Box::new(long("agent_id", 4, 77)), &[Rule::Identity], Some(4)),
        (Box::new(long("continues", 4, 77)), &[Rule::Identity], Some(4)),
        (Box::new(long("run", 4, 2)), &[Rule::Identity], Some(4)),
        (
            Box::new(flag("terminated", 4, true)),
            &[Rule::End, Rule::Reason],
            Some(4),
        ),
        (Box::new(reason(4, Some("death"))), &[Rule::Reason], Some(4)),
        (Box::new(reason(9, None)), &[Rule::Reason], Some(9)),
        (
            Box::new(float_item("observation", 4 * 9 + 2, 7.5)),
            &[Rule::NextObservation, Rule::Changed],
            Some(4),
        ),
        (Box::new(int("ticks", 4, 3)), &[Rule::Time], Some(5)),
        (Box::new(int("ticks", 4, -1)), &[Rule::Time], Some(4)),
        (Box::new(long("tick", 4, 40)), &[Rule::Time], Some(4)),
        (Box::new(double("timestamp", 4, -1.0)), &[Rule::Time], Some(4)),
        (Box::new(double("timestamp", 9, f64::NAN)), &[Rule::Time], Some(9)),
        (Box::new(long("action", 4, 5)), &[Rule::Space], Some(4)),
        (Box::new(long("action", 4, -1)), &[Rule::Space], Some(4)),
        // 261 becomes 5 when it is truncated to the byte of the component.
        (Box::new(long("action", 4, 257)), &[Rule::Space], Some(4)),
        (
            Box::new(float_item("observation", 8, 51.0)),
            &[Rule::Changed, Rule::Space],
            Some(0),
        ),
        (
            Box::new(items("changed", |values| {
                let mut values = values.as_primitive::<UInt8Type>().values().to_vec();
                values[4 * 2] ^= 1 << 3;
                Arc::new(UInt8Array::from(values))
            })),
            &[Rule::Changed],
            Some(4),
        ),
        (
            Box::new(items("action_mask", |values| {
                let mut values: Vec<_> = values.as_boolean().iter().map(Option::unwrap).collect();
                values[4 * 5] ^= true;
                Arc::new(BooleanArray::from(values))
            })),
            &[Rule::NextMask],
            Some(4),
        ),
    ];
    for (place, (change, rules, step)) in cases.into_iter().enumerate() {
        let root = changed(change);
        let found = validation(root.path());
        // Rows of an unknown agent or of another run also contradict the account.
        let rows = found.broken.keys().filter(|rule| **rule != Rule::Account).copied();
        assert_eq!(rows.collect::<Vec<_>>(), rules, "case {place}: {found:#?}");
        if let Some(first) = found.violations.first() {
            assert_eq!(
                (first.episode_id, first.step),
                (Some(RUN.episode_id(0)), step),
                "case {place}: {first}"
            );
            assert!(first.file.ends_with(SHARD), "{first}");
        }
    }
}

#[test]
fn a_missing_or_duplicate_end_is_found() {
    let both = |batch| flag("truncated", 9, true)(flag("terminated", 9, true)(batch));
    let neither = |batch| flag("truncated", 9, false)(flag("terminated", 9, false)(batch));
    assert_eq!(broken(changed(both).path()), [Rule::End]);
    assert_eq!(broken(changed(neither).path()), [Rule::End, Rule::Reason]);
    let cut = changed(|batch| batch.slice(0, 15));
    assert_eq!(broken(cut.path()), [Rule::End, Rule::Account]);
    let torn = changed(|batch| {
        let parts = [batch.slice(0, 5), batch.slice(10, 10), batch.slice(5, 5)];
        arrow_select::concat::concat_batches(&batch.schema(), &parts).unwrap()
    });
    assert_eq!(broken(torn.path()), [Rule::Contiguous, Rule::End, Rule::Account]);
}

#[test]
fn an_episode_in_two_shards_is_found() {
    let root = changed(|batch| batch);
    let shard = root.path().join(SHARD);
    fs::copy(&shard, shard.with_file_name("00000001-00001.parquet")).unwrap();
    let found = validation(root.path());
    assert_eq!(found.broken[&Rule::Contiguous], 2, "{found:#?}");
    assert!(found.broken.contains_key(&Rule::Account));
}

#[test]
fn overlapping_episodes_of_an_agent_are_found() {
    let schema = schema().into_shared();
    for (second, overlaps) in [(9, true), (10, false), (11, false), (0, true)] {
        let root = tempdir().unwrap();
        let episodes = [
            generated(&schema, info(RUN, 0, 5), 0, 10, 1),
            generated(&schema, info(RUN, 1, 5), second, 10, 2),
        ];
        write(root.path(), &episodes);
        let expected: &[Rule] = if overlaps { &[Rule::NoOverlap] } else { &[] };
        assert_eq!(broken(root.path()), expected, "{second}");
    }
}

#[test]
fn an_episode_that_continues_a_finished_one_is_found() {
    let schema = schema().into_shared();
    for (why, expected) in [(EndReason::SPLIT, &[][..]), (EndReason::DEATH, &[Rule::Continues])] {
        let root = tempdir().unwrap();
        let rows = generated(&schema, info(RUN, 0, 5), 0, 10, 1).rows().to_vec();
        let first = Episode::new(schema.clone(), info(RUN, 0, 5), rows, Outcome::Truncated, why);
        let info = EpisodeInfo {
            continues: Some(RUN.episode_id(0)),
            ..info(RUN, 1, 5)
        };
        let second = generated(&schema, info, 10, 10, 2);
        write(root.path(), &[first, second]);
        assert_eq!(broken(root.path()), expected);
    }
}

#[test]
fn a_damaged_file_is_listed_and_the_rest_is_checked() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    write(root.path(), &valid_episodes(&schema));
    write(root.path(), &episodes(&schema, RunId::from_bits(2), 4));
    let whole = fs::read(root.path().join(SHARD)).unwrap();
    for len in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(root.path().join(SHARD), &whole[..len]).unwrap();
        let found = validation(root.path());
        assert_eq!(found.broken.keys().collect::<Vec<_>>(), [&Rule::File], "{found:#?}");
        assert!(found.violations[0].file.ends_with(SHARD));
        assert_eq!(found.episodes, 4);
    }
}

#[test]
fn an_account_that_contradicts_the_shards_is_found() {
    let cases: [(&str, fn(&mut RunAccount)); 8] = [
        ("do not add up", |run| run.account.dropped += 1),
        ("exported transitions in", |run| {
            run.account.exported += 1;
            run.account.recorded += 1;
        }),
        ("is gone", |run| {
            run.shards[0].file = "00000001-00009.parquet".to_owned();
        }),
        ("not a file name", |run| {
            run.shards[0].file = "../../p/data/00000001-00000.parquet".to_owned();
        }),
        ("counts 21 transitions in 2 episodes", |run| {
            run.shards[0].transitions += 1;
        }),
        // Totals by agent, as version 0.1.0 wrote them.
        ("agent 1 is in the shards", |run| {
            run.account.agents = agent_totals(&valid_episodes(&schema().into_shared()));
            run.account.agents.retain(|agent, _| *agent == 0);
        }),
        ("counts 11 transitions in 1 episodes of agent 1", |run| {
            run.account.agents = agent_totals(&valid_episodes(&schema().into_shared()));
            run.account.agents.get_mut(&1).unwrap().transitions += 1;
        }),
        ("lists the schema", |run| run.schema_hash = "0".repeat(16)),
    ];
    for (what, change) in cases {
        let root = changed(|batch| batch);
        let path = root.path().join(ACCOUNT);
        let mut run: RunAccount = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut run);
        fs::write(&path, serde_json::to_vec(&run).unwrap()).unwrap();
        let found = validation(root.path());
        assert_eq!(found.broken.keys().collect::<Vec<_>>(), [&Rule::Account], "{found:#?}");
        assert!(
            found.violations.iter().any(|violation| violation.what.contains(what)),
            "{what}: {found:#?}"
        );
        fs::write(&path, "{").unwrap();
        assert!(validation(root.path()).broken.contains_key(&Rule::File));
        fs::remove_file(&path).unwrap();
        let found = validation(root.path());
        assert!(found.violations[0].what.contains("no account"), "{found:#?}");
    }
}

#[test]
fn every_flipped_bit_of_a_shard_is_found() {
    let root = tempdir().unwrap();
    write(root.path(), &valid_episodes(&schema().into_shared()));
    let whole = fs::read(root.path().join(SHARD)).unwrap();
    let listed: RunAccount = serde_json::from_slice(&fs::read(root.path().join(ACCOUNT)).unwrap()).unwrap();
    let checksum = listed.shards[0].checksum.unwrap();
    assert_eq!(
        (checksum.bytes, checksum.crc32c),
        (whole.len() as u64, crc32c::crc32c(&whole))
    );
    for flip in 0..200 {
        let at = flip * whole.len() / 200;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (flip % 8);
        fs::write(root.path().join(SHARD), &damaged).unwrap();
        let found = validation(root.path());
        assert!(found.broken.contains_key(&Rule::File), "byte {at}: {found:#?}");
        assert_eq!(found.rewritten, [], "byte {at}");
    }
    fs::write(root.path().join(SHARD), whole).unwrap();
    assert!(validation(root.path()).is_valid());
}

#[test]
fn a_shard_that_another_program_rewrote_is_named_and_valid() {
    let root = changed(|batch| batch);
    let found = validation(root.path());
    assert!(found.is_valid(), "{found:#?}");
    assert_eq!(found.rewritten.len(), 1);
    assert!(found.rewritten[0].file.ends_with(SHARD));
    assert!(found.rewritten[0].by.starts_with("parquet-rs "), "{found:#?}");
    // The account of version 0.1.0 has no checksum.
    let path = root.path().join(ACCOUNT);
    let mut run: RunAccount = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    run.shards[0].checksum = None;
    fs::write(&path, serde_json::to_vec(&run).unwrap()).unwrap();
    assert_eq!(validation(root.path()).rewritten, []);
}

#[test]
fn the_account_of_a_running_run_may_exceed_its_shards() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let all = episodes(&schema, RUN, 6);
    let mut sink = DatasetSink::new(root.path()).with_shard_age(core::time::Duration::ZERO);
    sink.open(&recording(&schema, RUN)).unwrap();
    sink.write(&all[..4]).unwrap();
    sink.flush(&report(&all)).unwrap();
    assert!(validation(root.path()).is_valid());
}

#[test]
fn values_outside_of_their_spaces_are_found() {
    let schema = Schema::new("p")
        .with_observation([Column::scalar("x", DType::F32, Space::bounded(-50.0, 0.1))])
        .with_action([
            Column::scalar("aim", DType::F32, Space::unbounded()),
            Column::scalar("gun", DType::U8, choice(3)),
        ])
        .into_shared();
    let at = schema.layout().action_offsets()[1];
    let observation = schema.layout().observation().start;
    for (gun, x, expected) in [
        (2_u8, 0.1_f32, 0),
        (3, 0.1, 1),
        (2, 0.11, 1),
        (2, f32::NAN, 0),
        (2, f32::INFINITY, 1),
    ] {
        let mut rows = vec![0_u64; 2 * schema.layout().row_words()];
        for row in rows.chunks_exact_mut(schema.layout().row_words()) {
            StepHeader::of_mut(row).ticks = 0;
            let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
            bytes[at] = gun;
            bytes[observation..][..4].copy_from_slice(&0.1_f32.to_ne_bytes());
        }
        let last = &mut rows[schema.layout().row_words()..];
        bytemuck::cast_slice_mut::<u64, u8>(last)[observation..][..4].copy_from_slice(&x.to_ne_bytes());
        let episode = Episode::new(
            schema.clone(),
            info(RUN, 0, 1),
            rows,
            Outcome::Terminated,
            EndReason::GOAL,
        );
        let root = tempdir().unwrap();
        write(root.path(), &[episode]);
        let found = validation(root.path());
        assert_eq!(
            found.broken.get(&Rule::Space).copied().unwrap_or(0),
            expected,
            "{gun} {x}: {found:#?}"
        );
        assert_eq!(found.count(), expected);
    }
}

#[test]
fn violations_beyond_the_limit_are_counted() {
    let root = tempdir().unwrap();
    let schema = schema().with_version("flood").into_shared();
    write(root.path(), &[generated(&schema, info(RUN, 0, 1), 0, 3000, 1)]);
    let all = generated(&schema, info(RUN, 0, 1), 0, 3000, 1);
    let batch = BatchEncoder::new(schema).unwrap().encode(&[all]).unwrap();
    let batch = with(
        batch,
        "timestamp",
        Arc::new(Float64Array::from_iter_values((0..3000).map(|row| -f64::from(row)))),
    );
    let mut writer =
        ArrowWriter::try_new(File::create(root.path().join(SHARD)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let found = validation(root.path());
    assert_eq!((found.violations.len(), found.count()), (1000, 2999));
}

#[test]
fn a_schema_of_huge_rows_allocates_nothing() {
    let root = tempdir().unwrap();
    let wide = Schema::new("p").with_observation([Column {
        space: Space::bounded(0.0, 1.0),
        ..tensor("x", DType::F32, &[1 << 26])
    }]);
    fs::create_dir(root.path().join("p")).unwrap();
    let document = serde_json::json!({
        "format": 1,
        "recording": "p",
        "schema_hash": format!("{:016x}", wide.hash()),
        "schema": wide,
    });
    fs::write(root.path().join("p/experience.json"), document.to_string()).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let recording = &dataset.recordings()[0];
    // Each of these would take gigabytes and minutes.
    assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
    assert!(recording.profile(&mut |_| {}).unwrap().observation.is_empty());
    assert_eq!(recording.diagnose(&mut |_| {}).unwrap().episodes, 0);
    assert_eq!(recording.overview().unwrap().transitions, 0);
}
