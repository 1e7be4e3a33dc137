//! Tests that inject every fault at every file system operation of recording, erasing, merging, compacting and recovering.

mod compaction;
mod damage;
mod shard_compaction;

use super::{Dataset, DatasetError, MergeSettings, RecordingData, RecoverSettings, RunStatus, merge};
use crate::sink::DatasetSink;
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_export::{
    RecordingInfo, Sink, SinkError,
    disk::faults::{Fault, Faults},
    journal::{Counts, Journal, JournalSettings, Owner, Record},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tempfile::TempDir;

fn schema() -> Arc<Schema> {
    Schema::new("player")
        .with_observation([Column::feature("x")])
        .into_shared()
}

fn episode(schema: &Arc<Schema>, run: RunId, number: u32, agent_id: i64) -> Episode {
    const STEPS: u32 = 5;
    let words = schema.layout().row_words();
    let mut rows = vec![0; (STEPS as usize + 1) * words];
    for (step, row) in rows.chunks_exact_mut(words).enumerate() {
        let kind = if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        let header = StepHeader::of_mut(row);
        *header = StepHeader::new(kind);
        header.tick = i64::from(number * STEPS) + step as i64;
        header.agent_id = agent_id;
        header.ticks = u32::from(step > 0);
    }
    let info = EpisodeInfo {
        episode_id: run.episode_id(number),
        agent_id,
        run,
        continues: None,
    };
    Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::GOAL)
}

/// What a sink has acknowledged during a scenario.
#[derive(Default)]
struct Acknowledged {
    /// Episodes that a successful write has accepted.
    accepted: BTreeSet<i64>,
    /// Episodes that a successful flush or close has made visible to readers.
    visible: BTreeSet<i64>,
    report: RunReport,
}

/// Records six episodes in three shards. Operations that fail are repeated once.
fn record(root: &Path, run: RunId, acknowledged: &mut Acknowledged) -> Result<(), SinkError> {
    record_and_wait(root, run, acknowledged, &mut || ())
}

/// The same, with a call of `wait` after each failure.
fn record_and_wait(
    root: &Path,
    run: RunId,
    acknowledged: &mut Acknowledged,
    wait: &mut dyn FnMut(),
) -> Result<(), SinkError> {
    record_with(DatasetSink::new(root), run, acknowledged, wait)
}

fn record_with(
    sink: DatasetSink,
    run: RunId,
    acknowledged: &mut Acknowledged,
    wait: &mut dyn FnMut(),
) -> Result<(), SinkError> {
    let schema = schema();
    // Episodes that the sink has accepted, in that order. A sink worker offers those again that the sink has lost.
    let mut taken: Vec<Episode> = Vec::new();
    let mut retry = |sink: &mut DatasetSink,
                     taken: &mut Vec<Episode>,
                     work: &mut dyn FnMut(&mut DatasetSink) -> Result<(), SinkError>| {
        let mut attempt = || {
            let mut done = work(sink);
            if matches!(done, Err(SinkError::Lost { .. })) {
                let durable = sink.durable(taken.len() as u64) as usize;
                let lost = taken.split_off(durable);
                sink.write(&lost)?;
                taken.extend(lost);
                done = work(sink);
            }
            done
        };
        attempt()
            .inspect_err(|_| wait())
            .or_else(|_| attempt())
            .inspect_err(|_| wait())
    };
    let mut sink = sink.with_shard_bytes(1);
    let info = RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    retry(&mut sink, &mut taken, &mut |sink| sink.open(&info))?;
    for pair in 0..3 {
        let episodes = [pair * 2, pair * 2 + 1].map(|number| episode(&schema, run, number, i64::from(number % 3)));
        for episode in &episodes {
            acknowledged.report.recorded += episode.len() as u64;
        }
        if retry(&mut sink, &mut taken, &mut |sink| sink.write(&episodes)).is_err() {
            for episode in &episodes {
                acknowledged.report.dropped += episode.len() as u64;
            }
            continue;
        }
        taken.extend(episodes.iter().cloned());
        for episode in &episodes {
            acknowledged.accepted.insert(episode.info().episode_id);
            acknowledged.report.exported += episode.len() as u64;
            acknowledged.report.episodes += 1;
        }
        if retry(&mut sink, &mut taken, &mut |sink| sink.flush(&acknowledged.report)).is_ok() {
            acknowledged.visible = acknowledged.accepted.clone();
        }
    }
    retry(&mut sink, &mut taken, &mut |sink| sink.close(&acknowledged.report))?;
    acknowledged.visible = acknowledged.accepted.clone();
    Ok(())
}

fn open(root: &Path) -> RecordingData {
    Dataset::open(root).unwrap().recording("player").unwrap().clone()
}

#[track_caller]
fn assert_valid(root: &Path, when: &str) {
    let validation = open(root).validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{when}: {validation:?}");
}

