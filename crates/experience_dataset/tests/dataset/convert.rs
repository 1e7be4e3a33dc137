//! `convert`: JSON lines, `LeRobot`, Minari and bincode files hold the data of the dataset.

use crate::episodes::{choice, episodes, fighter, generated, info, listing, write};
use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader},
};
use experience_dataset::{
    Dataset, DatasetError, RecordingData,
    convert::{JsonLine, to_bincode, to_jsonl, to_lerobot},
};
use experience_export::journal::{JournalReader, Record};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);

fn dataset(all: &[Episode]) -> (TempDir, RecordingData) {
    let root = tempdir().unwrap();
    write(root.path(), all);
    let recording = Dataset::open(root.path()).unwrap().recordings()[0].clone();
    (root, recording)
}

#[test]
fn lines_hold_every_column() {
    let schema = fighter()
        .with_info([Column::scalar("big", DType::U64, Space::unbounded())])
        .into_shared();
    let all = episodes(&schema, RUN, 4);
    let (_root, recording) = dataset(&all);
    let to = tempdir().unwrap();
    let path = to.path().join("deep/er/lines.jsonl");
    to_jsonl(&recording, &path, &mut |_| {}).unwrap();
    assert_eq!(listing(to.path()), ["deep", "deep/er", "deep/er/lines.jsonl"]);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for transition in all.iter().flat_map(Episode::transitions) {
        let line = lines.next().unwrap();
        let floats = |name: &str| -> Vec<f32> {
            line[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_f64().unwrap() as f32)
                .collect()
        };
        assert_eq!(floats("observation"), transition.observation());
        assert_eq!(floats("next_observation"), transition.next_observation());
        assert_eq!(floats("action").len(), 3);
        assert_eq!(
            line["action.shoot"].as_bool().map(f64::from),
            transition.action().nth(2)
        );
        assert_eq!(line["reward"].as_f64(), Some(transition.reward()));
        assert_eq!(
            line["reward.hit"].as_f64(),
            Some(f64::from(transition.reward_terms()[1]))
        );
        let info = transition.episode().info();
        assert_eq!(line["episode_id"], info.episode_id.to_string());
        assert_eq!(
            line["match_id"].as_str().map(str::to_owned),
            transition.match_id().map(|id| id.to_string())
        );
        assert_eq!(
            line["end_reason"].as_str(),
            transition.end_reason().map(EndReason::as_str)
        );
        assert_eq!(line["terminated"].as_bool(), Some(transition.terminated()));
        assert_eq!(
            line["next_action_mask"][2].as_bool(),
            Some(transition.after().allows(2))
        );
        let big = u64::from_ne_bytes(transition.after().info_bytes(2).try_into().unwrap());
        assert_eq!(line["info.big"].as_u64(), Some(big), "all digits are kept");
    }
    assert!(lines.next().is_none());
}

#[test]
fn ids_are_strings_because_json_readers_round_large_numbers() {
    let schema = Schema::new("p").with_observation([Column::feature("x")]).into_shared();
    let run = RunId::from_bits(0x7fff_ffff);
    let agent = (1 << 53) + 1;
    let mut info = info(run, 7, agent);
    info.continues = Some(run.episode_id(6));
    let mut rows = generated(&schema, info, 0, 2, 1).rows().to_vec();
    for row in rows.chunks_exact_mut(schema.layout().row_words()) {
        StepHeader::of_mut(row).set_match_id(Some(agent));
    }
    let episode = Episode::new(schema, info, rows, Outcome::Truncated, EndReason::GAP);
    let line = serde_json::to_value(JsonLine(episode.transition(0))).unwrap();
    for (column, id) in [
        ("episode_id", info.episode_id),
        ("agent_id", agent),
        ("match_id", agent),
        ("run", run.get()),
        ("continues", run.episode_id(6)),
    ] {
        assert_eq!(line[column], Value::String(id.to_string()), "{column}");
    }
}

#[test]
fn a_failed_conversion_does_not_replace_the_file() {
    let (root, recording) = dataset(&episodes(&fighter().into_shared(), RUN, 4));
    let to = tempdir().unwrap();
    let path = to.path().join("lines");
    fs::write(&path, "before").unwrap();
    let shard = root.path().join("fighter/data/00000001-00000.parquet");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
    assert!(to_jsonl(&recording, &path, &mut |_| {}).is_err());
    assert_eq!(
        (fs::read_to_string(&path).unwrap(), listing(to.path())),
        ("before".to_owned(), vec!["lines".to_owned()])
    );
}

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

#[cfg(feature = "minari")]
mod minari {
    use super::*;
    use crate::episodes::tensor;
    use experience_dataset::convert::to_minari;
    use hdf5_pure::File as Hdf5;

