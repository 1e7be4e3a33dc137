//! Shards that other tools have written: equal values in other types are read, and others are another schema.

use crate::{
    episodes::{assert_same, assert_valid, episodes, fighter, generated, info, write},
    rewritten::without_summary,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, NullArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type},
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, RunId},
};
use experience_dataset::{Dataset, DatasetError, MergeSettings, Rule, merge};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{fs::File, path::Path, sync::Arc};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);

/// A dataset, its episodes, and their batch.
fn dataset() -> (TempDir, Vec<Episode>, RecordBatch) {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 4);
    write(root.path(), &all);
    let batch = BatchEncoder::new(schema).unwrap().encode(&all).unwrap();
    (root, all, batch)
}

/// Replaces the shard of the dataset by `columns`. Other tools drop the metadata of the schema.
pub fn replace(root: &Path, columns: Vec<(String, ArrayRef)>) {
    let path = root.join("fighter/data/00000001-00000.parquet");
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub fn columns(batch: &RecordBatch, change: impl Fn(&str, &ArrayRef) -> ArrayRef) -> Vec<(String, ArrayRef)> {
    let schema = batch.schema();
    let named = schema.fields().iter().zip(batch.columns());
    named
        .map(|(field, array)| (field.name().clone(), change(field.name(), array)))
        .collect()
}

fn is_list(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::FixedSizeList(..))
}

/// As a list of another kind, with items that may be null.
fn list(array: &ArrayRef, kind: fn(Arc<Field>) -> DataType) -> ArrayRef {
    let item = array.as_fixed_size_list().value_type();
    cast(array, &kind(Arc::new(Field::new("element", item, true)))).unwrap()
}

fn cast_to(array: &ArrayRef, to: &DataType) -> ArrayRef {
    cast(array, to).unwrap()
}

fn dictionary(key: DataType, value: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(value))
}

/// What `pandas` writes: lists, and floats where an integer may be missing.
fn pandas(batch: &RecordBatch) -> Vec<(String, ArrayRef)> {
    columns(batch, |name, array| match name {
        "match_id" | "continues" => cast_to(array, &DataType::Float64),
        "end_reason" => cast_to(array, &dictionary(DataType::Int8, DataType::Utf8)),
        _ if is_list(array) => list(array, DataType::List),
        _ => array.clone(),
    })
}

/// What `polars` writes: large lists and strings, and columns in another order.
fn polars(batch: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let mut columns = columns(batch, |name, array| match name {
        "end_reason" => cast_to(array, &dictionary(DataType::UInt32, DataType::LargeUtf8)),
        "step" => cast_to(array, &DataType::UInt32),
        _ if is_list(array) => list(array, DataType::LargeList),
        _ => array.clone(),
    });
    columns.reverse();
    columns
}

/// What DuckDB writes: lists and plain strings, and a column of its own.
fn duckdb(batch: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let mut columns = columns(batch, |name, array| match name {
        "end_reason" => cast_to(array, &DataType::Utf8View),
        "continues" => Arc::new(NullArray::new(array.len())),
        "ticks" => cast_to(array, &DataType::Int64),
        "reward.hit" => cast_to(array, &DataType::Float64),
        _ if is_list(array) => list(array, DataType::List),
        _ => array.clone(),
    });
    let advantage = Float64Array::from(vec![0.5; batch.num_rows()]);
    columns.insert(3, ("advantage".to_owned(), Arc::new(advantage)));
    columns
}

