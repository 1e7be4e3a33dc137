//! Tests that inject every fault at every file system operation of recording, erasing, merging, compacting and recovering. Here is what
//! they share.

mod compaction;
mod damage;
mod editing;
mod recording;
mod recovery;
mod retention;
mod segments;
mod shard_compaction;
#[cfg(feature = "object_store")]
mod uploads;

use super::{Dataset, DatasetError, RecordingData};
use crate::sink::DatasetSink;
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_export::{
    RecordingInfo, RunLabel, Sink, SinkError,
    disk::faults::{Fault, Faults},
    journal::{Journal, JournalSettings, Owner, Record},
};
use std::{
    collections::BTreeSet,
    fs, io,
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

/// The journal of a run in the folder that its sink names.
fn journal(folder: &Path, run: RunId) -> io::Result<Journal> {
    let owner = Owner {
        run,
        schema: schema(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
        label: RunLabel::default(),
    };
    Journal::create(folder, owner, Arc::default(), JournalSettings::default())
}

/// Adds the rows of an episode to the frame of a journal, and its end if it `is_closed`.
fn put_episode(journal: &mut Journal, number: u32, episode: &Episode, is_closed: bool) {
    let episode_id = episode.info().episode_id;
    journal.put(&Record::Open {
        episode_id,
        captured_as: number,
        agent_id: episode.info().agent_id,
        continues: None,
    });
    let _ = journal.put_rows(episode_id, episode.rows());
    if is_closed {
        journal.put(&Record::Close {
            episode_id,
            terminated: true,
            reason: "goal",
            end: &[],
        });
    }
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
