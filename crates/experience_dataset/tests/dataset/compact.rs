//! `compact`: many small shards become few, and rows, ids and counts stay.

use crate::{
    episodes::{assert_same, assert_valid, episodes, fighter, listing, read, recording, report},
    rewritten::overwrite,
};
use arrow_array::RecordBatch;
use experience_arrow::BatchEncoder;
use experience_core::{
    account::{DISCARDED_TAG, EpisodeTag, TagChange},
    schema::{Column, ImageShape},
    transition::{Episode, RunId},
};
use experience_dataset::{
    CompactSettings, Compacted, Dataset, DatasetError, DatasetSink, EpisodeFilter, RecordingData, Rule, compact, filter,
};
use experience_export::Sink;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

fn only(root: &Path) -> RecordingData {
    Dataset::open(root).unwrap().recordings()[0].clone()
}

/// Writes each two episodes to a shard of their own.
fn write_small(root: &Path, all: &[Episode]) {
    let (schema, run) = (all[0].schema(), all[0].info().run);
    let mut sink = DatasetSink::new(root).with_shard_episodes(2);
    sink.open(&recording(schema, run)).unwrap();
    for some in all.chunks(2) {
        sink.write(some).unwrap();
    }
    sink.close(&report(all)).unwrap();
}

fn in_place(root: &Path) -> Result<Vec<Compacted>, DatasetError> {
    Dataset::open(root)
        .unwrap()
        .compact(CompactSettings::default(), &mut |_| {})
}

#[track_caller]
fn assert_holds(root: &Path, all: &[Episode]) {
    assert_valid(root);
    let found = read(root);
    assert_eq!(found.len(), all.len());
    for (found, all) in found.iter().zip(all) {
        assert_same(found, all);
    }
}

#[test]
fn small_shards_become_one_for_each_run() {
    let shape = ImageShape {
        height: 5,
        width: 7,
        channels: 3,
    };
    for schema in [fighter(), fighter().with_images([Column::image("eye", shape)])] {
        let schema = schema.into_shared();
        let root = tempdir().unwrap();
        let mut all = Vec::new();
        for bits in [1, 2] {
            let some = episodes(&schema, RunId::from_bits(bits), 20);
            write_small(root.path(), &some);
            all.extend(some);
        }
        let before = only(root.path()).runs().unwrap();
        let copy = tempdir().unwrap();
        let dataset = Dataset::open(root.path()).unwrap();
        let copied = compact(&dataset, copy.path(), CompactSettings::default(), &mut |_| {}).unwrap();
        assert_eq!((copied[0].before, copied[0].after), (20, 2));
        assert_holds(copy.path(), &all);
        let compacted = in_place(root.path()).unwrap();
        let expected = Compacted {
            recording: "fighter".to_owned(),
            before: 20,
            after: 2,
            transitions: 400,
            discarded: 0,
            skipped: Vec::new(),
        };
        assert_eq!(compacted, [expected]);
        assert_holds(root.path(), &all);
        let names: Vec<_> = listing(&root.path().join("fighter/data"));
        assert_eq!(names, ["00000001-00010.parquet", "00000002-00010.parquet"]);
        for run in [&root, &copy].iter().flat_map(|root| only(root.path()).runs().unwrap()) {
            let old = before.iter().find(|old| old.run == run.run).unwrap();
            assert_eq!(run.account, old.account);
            assert_eq!(run.filtered, old.filtered);
            assert!(run.shards[0].checksum.is_some());
        }
        // There is nothing left to do.
        let names: Vec<_> = listing(root.path());
        let again = in_place(root.path()).unwrap();
        assert_eq!((again[0].before, again[0].after, again[0].transitions), (2, 2, 0));
        assert_eq!(listing(root.path()), names);
    }
}

