//! Summaries in the footers of shards: equal to the rows in every file that is written, and not used if they are not.

use crate::{
    compact::write_discarded,
    controllers,
    episodes::{assert_valid, choice, episodes, fighter, tensor, write},
};
use arrow_array::RecordBatch;
use base64::{Engine, engine::general_purpose::STANDARD};
use experience_core::{
    schema::{Column, DType, ImageShape, Schema},
    transition::{Episode, RunId},
};
use experience_dataset::{
    CompactSettings, Dataset, DensifySettings, EpisodeFilter, MergeSettings, Profile, RecordingData, RecordingSummary,
    Rule, SplitSettings, ValueProfile, compact, densify, filter, merge, split,
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde_json::{Value, json};
use std::{fs::File, path::Path};
use tempfile::tempdir;

const KEY: &str = "bevy_experience.summary";
const RUN: RunId = RunId::from_bits(1);

fn only(root: &Path) -> RecordingData {
    Dataset::open(root).unwrap().recordings()[0].clone()
}

fn assert_near(found: &[ValueProfile], expected: &[ValueProfile]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert_eq!((&a.name, a.count, a.non_finite), (&b.name, b.count, b.non_finite));
        assert_eq!((a.min, a.max), (b.min, b.max), "{a:?}, {b:?}");
        let scale = b.min.abs().max(b.max.abs());
        assert!((a.mean - b.mean).abs() <= 1e-12 * scale, "{a:?}, {b:?}");
        assert!((a.deviation - b.deviation).abs() <= 1e-9 * scale, "{a:?}, {b:?}");
    }
}

/// Asserts that a summary has the statistics that a pass over all rows finds.
fn assert_is_that_of(summary: &RecordingSummary, profile: &Profile) {
    assert_eq!(summary.transitions, profile.reward.count + profile.reward.non_finite);
    assert_near(&summary.observation, &profile.observation);
    assert_near(&summary.reward_terms, &profile.reward_terms);
    assert_near(
        core::slice::from_ref(&summary.reward),
        core::slice::from_ref(&profile.reward),
    );
    assert_eq!(summary.action_classes, profile.action_classes);
    assert_eq!(steps(summary), {
        let controllers = profile.controllers.iter();
        let mut steps: Vec<_> = controllers
            .map(|found| (found.controller.clone(), found.transitions))
            .collect();
        steps.sort();
        steps
    });
    assert!(
        summary
            .controllers
            .is_sorted_by_key(|found| core::cmp::Reverse(found.transitions))
    );
}

fn steps(summary: &RecordingSummary) -> Vec<(Option<String>, u64)> {
    let controllers = summary.controllers.iter();
    let mut steps: Vec<_> = controllers
        .map(|found| (found.controller.clone(), found.transitions))
        .collect();
    steps.sort();
    steps
}

/// Asserts that every shard has a summary, and that they are those of the rows.
#[track_caller]
fn assert_summarized(root: &Path) {
    assert_valid(root);
    for recording in Dataset::open(root).unwrap().recordings() {
        let overview = recording.overview().unwrap();
        assert!(overview.transitions > 0);
        assert_eq!(overview.summary.transitions, overview.transitions);
        let profile = recording.profile(&mut |_| {}).unwrap();
        assert_is_that_of(&overview.summary, &profile);
        assert_eq!(overview.summary, recording.summary(&mut |_| {}).unwrap());
    }
}

/// One discrete action, and the kinds of others.
fn schemas() -> Vec<Schema> {
    let shape = ImageShape {
        height: 5,
        width: 7,
        channels: 3,
    };
    let binary = Column {
        shape: vec![3],
        ..Column::scalar("keys", DType::Bool, choice(2))
    };
    let floats = ["a", "b"].map(|name| Column::scalar(name, DType::F32, choice(4)));
    let plain = || Schema::new("fighter").with_observation([Column::feature("x")]);
    vec![
        fighter(),
        fighter().with_images([Column::image("eye", shape)]),
        plain().with_action([Column::scalar("deed", DType::U8, choice(300))]),
        plain().with_action([Column::scalar("deed", DType::I64, choice(5)), binary]),
        plain().with_action(floats),
        plain(),
        Schema::new("fighter")
            .with_images([Column::image("eye", shape)])
            .with_action([Column::scalar("deed", DType::F64, choice(3))]),
        Schema::new("fighter").with_observation([tensor("board", DType::F32, &[3, 10, 20])]),
    ]
}

