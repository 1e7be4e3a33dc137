//! The columns of record batches: names, types and values.

use crate::episodes::{choice, generated, info, tensor};
use arrow_array::{
    Array, BooleanArray, DictionaryArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt8Type},
};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind, Transition},
};
use std::sync::Arc;

const RUN: RunId = RunId::from_bits(5);

fn encode(episodes: &[Episode]) -> RecordBatch {
    BatchEncoder::new(episodes[0].schema().clone())
        .unwrap()
        .encode(episodes)
        .unwrap()
}

fn types(schema: Schema) -> Vec<String> {
    let encoder = BatchEncoder::new(schema.into_shared()).unwrap();
    let fields = encoder.arrow_schema().fields().iter();
    fields
        .map(|field| {
            let null = if field.is_nullable() { "?" } else { "" };
            format!("{}: {}{null}", field.name(), field.data_type())
        })
        .collect()
}

/// Two transitions of two features and one action, with known values.
fn known_episode() -> Episode {
    let schema = Schema::new("p")
        .with_observation(["x", "y"].map(Column::feature))
        .with_action([Column::scalar("jump", DType::U8, choice(3))])
        .with_action_mask(3)
        .with_reward_terms(["coin"])
        .into_shared();
    let layout = schema.layout();
    let mut rows = Vec::new();
    //                tick ticks reward term  action obs             mask
    for (tick, ticks, reward, term, action, observation, mask) in [
        (10, 0, 0.0, 0.0_f32, 0_u8, [0.0_f32, f32::NAN], 0b111_u8),
        (11, 1, 0.5, 0.25, 2, [-0.0, f32::NAN], 0b101),
        (14, 3, -1.0, 4.0, 1, [-0.0, 7.0], 0b010),
    ] {
        let mut row = vec![0; layout.row_words()];
        let header = StepHeader::of_mut(&mut row);
        *header = StepHeader::new(StepKind::Transition);
        (header.tick, header.ticks, header.reward, header.timestamp) = (tick, ticks, reward, tick as f64 / 10.0);
        header.set_match_id((tick != 11).then_some(3));
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut row);
        bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&observation));
        bytes[layout.mask()][0] = mask;
        bytes[layout.action_offsets()[0]] = action;
        bytes[layout.reward_terms()].copy_from_slice(&term.to_ne_bytes());
        rows.extend(row);
    }
    let info = EpisodeInfo {
        episode_id: RUN.episode_id(2),
        agent_id: -4,
        run: RUN,
        continues: Some(RUN.episode_id(1)),
    };
    Episode::new(schema, info, rows, Outcome::Terminated, EndReason::DEATH)
}