/// A dataset of a large shard and five small ones. Returns its episodes, and the size of a shard with which the large one stays.
fn write_large_and_small(root: &Path) -> (Vec<Episode>, CompactSettings) {
    let all = episodes(&fighter().into_shared(), RUN, 40);
    let mut sink = DatasetSink::new(root).with_shard_episodes(2);
    sink.open(&recording(all[0].schema(), RUN)).unwrap();
    sink.write(&all[..30]).unwrap();
    for some in all[30..].chunks(2) {
        sink.write(some).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    let large = fs::metadata(root.join("fighter/data/00000001-00000.parquet")).unwrap();
    let settings = CompactSettings {
        shard_bytes: 2 * large.len() as usize,
    };
    (all, settings)
}

#[test]
fn large_shards_before_the_small_ones_stay() {
    let root = tempdir().unwrap();
    let (all, settings) = write_large_and_small(root.path());
    let data = root.path().join("fighter/data");
    let large = fs::read(data.join("00000001-00000.parquet")).unwrap();
    let compacted = Dataset::open(root.path())
        .unwrap()
        .compact(settings, &mut |_| {})
        .unwrap();
    assert_eq!((compacted[0].before, compacted[0].after), (6, 2));
    assert_eq!(listing(&data), ["00000001-00000.parquet", "00000001-00006.parquet"]);
    assert_eq!(fs::read(data.join("00000001-00000.parquet")).unwrap(), large);
    assert_holds(root.path(), &all);
}

#[test]
fn a_shard_that_stays_is_not_read() {
    let root = tempdir().unwrap();
    let (_, settings) = write_large_and_small(root.path());
    let path = root.path().join("fighter/data/00000001-00000.parquet");
    let mut damaged = fs::read(&path).unwrap();
    let middle = damaged.len() / 3;
    damaged[middle] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let listed = only(root.path()).runs().unwrap()[0].shards[0].clone();
    let dataset = Dataset::open(root.path()).unwrap();
    let compacted = dataset.compact(settings, &mut |_| {}).unwrap();
    assert_eq!((compacted[0].before, compacted[0].after), (6, 2));
    // Its checksum in the account is that of the file without the damage.
    assert_eq!(fs::read(&path).unwrap(), damaged);
    assert_eq!(only(root.path()).runs().unwrap()[0].shards[0], listed);
    let validation = only(root.path()).validate(&mut |_| {}).unwrap();
    // The rows of the damaged page cannot be decoded, or the checksum differs.
    let found = validation
        .violations
        .iter()
        .any(|found| found.rule == Rule::File && found.file == path);
    assert!(found, "{validation:#?}");
}

#[test]
fn a_shard_is_complete_at_its_size() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 40);
    write_small(root.path(), &all);
    let to = tempdir().unwrap();
    let settings = CompactSettings { shard_bytes: 1 };
    let copied = compact(&Dataset::open(root.path()).unwrap(), to.path(), settings, &mut |_| {}).unwrap();
    assert_eq!((copied[0].before, copied[0].after), (20, 40));
    assert_holds(to.path(), &all);
}

#[test]
fn runs_that_are_not_over_are_left_as_they_are() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 8);
    write_small(root.path(), &all);
    let live = RunId::from_bits(2);
    let some = episodes(&schema, live, 8);
    let mut sink = DatasetSink::new(root.path()).with_shard_episodes(2);
    sink.open(&recording(&schema, live)).unwrap();
    for some in some.chunks(2) {
        sink.write(some).unwrap();
        sink.flush(&report(some)).unwrap();
    }
    let compacted = in_place(root.path()).unwrap();
    assert_eq!((compacted[0].before, compacted[0].after), (8, 5));
    let [skipped] = compacted[0].skipped.as_slice() else {
        panic!("{compacted:?}");
    };
    assert!(skipped.contains("run 00000002 is being recorded"), "{skipped}");
    sink.close(&report(&some)).unwrap();
    assert_holds(root.path(), &[all, some].concat());
    assert_eq!(in_place(root.path()).unwrap()[0].after, 2);
}

#[test]
fn a_damaged_shard_is_named_and_nothing_changes() {
    let root = tempdir().unwrap();
    write_small(root.path(), &episodes(&fighter().into_shared(), RUN, 8));
    let shard = root.path().join("fighter/data/00000001-00002.parquet");
    let mut bad = fs::read(&shard).unwrap();
    let middle = bad.len() / 3;
    bad[middle] ^= 1;
    fs::write(&shard, bad).unwrap();
    let before = listing(&root.path().join("fighter/data"));
    let error = in_place(root.path()).unwrap_err().to_string();
    assert!(
        error.contains("00000001-00002.parquet` is damaged: its checksum"),
        "{error}"
    );
    assert_eq!(listing(&root.path().join("fighter/data")), before);
    assert!(!root.path().join("fighter/partial").exists());
}

#[test]
fn a_reader_of_shards_that_were_compacted_gets_an_error() {
    let root = tempdir().unwrap();
    write_small(root.path(), &episodes(&fighter().into_shared(), RUN, 8));
    let mut reader = only(root.path()).episodes();
    assert!(reader.next().unwrap().is_ok());
    in_place(root.path()).unwrap();
    let errors: Vec<String> = reader.filter_map(|episode| Some(episode.err()?.to_string())).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(
        errors.iter().all(|error| error.contains("has compacted it since")),
        "{errors:?}"
    );
}

