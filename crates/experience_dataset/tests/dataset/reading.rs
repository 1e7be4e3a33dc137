//! Reading datasets: recordings, runs and shards, statistics, and joint states.

use crate::episodes::{assert_same, episodes, fighter, generated, info, recording, report, write};
use experience_core::{
    schema::{Column, Schema},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader},
};
use experience_dataset::{Dataset, DatasetError, DatasetSink, RecordingData, RunStatus};
use experience_export::Sink;
use std::{fs, sync::Arc, time::Duration};
use tempfile::tempdir;

/// An episode of a match with a transition between each two of `ticks`. Its rewards are 1, 2, 3…
fn at(schema: &Arc<Schema>, run: RunId, episode: u32, agent: i64, match_id: Option<i64>, ticks: &[i64]) -> Episode {
    let made = generated(
        schema,
        info(run, episode, agent),
        0,
        ticks.len() - 1,
        u64::from(episode),
    );
    let mut rows = made.rows().to_vec();
    for (index, row) in rows.chunks_exact_mut(schema.layout().row_words()).enumerate() {
        let header = StepHeader::of_mut(row);
        header.tick = ticks[index];
        header.ticks = if index == 0 {
            0
        } else {
            (ticks[index] - ticks[index - 1]) as u32
        };
        header.reward = index as f64;
        header.set_match_id(match_id);
    }
    let (outcome, reason) = if ticks.len().is_multiple_of(2) {
        (Outcome::Terminated, EndReason::DEATH)
    } else {
        (Outcome::Truncated, EndReason::TIME_LIMIT)
    };
    Episode::new(schema.clone(), *made.info(), rows, outcome, reason)
}

#[test]
fn recordings_runs_and_shards_are_distinguished() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let other = Schema::new("a/b")
        .with_observation([Column::feature("x")])
        .into_shared();
    let changed = fighter().with_version("2").into_shared();
    for (schema, bits) in [(&schema, 1), (&schema, 2), (&other, 1), (&changed, 3)] {
        let run = RunId::from_bits(bits);
        let all: Vec<_> = (0..4)
            .map(|index| generated(schema, info(run, index, 0), 0, 5, u64::from(index)))
            .collect();
        let mut sink = DatasetSink::new(root.path()).with_shard_age(Duration::ZERO);
        sink.open(&recording(schema, run)).unwrap();
        sink.write(&all[..2]).unwrap();
        sink.write(&all[2..]).unwrap();
        sink.close(&report(&all)).unwrap();
    }
    let dataset = Dataset::open(root.path()).unwrap();
    let sibling = format!("fighter@{:016x}", changed.hash());
    let folders: Vec<_> = dataset.recordings().iter().map(RecordingData::folder_name).collect();
    assert_eq!(folders, ["a%2Fb", "fighter", &sibling]);
    assert_eq!(dataset.recording("a/b").unwrap().name(), "a/b");
    assert_eq!(dataset.recording(&sibling).unwrap().schema(), &changed);
    let fighter = dataset.recording("fighter").unwrap();
    assert_eq!(fighter.schema(), &schema);
    assert_eq!(fighter.shards().unwrap().len(), 4);
    assert_eq!(fighter.episodes().count(), 8);
    let runs = fighter.runs().unwrap();
    assert_eq!(runs.iter().map(|run| run.run.get()).collect::<Vec<_>>(), [1, 2]);
    assert!(
        runs.iter()
            .all(|run| run.status == RunStatus::Closed && run.account.exported == 20)
    );
    let missing = dataset.recording("goblin").unwrap_err();
    assert!(matches!(missing, DatasetError::NoSuchRecording { .. }));
    assert!(
        missing
            .to_string()
            .contains("no recording `goblin`; it has a%2Fb, fighter, "),
        "{missing}"
    );
}

#[test]
fn a_new_recording_is_empty() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
    sink.write(&[generated(&schema, info(RunId::from_bits(1), 0, 0), 0, 5, 0)])
        .unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    assert_eq!(fighter.episodes().count(), 0);
    let stats = fighter.stats().unwrap();
    assert_eq!((stats.episodes, stats.returns), (0, None));
    assert_eq!(fighter.runs().unwrap()[0].status, RunStatus::Running);
    // A copy without the empty folders.
    fs::remove_dir_all(root.path().join("fighter/data")).unwrap();
    assert_eq!(
        Dataset::open(root.path()).unwrap().recordings()[0].episodes().count(),
        0
    );
}