    fn converted(all: &[Episode]) -> (TempDir, Value, Hdf5) {
        let (_root, recording) = dataset(all);
        let to = tempdir().unwrap();
        let path = to_minari(&recording, to.path(), "a/p-v0", &mut |_| {}).unwrap();
        let metadata = serde_json::from_slice(&fs::read(path.join("data/metadata.json")).unwrap()).unwrap();
        let file = Hdf5::from_bytes(fs::read(path.join("data/main_data.hdf5")).unwrap()).unwrap();
        (to, metadata, file)
    }

    fn space(metadata: &Value, name: &str) -> Value {
        serde_json::from_str(metadata[name].as_str().expect("spaces are strings")).unwrap()
    }

    #[test]
    fn episodes_have_their_final_observations() {
        let schema = fighter().into_shared();
        let all = episodes(&schema, RUN, 4);
        let (_to, metadata, file) = converted(&all);
        assert_eq!(
            (&metadata["total_episodes"], &metadata["total_steps"]),
            (&4.into(), &40.into())
        );
        assert_eq!(
            (&metadata["jpeg_encoding"], &metadata["data_format"]),
            (&false.into(), &"hdf5".into())
        );
        for (index, episode) in all.iter().enumerate() {
            let path = |name: &str| format!("episode_{index}/{name}");
            let seen: Vec<f32> = (0..=10)
                .flat_map(|row| episode.row(row).observation().to_vec())
                .collect();
            let observations = file.dataset(&path("observations")).unwrap();
            assert_eq!(observations.shape().unwrap(), [11, 9]);
            assert_eq!(observations.read_f32().unwrap(), seen);
            let rewards: Vec<f64> = episode
                .transitions()
                .map(experience_core::transition::Transition::reward)
                .collect();
            assert_eq!(file.dataset(&path("rewards")).unwrap().read_f64().unwrap(), rewards);
            let shots: Vec<i64> = episode
                .transitions()
                .map(|transition| transition.action().nth(2).unwrap() as i64)
                .collect();
            assert_eq!(file.dataset(&path("actions/shoot")).unwrap().read_i64().unwrap(), shots);
            assert_eq!(
                file.dataset(&path("infos/action_mask")).unwrap().shape().unwrap(),
                [11, 3]
            );
            // The info of an action is at the step that it led to.
            let logp = file.dataset(&path("infos/behavior_logp")).unwrap().read_f32().unwrap();
            assert_eq!(
                f64::from(logp[1]),
                episode.transition(0).after().info("behavior_logp").unwrap()[0]
            );
        }
    }

    #[test]
    fn spaces_describe_the_actions() {
        let with = |action: Vec<Column>| {
            let schema =
                Schema::new("p").with_observation([Column::scalar("x", DType::F32, Space::bounded(-1.0, 2.0))]);
            let (_to, metadata, _file) = converted(&episodes(&schema.with_action(action).into_shared(), RUN, 2));
            assert_eq!(space(&metadata, "observation_space")["high"], serde_json::json!([2.0]));
            space(&metadata, "action_space")
        };
        let one = |name: &str, n| Column::scalar(name, DType::U8, choice(n));
        let float = |name: &str| Column::scalar(name, DType::F32, Space::unbounded());
        assert_eq!(with(vec![one("c", 5)])["n"], 5);
        assert_eq!(with(vec![one("c", 5), one("d", 2)])["nvec"], serde_json::json!([5, 2]));
        let packed = with(vec![float("a"), tensor("b", DType::F32, &[2])]);
        assert_eq!(
            (&packed["shape"][0], &packed["low"][0]),
            (&3.into(), &"-Infinity".into())
        );
        let parts = with(vec![float("a/../b"), one("c", 3), tensor("d", DType::I16, &[2, 2])]);
        assert_eq!(parts["subspaces"]["c"]["n"], 3);
        assert_eq!(
            parts["subspaces"]["d"]["low"],
            serde_json::json!([[-32768, -32768], [-32768, -32768]])
        );
        assert!(parts["subspaces"]["a%2F..%2Fb"].is_object());
    }

    #[test]
    fn parts_of_a_mixed_action_have_one_value_or_more() {
        let schema = Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([
                Column::scalar("aim", DType::F32, Space::bounded(-1.0, 1.0)),
                Column::scalar("many", DType::U64, Space::bounded(0.5, 2e19)),
                Column::scalar("deed", DType::U8, choice(3)),
                Column {
                    space: choice(4),
                    ..tensor("slots", DType::U8, &[2, 2])
                },
            ])
            .into_shared();
        let (_to, metadata, file) = converted(&episodes(&schema, RUN, 2));
        let action = space(&metadata, "action_space")["subspaces"].clone();
        // A `Box` of shape `[]` has no dimension that a loader can batch.
        assert_eq!(action["aim"]["shape"], serde_json::json!([1]));
        assert_eq!(action["aim"]["low"], serde_json::json!([-1.0]));
        // The bounds are the integers within those of the source.
        assert_eq!(action["many"]["low"], serde_json::json!([1]));
        assert_eq!(action["many"]["high"], serde_json::json!([u64::MAX]));
        assert_eq!(action["deed"]["n"], 3);
        assert_eq!(
            (&action["slots"]["type"], &action["slots"]["nvec"]),
            (&"MultiDiscrete".into(), &serde_json::json!([[4, 4], [4, 4]]))
        );
        let shape = |name: &str| {
            file.dataset(&format!("episode_0/actions/{name}"))
                .unwrap()
                .shape()
                .unwrap()
        };
        assert_eq!(shape("aim"), [10, 1]);
        assert_eq!(shape("deed"), [10]);
        assert_eq!(shape("slots"), [10, 2, 2]);
    }

