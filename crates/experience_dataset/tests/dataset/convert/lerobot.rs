//! `convert` to `LeRobot`: feature names, statistics, clocks, and recordings that it cannot represent.

use super::*;
use crate::episodes::choice;
use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use experience_dataset::{DatasetError, convert::to_lerobot};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{fs::File, path::Path};

fn table(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

#[test]
fn lerobot_has_its_feature_names_and_all_frames() {
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 5);
    let (_root, recording) = dataset(&all);
    let to = tempdir().unwrap();
    to_lerobot(&recording, to.path(), "win", None, &mut |_| {}).unwrap();
    let info: Value = serde_json::from_slice(&fs::read(to.path().join("meta/info.json")).unwrap()).unwrap();
    assert_eq!((&info["codebase_version"], &info["fps"]), (&"v3.0".into(), &60.into()));
    assert_eq!(
        (&info["total_frames"], &info["splits"]["train"]),
        (&50.into(), &"0:5".into())
    );
    let frames = table(&to.path().join("data/chunk-000/file-000.parquet"));
    let described: Vec<_> = info["features"].as_object().unwrap().keys().cloned().collect();
    let there: Vec<_> = frames
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(there, described, "exactly the columns are described");
    let list = |name: &str| {
        frames[name]
            .as_fixed_size_list()
            .values()
            .as_primitive::<Float32Type>()
            .values()
            .to_vec()
    };
    let longs = |name: &str| frames[name].as_primitive::<Int64Type>().values().to_vec();
    let transitions = || all.iter().flat_map(Episode::transitions);
    let seen: Vec<f32> = transitions()
        .flat_map(|transition| transition.observation().to_vec())
        .collect();
    assert_eq!(list("observation.state"), seen);
    assert_eq!(list("observation.environment_state"), seen);
    assert_eq!(
        list("action"),
        transitions()
            .flat_map(|transition| transition.action().map(|value| value as f32))
            .collect::<Vec<_>>()
    );
    let done: Vec<_> = frames["next.done"].as_boolean().iter().map(Option::unwrap).collect();
    assert_eq!(
        done,
        transitions()
            .map(experience_core::transition::Transition::is_last)
            .collect::<Vec<_>>()
    );
    assert_eq!(longs("index"), (0..50).collect::<Vec<_>>());
    assert_eq!(
        longs("frame_index"),
        (0..50).map(|index| index % 10).collect::<Vec<_>>()
    );
    assert_eq!(
        longs("episode_index"),
        (0..50).map(|index| index / 10).collect::<Vec<_>>()
    );
    let times = frames["timestamp"].as_primitive::<Float32Type>();
    assert_eq!((times.value(0), times.value(9)), (0.0, (9.0_f64 / 60.0) as f32));

    let meta = table(&to.path().join("meta/episodes/chunk-000/file-000.parquet"));
    let from = meta["dataset_from_index"].as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(from, [0, 10, 20, 30, 40]);
    assert_eq!(
        meta["tasks"].as_list::<i32>().value(4).as_string::<i32>().value(0),
        "win"
    );
    let tasks = table(&to.path().join("meta/tasks.parquet"));
    assert!(tasks.schema().metadata()["pandas"].contains("\"index_columns\":[\"task\"]"));
    let stats: Value = serde_json::from_slice(&fs::read(to.path().join("meta/stats.json")).unwrap()).unwrap();
    assert_eq!(stats["observation.state"]["mean"].as_array().unwrap().len(), 9);
    assert_eq!(
        listing(to.path())
            .iter()
            .filter(|path| path.contains(".experience"))
            .count(),
        0
    );
}

#[test]
fn lerobot_has_the_controller_of_each_frame() {
    let all = crate::controllers::dataset(&fighter());
    let (_root, recording) = dataset(&all);
    let to = tempdir().unwrap();
    to_lerobot(&recording, to.path(), "win", None, &mut |_| {}).unwrap();
    let info: Value = serde_json::from_slice(&fs::read(to.path().join("meta/info.json")).unwrap()).unwrap();
    let expected = serde_json::json!({ "dtype": "string", "shape": [1], "names": null });
    assert_eq!(info["features"]["controller"], expected);
    let frames = table(&to.path().join("data/chunk-000/file-000.parquet"));
    let found: Vec<_> = frames["controller"]
        .as_string::<i32>()
        .iter()
        .map(Option::unwrap)
        .collect();
    let transitions = all.iter().flat_map(Episode::transitions);
    let labels: Vec<_> = transitions
        .map(|transition| transition.controller().unwrap_or_default())
        .collect();
    assert_eq!(found, labels);
    assert!(labels.contains(&"") && labels.contains(&"script:hunter"));
    // Statistics are of numbers.
    let stats: Value = serde_json::from_slice(&fs::read(to.path().join("meta/stats.json")).unwrap()).unwrap();
    assert_eq!(stats.get("controller"), None);
}

