//! Damaged files: reading returns data or an error that names the file.

use crate::episodes::{Numbers, fighter, generated, info, write};
use arrow_array::{RecordBatch, cast::AsArray};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, Schema},
    transition::{Episode, RunId},
};
use experience_dataset::{Dataset, DatasetError};
use parquet::arrow::ArrowWriter;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);

fn dataset() -> (TempDir, PathBuf) {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all: Vec<Episode> = (0..5)
        .map(|index| generated(&schema, info(RUN, index, 3), 0, 40, u64::from(index)))
        .collect();
    write(root.path(), &all);
    let shard = root.path().join("fighter/data/00000001-00000.parquet");
    assert!(shard.exists());
    (root, shard)
}

/// Reads all recordings, up to the first error.
fn read(root: &Path) -> Result<usize, DatasetError> {
    let dataset = Dataset::open(root)?;
    let mut episodes = 0;
    for recording in dataset.recordings() {
        for episode in recording.episodes() {
            let episode = episode?;
            assert!(
                episode
                    .transitions()
                    .all(|transition| transition.observation().len() == 9)
            );
            episodes += 1;
        }
        recording.stats()?;
        recording.joint(RUN, Some(1), 5)?;
        recording.runs()?;
    }
    Ok(episodes)
}

fn refusal(root: &Path, file: &str) -> String {
    let refusal = read(root).unwrap_err();
    assert!(refusal.to_string().contains(file), "{refusal}");
    refusal.to_string()
}

#[test]
fn a_folder_without_a_recording_is_not_a_dataset() {
    let root = tempdir().unwrap();
    assert!(matches!(
        Dataset::open(root.path()),
        Err(DatasetError::NotADataset { .. })
    ));
    assert!(matches!(
        Dataset::open(root.path().join("missing")),
        Err(DatasetError::Io { action: "open", .. })
    ));
    assert!(Dataset::open("a\0b").is_err());
    let (root, shard) = dataset();
    assert!(Dataset::open(shard).is_err());
    fs::remove_file(root.path().join("fighter/experience.json")).unwrap();
    assert!(matches!(
        Dataset::open(root.path()),
        Err(DatasetError::NotADataset { .. })
    ));
}

#[test]
fn a_damaged_schema_file_is_named() {
    let (root, _) = dataset();
    let path = root.path().join("fighter/experience.json");
    let whole = fs::read_to_string(&path).unwrap();
    let damaged = [
        String::new(),
        "{}".to_owned(),
        "[1".to_owned(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("\"format\": 1", "\"format\": 9"),
        whole.replacen("\"f32\"", "\"f64\"", 1),
        whole.replacen("\"health\"", "\"wealth\"", 1),
        whole.replacen("        2,\n", "        18446744073709551615,\n", 1),
        whole.replacen("\"action_mask\": 3", "\"action_mask\": 18446744073709551615", 1),
        "[".repeat(100_000),
    ];
    for content in damaged {
        assert_ne!(content, whole);
        fs::write(&path, &content).unwrap();
        let refusal = refusal(root.path(), "experience.json");
        assert!(refusal.contains("is damaged"), "{refusal}");
    }
    fs::write(&path, b"\xff\xfe\0").unwrap();
    refusal(root.path(), "experience.json");
    fs::write(&path, whole).unwrap();
    assert_eq!(read(root.path()).unwrap(), 5);
}

#[test]
fn a_damaged_account_does_not_affect_episodes() {
    let (root, _) = dataset();
    let path = root.path().join("fighter/runs/00000001.json");
    for content in ["", "{", "{\"run\": -1}", "null"] {
        fs::write(&path, content).unwrap();
        let dataset = Dataset::open(root.path()).unwrap();
        let fighter = dataset.recording("fighter").unwrap();
        assert!(matches!(fighter.runs(), Err(DatasetError::Damaged { .. })));
        assert_eq!(fighter.episodes().filter(Result::is_ok).count(), 5);
    }
}

#[test]
fn a_truncated_shard_does_not_affect_others() {
    let (root, shard) = dataset();
    let whole = fs::read(&shard).unwrap();
    fs::write(shard.with_file_name("00000002-00000.parquet"), &whole).unwrap();
    fs::write(shard.with_file_name("00000003-00000.parquet.tmp"), "left behind").unwrap();
    for len in [0, 1, 4, 8, 100, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        fs::write(&shard, &whole[..len]).unwrap();
        refusal(root.path(), "00000001-00000.parquet");
        let recordings = Dataset::open(root.path()).unwrap();
        let read: Vec<_> = recordings.recordings()[0].episodes().collect();
        assert!(read[0].is_err());
        assert_eq!(read.iter().filter(|episode| episode.is_ok()).count(), 5);
    }
}

#[test]
fn random_bytes_in_a_shard_are_data_or_an_error() {
    let (root, shard) = dataset();
    let whole = fs::read(&shard).unwrap();
    let mut numbers = Numbers(1);
    let mut refused = 0;
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..1 + numbers.below(4) {
            // Half of the damage is in the footer, which holds all offsets.
            let from = if numbers.below(2) == 0 { 0 } else { bytes.len() * 3 / 4 };
            let place = from + numbers.below((bytes.len() - from) as u64) as usize;
            bytes[place] = numbers.next() as u8;
        }
        fs::write(&shard, &bytes).unwrap();
        refused += usize::from(read(root.path()).is_err());
    }
    assert!(refused > 60, "{refused}");
}