fn episodes(root: &Path) -> Result<Vec<(i64, i64)>, DatasetError> {
    let key = |episode: Episode| (episode.info().episode_id, episode.info().agent_id);
    open(root).episodes().map(|episode| Ok(key(episode?))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn old_run() -> RunId {
    RunId::from_bits(1)
}

fn new_run() -> RunId {
    RunId::from_bits(2)
}

/// A dataset with one run.
fn old() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    record(&root, old_run(), &mut Acknowledged::default()).unwrap();
    (folder, root)
}

/// A copy of `root` in another temporary folder.
fn copy_of(root: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("data");
    copy(root, &copied);
    (folder, copied)
}

/// Runs `scenario` on copies of `old`, with each of `faults` at each operation, and calls `check` on the result.
fn at_every_point(
    old: &Path,
    faults: &[Fault],
    scenario: impl Fn(&Path, &Faults) -> Acknowledged,
    check: impl Fn(&Path, Fault, &Acknowledged, &str),
) {
    let (_folder, root) = copy_of(old);
    let operations = Faults::count(|| {
        scenario(&root, &Faults::idle());
    });
    assert!(operations.len() > 8, "{operations:?}");
    for (at, (operation, path)) in operations.iter().enumerate() {
        for &fault in faults {
            let when = format!(
                "{fault:?} at operation {at} of {}, {operation:?} of `{}`",
                operations.len(),
                path.file_name().unwrap_or_default().display()
            );
            let (_folder, root) = copy_of(old);
            let plan = Faults::plan(at, fault);
            let acknowledged = scenario(&root, &plan);
            assert!(plan.struck(), "{when}");
            drop(plan);
            check(&root, fault, &acknowledged, &when);
        }
    }
}

#[test]
fn a_process_that_dies_at_any_moment_leaves_a_valid_dataset() {
    let (_folder, old) = old();
    let before = episodes(&old).unwrap();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record(root, new_run(), &mut acknowledged);
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            let after = episodes(root).unwrap();
            assert_eq!(after[..before.len()], before, "{when}");
            let new: Vec<i64> = after[before.len()..].iter().map(|(episode, _)| *episode).collect();
            let seen: BTreeSet<i64> = new.iter().copied().collect();
            assert_eq!(seen.len(), new.len(), "{when}");
            assert!(
                seen.is_superset(&acknowledged.visible),
                "{when}: {seen:?}, {:?}",
                acknowledged.visible
            );
            assert!(
                new.iter()
                    .zip(0..)
                    .all(|(episode, number)| *episode == new_run().episode_id(number))
            );
            // The next run is not impeded.
            record(root, RunId::from_bits(3), &mut Acknowledged::default()).unwrap();
            assert_valid(root, when);
        },
    );
}

#[test]
fn one_refused_operation_loses_nothing() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Refused, Fault::Lost],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            record(root, new_run(), &mut acknowledged).unwrap();
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            assert_eq!(acknowledged.accepted.len(), 6, "{when}");
            assert_eq!(episodes(root).unwrap().len(), 12, "{when}");
        },
    );
}

#[test]
fn a_full_disk_loses_only_refused_episodes() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Full],
        |root, plan| {
            let (mut acknowledged, mut failures) = (Acknowledged::default(), 0);
            // The disk has space again after the third failed attempt.
            let mut wait = || {
                failures += 1;
                if failures == 3 {
                    plan.free_space();
                }
            };
            if record_and_wait(root, new_run(), &mut acknowledged, &mut wait).is_err() {
                plan.free_space();
                // Either the open or the close failed.
                assert!(acknowledged.accepted.is_empty() || acknowledged.accepted.len() == 6);
            }
            acknowledged
        },
        |root, _, acknowledged, when| {
            assert_valid(root, when);
            let after: BTreeSet<i64> = episodes(root).unwrap().iter().map(|(episode, _)| *episode).collect();
            assert!(after.is_superset(&acknowledged.visible), "{when}");
            assert!(
                acknowledged.accepted.is_empty() || acknowledged.visible.len() >= 4,
                "{when}: {:?}",
                acknowledged.visible
            );
        },
    );
}

#[test]
fn retention_leaves_a_valid_dataset_at_any_moment() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record_with(
                DatasetSink::new(root).with_keep_bytes(1),
                new_run(),
                &mut acknowledged,
                &mut || (),
            );
            acknowledged
        },
        |root, _, _, when| {
            assert_valid(root, when);
            // The next run finishes the deletions.
            record_with(
                DatasetSink::new(root).with_keep_bytes(1),
                RunId::from_bits(3),
                &mut Acknowledged::default(),
                &mut || (),
            )
            .unwrap();
            assert_valid(root, when);
            let left = episodes(root).unwrap();
            assert!(
                left.iter().all(|(episode, _)| *episode >= new_run().episode_id(0)),
                "{when}: {left:?}"
            );
        },
    );
}