#[test]
fn summaries_are_those_of_the_rows() {
    for schema in schemas() {
        let root = tempdir().unwrap();
        write(root.path(), &controllers::dataset(&schema));
        let other = episodes(&schema.into_shared(), RunId::from_bits(2), 9);
        write(root.path(), &other);
        assert_eq!(only(root.path()).shards().unwrap().len(), 2);
        assert_summarized(root.path());
    }
}

#[test]
fn flags_are_features_of_0_and_1_alone() {
    let schema = Schema::new("fighter")
        .with_observation(["flag", "fraction", "count"].map(Column::feature))
        .into_shared();
    let at = schema.layout().observation();
    let change = |episode: &Episode| {
        let mut rows = episode.rows().to_vec();
        for (index, row) in rows.chunks_exact_mut(schema.layout().row_words()).enumerate() {
            let features = [
                f32::from(u8::from(index % 3 == 0)),
                if index == 4 { 1e-20 } else { 1.0 },
                index as f32,
            ];
            bytemuck::cast_slice_mut::<u64, u8>(row)[at.clone()].copy_from_slice(bytemuck::cast_slice(&features));
        }
        let (outcome, reason) = (episode.outcome(), episode.reason().clone());
        Episode::new(schema.clone(), *episode.info(), rows, outcome, reason)
    };
    let root = tempdir().unwrap();
    let all: Vec<_> = episodes(&schema, RUN, 2).iter().map(change).collect();
    write(root.path(), &all);
    let summary = only(root.path()).overview().unwrap().summary;
    assert_eq!(summary.is_binary, [true, false, false]);
    // The final observation of 10 is not among those in which an action was taken.
    assert_eq!(summary.observation[2].max, 9.0);
}

#[test]
fn every_operation_that_rewrites_shards_writes_their_summaries() {
    let root = tempdir().unwrap();
    write(root.path(), &controllers::dataset(&fighter()));
    write(
        root.path(),
        &episodes(&fighter().into_shared(), RunId::from_bits(2), 12),
    );
    let to = tempdir().unwrap();
    let (dataset, recording) = (Dataset::open(root.path()).unwrap(), only(root.path()));
    let folder = |name: &str| to.path().join(name);

    let conditions = EpisodeFilter {
        agents: vec![0, 2],
        ..EpisodeFilter::default()
    };
    filter(&recording, &folder("filtered"), &conditions, &mut |_| {}).unwrap();
    assert_summarized(&folder("filtered"));

    for part in split(&recording, &folder("split"), &SplitSettings::default(), &mut |_| {}).unwrap() {
        assert_summarized(&folder("split").join(part.name));
    }

    compact(&dataset, &folder("compact"), CompactSettings::default(), &mut |_| {}).unwrap();
    assert_summarized(&folder("compact"));

    densify(&dataset, &folder("dense"), DensifySettings::default(), &mut |_| {}).unwrap();
    assert_summarized(&folder("dense"));

    // Another column, so that rows are aligned.
    let wider = fighter().with_info([tensor("speed", DType::F32, &[2])]);
    let other = tempdir().unwrap();
    write(other.path(), &episodes(&wider.into_shared(), RunId::from_bits(3), 3));
    let fill = MergeSettings {
        fill: Some(0.0),
        keep_apart: false,
    };
    let both = [dataset.clone(), Dataset::open(other.path()).unwrap()];
    merge(&both, &folder("merged"), fill, &mut |_| {}).unwrap();
    assert_summarized(&folder("merged"));

    let before = recording.summary(&mut |_| {}).unwrap();
    dataset.erase(1, &mut |_| {}).unwrap();
    assert_summarized(root.path());
    let after = only(root.path()).summary(&mut |_| {}).unwrap();
    assert!(after.transitions > 0 && after.transitions < before.transitions);
}

#[test]
fn discarded_episodes_are_left_out() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 8);
    write_discarded(root.path(), &all, &[2, 5]);
    let recording = only(root.path());
    let summary = recording.summary(&mut |_| {}).unwrap();
    assert_eq!(summary.transitions, 60);
    assert_is_that_of(&summary, &recording.profile(&mut |_| {}).unwrap());
    // The footers are of all rows.
    assert_eq!(recording.overview().unwrap().summary.transitions, 80);
    assert_valid(root.path());
}

