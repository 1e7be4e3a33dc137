//! Lists of entities: `experience.json`, the reader, `merge` and `convert` have them as arrays.

use crate::episodes::{info, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader, StepKind},
};
use experience_dataset::{Dataset, DatasetError, MergeSettings, convert::to_jsonl, merge};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc};
use tempfile::{TempDir, tempdir};

const RUN: RunId = RunId::from_bits(1);
const OTHER_RUN: RunId = RunId::from_bits(2);

/// A list of `capacity` units between two other features.
fn schema(capacity: usize, features: &[&str]) -> Schema {
    let entities = (0..capacity).flat_map(|entity| {
        let columns = ["present"].iter().chain(features);
        columns.map(move |feature| Column::feature(format!("units[{entity}].{feature}")))
    });
    Schema::new("scout")
        .with_observation([Column::feature("health")])
        .with_observation(entities)
        .with_observation(["units.overflow", "fuel"].map(Column::feature))
        .with_action([Column::scalar("speed", DType::F32, Space::bounded(-1.0, 1.0))])
        .with_list("units", capacity)
}

/// An episode with these observations.
fn episode(run: RunId, schema: Schema, observations: &[&[f32]]) -> Episode {
    let schema = Arc::new(schema);
    let layout = schema.layout();
    let mut rows = vec![0_u64; observations.len() * layout.row_words()];
    for (tick, (row, values)) in rows.chunks_exact_mut(layout.row_words()).zip(observations).enumerate() {
        let mut header = StepHeader::new(if tick == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        });
        header.tick = tick as i64;
        header.ticks = 1;
        *StepHeader::of_mut(row) = header;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
        bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(values));
    }
    Episode::new(
        schema.clone(),
        info(run, 0, 7),
        rows,
        Outcome::Truncated,
        EndReason::SHUTDOWN,
    )
}

const OBSERVATIONS: [&[f32]; 3] = [
    &[0.5, 1.0, 3.0, 1.0, -4.0, 2.0, 9.0],
    &[0.6, 1.0, 5.0, 0.0, 0.0, 0.0, 8.0],
    &[0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 7.0],
];

fn dataset(episode: Episode) -> (TempDir, Dataset) {
    let root = tempdir().unwrap();
    write(root.path(), &[episode]);
    let dataset = Dataset::open(root.path()).unwrap();
    (root, dataset)
}

fn units() -> (TempDir, Dataset) {
    dataset(episode(RUN, schema(2, &["dx"]), &OBSERVATIONS))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_description_locates_the_list() {
    let (root, dataset) = units();
    let lists = &read_json(&root.path().join("scout/experience.json"))["lists"];
    assert_eq!(
        lists,
        &json!([{
            "name": "units", "start": 1, "stop": 5, "capacity": 2, "features": ["present", "dx"], "overflow": 5
        }])
    );
    let recording = &dataset.recordings()[0];
    let list = recording.schema().list("units").unwrap();
    let episode = recording.episodes().next().unwrap().unwrap();
    let present = |row: usize| {
        list.present(episode.row(row).observation())
            .map(|unit| unit[1])
            .collect::<Vec<_>>()
    };
    assert_eq!(
        [present(0), present(1), present(2)],
        [vec![3.0, -4.0], vec![5.0], vec![]]
    );
    let (root, _dataset) = self::dataset(episode_without_lists());
    assert_eq!(read_json(&root.path().join("plain/experience.json")).get("lists"), None);
}

fn episode_without_lists() -> Episode {
    let plain = Schema::new("plain").with_observation([Column::feature("x")]);
    episode(RUN, plain, &[&[0.0], &[1.0]])
}

#[test]
fn lines_have_an_object_for_each_entity_that_is_present() {
    let (_root, dataset) = units();
    let to = tempdir().unwrap();
    let path = to.path().join("lines.jsonl");
    to_jsonl(&dataset.recordings()[0], &path, &mut |_| {}).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["observation.units"], json!([{ "dx": 3.0 }, { "dx": -4.0 }]));
    assert_eq!(lines[0]["next_observation.units"], json!([{ "dx": 5.0 }]));
    assert_eq!(lines[1]["next_observation.units"], json!([]));
    assert_eq!(lines[0]["observation"].as_array().unwrap().len(), 7);
}