#[test]
fn lerobot_statistics_are_of_the_frames() {
    let schema = fighter()
        .with_action([Column::scalar("aim", DType::F64, Space::unbounded())])
        .into_shared();
    let (_root, recording) = dataset(&episodes(&schema, RUN, 5));
    let to = tempdir().unwrap();
    to_lerobot(&recording, to.path(), "win", None, &mut |_| {}).unwrap();
    let frames = table(&to.path().join("data/chunk-000/file-000.parquet"));
    let stats: Value = serde_json::from_slice(&fs::read(to.path().join("meta/stats.json")).unwrap()).unwrap();
    for (name, width) in [("observation.state", 9), ("action", 4), ("next.reward", 1)] {
        let values = match width {
            1 => frames[name].as_primitive::<Float32Type>().values().to_vec(),
            _ => frames[name]
                .as_fixed_size_list()
                .values()
                .as_primitive::<Float32Type>()
                .values()
                .to_vec(),
        };
        let stats = &stats[name];
        assert_eq!(stats["count"], serde_json::json!([50]), "{name}");
        for index in 0..width {
            let column: Vec<f64> = values.chunks_exact(width).map(|row| f64::from(row[index])).collect();
            let mean = column.iter().sum::<f64>() / 50.0;
            assert!((stats["mean"][index].as_f64().unwrap() - mean).abs() < 1e-9 * mean.abs().max(1.0));
            let max = column.iter().copied().fold(f64::MIN, f64::max);
            assert_eq!(stats["max"][index].as_f64(), Some(max), "{name}");
        }
    }
}

#[test]
fn lerobot_refuses_runs_whose_clock_is_not_that_of_their_tick_rate() {
    let schema = fighter().into_shared();
    let to = tempdir().unwrap();
    let slower = |episode: &Episode, from: usize| {
        let mut rows = episode.rows().to_vec();
        let mut time = 0.0;
        for (index, row) in rows.chunks_exact_mut(schema.layout().row_words()).enumerate() {
            StepHeader::of_mut(row).timestamp = time;
            time += if index < from { 1.0 / 60.0 } else { 1.0 / 30.0 };
        }
        Episode::new(
            schema.clone(),
            *episode.info(),
            rows,
            episode.outcome(),
            episode.reason().clone(),
        )
    };
    let mut all = episodes(&schema, RUN, 4);
    for from in [0, 4] {
        all[2] = slower(&episodes(&schema, RUN, 4)[2], from);
        let (_root, recording) = dataset(&all);
        let new = to.path().join(from.to_string());
        let error = to_lerobot(&recording, &new, "p", None, &mut |_| {})
            .unwrap_err()
            .to_string();
        let id = RUN.episode_id(2);
        assert!(
            error.contains(&format!("episode {id}")) && error.contains("`fps`"),
            "{error}"
        );
        assert!(error.contains("60 ticks per second"), "{error}");
        to_lerobot(&recording, &new, "p", Some(60), &mut |_| {}).unwrap();
    }
}

#[test]
fn lerobot_refuses_a_frame_rate_that_no_episode_has() {
    let schema = fighter().into_shared();
    let (_root, recording) = dataset(&episodes(&schema, RUN, 4));
    let to = tempdir().unwrap();
    for fps in [30, 50, 120] {
        let error = to_lerobot(&recording, &to.path().join("new"), "p", Some(fps), &mut |_| {}).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(&format!("no episode has {fps} frames")) && error.contains("has 60.00 by its timestamps"),
            "{error}"
        );
        assert!(
            error.contains("Leave `fps` out") && error.contains("decision interval"),
            "{error}"
        );
    }
    for fps in [59, 60, 62] {
        to_lerobot(
            &recording,
            &to.path().join(fps.to_string()),
            "p",
            Some(fps),
            &mut |_| {},
        )
        .unwrap();
    }
}

