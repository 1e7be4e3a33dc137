//! Images: their columns, and every operation on a dataset that has some.

mod conversion;

use crate::{
    episodes::{assert_same, assert_valid, episodes, fighter, read, recording, report, write},
    unfinished::{copy, recover, unfinished},
};
use arrow_array::{Array, ArrayRef, BinaryArray, LargeBinaryArray, RecordBatch, cast::AsArray};
use arrow_schema::DataType;
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, ImageShape, Schema},
    transition::{Episode, RunId},
};
use experience_dataset::{Dataset, DatasetSink, DensifySettings, MergeSettings, RecordingData, Rule, densify, merge};
use experience_export::Sink;
use parquet::arrow::ArrowWriter;
use std::{fs::File, sync::Arc};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);

fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
    ImageShape {
        height,
        width,
        channels,
    }
}

/// A fighter with two images.
fn seeing() -> Schema {
    fighter().with_images([
        Column::image("eye", shape(5, 7, 3)),
        Column::image("map", shape(3, 3, 1)),
    ])
}

/// Nothing but an image.
fn blind() -> Schema {
    Schema::new("blind").with_images([Column::image("eye", shape(4, 4, 3))])
}

fn dataset(schema: Schema) -> (TempDir, RecordingData, Vec<Episode>) {
    let all = episodes(&schema.into_shared(), RUN, 6);
    let root = tempdir().unwrap();
    write(root.path(), &all);
    let recording = Dataset::open(root.path()).unwrap().recordings()[0].clone();
    (root, recording, all)
}

fn assert_equal(read: &[Episode], written: &[Episode]) {
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(written) {
        assert_same(read, written);
    }
}

#[test]
fn pixels_survive_a_round_trip() {
    for schema in [seeing(), blind(), seeing().with_action([])] {
        let (root, recording, all) = dataset(schema);
        assert_equal(&read(root.path()), &all);
        assert_valid(root.path());
        let profile = recording.profile(&mut |_| {}).unwrap();
        let names: Vec<_> = profile.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names[..3], ["eye[:, :, 0]", "eye[:, :, 1]", "eye[:, :, 2]"]);
        let red = || {
            let images = all
                .iter()
                .flat_map(Episode::transitions)
                .map(|transition| transition.image(0));
            images
                .flat_map(|image| image.iter().step_by(3))
                .map(|byte| f64::from(*byte))
        };
        assert_eq!(profile.images[0].count, red().count() as u64);
        let mean = red().sum::<f64>() / red().count() as f64;
        assert!((profile.images[0].mean - mean).abs() < 1e-9);
        assert_eq!(recording.stats().unwrap().episodes, 6);
        recording.diagnose(&mut |_| {}).unwrap();
    }
}

#[test]
fn images_have_columns_of_bytes() {
    let fields = |schema: Schema| {
        let encoder = BatchEncoder::new(schema.into_shared()).unwrap();
        let fields = encoder.arrow_schema().fields().iter();
        fields
            .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()))
            .collect::<Vec<_>>()
    };
    let binary = |name: &str, nullable| (name.to_owned(), DataType::Binary, nullable);
    let seeing_fields = fields(seeing());
    for expected in [
        binary("observation.eye", false),
        binary("observation.map", false),
        binary("next_observation.eye", true),
        binary("next_observation.map", true),
    ] {
        assert!(seeing_fields.contains(&expected), "{seeing_fields:?}");
    }
    let without: Vec<_> = seeing_fields
        .into_iter()
        .filter(|(_, kind, _)| *kind != DataType::Binary)
        .collect();
    assert_eq!(without, fields(fighter()), "the other columns are as without images");
    let names: Vec<_> = fields(blind()).into_iter().map(|(name, ..)| name).collect();
    for absent in ["observation", "next_observation", "changed"] {
        assert!(!names.iter().any(|name| name == absent), "{names:?}");
    }
    let all = episodes(&blind().into_shared(), RUN, 2);
    let batch = BatchEncoder::new(all[0].schema().clone())
        .unwrap()
        .encode(&all)
        .unwrap();
    let next = batch["next_observation.eye"].as_binary::<i32>();
    let last: Vec<_> = (0..next.len()).filter(|row| next.is_valid(*row)).collect();
    assert_eq!(last, [9, 19]);
    assert_eq!(next.value(19), all[1].row(10).image(0));
}

