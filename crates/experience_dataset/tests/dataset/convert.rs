//! `convert`: JSON lines, `LeRobot`, Minari and bincode files hold the data of the dataset.

mod lerobot;
#[cfg(feature = "minari")]
mod minari;

use crate::episodes::{episodes, fighter, generated, info, listing, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader},
};
use experience_dataset::{
    Dataset, RecordingData,
    convert::{JsonLine, to_bincode, to_jsonl},
};
use experience_export::journal::{JournalReader, Record};
use serde_json::Value;
use std::fs;
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