#[test]
fn an_erasure_that_stops_at_any_moment_is_finished_by_another() {
    let (_folder, old) = old();
    let erase = |root: &Path| Dataset::open(root).and_then(|dataset| dataset.erase(1, &mut |_| {}));
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let _ = erase(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            // Each file is the old one or the new one, so all can be read.
            episodes(root).unwrap();
            erase(root).unwrap();
            assert_valid(root, when);
            assert!(episodes(root).unwrap().iter().all(|(_, agent)| *agent != 1), "{when}");
        },
    );
}

#[test]
fn a_merged_dataset_is_complete_or_missing() {
    let (_folder, old) = old();
    let expected = episodes(&old).unwrap();
    at_every_point(
        &old,
        &Fault::ALL,
        |root, _| {
            let to = root.with_file_name("merged");
            let _ = merge(
                &[Dataset::open(root).unwrap()],
                &to,
                MergeSettings::default(),
                &mut |_| {},
            );
            Acknowledged::default()
        },
        |root, fault, _, when| {
            let to = root.with_file_name("merged");
            if to.exists() {
                assert_valid(&to, when);
                assert_eq!(episodes(&to).unwrap(), expected, "{when}");
            } else if fault == Fault::Refused {
                merge(
                    &[Dataset::open(root).unwrap()],
                    &to,
                    MergeSettings::default(),
                    &mut |_| {},
                )
                .unwrap();
            }
        },
    );
}

/// A dataset with a closed run, and a run whose process died: two episodes in a shard; in its journal the same two and two
/// more, an open one, and one that was discarded.
fn unfinished() -> (TempDir, PathBuf) {
    let (folder, root) = old();
    let schema = schema();
    let run = new_run();
    let mut sink = DatasetSink::new(&root).with_shard_bytes(1);
    let info = RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).unwrap();
    let episodes: Vec<_> = (0..6)
        .map(|number| episode(&schema, run, number, i64::from(number % 3)))
        .collect();
    sink.write(&episodes[..2]).unwrap();
    let owner = Owner {
        run,
        schema,
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
    };
    let place = sink.journal_folder().unwrap();
    let mut journal = Journal::create(&place, owner, Arc::default(), JournalSettings::default()).unwrap();
    journal.begin().unwrap();
    for (number, episode) in (0..).zip(&episodes) {
        let episode_id = episode.info().episode_id;
        journal.put(&Record::Open {
            episode_id,
            captured_as: number,
            agent_id: episode.info().agent_id,
            continues: None,
        });
        let _ = journal.put_rows(episode_id, episode.rows());
        if number < 4 {
            journal.put(&Record::Close {
                episode_id,
                terminated: true,
                reason: "goal",
                end: &[],
            });
        }
    }
    journal.put(&Record::Discard { captured_as: 5 });
    journal.put(&Record::Counts(Counts {
        recorded: 30,
        discarded: 5,
        ..Counts::default()
    }));
    journal.commit().unwrap();
    // The process dies without dropping the sink.
    core::mem::forget(sink);
    (folder, root)
}

#[test]
fn a_recovery_that_stops_at_any_moment_is_finished_by_another() {
    let (_folder, left) = unfinished();
    let recover = |root: &Path| {
        let dataset = Dataset::open(root).unwrap();
        dataset.recover(&RecoverSettings::default())
    };
    at_every_point(
        &left,
        &Fault::ALL,
        |root, _| {
            let _ = recover(root);
            Acknowledged::default()
        },
        |root, _, _, when| {
            assert_valid(root, when);
            for found in recover(root).unwrap() {
                assert!(found.recovery.failed.is_empty(), "{when}: {found:?}");
            }
            assert!(recover(root).unwrap().is_empty(), "{when}");
            assert_valid(root, when);
            let found: Vec<i64> = episodes(root)
                .unwrap()
                .into_iter()
                .map(|(episode, _)| episode)
                .collect();
            let old = (0..6).map(|number| old_run().episode_id(number));
            let new = (0..5).map(|number| new_run().episode_id(number));
            assert_eq!(found, old.chain(new).collect::<Vec<_>>(), "{when}");
            let run = open(root).runs().unwrap().remove(1);
            assert_eq!(run.status, RunStatus::Recovered, "{when}");
            assert_eq!(
                (run.account.exported, run.account.discarded, run.account.dropped),
                (25, 5, 0),
                "{when}"
            );
            assert!(!root.join("player/journal").exists(), "{when}");
            let unfinished = open(root).overview().unwrap().unfinished;
            assert!(
                unfinished
                    .iter()
                    .all(|path| !path.starts_with(root.join("player/data"))),
                "{when}: {unfinished:?}"
            );
        },
    );
}