/// The shard of [`blind`] with its rows changed.
fn rewritten(change: impl FnOnce(&RecordBatch) -> (&'static str, ArrayRef)) -> (TempDir, RecordingData) {
    let (root, recording, all) = dataset(blind());
    let batch = BatchEncoder::new(all[0].schema().clone())
        .unwrap()
        .encode(&all)
        .unwrap();
    let (name, column) = change(&batch);
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
        let array = if field.name() == name {
            column.clone()
        } else {
            array.clone()
        };
        (field.name().clone(), array, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap();
    let path = root.path().join("blind/data/00000001-00000.parquet");
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    (root, recording)
}

fn images(batch: &RecordBatch, name: &str) -> Vec<Option<Vec<u8>>> {
    batch[name]
        .as_binary::<i32>()
        .iter()
        .map(|image| image.map(<[u8]>::to_vec))
        .collect()
}

fn array(images: &[Option<Vec<u8>>]) -> ArrayRef {
    Arc::new(images.iter().map(Option::as_deref).collect::<BinaryArray>())
}

#[test]
fn damaged_images_are_found() {
    type Damage = (&'static str, fn(&mut Vec<Option<Vec<u8>>>));
    let damages: [(Damage, Rule, &str); 4] = [
        (
            ("next_observation.eye", |images| images[9] = None),
            Rule::NextObservation,
            "is missing",
        ),
        (
            ("next_observation.eye", |images| images[3] = Some(vec![9; 48])),
            Rule::NextObservation,
            "`eye` differs",
        ),
        (
            ("observation.eye", |images| images[3] = Some(vec![9; 47])),
            Rule::File,
            "an image of 47 bytes",
        ),
        (
            ("observation.eye", |images| images[3] = None),
            Rule::File,
            "a value is missing",
        ),
    ];
    for ((name, damage), rule, what) in damages {
        let (_root, recording) = rewritten(|batch| {
            let mut images = images(batch, name);
            damage(&mut images);
            (name, array(&images))
        });
        let found = recording.validate(&mut |_| {}).unwrap();
        let violation = &found.violations[0];
        assert_eq!(violation.rule, rule, "{found:#?}");
        assert!(violation.what.contains(what), "{found:#?}");
    }
}

#[test]
fn binaries_of_other_writers_are_read() {
    let (root, recording) = rewritten(|batch| {
        let images = images(batch, "observation.eye");
        (
            "observation.eye",
            Arc::new(images.into_iter().collect::<LargeBinaryArray>()),
        )
    });
    assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
    assert_equal(&read(root.path()), &episodes(recording.schema(), RUN, 6));
    // A merge writes the type of this crate again.
    let to = tempdir().unwrap();
    let merged = to.path().join("merged");
    merge(
        &[Dataset::open(root.path()).unwrap()],
        &merged,
        MergeSettings::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_equal(&read(&merged), &episodes(recording.schema(), RUN, 6));
    assert_valid(&merged);
}

#[test]
fn datasets_with_images_are_merged_by_name() {
    let (a, _, first) = dataset(seeing());
    let schema = fighter()
        .with_images([Column::image("map", shape(3, 3, 1))])
        .into_shared();
    let second = episodes(&schema, RunId::from_bits(2), 4);
    let b = tempdir().unwrap();
    write(b.path(), &second);
    let to = tempdir().unwrap();
    let datasets = [a.path(), b.path()].map(|root| Dataset::open(root).unwrap());
    let merged = to.path().join("merged");
    let fill = |fill| MergeSettings {
        fill,
        keep_apart: false,
    };
    let refused = merge(&datasets, &merged, fill(None), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(refused.contains("it has no `eye`"), "{refused}");
    merge(&datasets, &merged, fill(Some(7.0)), &mut |_| {}).unwrap();
    assert_valid(&merged);
    let found = read(&merged);
    assert_equal(&found[..6], &first);
    for (found, written) in found[6..].iter().zip(&second) {
        for (found, written) in found.transitions().zip(written.transitions()) {
            assert_eq!((found.image(0), found.image(1)), (&[7; 105][..], written.image(0)));
        }
    }
    let other = tempdir().unwrap();
    let schema = fighter()
        .with_images([Column::image("map", shape(3, 4, 1))])
        .into_shared();
    write(other.path(), &episodes(&schema, RunId::from_bits(3), 2));
    let datasets = [a.path(), other.path()].map(|root| Dataset::open(root).unwrap());
    let refused = merge(&datasets, &to.path().join("c"), fill(Some(0.0)), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("its image column `map` has another shape"),
        "{refused}"
    );
}

#[test]
fn erasing_an_agent_keeps_the_pixels_of_the_others() {
    let (root, _, all) = dataset(seeing());
    Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    let kept: Vec<_> = all.into_iter().filter(|episode| episode.info().agent_id != 1).collect();
    assert_equal(&read(root.path()), &kept);
    assert_valid(root.path());
}

#[test]
fn densified_steps_repeat_the_image() {
    let mut all = episodes(&blind().into_shared(), RUN, 1);
    let episode = all.remove(0);
    let words = episode.schema().layout().row_words();
    let mut rows = episode.rows().to_vec();
    for (index, row) in rows.chunks_exact_mut(words).enumerate() {
        let header = experience_core::transition::StepHeader::of_mut(row);
        header.tick = 3 * index as i64;
        header.ticks = if index == 0 { 0 } else { 3 };
    }
    let slow = Episode::new(
        episode.schema().clone(),
        *episode.info(),
        rows,
        episode.outcome(),
        episode.reason().clone(),
    );
    let (root, to) = (tempdir().unwrap(), tempdir().unwrap());
    write(root.path(), core::slice::from_ref(&slow));
    let dense = to.path().join("dense");
    densify(
        &Dataset::open(root.path()).unwrap(),
        &dense,
        DensifySettings::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_valid(&dense);
    let dense = &read(&dense)[0];
    assert_eq!(dense.len(), 30);
    for transition in dense.transitions() {
        assert_eq!(transition.image(0), slow.row(transition.step() / 3).image(0));
    }
    assert_eq!(dense.row(30).image(0), slow.row(10).image(0));
}

#[test]
fn a_recovered_run_has_its_pixels() {
    let all = episodes(&seeing().into_shared(), RUN, 3);
    let (root, dead) = (tempdir().unwrap(), tempdir().unwrap());
    let sink = unfinished(root.path(), &all, None);
    copy(root.path(), dead.path());
    drop(sink);
    recover(dead.path());
    let found = read(dead.path());
    assert_eq!(found.len(), 3);
    for (found, written) in found.iter().zip(&all) {
        for (found, written) in found.transitions().zip(written.transitions()) {
            assert_eq!(
                (found.image(0), found.next_image(1)),
                (written.image(0), written.next_image(1))
            );
        }
    }
    assert_valid(dead.path());
}

#[test]
fn row_groups_of_images_are_bounded() {
    let schema = Schema::new("large")
        .with_images([Column::image("eye", shape(256, 256, 4))])
        .into_shared();
    let run = RUN;
    let all: Vec<_> = (0..2)
        .map(|index| {
            let info = crate::episodes::info(run, index, 0);
            crate::episodes::generated(&schema, info, 200 * i64::from(index), 150, 3)
        })
        .collect();
    let root = tempdir().unwrap();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, run)).unwrap();
    sink.write(&all).unwrap();
    sink.close(&report(&all)).unwrap();
    let file = File::open(root.path().join("large/data/00000001-00000.parquet")).unwrap();
    let reader = parquet::file::reader::SerializedFileReader::new(file).unwrap();
    let metadata = parquet::file::reader::FileReader::metadata(&reader);
    assert!(metadata.num_row_groups() >= 3, "{}", metadata.num_row_groups());
    for group in metadata.row_groups() {
        assert!(group.total_byte_size() <= 34 << 20, "{}", group.total_byte_size());
    }
    assert_equal(&read(root.path()), &all);
}