#[test]
fn lerobot_takes_the_tick_rate_of_the_runs_that_have_frames() {
    let schema = fighter().into_shared();
    let root = tempdir().unwrap();
    write(root.path(), &episodes(&schema, RUN, 2));
    let run = root.path().join("fighter/runs/00000001.json");
    let account = fs::read_to_string(&run).unwrap();
    // A run that recorded no episode has no say.
    let idle = account
        .replace("\"run\": 1,", "\"run\": 2,")
        .replace("\"tick_rate\": 60.0", "\"tick_rate\": 50.0");
    assert_ne!(idle, account);
    fs::write(root.path().join("fighter/runs/00000002.json"), idle).unwrap();
    let convert = |to: &str| {
        let recording = Dataset::open(root.path()).unwrap().recordings()[0].clone();
        to_lerobot(&recording, &root.path().join(to), "p", None, &mut |_| {})
    };
    convert("a").unwrap();
    // A run with frames and without an account has an unknown rate.
    fs::remove_file(run).unwrap();
    let error = convert("b").unwrap_err().to_string();
    assert!(error.contains("run 00000001") && error.contains("`fps`"), "{error}");
}

#[test]
fn lerobot_refuses_integers_that_are_no_f32() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([Column::scalar("c", DType::U32, Space::unbounded())])
        .into_shared();
    let mut rows = generated(&schema, info(RUN, 0, 1), 0, 3, 1).rows().to_vec();
    let at = schema.layout().action_offsets()[0];
    for row in rows.chunks_exact_mut(schema.layout().row_words()) {
        bytemuck::cast_slice_mut::<u64, u8>(row)[at..at + 4].copy_from_slice(&16_777_217_u32.to_ne_bytes());
    }
    let episode = Episode::new(schema, info(RUN, 0, 1), rows, Outcome::Terminated, EndReason::DEATH);
    let (_root, recording) = dataset(&[episode]);
    let to = tempdir().unwrap();
    let error = to_lerobot(&recording, &to.path().join("new"), "p", None, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("16777217"), "{error}");
}

#[test]
fn lerobot_stores_a_vector_of_one_as_a_number() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([Column::scalar("c", DType::U8, choice(3))])
        .into_shared();
    let (_root, recording) = dataset(&episodes(&schema, RUN, 2));
    let to = tempdir().unwrap();
    to_lerobot(&recording, &to.path().join("new"), "p", Some(60), &mut |_| {}).unwrap();
    let frames = table(&to.path().join("new/data/chunk-000/file-000.parquet"));
    for name in ["observation.state", "action"] {
        assert_eq!(frames[name].data_type(), &arrow_schema::DataType::Float32);
    }
}

#[test]
fn recordings_that_lerobot_cannot_represent_are_refused() {
    let schema = fighter().into_shared();
    let refusal = |all: &[Episode], fps| {
        let (_root, recording) = dataset(all);
        let to = tempdir().unwrap();
        let refusal = to_lerobot(&recording, &to.path().join("new"), "p", fps, &mut |_| {}).unwrap_err();
        assert_eq!(listing(to.path()), [""; 0], "temporary files are removed");
        assert!(matches!(refusal, DatasetError::Write { .. }));
        refusal.to_string()
    };
    let skipping = |steps: &[u32]| {
        let mut rows = generated(&schema, info(RUN, 0, 1), 0, steps.len(), 1).rows().to_vec();
        let mut tick = 0;
        for (row, ticks) in rows
            .chunks_exact_mut(schema.layout().row_words())
            .zip([&[0], steps].concat())
        {
            let header = StepHeader::of_mut(row);
            tick += i64::from(ticks);
            (header.tick, header.ticks) = (tick, ticks);
            header.timestamp = tick as f64 / 60.0;
        }
        [Episode::new(
            schema.clone(),
            info(RUN, 0, 1),
            rows,
            Outcome::Terminated,
            EndReason::DEATH,
        )]
    };
    assert!(refusal(&skipping(&[1, 4, 1]), None).contains("convert the recording with `densify` first"));
    assert!(refusal(&skipping(&[7, 7, 7]), None).contains("requires an integer"));
    assert!(refusal(&skipping(&[1, 1]), Some(0)).contains("`fps` is 0"));
    let (_root, recording) = dataset(&skipping(&[4, 4, 2]));
    let to = tempdir().unwrap();
    to_lerobot(&recording, to.path(), "p", None, &mut |_| {}).unwrap();
    let info: Value = serde_json::from_slice(&fs::read(to.path().join("meta/info.json")).unwrap()).unwrap();
    assert_eq!(info["fps"], 15, "a decision every fourth of 60 ticks");
    let idle = Schema::new("p").with_observation([Column::feature("x")]).into_shared();
    assert!(refusal(&episodes(&idle, RUN, 2), None).contains("no action"));
}
