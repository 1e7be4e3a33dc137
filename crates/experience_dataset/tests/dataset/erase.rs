//! `erase`: the data of an agent is removed from all files, and the dataset stays valid.

use crate::{
    episodes::{
        account, assert_same, assert_valid, episodes, fighter, generated, info, listing, read, recording, report,
        tensor, write,
    },
    rewritten::without_summary,
};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, DType, Schema},
    transition::RunId,
};
use experience_dataset::{Dataset, DatasetError, DatasetSink};
use experience_export::Sink;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::reader::{FileReader, SerializedFileReader},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    sync::Arc,
};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

fn schema() -> Schema {
    Schema::new("p").with_observation([tensor("board", DType::F32, &[2, 4]), Column::feature("health")])
}

/// The contents of all files of a dataset.
fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = listing(root).into_iter().filter(|path| root.join(path).is_file());
    files
        .map(|path| (path.clone(), fs::read(root.join(path)).unwrap()))
        .collect()
}

#[test]
fn an_agent_is_erased_from_all_runs_and_recordings() {
    let root = tempdir().unwrap();
    let mut written = Vec::new();
    for schema in [schema(), fighter()] {
        let schema = schema.into_shared();
        for bits in [1, 2] {
            let all = episodes(&schema, RunId::from_bits(bits), 20);
            write(root.path(), &all);
            written.extend(all);
        }
    }
    let erased = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert_eq!(
        (erased.episodes, erased.transitions, erased.shards, erased.accounts),
        (28, 280, 4, 4)
    );
    assert_eq!(erased.unreached, [""; 0]);
    assert_valid(root.path());
    written.retain(|episode| episode.info().agent_id != 1);
    let left = read(root.path());
    assert_eq!(left.len(), written.len());
    for episode in &left {
        let same = written
            .iter()
            .find(|other| other.info() == episode.info() && other.schema() == episode.schema());
        assert_same(episode, same.expect("no other episode was added"));
    }
    for (path, content) in contents(root.path()) {
        if let Some(shard) = path
            .strip_suffix(".json")
            .and_then(|path| path.contains("runs/").then_some(path))
        {
            let text = String::from_utf8(content).unwrap();
            assert!(!text.contains("\"1\": {"), "{shard}: {text}");
            let run = account(&root.path().join(&path));
            assert_eq!(
                (run.account.recorded, run.account.exported, run.account.discarded),
                (200, 130, 70)
            );
        }
    }
    let again = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert_eq!((again.transitions, again.shards, again.accounts), (0, 0, 0));
}

#[test]
fn erasing_an_unknown_agent_changes_no_byte() {
    let root = tempdir().unwrap();
    write(root.path(), &episodes(&schema().into_shared(), RUN, 6));
    let before = contents(root.path());
    for agent in [7, -1, i64::MIN, i64::MAX] {
        let erased = Dataset::open(root.path()).unwrap().erase(agent, &mut |_| {}).unwrap();
        assert_eq!((erased.transitions, erased.accounts), (0, 0));
    }
    assert_eq!(contents(root.path()), before);
}

#[test]
fn a_shard_of_the_agent_alone_is_removed() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let all: Vec<_> = (0..3)
        .map(|index| generated(&schema, info(RUN, index, i64::MIN), 10 * i64::from(index), 5, 1))
        .collect();
    write(root.path(), &all);
    let erased = Dataset::open(root.path())
        .unwrap()
        .erase(i64::MIN, &mut |_| {})
        .unwrap();
    assert_eq!((erased.episodes, erased.shards), (3, 1));
    assert_eq!(listing(&root.path().join("p/data")), [""; 0]);
    assert_valid(root.path());
}

