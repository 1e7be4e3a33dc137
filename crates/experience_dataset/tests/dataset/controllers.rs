//! The column `controller`: written, read, rewritten, and missing in the shards of earlier versions.

use crate::{
    episodes::{assert_same, assert_valid, episodes, fighter, read, write},
    foreign::{columns, replace},
};
use arrow_array::{DictionaryArray, RecordBatch, cast::AsArray, types::Int32Type};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, RunId, StepHeader, Transition},
};
use experience_dataset::{
    Dataset, DensifySettings, MergeSettings, Symptom,
    convert::{JsonLine, to_bincode},
    densify, merge,
};
use experience_export::journal::{JournalReader, Record};
use std::{collections::BTreeMap, path::Path};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);
const LABELS: [&str; 3] = ["person", "script:hunter", "policy:fighter@3"];

/// `episode` with the controllers that `of` names for each step, under codes of its own.
fn controlled(episode: &Episode, of: impl Fn(usize) -> Option<&'static str>) -> Episode {
    let mut rows = episode.rows().to_vec();
    let mut labels: Vec<&str> = Vec::new();
    for (index, row) in rows
        .chunks_exact_mut(episode.schema().layout().row_words())
        .enumerate()
        .skip(1)
    {
        let code = of(index - 1).map_or(0, |label| {
            let known = labels.iter().position(|known| *known == label);
            let index = known.unwrap_or(labels.len());
            if known.is_none() {
                labels.push(label);
            }
            7 + index as u16
        });
        StepHeader::of_mut(row).set_controller(code);
    }
    let (outcome, reason) = (episode.outcome(), episode.reason().clone());
    let episode = Episode::new(episode.schema().clone(), *episode.info(), rows, outcome, reason);
    episode.with_controllers((7..).zip(labels).map(|(code, label)| (code, label.into())))
}

/// Six episodes: one by each of the labels, two in which another takes over, and one without a label.
pub fn dataset(schema: &Schema) -> Vec<Episode> {
    let all = episodes(&schema.clone().into_shared(), RUN, 6);
    let of = |episode: usize, step: usize| match episode {
        0..3 => Some(LABELS[episode]),
        3 => Some(LABELS[step / 5]),
        4 => (step != 4).then_some(LABELS[2 - step / 5]),
        _ => None,
    };
    let numbered = all.iter().enumerate();
    numbered
        .map(|(episode, all)| controlled(all, |step| of(episode, step)))
        .collect()
}

fn labels(episodes: &[Episode]) -> Vec<Option<String>> {
    let transitions = episodes.iter().flat_map(Episode::transitions);
    transitions
        .map(|transition| transition.controller().map(str::to_owned))
        .collect()
}

fn words(batch: &RecordBatch) -> Vec<Option<String>> {
    let column = batch.column_by_name("controller").unwrap();
    let column: &DictionaryArray<Int32Type> = column.as_dictionary();
    let words = column.downcast_dict::<arrow_array::StringArray>().unwrap();
    words.into_iter().map(|word| word.map(str::to_owned)).collect()
}

#[test]
fn controllers_are_written_and_read() {
    let all = dataset(&fighter());
    let expected = labels(&all);
    assert_eq!(expected.iter().flatten().count(), 49);
    let batch = BatchEncoder::new(all[0].schema().clone())
        .unwrap()
        .encode(&all)
        .unwrap();
    assert_eq!(words(&batch), expected);
    assert_eq!(batch.num_columns(), batch.schema().index_of("controller").unwrap() + 1);
    let root = tempdir().unwrap();
    write(root.path(), &all);
    let found = read(root.path());
    assert_eq!(labels(&found), expected);
    for (found, written) in found.iter().zip(&all) {
        assert_same(found, written);
    }
    assert_valid(root.path());
    let lines = found.iter().flat_map(Episode::transitions);
    for (transition, label) in lines.zip(&expected) {
        let line = serde_json::to_value(JsonLine(transition)).unwrap();
        assert_eq!(line["controller"].as_str(), label.as_deref());
    }
}