#[test]
fn statistics_count_episodes_not_shards() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    for bits in 0..2 {
        let run = RunId::from_bits(bits);
        let ticks = [vec![0, 1], vec![5, 6, 7, 8], vec![0, 2, 4]];
        let all: Vec<_> = (0..)
            .zip(&ticks)
            .map(|(index, ticks)| at(&schema, run, index, 0, None, ticks))
            .collect();
        write(root.path(), &all);
    }
    let stats = Dataset::open(root.path())
        .unwrap()
        .recording("fighter")
        .unwrap()
        .stats()
        .unwrap();
    assert_eq!((stats.episodes, stats.transitions), (6, 12));
    assert_eq!((stats.terminated, stats.truncated), (4, 2));
    let returns = stats.returns.unwrap();
    assert_eq!((returns.min, returns.max), (1.0, 6.0));
    assert!((returns.mean - 10.0 / 3.0).abs() < 1e-12);
    let lengths = stats.lengths.unwrap();
    assert_eq!((lengths.min, lengths.mean, lengths.max), (1.0, 2.0, 3.0));
    assert_eq!(
        stats.reasons.into_iter().collect::<Vec<_>>(),
        [("death".to_owned(), 4), ("time_limit".to_owned(), 2)]
    );
}

#[test]
fn the_joint_state_has_every_player_of_one_tick_of_one_match() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let (one, two) = (RunId::from_bits(1), RunId::from_bits(2));
    let long: Vec<i64> = (0..200).collect();
    let of_one = [
        at(&schema, one, 0, 9, Some(1), &long),
        at(&schema, one, 1, 4, Some(1), &long[50..]),
        at(&schema, one, 2, 5, Some(2), &long),
        at(&schema, one, 3, 6, None, &long),
        // Decides every 30 ticks.
        at(&schema, one, 4, 2, Some(1), &[30, 60, 90, 120]),
        // Dies at 60 and respawns at 80.
        at(&schema, one, 5, 1, Some(1), &[40, 50, 60]),
        at(&schema, one, 6, 1, Some(1), &[80, 90]),
    ];
    write(root.path(), &of_one);
    write(root.path(), &[at(&schema, two, 0, 77, Some(1), &long)]);
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    let joint = |run, match_id, tick| {
        let players = fighter.joint(run, match_id, tick).unwrap();
        players
            .iter()
            .map(|player| (player.episode().info().agent_id, player.transition().tick()))
            .collect::<Vec<_>>()
    };
    assert_eq!(joint(one, Some(1), 59), [(1, 50), (2, 30), (4, 59), (9, 59)]);
    assert_eq!(joint(one, Some(1), 60), [(2, 60), (4, 60), (9, 60)]);
    assert_eq!(joint(one, Some(1), 85), [(1, 80), (2, 60), (4, 85), (9, 85)]);
    assert_eq!(joint(one, Some(1), 0), [(9, 0)]);
    assert_eq!(joint(one, Some(1), 199), []);
    assert_eq!(joint(one, None, 3), [(6, 3)]);
    assert_eq!(joint(two, Some(1), 3), [(77, 3)]);
    assert_eq!(joint(RunId::from_bits(3), Some(1), 3), []);
    let whole = fighter.joint(one, Some(1), 59).unwrap().remove(3);
    assert_same(whole.episode(), &of_one[0]);
}

#[test]
fn a_shard_that_another_process_removes_is_skipped() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 3);
    let mut sink = DatasetSink::new(root.path()).with_shard_age(Duration::ZERO);
    sink.open(&recording(&schema, run)).unwrap();
    for episode in &all {
        sink.write(core::slice::from_ref(episode)).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    let mut read = fighter.episodes();
    assert_same(&read.next().unwrap().unwrap(), &all[0]);
    // As retention does, after the folder was listed.
    fs::remove_file(&fighter.shards().unwrap()[1]).unwrap();
    assert_same(&read.next().unwrap().unwrap(), &all[2]);
    assert!(read.next().is_none());
}

#[cfg(unix)]
#[test]
fn a_link_to_a_missing_shard_is_an_error() {
    let root = tempdir().unwrap();
    write(root.path(), &episodes(&fighter().into_shared(), RunId::from_bits(1), 3));
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    let link = fighter.path().join("data/00000002-00000.parquet");
    std::os::unix::fs::symlink(root.path().join("elsewhere.parquet"), link).unwrap();
    assert!(matches!(fighter.stats(), Err(DatasetError::Io { .. })));
}