/// Writes the shard again with the rows of `change`, as the program `by`, with a summary that `footer` returns for its own.
fn rewrite(
    shard: &Path,
    by: &str,
    change: impl Fn(&RecordBatch) -> RecordBatch,
    footer: impl FnOnce(String) -> Option<String>,
) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(shard).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let own = metadata
        .iter()
        .find(|entry| entry.key == KEY)
        .unwrap()
        .value
        .clone()
        .unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(|batch| change(&batch.unwrap())).collect();
    let properties = WriterProperties::builder().set_created_by(by.to_owned()).build();
    let schema = batches[0].schema();
    // As a file of this crate has them, in which the summary is in the metadata of the footer alone.
    let mut fields = schema.metadata().clone();
    fields.remove(KEY);
    let schema = std::sync::Arc::new(schema.as_ref().clone().with_metadata(fields));
    let mut writer = ArrowWriter::try_new(File::create(shard).unwrap(), schema, Some(properties)).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    if let Some(text) = footer(own) {
        writer.append_key_value_metadata(KeyValue::new(KEY.to_owned(), text));
    }
    writer.close().unwrap();
}

/// A dataset of two shards, and the first.
fn dataset() -> (tempfile::TempDir, std::path::PathBuf, RecordingSummary) {
    let root = tempdir().unwrap();
    write(root.path(), &controllers::dataset(&fighter()));
    write(root.path(), &episodes(&fighter().into_shared(), RunId::from_bits(2), 3));
    let recording = only(root.path());
    let summary = recording.summary(&mut |_| {}).unwrap();
    let shard = recording.shards().unwrap().remove(0);
    (root, shard, summary)
}

fn assert_same(found: &RecordingSummary, expected: &RecordingSummary) {
    assert_near(&found.observation, &expected.observation);
    assert_near(&found.reward_terms, &expected.reward_terms);
    assert_eq!(found.action_classes, expected.action_classes);
    assert_eq!(
        (&found.controllers, &found.is_binary),
        (&expected.controllers, &expected.is_binary)
    );
}

#[test]
fn shards_without_a_summary_are_summarized_from_their_rows() {
    let (root, shard, expected) = dataset();
    rewrite(&shard, "bevy_experience 0.1.0", RecordBatch::clone, |_| None);
    let recording = only(root.path());
    assert_same(&recording.summary(&mut |_| {}).unwrap(), &expected);
    let overview = recording.overview().unwrap();
    assert_eq!((overview.transitions, overview.summary.transitions), (90, 30));
    // A summary of a later version is not read, and no violation.
    rewrite_from(&root, |footer| footer["version"] = json!(2));
    let found = only(root.path()).validate(&mut |_| {}).unwrap();
    assert_eq!(found.broken.get(&Rule::Summary), None);
    assert_same(&only(root.path()).summary(&mut |_| {}).unwrap(), &expected);
}

/// Changes the summary of the second shard.
fn rewrite_from(root: &tempfile::TempDir, change: impl FnOnce(&mut Value)) {
    let shard = only(root.path()).shards().unwrap().remove(1);
    rewrite(&shard, "bevy_experience 0.2.0", RecordBatch::clone, |own| {
        let mut footer = serde_json::from_str(&own).unwrap();
        change(&mut footer);
        Some(footer.to_string())
    });
}

#[test]
fn the_summary_of_another_program_is_not_used() {
    let (root, shard, _) = dataset();
    // pyarrow keeps the metadata of a table of which rows were removed.
    let rest = |batch: &RecordBatch| match batch.num_rows() {
        60 => batch.slice(0, 10),
        rows => panic!("{rows} rows"),
    };
    rewrite(&shard, "parquet-cpp-arrow version 26.0.1", rest, Some);
    let recording = only(root.path());
    let summary = recording.summary(&mut |_| {}).unwrap();
    assert_eq!(summary.transitions, 40);
    assert_is_that_of(&summary, &recording.profile(&mut |_| {}).unwrap());
    assert_eq!(recording.overview().unwrap().summary.transitions, 30);
    let found = recording.validate(&mut |_| {}).unwrap();
    assert_eq!(found.broken.get(&Rule::Summary), None);
}

/// Replaces a number in an array of base64.
fn set(array: &mut Value, index: usize, number: f64) {
    let mut bytes = STANDARD.decode(array.as_str().unwrap()).unwrap();
    bytes[index * 8..][..8].copy_from_slice(&number.to_le_bytes());
    *array = STANDARD.encode(bytes).into();
}