/// Replaces the shard by `batch`.
fn replace(shard: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(shard).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn batch() -> RecordBatch {
    let schema = fighter().into_shared();
    let episodes = [4, 3].map(|len| generated(&schema, info(RUN, len, 3), 0, len as usize, u64::from(len)));
    BatchEncoder::new(schema).unwrap().encode(&episodes).unwrap()
}

#[test]
fn wrong_columns_are_named() {
    let (root, shard) = dataset();
    let batch = batch();
    replace(&shard, &batch);
    assert_eq!(read(root.path()).unwrap(), 2);
    for index in 0..batch.num_columns() {
        let name = batch.schema().field(index).name().clone();
        let mut without = batch.clone();
        without.remove_column(index);
        replace(&shard, &without);
        if name == "controller" {
            // Shards of earlier versions lack it.
            assert_eq!(read(root.path()).unwrap(), 2);
            continue;
        }
        assert!(refusal(root.path(), "0000.parquet").contains(&format!("it has no column `{name}`")));
    }
    // The same names with other types.
    let schema = batch.schema();
    let fields = schema.fields().iter().enumerate().map(|(index, field)| {
        let other = batch.column((index + 1) % batch.num_columns());
        arrow_schema::Field::new(field.name(), other.data_type().clone(), true)
    });
    let rotated = arrow_schema::Schema::new(fields.collect::<Vec<_>>());
    let columns = (0..batch.num_columns())
        .map(|index| batch.column((index + 1) % batch.num_columns()).clone())
        .collect();
    replace(&shard, &RecordBatch::try_new(Arc::new(rotated), columns).unwrap());
    assert!(refusal(root.path(), "0000.parquet").contains("and should be"));
    // A shard of another recording.
    let other = Schema::new("q").with_observation([Column::feature("x")]).into_shared();
    let episode = generated(&other, info(RUN, 0, 0), 0, 1, 1);
    replace(&shard, &BatchEncoder::new(other).unwrap().encode(&[episode]).unwrap());
    assert!(refusal(root.path(), "0000.parquet").contains("it was written with the schema"));
}

#[test]
fn additional_columns_and_plain_strings_are_read() {
    let (root, shard) = dataset();
    let batch = batch();
    let reasons: arrow_array::StringArray = batch["end_reason"]
        .as_dictionary::<arrow_array::types::Int32Type>()
        .downcast_dict::<arrow_array::StringArray>()
        .unwrap()
        .into_iter()
        .collect();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    let index = batch.schema().index_of("end_reason").unwrap();
    fields[index] = Arc::new(arrow_schema::Field::new(
        "end_reason",
        arrow_schema::DataType::Utf8,
        true,
    ));
    columns[index] = Arc::new(reasons);
    fields.insert(
        0,
        Arc::new(arrow_schema::Field::new(
            "advantage",
            arrow_schema::DataType::Float64,
            false,
        )),
    );
    columns.insert(0, batch["reward"].clone());
    replace(
        &shard,
        &RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap(),
    );
    assert_eq!(read(root.path()).unwrap(), 2);
}

#[test]
fn a_shard_with_another_compression_is_read() {
    use parquet::{basic::Compression, file::properties::WriterProperties};
    let (root, shard) = dataset();
    let batch = batch();
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = File::create(&shard).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(read(root.path()).unwrap(), 2);
    }
}

#[test]
fn rows_that_form_no_episodes_are_refused() {
    let (root, shard) = dataset();
    let batch = batch();
    let rows = |ranges: &[(usize, usize)]| {
        let parts: Vec<_> = ranges.iter().map(|(from, len)| batch.slice(*from, *len)).collect();
        arrow_select::concat::concat_batches(&batch.schema(), &parts).unwrap()
    };
    for (ranges, why) in [
        (&[(0, 3)][..], "has no last row"),
        (&[(1, 6)], "has step 1 where step 0 should be"),
        (&[(0, 2), (3, 4)], "has step 3 where step 2 should be"),
        (&[(0, 2), (1, 6)], "has step 1 where step 2 should be"),
        (&[(0, 2), (4, 3)], "has no last row"),
    ] {
        replace(&shard, &rows(ranges));
        let refusal = refusal(root.path(), "0000.parquet");
        assert!(refusal.contains(why), "{refusal}");
    }
    replace(&shard, &rows(&[]));
    assert_eq!(read(root.path()).unwrap(), 0);
}
