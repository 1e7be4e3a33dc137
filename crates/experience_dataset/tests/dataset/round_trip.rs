//! Round trips of every kind of column through a dataset.

use crate::episodes::{assert_same, choice, fighter, generated, info, tensor, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, EpisodeInfo, RunId},
};
use experience_dataset::Dataset;
use std::sync::Arc;
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(0x7fff_ffff);

fn assert_round_trip(schema: Schema) {
    let schema = schema.into_shared();
    let root = tempdir().unwrap();
    let all: Vec<Episode> = (0..8_u32)
        .map(|index| {
            let info = EpisodeInfo {
                continues: (index % 2 == 1).then(|| RUN.episode_id(index - 1)),
                ..info(RUN, index, -i64::from(index))
            };
            generated(
                &schema,
                info,
                100 * i64::from(index),
                1 + 13 * index as usize,
                u64::from(index),
            )
        })
        .collect();
    write(root.path(), &all);
    let dataset = Dataset::open(root.path()).unwrap();
    let recording = dataset.recording(schema.name()).unwrap();
    assert_eq!(recording.schema(), &schema);
    let read: Vec<Episode> = recording.episodes().map(Result::unwrap).collect();
    assert_eq!(read.len(), all.len());
    for (read, written) in read.iter().zip(&all) {
        assert_same(read, written);
        assert!(Arc::ptr_eq(read.schema(), recording.schema()));
        // The final observation has no row of its own, but its tick is known.
        let last = |episode: &Episode| episode.row(episode.len()).header().tick;
        assert_eq!(last(read), last(written));
        let [read, written] = [read, written].map(|episode| episode.row(episode.len()).header().timestamp);
        assert!(
            all[0].len() == 1 || (read - written).abs() < 1e-9 || written < 0.1,
            "{read} {written}"
        );
    }
}

fn observing() -> Schema {
    Schema::new("p").with_observation([Column::feature("x"), tensor("board", DType::F32, &[2, 5])])
}

#[test]
fn continuous_discrete_and_mixed_actions() {
    let float = |name: &str| Column::scalar(name, DType::F32, Space::bounded(-1.0, 1.0));
    assert_round_trip(fighter());
    assert_round_trip(observing().with_action([float("x"), float("y")]));
    assert_round_trip(observing().with_action([float("x"), tensor("y", DType::F32, &[3])]));
    assert_round_trip(observing().with_action([float("x"), Column::scalar("c", DType::F32, choice(4))]));
    assert_round_trip(observing());
}

#[test]
fn a_discrete_action_of_every_type() {
    let types = [
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F32,
        DType::F64,
        DType::Bool,
    ];
    for dtype in types {
        assert_round_trip(observing().with_action([Column::scalar(
            "c",
            dtype,
            choice(if dtype == DType::Bool { 2 } else { 100 }),
        )]));
    }
}

#[test]
fn actions_and_info_of_every_type_and_shape() {
    let types = [
        DType::F32,
        DType::F64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];
    let columns = || {
        types.into_iter().flat_map(|dtype| {
            let name = format!("{dtype:?}");
            [
                tensor(&format!("{name}2x3"), dtype, &[2, 3]),
                Column::scalar(name.clone(), dtype, Space::unbounded()),
                tensor(&format!("{name}0"), dtype, &[2, 0]),
                tensor(&format!("{name}1"), dtype, &[1]),
            ]
        })
    };
    assert_round_trip(
        observing()
            .with_action(columns())
            .with_info(columns())
            .with_reward_terms(["a", "b.c", "d e"]),
    );
}

#[test]
fn masks_of_every_width() {
    for width in [1, 7, 8, 9, 64, 65] {
        assert_round_trip(observing().with_action_mask(width));
    }
}

#[test]
fn wide_observations() {
    let wide = Schema::new("p")
        .with_observation([tensor("image", DType::F32, &[30, 30])])
        .with_action_mask(3);
    assert_round_trip(wide);
}

#[test]
fn unusual_names() {
    let name = "a/../b\0🦀\n\"";
    let schema = Schema::new(name)
        .with_observation([Column::feature(name)])
        .with_action([Column::scalar(name, DType::F64, Space::unbounded())])
        .with_info([Column::scalar("", DType::F64, Space::unbounded())])
        .with_reward_terms([name, ""]);
    assert_round_trip(schema);
}

#[test]
fn unusual_numbers() {
    let schema = observing()
        .with_action([Column::scalar("c", DType::U64, choice(u64::MAX))])
        .into_shared();
    let root = tempdir().unwrap();
    let episode = generated(&schema, info(RUN, 1, i64::MIN), i64::MAX - 4, 3, 1);
    let mut rows = episode.rows().to_vec();
    for row in rows.chunks_exact_mut(schema.layout().row_words()) {
        let header = experience_core::transition::StepHeader::of_mut(row);
        (header.reward, header.timestamp, header.ticks) = (f64::NEG_INFINITY, f64::NAN, i32::MAX as u32);
        header.set_match_id(Some(i64::MIN));
        let layout = schema.layout();
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
        bytes[layout.observation()].fill(0xff);
        bytes[layout.action_offsets()[0]..][..8].fill(0xff);
    }
    let odd = Episode::new(schema.clone(), *episode.info(), rows, episode.outcome(), "🦀 \0".into());
    write(root.path(), core::slice::from_ref(&odd));
    let read = Dataset::open(root.path())
        .unwrap()
        .recording("p")
        .unwrap()
        .episodes()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(read.reason().as_str(), "🦀 \0");
    for (read, written) in read.transitions().zip(odd.transitions()) {
        assert_eq!(read.reward(), f64::NEG_INFINITY);
        assert!(read.timestamp().is_nan());
        assert_eq!(read.after().action_bytes(0), written.after().action_bytes(0));
        assert_eq!(bytemuck::cast_slice::<f32, u8>(read.next_observation()), [0xff; 44]);
        assert_eq!(
            (read.match_id(), read.tick(), read.ticks()),
            (Some(i64::MIN), written.tick(), i32::MAX as u32)
        );
    }
}