#[test]
fn controllers_stay_with_their_actions_when_a_dataset_is_rewritten() {
    let all = dataset(&fighter());
    let (a, b, to) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    write(a.path(), &all);
    // Another column, so that rows are aligned.
    let other = fighter().with_info([Column::scalar("speed", DType::F32, Space::unbounded())]);
    write(b.path(), &episodes(&other.into_shared(), RunId::from_bits(2), 2));
    let datasets = [a.path(), b.path()].map(|root| Dataset::open(root).unwrap());
    let fill = MergeSettings {
        fill: Some(0.0),
        keep_apart: false,
    };
    let merged = to.path().join("merged");
    merge(&datasets, &merged, fill, &mut |_| {}).unwrap();
    let mut expected = labels(&all);
    assert_eq!(labels(&read(&merged)[..6]), expected);

    let dense = to.path().join("dense");
    densify(&datasets[0], &dense, DensifySettings::default(), &mut |_| {}).unwrap();
    assert_eq!(labels(&read(&dense)), expected);

    let frames = to.path().join("frames");
    to_bincode(&datasets[0].recordings()[0], &frames, &mut |_| {}).unwrap();
    let mut words = BTreeMap::new();
    let mut codes = Vec::new();
    JournalReader::read(&frames.join("00000001"), |_, record| match record {
        Record::Word { code, word } => {
            words.insert(code, word.to_owned());
        }
        Record::Rows { rows, .. } => {
            let rows = bytemuck::pod_collect_to_vec::<u8, u64>(rows);
            let headers = rows.chunks_exact(all[0].schema().layout().row_words()).skip(1);
            codes.extend(headers.map(|row| StepHeader::of(row).controller()));
        }
        _ => {}
    })
    .unwrap();
    let found: Vec<_> = codes.iter().map(|code| words.get(code).cloned()).collect();
    assert_eq!(found, expected);

    Dataset::open(a.path()).unwrap().erase(0, &mut |_| {}).unwrap();
    let erased = all.iter().filter(|episode| episode.info().agent_id != 0);
    expected = labels(&erased.cloned().collect::<Vec<_>>());
    assert_eq!(labels(&read(a.path())), expected);
}

/// A dataset as versions before the column wrote it.
fn without_column(root: &Path, all: &[Episode]) {
    write(root, all);
    let batch = BatchEncoder::new(all[0].schema().clone()).unwrap().encode(all).unwrap();
    let mut columns = columns(&batch, |_, array| array.clone());
    columns.retain(|(name, _)| name != "controller");
    replace(root, columns);
}

#[test]
fn a_shard_without_the_column_has_no_controllers() {
    let all = dataset(&fighter());
    let (old, new, to) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    without_column(old.path(), &all);
    let found = read(old.path());
    assert!(labels(&found).iter().all(Option::is_none));
    for (found, written) in found.iter().zip(&all) {
        assert_eq!(
            (found.info(), found.rows().len()),
            (written.info(), written.rows().len())
        );
    }
    assert_valid(old.path());
    let recording = &Dataset::open(old.path()).unwrap().recordings()[0].clone();
    assert_eq!(recording.stats().unwrap().episodes, 6);
    let profile = recording.profile(&mut |_| {}).unwrap();
    assert_eq!((profile.controllers.len(), profile.controllers[0].transitions), (1, 60));
    recording.diagnose(&mut |_| {}).unwrap();
    // Merged with a dataset that has the column, all shards have it.
    let other = Episode::schema(&all[0]).clone();
    let other = episodes(&other, RunId::from_bits(2), 2);
    let other: Vec<_> = other
        .iter()
        .map(|episode| controlled(episode, |_| Some(LABELS[1])))
        .collect();
    write(new.path(), &other);
    let merged = to.path().join("merged");
    let datasets = [old.path(), new.path()].map(|root| Dataset::open(root).unwrap());
    merge(&datasets, &merged, MergeSettings::default(), &mut |_| {}).unwrap();
    let expected = [vec![None; 60], vec![Some(LABELS[1].to_owned()); 20]].concat();
    assert_eq!(labels(&read(&merged)), expected);
    assert_valid(&merged);
    datasets[0].erase(1, &mut |_| {}).unwrap();
    assert_eq!(read(old.path()).len(), 4);
}