#[test]
fn every_column_has_its_values() {
    let batch = encode(&[known_episode()]);
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{name}")).clone();
    let ints = |name: &str| column(name).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    let shorts = |name: &str| column(name).as_primitive::<Int32Type>().values().to_vec();
    let floats = |name: &str| column(name).as_primitive::<Float64Type>().values().to_vec();
    let flags = |name: &str| column(name).as_boolean().iter().map(Option::unwrap).collect::<Vec<_>>();
    let items = |name: &str| column(name).as_fixed_size_list().values().clone();

    assert_eq!(ints("episode_id"), [Some((5 << 32) + 2); 2]);
    assert_eq!(ints("agent_id"), [Some(-4); 2]);
    assert_eq!(ints("match_id"), [Some(3), None]);
    assert_eq!(ints("run"), [Some(5); 2]);
    assert_eq!(shorts("step"), [0, 1]);
    assert_eq!(ints("tick"), [Some(10), Some(11)]);
    assert_eq!(shorts("ticks"), [1, 3]);
    assert_eq!(floats("timestamp"), [1.0, 1.1]);
    assert_eq!(ints("action"), [Some(2), Some(1)]);
    assert_eq!(floats("reward"), [0.5, -1.0]);
    assert_eq!(
        column("reward.coin").as_primitive::<Float32Type>().values().to_vec(),
        [0.25, 4.0]
    );
    assert_eq!(flags("terminated"), [false, true]);
    assert_eq!(flags("truncated"), [false, false]);
    assert_eq!(ints("continues"), [Some((5 << 32) + 1); 2]);

    let bits = |name: &str| {
        let values = items(name);
        values
            .as_primitive::<Float32Type>()
            .values()
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    let known = |values: [f32; 4]| values.map(f32::to_bits);
    assert_eq!(bits("observation"), known([0.0, f32::NAN, -0.0, f32::NAN]));
    assert_eq!(bits("next_observation"), known([-0.0, f32::NAN, -0.0, 7.0]));
    // Compared in bits: the two zeros differ, and a NaN equals itself.
    assert_eq!(
        items("changed").as_primitive::<UInt8Type>().values().to_vec(),
        [0b01, 0b10]
    );
    let mask = |name: &str| items(name).as_boolean().iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!(mask("action_mask"), [true, true, true, true, false, true]);
    assert_eq!(mask("next_action_mask"), [true, false, true, false, true, false]);

    let reasons = column("end_reason");
    let reasons: &DictionaryArray<Int32Type> = reasons.as_dictionary();
    let reasons: Vec<_> = reasons
        .downcast_dict::<arrow_array::StringArray>()
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(reasons, [None, Some("death")]);
}

#[test]
fn columns_are_in_the_documented_order() {
    let schema = Schema::new("p")
        .with_observation((0..9).map(|index| Column::feature(format!("f{index}"))))
        .with_action([
            Column::scalar("aim", DType::F32, Space::unbounded()),
            tensor("board", DType::I16, &[2, 3]),
            tensor("nothing", DType::I16, &[0, 3]),
        ])
        .with_action_mask(4)
        .with_info([
            Column::scalar("logp", DType::F64, Space::unbounded()),
            tensor("one", DType::Bool, &[1]),
        ])
        .with_reward_terms(["coin", "hit"]);
    assert_eq!(
        types(schema),
        [
            "episode_id: Int64",
            "agent_id: Int64",
            "match_id: Int64?",
            "run: Int64",
            "step: Int32",
            "tick: Int64",
            "ticks: Int32",
            "timestamp: Float64",
            "observation: FixedSizeList(9 x non-null Float32)",
            "action: FixedSizeList(7 x non-null Float32)",
            "action.aim: Float32",
            "action.board: FixedSizeList(6 x non-null Int16)",
            "reward: Float64",
            "reward.coin: Float32",
            "reward.hit: Float32",
            "next_observation: FixedSizeList(9 x non-null Float32)?",
            "terminated: Boolean",
            "truncated: Boolean",
            "end_reason: Dictionary(Int32, Utf8)?",
            "action_mask: FixedSizeList(4 x non-null Boolean)",
            "next_action_mask: FixedSizeList(4 x non-null Boolean)",
            "changed: FixedSizeList(2 x non-null UInt8)",
            "info.logp: Float64",
            "info.one: FixedSizeList(1 x non-null Boolean)",
            "continues: Int64?",
            "controller: Dictionary(Int32, Utf8)?",
        ]
    );
}

#[test]
fn an_action_has_own_columns_if_packing_loses_information() {
    let actions = |columns: Vec<Column>| {
        let schema = Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action(columns);
        let named = |line: &String| line.starts_with("action");
        types(schema).into_iter().filter(named).collect::<Vec<_>>()
    };
    let float = |name| Column::scalar(name, DType::F32, Space::unbounded());
    assert!(actions(vec![]).is_empty());
    assert_eq!(
        actions(vec![Column::scalar("jump", DType::Bool, choice(2))]),
        ["action: Int64"]
    );
    assert_eq!(
        actions(vec![float("x")]),
        ["action: FixedSizeList(1 x non-null Float32)"]
    );
    assert_eq!(
        actions(vec![float("x"), float("y")]),
        ["action: FixedSizeList(2 x non-null Float32)"]
    );
    assert_eq!(
        actions(vec![float("x"), Column::scalar("jump", DType::F32, choice(2))]),
        [
            "action: FixedSizeList(2 x non-null Float32)",
            "action.x: Float32",
            "action.jump: Float32"
        ]
    );
    assert_eq!(
        actions(vec![Column::scalar("x", DType::F64, Space::unbounded())]),
        ["action: FixedSizeList(1 x non-null Float32)", "action.x: Float64"]
    );
}

#[test]
fn a_mixed_action_is_packed_and_has_own_columns() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([
            tensor("a", DType::I16, &[2]),
            Column::scalar("b", DType::Bool, choice(2)),
        ])
        .into_shared();
    let episode = generated(&schema, info(RUN, 0, 0), 0, 5, 1);
    let batch = encode(core::slice::from_ref(&episode));
    let packed = batch["action"]
        .as_fixed_size_list()
        .values()
        .as_primitive::<Float32Type>()
        .values()
        .to_vec();
    let expected: Vec<f32> = episode
        .transitions()
        .flat_map(Transition::action)
        .map(|value| value as f32)
        .collect();
    assert_eq!(packed, expected);
    let a = batch["action.a"]
        .as_fixed_size_list()
        .values()
        .as_primitive::<Int16Type>()
        .values()
        .to_vec();
    let b: &BooleanArray = batch["action.b"].as_boolean();
    for (index, transition) in episode.transitions().enumerate() {
        let expected: Vec<f64> = transition.action().collect();
        assert_eq!(
            expected,
            [
                f64::from(a[2 * index]),
                f64::from(a[2 * index + 1]),
                f64::from(u8::from(b.value(index)))
            ]
        );
    }
}