#[test]
fn a_damaged_summary_is_reported_and_not_used() {
    type Damage = fn(&mut Value);
    let damages: [(&str, Damage); 13] = [
        ("it counts 31 transitions, and the shard has 30", |footer| {
            footer["transitions"] = json!(31);
        }),
        ("`mean` of its observation has a value of NaN", |footer| {
            set(&mut footer["observation"]["mean"], 3, f64::NAN);
        }),
        ("`max` of its reward has a value of inf", |footer| {
            set(&mut footer["reward"]["max"], 0, f64::INFINITY);
        }),
        (
            "`squares` of its observation has 8 bytes and should have 72",
            |footer| {
                footer["observation"]["squares"] = STANDARD.encode([0; 8]).into();
            },
        ),
        ("`min` of its observation is no base64", |footer| {
            footer["observation"]["min"] = json!("?");
        }),
        ("`binary` of its observation has 1 bytes and should have 2", |footer| {
            footer["observation"]["binary"] = STANDARD.encode([0]).into();
        }),
        (
            "column 2 of its observation has moments that no numbers have",
            |footer| {
                set(&mut footer["observation"]["mean"], 2, 1e9);
            },
        ),
        ("column 0 of its reward has moments that no numbers have", |footer| {
            set(&mut footer["reward"]["squares"], 0, -1.0);
        }),
        (
            "it counts 31 values that are not finite in column 1 of its observation",
            |footer| {
                footer["observation"]["non_finite"] = json!({ "1": 31 });
            },
        ),
        ("its classes of actions do not count each transition once", |footer| {
            footer["action"][0]["others"] = json!(1);
        }),
        ("its classes of actions do not count each transition once", |footer| {
            footer["action"] = json!([]);
        }),
        ("its controllers do not count each transition once", |footer| {
            footer["controllers"] = json!({ "person": u64::MAX });
        }),
        ("it cannot be read: missing field `reward`", |footer| {
            footer.as_object_mut().unwrap().remove("reward");
        }),
    ];
    for (reason, damage) in damages {
        let (root, _, expected) = dataset();
        rewrite_from(&root, damage);
        let recording = only(root.path());
        assert_same(&recording.summary(&mut |_| {}).unwrap(), &expected);
        assert_eq!(recording.overview().unwrap().summary.transitions, 60, "{reason}");
        let found = recording.validate(&mut |_| {}).unwrap();
        assert_eq!(found.broken.get(&Rule::Summary), Some(&1), "{reason}");
        let violation = found
            .violations
            .iter()
            .find(|violation| violation.rule == Rule::Summary)
            .unwrap();
        assert!(violation.what.contains(reason), "{violation}");
    }
}

#[test]
fn a_summary_of_other_rows_is_reported() {
    type Lie = fn(&mut Value);
    let lies: [(&str, Lie); 4] = [
        ("column 4 of the observation", |footer| {
            set(&mut footer["observation"]["mean"], 4, 0.125);
        }),
        ("column 2 of the reward", |footer| {
            set(&mut footer["reward"]["squares"], 2, 1.0);
        }),
        ("action classes or controllers", |footer| {
            footer["action"][0]["counts"] = json!([30, 0]);
        }),
        ("action classes or controllers", |footer| {
            footer["controllers"] = json!({ "person": 30 });
            footer["unlabelled"] = json!(0);
        }),
    ];
    for (reason, lie) in lies {
        let (root, _, _) = dataset();
        rewrite_from(&root, lie);
        let found = only(root.path()).validate(&mut |_| {}).unwrap();
        assert_eq!(found.broken.get(&Rule::Summary), Some(&1), "{reason}");
        let violation = found
            .violations
            .iter()
            .find(|violation| violation.rule == Rule::Summary)
            .unwrap();
        assert!(violation.what.contains(reason), "{violation}");
    }
}

#[test]
fn a_footer_is_bounded() {
    let len = |shard: &Path| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(shard).unwrap()).unwrap();
        let metadata = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap();
        metadata
            .into_iter()
            .find(|entry| entry.key == KEY)
            .map(|entry| entry.value.unwrap().len())
    };
    for (features, is_summarized) in [(4096, true), (6000, true), (16_384, false)] {
        let schema = Schema::new("fighter")
            .with_observation([tensor("board", DType::F32, &[features])])
            .into_shared();
        let root = tempdir().unwrap();
        let all: Vec<_> = episodes(&schema, RUN, 1);
        write(root.path(), &all);
        let recording = only(root.path());
        let found = len(&recording.shards().unwrap()[0]);
        assert_eq!(found.is_some(), is_summarized, "{features}");
        assert!(
            found.is_none_or(|len| len > 40 * features && len <= 256 << 10),
            "{found:?}"
        );
        assert_valid(root.path());
        let summary = recording.summary(&mut |_| {}).unwrap();
        assert_is_that_of(&summary, &recording.profile(&mut |_| {}).unwrap());
    }
}