#[test]
fn equal_values_in_other_types_are_read() {
    for rewrite in [pandas, polars, duckdb] {
        let (root, all, batch) = dataset();
        replace(root.path(), rewrite(&batch));
        let dataset = Dataset::open(root.path()).unwrap();
        let recording = dataset.recording("fighter").unwrap();
        let read: Vec<_> = recording.episodes().map(Result::unwrap).collect();
        assert_eq!(read.len(), all.len());
        for (read, written) in read.iter().zip(&all) {
            assert_same(read, written);
        }
        assert_valid(root.path());
        assert_eq!(recording.stats().unwrap().episodes, 4);
        recording.profile(&mut |_| {}).unwrap();
        recording.diagnose(&mut |_| {}).unwrap();
        let first = all[0].transition(0);
        let players = recording.joint(RUN, first.match_id(), first.tick()).unwrap();
        assert!(!players.is_empty());
        let agent = all[0].info().agent_id;
        let erased = dataset.erase(agent, &mut |_| {}).unwrap();
        assert!(erased.episodes > 0, "{erased:?}");
        assert_valid(root.path());
    }
}

#[test]
fn shards_of_a_merge_have_one_schema() {
    for rewrite in [pandas, polars, duckdb] {
        let (root, all, batch) = dataset();
        replace(root.path(), rewrite(&batch));
        let folder = tempdir().unwrap();
        let to = folder.path().join("merged");
        let source = Dataset::open(root.path()).unwrap();
        // A copy of the same dataset adds nothing.
        let merged = merge(&[source.clone(), source], &to, MergeSettings::default(), &mut |_| {}).unwrap();
        assert_eq!((merged[0].transitions, merged[0].same), (batch.num_rows() as u64, 1));
        assert_valid(&to);
        let shard = to.join("fighter/data/00000001-00000.parquet");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(shard).unwrap()).unwrap();
        let known = batch.num_columns();
        assert_eq!(reader.schema().fields()[..known], batch.schema().fields()[..]);
        assert_eq!(without_summary(reader.schema()).metadata(), batch.schema().metadata());
        let others: Vec<_> = reader.schema().fields()[known..]
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert!(others.is_empty() || others == ["advantage"], "{others:?}");
        let dataset = Dataset::open(&to).unwrap();
        for (read, written) in dataset.recording("fighter").unwrap().episodes().zip(&all) {
            assert_same(&read.unwrap(), written);
        }
        assert!(!to.join("fighter/partial").exists());
    }
}