fn merged(roots: [&TempDir; 2]) -> Result<Schema, DatasetError> {
    let to = tempdir().unwrap();
    let settings = MergeSettings {
        fill: Some(0.0),
        keep_apart: false,
    };
    let datasets = roots.map(|root| Dataset::open(root.path()).unwrap());
    merge(&datasets, &to.path().join("merged"), settings, &mut |_| {})?;
    let merged = Dataset::open(to.path().join("merged")).unwrap();
    Ok(merged.recordings()[0].schema().as_ref().clone())
}

#[test]
fn merged_schemas_keep_a_list_that_is_the_same_in_both() {
    let (a, _dataset) = units();
    let other = schema(2, &["dx"]).with_observation([Column::feature("ammo")]);
    let rows = OBSERVATIONS.map(|row| [row, &[1.0]].concat());
    let (b, _other) = dataset(episode(OTHER_RUN, other, &rows.each_ref().map(Vec::as_slice)));
    for roots in [[&a, &b], [&b, &a]] {
        let merged = merged(roots).unwrap();
        assert_eq!(merged.list("units").unwrap().elements(), 1..5);
        assert_eq!(merged.observation_width(), 8);
    }
}

#[test]
fn lists_that_differ_are_not_merged() {
    let (a, _dataset) = units();
    let blank = |width: usize| vec![0.0; width];
    let (wider, richer) = (schema(3, &["dx"]), schema(2, &["dx", "dy"]));
    for other in [wider, richer] {
        let row = blank(other.observation_width());
        let (b, _other) = dataset(episode(OTHER_RUN, other, &[&row, &row]));
        let error = merged([&a, &b]).unwrap_err().to_string();
        assert!(
            error.contains("`units`") && error.contains("merge them separately"),
            "{error}"
        );
    }
}

#[cfg(feature = "minari")]
mod minari {
    use super::*;
    use experience_dataset::convert::{MinariObservations, to_minari};
    use hdf5_pure::File as Hdf5;

    fn converted(observations: MinariObservations) -> (Value, Hdf5) {
        let (_root, dataset) = units();
        let to = tempdir().unwrap();
        let path = to_minari(&dataset.recordings()[0], to.path(), "a/p-v0", observations, &mut |_| {}).unwrap();
        let metadata = read_json(&path.join("data/metadata.json"));
        let space = serde_json::from_str(metadata["observation_space"].as_str().unwrap()).unwrap();
        (
            space,
            Hdf5::from_bytes(fs::read(path.join("data/main_data.hdf5")).unwrap()).unwrap(),
        )
    }

    #[test]
    fn a_list_is_an_array_with_a_mask() {
        let (space, file) = converted(MinariObservations::Lists);
        let infinite = json!([["-Infinity", "-Infinity"], ["-Infinity", "-Infinity"]]);
        let spaces = &space["subspaces"];
        assert_eq!(
            (
                &space["type"],
                &spaces["observation.units"]["shape"],
                &spaces["observation.units"]["low"]
            ),
            (&"Dict".into(), &json!([2, 2]), &infinite)
        );
        assert_eq!(
            spaces["observation.units_mask"],
            json!({ "type": "MultiBinary", "n": [2] })
        );
        assert_eq!(spaces["observation"]["shape"], json!([3]));
        let part = |name: &str| file.dataset(&format!("episode_0/observations/{name}")).unwrap();
        assert_eq!(part("observation.units").shape().unwrap(), [3, 2, 2]);
        assert_eq!(
            part("observation.units").read_f32().unwrap(),
            [1.0, 3.0, 1.0, -4.0, 1.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
        assert_eq!(part("observation.units_mask").read_i8().unwrap(), [1, 1, 1, 0, 0, 0]);
        assert_eq!(part("observation").shape().unwrap(), [3, 3]);
        assert_eq!(
            part("observation").read_f32().unwrap(),
            [0.5, 2.0, 9.0, 0.6, 0.0, 8.0, 0.7, 0.0, 7.0]
        );
    }

    #[test]
    fn flat_observations_have_no_lists() {
        let (space, file) = converted(MinariObservations::Flat);
        assert_eq!((&space["type"], &space["shape"]), (&"Box".into(), &json!([7])));
        let observations = file.dataset("episode_0/observations").unwrap();
        assert_eq!(observations.shape().unwrap(), [3, 7]);
        assert_eq!(observations.read_f32().unwrap(), OBSERVATIONS.concat());
    }
}
