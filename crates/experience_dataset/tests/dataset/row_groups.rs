//! Row groups of bounded size, in episodes of any length.

use crate::episodes::{assert_same, info, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader, StepKind},
};
use experience_dataset::{Dataset, MergeSettings, merge};
use parquet::file::{
    reader::{FileReader, SerializedFileReader},
    statistics::Statistics,
};
use std::{fs::File, path::Path, sync::Arc};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(7);
/// Values of an observation: 16 KiB.
const WIDTH: usize = 4096;
/// The limit of a row group of 32 MiB, and the levels of its lists.
const MOST: i64 = 35 << 20;

fn schema() -> Arc<Schema> {
    let image = Column {
        shape: vec![WIDTH],
        ..Column::scalar("image", DType::F32, Space::unbounded())
    };
    Schema::new("p").with_observation([image]).into_shared()
}

/// An episode whose observations differ in their first value.
fn episode(schema: &Arc<Schema>, number: u32, agent: i64, steps: usize) -> Episode {
    let words = schema.layout().row_words();
    let start = schema.layout().observation().start;
    let mut rows = vec![0; (steps + 1) * words];
    for (step, row) in rows.chunks_exact_mut(words).enumerate() {
        let kind = if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        let header = StepHeader::of_mut(row);
        *header = StepHeader::new(kind);
        header.tick = i64::from(number) * 100_000 + step as i64;
        header.ticks = u32::from(step > 0);
        header.agent_id = agent;
        bytemuck::cast_slice_mut::<u64, u8>(row)[start..start + 4].copy_from_slice(&(step as f32).to_ne_bytes());
    }
    let info = info(RUN, number, agent);
    Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::GOAL)
}

/// The size, the rows and the episode ids of each row group.
fn groups(path: &Path) -> Vec<(i64, i64, (i64, i64))> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let of_group = reader.metadata().row_groups().iter().map(|group| {
        let ids = group
            .columns()
            .iter()
            .find(|column| column.column_path().string() == "episode_id");
        let Some(Statistics::Int64(ids)) = ids.unwrap().statistics() else {
            panic!("a row group has no statistics of its episode ids")
        };
        let ids = (*ids.min_opt().unwrap(), *ids.max_opt().unwrap());
        (group.total_byte_size(), group.num_rows(), ids)
    });
    of_group.collect()
}

#[test]
fn a_long_episode_of_wide_rows_is_divided_and_read_whole() {
    let root = tempdir().unwrap();
    let schema = schema();
    let all = [
        episode(&schema, 0, 1, 30),
        episode(&schema, 1, 2, 6000),
        episode(&schema, 2, 1, 40),
    ];
    write(root.path(), &all);
    let shard = root.path().join("p/data/00000007-00000.parquet");
    let found = groups(&shard);
    assert!(found.iter().all(|(bytes, ..)| *bytes <= MOST), "{found:?}");
    let long = all[1].info().episode_id;
    let of_long: Vec<_> = found
        .iter()
        .filter(|(.., ids)| ids.0 <= long && long <= ids.1)
        .collect();
    assert!((3..=5).contains(&of_long.len()), "{found:?}");
    // Short episodes share a row group only with each other.
    assert_eq!(found[0].1, 30);
    assert!(of_long.iter().take(of_long.len() - 1).all(|(.., ids)| ids.0 == ids.1));

    let dataset = Dataset::open(root.path()).unwrap();
    let recording = dataset.recording("p").unwrap();
    let read: Vec<_> = recording.episodes().map(Result::unwrap).collect();
    assert_eq!(read.len(), all.len());
    for (read, written) in read.iter().zip(&all) {
        assert_same(read, written);
    }
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    recording.diagnose(&mut |_| {}).unwrap();
    let players = recording.joint(RUN, None, 100_000 + 4321).unwrap();
    assert_eq!(players.len(), 1);
    assert_eq!(players[0].transition().step(), 4321);
    assert_eq!(players[0].transition().observation()[0], 4321.0);

    let folder = tempdir().unwrap();
    let merged = folder.path().join("merged");
    merge(
        core::slice::from_ref(&dataset),
        &merged,
        MergeSettings::default(),
        &mut |_| {},
    )
    .unwrap();
    let merged = Dataset::open(merged).unwrap();
    let erased = merged.erase(1, &mut |_| {}).unwrap();
    assert_eq!((erased.episodes, erased.transitions), (2, 70));
    let recording = merged.recording("p").unwrap();
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    let rewritten = groups(&recording.shards().unwrap()[0]);
    assert!(rewritten.iter().all(|(bytes, ..)| *bytes <= MOST), "{rewritten:?}");
    assert_eq!(rewritten.iter().map(|(_, rows, _)| rows).sum::<i64>(), 6000);
    merged.erase(2, &mut |_| {}).unwrap();
    assert!(recording.shards().unwrap().is_empty());
}