#[test]
fn other_values_are_another_schema_and_no_damage() {
    let (root, _, batch) = dataset();
    let but = |changed: &str, change: &dyn Fn(&ArrayRef) -> ArrayRef| {
        columns(
            &batch,
            |name, array| {
                if name == changed { change(array) } else { array.clone() }
            },
        )
    };
    let longer = |array: &ArrayRef| {
        let rows = array.as_fixed_size_list();
        let rows = (0..rows.len()).map(|row| {
            let mut values: Vec<_> = cast_to(&rows.value(row), &DataType::Float64)
                .as_primitive::<Float64Type>()
                .iter()
                .collect();
            // As many values in all.
            match row {
                0 => values.push(Some(0.0)),
                1 => drop(values.pop()),
                _ => {}
            }
            Some(values)
        });
        let lists = arrow_array::ListArray::from_iter_primitive::<Float64Type, _, _>(rows);
        Arc::new(lists) as ArrayRef
    };
    let fractions = |array: &ArrayRef| {
        let ids = cast_to(array, &DataType::Float64);
        Arc::new(ids.as_primitive::<Float64Type>().unary::<_, Float64Type>(|id| id + 0.5)) as ArrayRef
    };
    let rounded = |array: &ArrayRef| Arc::new(Float64Array::from(vec![4.0e18; array.len()])) as ArrayRef;
    let words = |array: &ArrayRef| cast_to(array, &DataType::Utf8);
    let flags = |array: &ArrayRef| Arc::new(BooleanArray::from(vec![true; array.len()])) as ArrayRef;
    let nested = |array: &ArrayRef| list(array, DataType::List);
    for (name, change, reason) in [
        ("observation", &longer as &dyn Fn(&ArrayRef) -> ArrayRef, "length 10"),
        ("agent_id", &fractions, "is no integer"),
        ("continues", &rounded, "lost its last digits"),
        ("agent_id", &words, "is Utf8 and should be Int64"),
        ("reward", &flags, "is Boolean and should be Float64"),
    ] {
        replace(root.path(), but(name, change));
        let dataset = Dataset::open(root.path()).unwrap();
        let recording = dataset.recording("fighter").unwrap();
        let error = recording.episodes().find_map(Result::err).unwrap();
        assert!(matches!(error, DatasetError::OtherSchema { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.contains(name), "{message}");
        assert!(!message.contains("damaged"), "{message}");
        let validation = recording.validate(&mut |_| {}).unwrap();
        assert!(validation.broken.contains_key(&Rule::File), "{validation:?}");
    }
    // The footer shows that all lists have another length, before a row is read.
    let narrow = Schema::new("fighter")
        .with_observation([Column::feature("x")])
        .into_shared();
    let episode = generated(&narrow, info(RUN, 0, 0), 0, 5, 1);
    let other = BatchEncoder::new(narrow).unwrap().encode(&[episode]).unwrap();
    let mut taken = columns(&batch.slice(0, 5), |_, array| array.clone());
    let index = taken.iter().position(|(name, _)| name == "observation").unwrap();
    taken[index].1 = nested(&other["observation"]);
    replace(root.path(), taken);
    let dataset = Dataset::open(root.path()).unwrap();
    let error = dataset.recording("fighter").unwrap().transitions().unwrap_err();
    assert!(error.to_string().contains("has 5 values in 5 rows"), "{error}");
}

/// `array` with null for each NaN, also in lists, as `pandas` writes it.
fn nan_as_null(array: &ArrayRef) -> ArrayRef {
    if let Some(list) = array.as_fixed_size_list_opt() {
        let values = nan_as_null(list.values());
        let item = Arc::new(Field::new("element", values.data_type().clone(), true));
        let nulls = list.nulls().cloned();
        return Arc::new(FixedSizeListArray::try_new(item, list.value_length(), values, nulls).unwrap());
    }
    match array.data_type() {
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary_opt::<_, Float32Type>(|value| (!value.is_nan()).then_some(value)))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary_opt::<_, Float64Type>(|value| (!value.is_nan()).then_some(value)))
        }
        _ => array.clone(),
    }
}

#[test]
fn nan_is_read_where_pandas_writes_a_missing_value() {
    let schema = fighter()
        .with_info([
            Column::scalar("value", DType::F64, Space::unbounded()),
            Column {
                shape: vec![2],
                ..Column::scalar("latent", DType::F64, Space::unbounded())
            },
        ])
        .into_shared();
    let all: Vec<_> = episodes(&schema, RUN, 4).iter().map(with_nan).collect();
    let batch = BatchEncoder::new(schema).unwrap().encode(&all).unwrap();
    let lists = |array: &ArrayRef| {
        if is_list(array) {
            list(array, DataType::List)
        } else {
            array.clone()
        }
    };
    let without_floats = |name: &str, array: &ArrayRef| match name {
        "info.value" => Arc::new(NullArray::new(array.len())) as ArrayRef,
        _ => nan_as_null(array),
    };
    for (written, value_is_gone) in [
        (columns(&batch, |_, array| nan_as_null(array)), false),
        (columns(&batch, |_, array| lists(&nan_as_null(array))), false),
        (columns(&batch, without_floats), true),
    ] {
        let missing = |name: &str| {
            written
                .iter()
                .find(|(column, _)| column == name)
                .unwrap()
                .1
                .logical_null_count()
        };
        assert!(missing("info.behavior_logp") > 0 && missing("action.move.x") > 0 && missing("reward.coin") > 0);
        let root = tempdir().unwrap();
        write(root.path(), &all);
        replace(root.path(), written);
        let dataset = Dataset::open(root.path()).unwrap();
        let read: Vec<_> = dataset
            .recording("fighter")
            .unwrap()
            .episodes()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read.len(), all.len());
        for (read, written) in read.iter().zip(&all).filter(|_| !value_is_gone) {
            assert_same(read, written);
        }
        assert_valid(root.path());
        let folder = tempdir().unwrap();
        let merged = folder.path().join("merged");
        merge(&[dataset], &merged, MergeSettings::default(), &mut |_| {}).unwrap();
        assert_valid(&merged);
    }
}