#[test]
fn a_profile_has_what_each_controller_did() {
    let root = tempdir().unwrap();
    let all = dataset(&fighter());
    write(root.path(), &all);
    let profile = Dataset::open(root.path()).unwrap().recordings()[0]
        .profile(&mut |_| {})
        .unwrap();
    let found: Vec<_> = profile
        .controllers
        .iter()
        .map(|profile| (profile.controller.as_deref(), profile.transitions, profile.episodes))
        .collect();
    let expected = [
        (Some(LABELS[0]), 15, 1),
        (Some(LABELS[1]), 20, 1),
        (Some(LABELS[2]), 14, 1),
        (None, 11, 1),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        profile.episode_controllers,
        [Some(0), Some(1), Some(2), None, None, Some(3)]
    );
    assert_eq!(profile.controllers[1].mean_return, Some(all[1].total_reward()));
    let rewards: f64 = all.iter().flat_map(Episode::transitions).map(Transition::reward).sum();
    let sum: f64 = profile.controllers.iter().map(|profile| profile.reward).sum();
    assert!((rewards - sum).abs() < 1e-6);
    let shots = &profile.action_classes[..];
    assert_eq!(
        (shots.len(), shots[0].name.as_str(), shots[0].total()),
        (1, "shoot", 60)
    );
    let chosen = all
        .iter()
        .flat_map(Episode::transitions)
        .filter(|transition| transition.action().nth(2) == Some(1.0));
    assert_eq!(shots[0].classes[1].count, chosen.count() as u64);
    assert_eq!(profile.sample.values(8).count(), 60);
}

/// The findings about policies of twelve episodes with one discrete action.
fn found(
    controller: impl Fn(usize) -> Option<&'static str>,
    is_rare: impl Fn(usize) -> bool,
) -> Vec<(Symptom, String, Vec<String>)> {
    let labels = ["Hold", "Shoot", "Dash"].map(str::to_owned).to_vec();
    let deed = Column::scalar("deed", DType::U8, Space::Discrete { n: 3, labels });
    let schema = Schema::new("fighter")
        .with_observation([Column::feature("x")])
        .with_action([deed])
        .into_shared();
    let at = schema.layout().action_offsets()[0];
    let mut all = Vec::new();
    for (number, episode) in episodes(&schema, RUN, 12).iter().enumerate() {
        let mut rows = episode.rows().to_vec();
        for (index, row) in rows.chunks_exact_mut(schema.layout().row_words()).enumerate().skip(1) {
            let deed = if is_rare(10 * number + index - 1) { 2 } else { 0 };
            bytemuck::cast_slice_mut::<u64, u8>(row)[at] = deed;
        }
        let (outcome, reason) = (episode.outcome(), episode.reason().clone());
        let episode = Episode::new(schema.clone(), *episode.info(), rows, outcome, reason);
        all.push(controlled(&episode, |_| controller(number)));
    }
    let root = tempdir().unwrap();
    write(root.path(), &all);
    let diagnosis = Dataset::open(root.path()).unwrap().recordings()[0]
        .diagnose(&mut |_| {})
        .unwrap();
    let about = |symptom| matches!(symptom, Symptom::RareActions | Symptom::MixedControllers);
    let findings = diagnosis.findings.into_iter().filter(|finding| about(finding.symptom));
    findings
        .map(|finding| {
            assert_eq!(finding.severity, experience_dataset::Severity::Note);
            (finding.symptom, finding.what, finding.places)
        })
        .collect()
}

#[test]
fn mixed_controllers_and_rare_actions_are_noted() {
    // One controller, and actions of which every third is another.
    assert_eq!(found(|_| Some("person"), |row| row % 3 == 0), []);
    assert_eq!(found(|_| None, |row| row % 3 == 0), []);
    let mixed = found(|number| (number > 0).then_some(LABELS[number % 3]), |row| row % 3 == 0);
    let [(Symptom::MixedControllers, what, places)] = &mixed[..] else {
        panic!("{mixed:?}")
    };
    assert_eq!(what, "4 controllers are mixed");
    assert!(
        places[0].starts_with("script:hunter: 33 % of transitions, mean return "),
        "{places:?}"
    );
    assert!(
        places.iter().any(|place| place.starts_with("no label: 8 % of")),
        "{places:?}"
    );
    let rare = found(|_| Some("person"), |row| row % 60 == 7);
    let expected = (
        "98 % of `deed` is Hold".to_owned(),
        vec!["Dash: 2 %".to_owned(), "Shoot: 0 %".to_owned()],
    );
    let [(Symptom::RareActions, what, places)] = &rare[..] else {
        panic!("{rare:?}")
    };
    assert_eq!((what, places), (&expected.0, &expected.1));
}