    #[test]
    fn every_info_column_is_there() {
        let schema = Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([Column::scalar("c", DType::U8, choice(3))])
            .with_info(["tick", "info.tick", "reward"].map(|name| Column::scalar(name, DType::F32, Space::unbounded())))
            .with_reward_terms(["coin"])
            .into_shared();
        let all = episodes(&schema, RUN, 1);
        let (_to, _metadata, file) = converted(&all);
        let read = |name: &str| {
            let read = file.dataset(&format!("episode_0/infos/{name}")).unwrap().read_f32();
            read.unwrap()
        };
        let after = all[0].transition(4).after();
        for (name, column) in [
            ("info.tick", "info.tick"),
            ("info.info.tick", "tick"),
            ("reward", "reward"),
        ] {
            assert_eq!(f64::from(read(name)[5]), after.info(column).unwrap()[0], "{name}");
        }
        assert_eq!(read("reward.coin")[5], after.reward_terms()[0]);
    }

    #[test]
    fn recordings_that_minari_cannot_represent_are_refused() {
        let (_root, recording) = dataset(&episodes(&fighter().into_shared(), RUN, 2));
        let to = tempdir().unwrap();
        for id in [
            "",
            "../x-v0",
            "/x-v0",
            "x",
            "x-v0/../y-v0",
            "x\0-v0",
            &format!("{}\u{1f980}-v0", "x".repeat(10_000)),
        ] {
            assert!(to_minari(&recording, to.path(), id, &mut |_| {}).is_err(), "{id}");
        }
        assert_eq!(listing(to.path()), [""; 0]);
        to_minari(&recording, to.path(), "x-v0", &mut |_| {}).unwrap();
        let again = to_minari(&recording, to.path(), "x-v0", &mut |_| {}).unwrap_err();
        assert!(again.to_string().contains("is not empty"));
        let idle = Schema::new("p").with_observation([Column::feature("x")]).into_shared();
        let (_root, recording) = dataset(&episodes(&idle, RUN, 2));
        assert!(
            to_minari(&recording, to.path(), "y-v0", &mut |_| {})
                .unwrap_err()
                .to_string()
                .contains("no action")
        );
    }
}

#[test]
fn bincode_frames_hold_every_row_of_every_run() {
    let schema = fighter().into_shared();
    let root = tempdir().unwrap();
    let mut all = episodes(&schema, RUN, 4);
    all.extend(episodes(&schema, RunId::from_bits(2), 3));
    let (first, second) = all.split_at(4);
    write(root.path(), first);
    write(root.path(), second);
    let recording = Dataset::open(root.path()).unwrap().recordings()[0].clone();
    let to = tempdir().unwrap();
    let path = to.path().join("frames");
    to_bincode(&recording, &path, &mut |_| {}).unwrap();
    let stored: Vec<Episode> = recording.episodes().map(Result::unwrap).collect();
    let mut found = Vec::new();
    for run in [RUN, RunId::from_bits(2)] {
        let reader = JournalReader::read(&path.join(run.to_string()), |_, record| match record {
            Record::Head(head) => {
                assert_eq!((head.run, head.schema_hash), (run.get() as u32, schema.hash()));
                assert_eq!(serde_json::from_str::<Schema>(head.schema).unwrap(), *schema);
            }
            Record::Open {
                episode_id, agent_id, ..
            } => found.push((episode_id, agent_id, Vec::new(), None)),
            Record::Rows { rows, .. } => found.last_mut().unwrap().2.extend_from_slice(rows),
            Record::Close { terminated, reason, .. } => {
                found.last_mut().unwrap().3 = Some((terminated, reason.to_owned()));
            }
            _ => {}
        });
        assert!(reader.unwrap().damage.is_empty());
    }
    assert_eq!(found.len(), stored.len());
    for (episode, (id, agent, rows, end)) in stored.iter().zip(&found) {
        assert_eq!((episode.info().episode_id, episode.info().agent_id), (*id, *agent));
        assert_eq!(bytes_of_rows(episode), *rows);
        let terminated = episode.outcome() == Outcome::Terminated;
        assert_eq!(*end, Some((terminated, episode.reason().as_str().to_owned())));
    }
    let error = to_bincode(&recording, &path, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
}

fn bytes_of_rows(episode: &Episode) -> Vec<u8> {
    episode.rows().iter().flat_map(|word| word.to_ne_bytes()).collect()
}