#[test]
fn columns_metadata_and_row_groups_are_kept() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let all = episodes(&schema, RUN, 12);
    write(root.path(), &all);
    let path = root.path().join("p/data/00000001-00000.parquet");
    let batch = BatchEncoder::new(schema).unwrap().encode(&all).unwrap();
    // An unknown column, and a row group for each four episodes.
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..batch.num_rows() as i64));
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(arrow_schema::Field::new(
        "theirs",
        arrow_schema::DataType::Int64,
        false,
    )));
    let wider = arrow_schema::Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    let batch = RecordBatch::try_new(Arc::new(wider), [batch.columns(), &[numbers]].concat()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    for start in [0, 40, 80] {
        writer.write(&batch.slice(start, 40)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    Dataset::open(root.path()).unwrap().erase(2, &mut |_| {}).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    assert_eq!(without_summary(reader.schema()), *batch.schema());
    assert_eq!(reader.metadata().num_row_groups(), 3);
    assert_valid(root.path());
    // The statistics in the footer do not mention the agent either.
    let file = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let agents = file.metadata().row_group(0).column(1).statistics().unwrap();
    assert_eq!(agents.max_bytes_opt().unwrap(), 1_i64.to_le_bytes());
}

#[test]
fn a_damaged_dataset_is_refused_and_not_changed() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    for bits in [1, 2] {
        write(root.path(), &episodes(&schema, RunId::from_bits(bits), 6));
    }
    for file in ["p/data/00000002-00000.parquet", "p/runs/00000002.json"] {
        let whole = fs::read(root.path().join(file)).unwrap();
        fs::write(root.path().join(file), &whole[..whole.len() / 2]).unwrap();
        let before = contents(root.path());
        let refusal = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap_err();
        assert!(matches!(refusal, DatasetError::Damaged { .. }), "{refusal}");
        assert_eq!(contents(root.path()), before);
        fs::write(root.path().join(file), whole).unwrap();
    }
}

#[test]
fn an_erasure_that_was_interrupted_is_finished_by_another() {
    // The state between two operations: one of two shards is replaced, and the accounts are the old ones.
    let make = || {
        let root = tempdir().unwrap();
        let schema = schema().into_shared();
        let all = episodes(&schema, RUN, 12);
        let mut sink = DatasetSink::new(root.path()).with_shard_age(core::time::Duration::ZERO);
        sink.open(&recording(&schema, RUN)).unwrap();
        all.chunks(6).for_each(|some| sink.write(some).unwrap());
        sink.close(&report(&all)).unwrap();
        root
    };
    let finished = make();
    Dataset::open(finished.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    let (old, new) = (contents(make().path()), contents(finished.path()));
    for files in [
        &["p/data/00000001-00000.parquet"][..],
        &["p/data/00000001-00000.parquet", "p/data/00000001-00001.parquet"],
    ] {
        let root = make();
        for file in files {
            assert_ne!(old[*file], new[*file]);
            fs::write(root.path().join(file), &new[*file]).unwrap();
        }
        // The intermediate state can be read.
        read(root.path());
        Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
        assert_valid(root.path());
        let [run, whole] = [root.path(), finished.path()].map(|root| {
            let mut run = account(&root.join("p/runs/00000001.json"));
            // Each was recorded at another time.
            run.shards.iter_mut().for_each(|shard| shard.committed = None);
            run
        });
        assert_eq!((run.account, run.shards), (whole.account, whole.shards));
    }
}

#[test]
fn files_that_cannot_be_erased_are_listed() {
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let all = episodes(&schema, RUN, 6);
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RUN)).unwrap();
    sink.write(&all).unwrap();
    sink.flush(&report(&all)).unwrap();
    let erased = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert_eq!(erased.unreached.len(), 2, "{erased:#?}");
    assert!(erased.unreached[0].contains("run 00000001 of `p` is not closed"));
    assert!(erased.unreached[1].contains("00000001-00000.parquet.tmp"));
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_folder_is_unchanged() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempdir().unwrap();
    write(root.path(), &episodes(&schema().into_shared(), RUN, 6));
    let before = contents(root.path());
    let data = root.path().join("p/data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    // Permissions do not restrict the superuser.
    let is_kept_out = File::create(data.join("probe")).is_err();
    let erased = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {});
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    if is_kept_out {
        assert!(erased.unwrap_err().to_string().contains("cannot replace"));
        assert_eq!(contents(root.path()), before);
    }
}

#[test]
#[cfg(unix)]
fn a_shard_that_is_a_link_is_refused_and_nothing_is_changed() {
    let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    write(root.path(), &episodes(&schema().into_shared(), RUN, 6));
    write(root.path(), &episodes(&schema().into_shared(), RunId::from_bits(2), 6));
    let shard = root.path().join("p/data/00000002-00000.parquet");
    let target = elsewhere.path().join("shard");
    fs::rename(&shard, &target).unwrap();
    std::os::unix::fs::symlink(&target, &shard).unwrap();
    let (before, whole) = (contents(root.path()), fs::read(&target).unwrap());
    let error = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("00000002-00000.parquet") && error.contains("is a link"),
        "{error}"
    );
    assert_eq!(contents(root.path()), before);
    assert_eq!(fs::read(&target).unwrap(), whole);
    // A second name of the file keeps the rows as well.
    fs::remove_file(&shard).unwrap();
    fs::hard_link(&target, &shard).unwrap();
    let erased = Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    let [unreached] = &*erased.unreached else {
        panic!("{erased:?}")
    };
    assert!(unreached.contains("00000002-00000.parquet"), "{unreached}");
}