/// The episode with NaN in some values of each column of floats that can hold it.
fn with_nan(episode: &Episode) -> Episode {
    let schema = episode.schema();
    let layout = schema.layout();
    let mut rows = episode.rows().to_vec();
    for (index, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
        let mut set = |offset: usize, nan: &[u8]| bytes[offset..offset + nan.len()].copy_from_slice(nan);
        let (narrow, wide) = (f32::NAN.to_ne_bytes(), f64::NAN.to_ne_bytes());
        if index % 3 == 1 {
            set(layout.observation().start + 4, &narrow);
            set(layout.action_offsets()[0], &narrow);
            set(layout.reward_terms().start, &narrow);
            set(layout.info_offsets()[0], &narrow);
        }
        if index % 2 == 1 {
            set(layout.info_offsets()[2], &wide);
            set(layout.info_offsets()[3] + 8, &wide);
        }
    }
    Episode::new(
        schema.clone(),
        *episode.info(),
        rows,
        episode.outcome(),
        episode.reason().clone(),
    )
}

#[test]
fn a_missing_value_is_damage() {
    let (root, _, batch) = dataset();
    for name in ["agent_id", "reward"] {
        let with_null = columns(&batch, |column, array| match array.data_type() {
            DataType::Int64 if column == name => {
                let ids = array.as_primitive::<Int64Type>().iter().skip(1).chain([None]);
                Arc::new(ids.collect::<Int64Array>())
            }
            DataType::Float64 if column == name => {
                let values = array.as_primitive::<Float64Type>().iter().skip(1).chain([None]);
                Arc::new(values.collect::<Float64Array>())
            }
            _ => array.clone(),
        });
        replace(root.path(), with_null);
        let dataset = Dataset::open(root.path()).unwrap();
        let error = dataset.recording("fighter").unwrap().stats().err();
        let read = dataset
            .recording("fighter")
            .unwrap()
            .episodes()
            .find_map(Result::err)
            .unwrap();
        assert!(
            read.to_string().contains("is damaged: a value is missing in column"),
            "{read}"
        );
        assert_eq!(
            error.is_some(),
            name == "reward",
            "only columns that are read are checked"
        );
    }
}

/// Version 0.1.0 wrote fixed-size lists, null except in the last row of an episode.
#[test]
fn wide_rows_of_earlier_versions_are_read() {
    let root = tempdir().unwrap();
    let image = Column {
        shape: vec![300],
        ..Column::scalar("image", DType::F32, Space::unbounded())
    };
    let schema = Schema::new("fighter").with_observation([image]).into_shared();
    let all: Vec<_> = (0..3)
        .map(|number| {
            generated(
                &schema,
                info(RUN, number, 1),
                i64::from(number) * 100,
                9,
                u64::from(number),
            )
        })
        .collect();
    write(root.path(), &all);
    let encoder = BatchEncoder::new(schema).unwrap();
    let batch = encoder.encode(&all).unwrap();
    let fixed = DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, true)), 300);
    replace(
        root.path(),
        columns(&batch, |name, array| match name {
            "next_observation" => cast_to(array, &fixed),
            _ => array.clone(),
        }),
    );
    let dataset = Dataset::open(root.path()).unwrap();
    let recording = dataset.recording("fighter").unwrap();
    for (read, written) in recording.episodes().zip(&all) {
        assert_same(&read.unwrap(), written);
    }
    assert_valid(root.path());
    let folder = tempdir().unwrap();
    let to = folder.path().join("merged");
    merge(
        core::slice::from_ref(&dataset),
        &to,
        MergeSettings::default(),
        &mut |_| {},
    )
    .unwrap();
    let shard = File::open(to.join("fighter/data/00000001-00000.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(shard).unwrap();
    assert_eq!(without_summary(reader.schema()), *batch.schema());
    assert_valid(&to);
}