/// The names of the shards of a recording.
fn names(shards: &[PathBuf]) -> Vec<String> {
    shards
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn shards_of_other_tools_get_the_columns_of_the_others() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 6);
    write_small(root.path(), &all);
    // Without the column `controller`, as in earlier versions.
    let batch = BatchEncoder::new(schema.clone()).unwrap().encode(&all[..2]).unwrap();
    let columns: Vec<usize> = (0..batch.num_columns())
        .filter(|index| batch.schema().field(*index).name() != "controller")
        .collect();
    let batch: RecordBatch = batch.project(&columns).unwrap();
    overwrite(&root.path().join("fighter/data/00000001-00000.parquet"), &batch);
    in_place(root.path()).unwrap();
    assert_eq!(names(&only(root.path()).shards().unwrap()), ["00000001-00003.parquet"]);
    assert_holds(root.path(), &all);
    // What is compacted can be filtered and erased from.
    let to = tempdir().unwrap();
    let conditions = EpisodeFilter {
        agents: vec![1],
        ..EpisodeFilter::default()
    };
    filter(&only(root.path()), to.path(), &conditions, &mut |_| {}).unwrap();
    assert_valid(to.path());
    Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert_valid(root.path());
    assert_eq!(read(root.path()).len() + read(to.path()).len(), all.len());
    assert!(Arc::ptr_eq(&schema, all[0].schema()));
}

/// Marks episodes as discarded, as a run does.
pub fn write_discarded(root: &Path, all: &[Episode], discarded: &[usize]) {
    let (schema, run) = (all[0].schema(), all[0].info().run);
    let mut sink = DatasetSink::new(root).with_shard_episodes(2);
    sink.open(&recording(schema, run)).unwrap();
    for some in all.chunks(2) {
        sink.write(some).unwrap();
    }
    let tags: Vec<TagChange> = discarded
        .iter()
        .map(|episode| {
            let info = all[*episode].info();
            TagChange::Added(EpisodeTag {
                episode_id: info.episode_id,
                agent_id: info.agent_id,
                tag: DISCARDED_TAG.to_owned(),
            })
        })
        .collect();
    sink.write_tags(&tags).unwrap();
    sink.close(&report(all)).unwrap();
}

#[test]
fn discarded_episodes_are_skipped_and_then_removed() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 8);
    write_discarded(root.path(), &all, &[2, 5]);
    let kept: Vec<Episode> = [0, 1, 3, 4, 6, 7].map(|index: usize| all[index].clone()).into();
    // The rows are there, and no reader returns them.
    let recording = only(root.path());
    assert_holds(root.path(), &kept);
    assert_eq!(recording.transitions().unwrap(), 80);
    assert_eq!(recording.discarded().unwrap().len(), 2);
    let stats = recording.stats().unwrap();
    assert_eq!((stats.episodes, stats.transitions), (6, 60));
    let totals = recording.agent_totals().unwrap();
    assert_eq!(totals.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(recording.overview().unwrap().discarded_episodes, 2);
    // A filter counts them as discarded, and not as filtered.
    let to = tempdir().unwrap();
    let conditions = EpisodeFilter {
        agents: vec![0],
        ..EpisodeFilter::default()
    };
    filter(&recording, to.path(), &conditions, &mut |_| {}).unwrap();
    assert_valid(to.path());
    let run = only(to.path()).runs().unwrap().remove(0);
    assert_eq!(
        (run.account.exported, run.account.discarded, run.filtered.transitions),
        (30, 50, 30)
    );
    // Only the shards from the first with such an episode on are rewritten.
    let settings = CompactSettings { shard_bytes: 2 };
    let compacted = Dataset::open(root.path())
        .unwrap()
        .compact(settings, &mut |_| {})
        .unwrap();
    assert_eq!((compacted[0].discarded, compacted[0].transitions), (2, 60));
    assert!(listing(&root.path().join("fighter/data")).contains(&"00000001-00000.parquet".to_owned()));
    assert_holds(root.path(), &kept);
    let run = only(root.path()).runs().unwrap().remove(0);
    assert_eq!(
        (run.account.exported, run.account.discarded, run.account.episodes),
        (60, 20, 6)
    );
    assert_eq!(only(root.path()).discarded().unwrap().len(), 0);
    assert_eq!(only(root.path()).transitions().unwrap(), 60);
    assert_eq!(in_place(root.path()).unwrap()[0].discarded, 0);
    assert_holds(root.path(), &kept);
}

#[test]
fn a_run_of_discarded_episodes_alone_keeps_its_account() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 2);
    write_discarded(root.path(), &all, &[0, 1]);
    assert!(read(root.path()).is_empty());
    assert_eq!(in_place(root.path()).unwrap()[0].after, 0);
    assert_valid(root.path());
    let run = only(root.path()).runs().unwrap().remove(0);
    assert_eq!(
        (run.account.recorded, run.account.exported, run.account.discarded),
        (20, 0, 20)
    );
}