#[test]
fn a_wide_observation_is_written_once() {
    for (width, wide) in [(256, false), (257, true)] {
        let schema = Schema::new("p")
            .with_observation([tensor("image", DType::F32, &[width])])
            .into_shared();
        let episodes = [3, 1].map(|len| generated(&schema, info(RUN, len as u32, 0), 0, len, 9));
        let batch = encode(&episodes);
        let next = &batch["next_observation"];
        let nulls: Vec<bool> = (0..4).map(|row| next.is_null(row)).collect();
        assert_eq!(nulls, [wide, wide, false, false]);
        // A null in a fixed-size list is an error in pyarrow before 26.
        let last = if wide {
            next.as_list::<i32>().value(2)
        } else {
            next.as_fixed_size_list().value(2)
        };
        assert_eq!(
            last.as_primitive::<Float32Type>().values(),
            episodes[0].row(3).observation()
        );
    }
}

#[test]
fn all_batches_of_a_recording_have_one_schema() {
    let schema = crate::episodes::fighter().into_shared();
    let one = encode(&[generated(&schema, info(RUN, 0, 0), 0, 5, 1)]);
    let none = BatchEncoder::new(schema).unwrap().encode(&[]).unwrap();
    assert_eq!(one.schema(), none.schema());
    assert_eq!(none.num_rows(), 0);
}

#[test]
fn invalid_schemas_are_refused() {
    let refusal = |schema: Schema| BatchEncoder::new(Arc::new(schema)).unwrap_err().to_string();
    assert!(refusal(Schema::new("blind")).contains("`blind` observes nothing"));
    let twice = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_reward_terms(["hit", "hit"]);
    assert!(refusal(twice).contains("two columns called `reward.hit`"));
    let other = Schema::new("q").with_observation([Column::feature("x")]).into_shared();
    let encoder = BatchEncoder::new(Schema::new("p").with_observation([Column::feature("x")]).into_shared()).unwrap();
    assert!(encoder.encode(&[generated(&other, info(RUN, 7, 0), 0, 1, 1)]).is_err());
}
