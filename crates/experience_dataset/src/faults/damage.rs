//! Tests of the recovery of damaged journals: each frame in turn is cut out, or a bit of it is flipped.

use super::{assert_valid, copy_of, new_run, old, open, schema};
use crate::{Dataset, RecoverSettings, RecoveredRun, sink::DatasetSink};
use experience_core::{
    schema::Schema,
    transition::{StepHeader, StepKind},
};
use experience_export::{
    RecordingInfo, RunLabel, Sink,
    disk::faults::Fault,
    journal::{Counts, Journal, JournalSettings, Owner, Record},
};
use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tempfile::TempDir;

const AGENTS: i64 = 3;
/// Rows of an episode: one more than its transitions.
const ROWS: u32 = 4;
const FRAMES: u32 = 11;
/// Transitions of all agents.
const TRANSITIONS: u64 = 24;

fn row(schema: &Schema, agent_id: i64, frame: u32, episode: u32, ordinal: u32) -> Vec<u64> {
    let mut row = vec![0; schema.layout().row_words()];
    let header = StepHeader::of_mut(&mut row);
    *header = StepHeader::new(if frame.is_multiple_of(ROWS) {
        StepKind::Begin
    } else {
        StepKind::Transition
    });
    header.tick = frame.into();
    header.agent_id = agent_id;
    header.episode = episode;
    header.ordinal = ordinal;
    header.ticks = u32::from(!frame.is_multiple_of(ROWS));
    row
}

/// A dataset with a run whose process died. Each frame of its journal has one row of each agent.
fn unfinished() -> (TempDir, PathBuf) {
    unfinished_with(JournalSettings::default())
}

fn unfinished_with(settings: JournalSettings) -> (TempDir, PathBuf) {
    let (folder, root) = old();
    let (schema, run) = (schema(), new_run());
    let mut sink = DatasetSink::new(&root);
    let info = RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).unwrap();
    let owner = Owner {
        run,
        schema: schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
        label: RunLabel::default(),
    };
    let place = sink.journal_folder().unwrap();
    let mut journal = Journal::create(&place, owner, Arc::default(), settings).unwrap();
    let mut recorded = 0;
    for frame in 0..FRAMES {
        journal.begin().unwrap();
        for agent_id in 0..AGENTS {
            let episode = (frame / ROWS) * AGENTS as u32 + agent_id as u32;
            let episode_id = run.episode_id(episode);
            if frame.is_multiple_of(ROWS) {
                journal.put(&Record::Open {
                    episode_id,
                    captured_as: episode,
                    agent_id,
                    continues: None,
                });
            }
            let ordinal = frame - frame / ROWS;
            let _ = journal.put_rows(episode_id, &row(&schema, agent_id, frame, episode, ordinal));
            recorded += u64::from(!frame.is_multiple_of(ROWS));
            if frame % ROWS == ROWS - 1 {
                journal.put(&Record::Close {
                    episode_id,
                    terminated: true,
                    reason: "goal",
                    end: &[],
                });
            }
        }
        journal.put(&Record::Counts(Counts {
            recorded,
            ..Counts::default()
        }));
        journal.commit().unwrap();
    }
    // The process dies without dropping the sink.
    core::mem::forget(sink);
    (folder, root)
}

fn segment(root: &Path) -> PathBuf {
    let journals = fs::read_dir(root.join("player/journal")).unwrap();
    let journals: Vec<_> = journals.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(journals.len(), 1);
    journals[0].join("00000.journal")
}

/// The frames of a segment without the first two, which have no rows.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut frames, mut at) = (Vec::new(), 16);
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        frames.push(at..at + 8 + length as usize);
        at += 8 + length as usize;
    }
    frames.drain(..2);
    frames
}

/// Recovers the run, and checks the dataset.
fn recover(root: &Path, knows_last: bool, when: &str) -> RecoveredRun {
    let dataset = Dataset::open(root).unwrap();
    let mut recovery = dataset.recover(&RecoverSettings::default()).unwrap().remove(0).recovery;
    assert!(
        recovery.failed.is_empty() && recovery.refused.is_empty(),
        "{when}: {recovery:?}"
    );
    assert!(
        dataset.recover(&RecoverSettings::default()).unwrap().is_empty(),
        "{when}"
    );
    assert_valid(root, when);
    let mut ids = BTreeSet::new();
    let mut transitions = 0;
    for episode in open(root).episodes().map(Result::unwrap) {
        assert!(ids.insert(episode.info().episode_id), "{when}: {:?}", episode.info());
        if episode.info().run == new_run() {
            transitions += episode.len() as u64;
        }
    }
    let run = recovery.recovered.remove(0);
    assert_eq!(transitions, run.transitions, "{when}");
    // The last frame alone says that its transitions were recorded.
    let known = if knows_last {
        TRANSITIONS
    } else {
        TRANSITIONS - AGENTS as u64
    };
    assert_eq!(run.transitions + run.lost, known, "{when}: {run:?}");
    run
}

#[test]
fn a_missing_frame_is_reported_and_ids_stay_unique() {
    let (_folder, left) = unfinished();
    let whole = fs::read(segment(&left)).unwrap();
    for (at, frame) in frames(&whole).into_iter().enumerate() {
        let when = format!("without frame {at}");
        let (_folder, root) = copy_of(&left);
        let mut bytes = whole.clone();
        bytes.drain(frame);
        fs::write(segment(&root), bytes).unwrap();
        let run = recover(&root, at + 1 < FRAMES as usize, &when);
        if at + 1 < FRAMES as usize {
            // No row says that the last frame was there.
            assert!(
                run.unread.iter().any(|unread| unread.contains("1 frames are missing")),
                "{when}: {run:?}"
            );
        }
        // Nothing is there that could not be read.
        assert!(
            !root.join("player/journal").exists() && !root.join("player/damaged").exists(),
            "{when}"
        );
    }
}

#[test]
fn a_missing_segment_is_reported_also_where_it_is_the_first() {
    let (_folder, left) = unfinished_with(JournalSettings {
        segment_bytes: 1,
        ..JournalSettings::default()
    });
    // One for each frame. The last is not known to have been there.
    for missing in 0..FRAMES - 1 {
        let when = format!("without segment {missing}");
        let (_folder, root) = copy_of(&left);
        fs::remove_file(segment(&root).with_file_name(format!("{missing:05}.journal"))).unwrap();
        let run = recover(&root, true, &when);
        let sentence = if missing == 0 {
            "1 segments are missing"
        } else {
            "frames are missing"
        };
        assert!(run.damage().any(|unread| unread.contains(sentence)), "{when}: {run:?}");
        assert!(!root.join("player/journal").exists(), "{when}");
    }
}

#[test]
fn a_damaged_frame_costs_its_rows_and_is_kept_until_it_is_discarded() {
    let (_folder, left) = unfinished();
    let whole = fs::read(segment(&left)).unwrap();
    for (at, frame) in frames(&whole).into_iter().enumerate() {
        for flipped in [frame.start, frame.start + 4, frame.start + 8, frame.end - 1] {
            let when = format!("byte {flipped} of frame {at}, {frame:?}");
            let (_folder, root) = copy_of(&left);
            let mut bytes = whole.clone();
            bytes[flipped] ^= 0x10;
            fs::write(segment(&root), &bytes).unwrap();
            let run = recover(&root, at + 1 < FRAMES as usize, &when);
            // Each agent has one row in the frame, which is a part of at most two transitions.
            assert!(run.lost <= 2 * AGENTS as u64, "{when}: {run:?}");
            assert!(!run.unread.is_empty(), "{when}");
            assert!(!root.join("player/journal").exists(), "{when}");
            let kept = open(&root).overview().unwrap().damaged_journals;
            assert_eq!(kept.len(), 1, "{when}");
            assert_eq!(fs::read(kept[0].join("00000.journal")).unwrap(), bytes, "{when}");
            let discard = RecoverSettings {
                discard_damaged: true,
                ..RecoverSettings::default()
            };
            let discarded = Dataset::open(&root).unwrap().recover(&discard).unwrap().remove(0);
            assert_eq!(discarded.recovery.discarded, kept, "{when}");
            assert!(!root.join("player/damaged").exists(), "{when}");
        }
    }
}

#[test]
fn a_recovery_creates_empty_folders_that_a_copy_has_left_out() {
    let (_folder, left) = unfinished();
    let (_folder, root) = copy_of(&left);
    // The shards of the other run are elsewhere.
    let other = open(&root).runs().unwrap().remove(0).run;
    fs::remove_dir_all(root.join("player/data")).unwrap();
    fs::remove_file(root.join(format!("player/runs/{other}.json"))).unwrap();
    assert_eq!(recover(&root, true, "without a data folder").lost, 0);
}

#[test]
fn a_refused_operation_is_no_damage_and_leaves_no_unfinished_shard() {
    let (_folder, left) = unfinished();
    super::at_every_point(
        &left,
        &[Fault::Refused, Fault::Full, Fault::Lost],
        |root, _| {
            for _ in 0..3 {
                let found = Dataset::open(root).unwrap().recover(&RecoverSettings::default());
                for found in found.into_iter().flatten() {
                    assert!(found.recovery.failed.is_empty(), "{found:?}");
                }
            }
            super::Acknowledged::default()
        },
        |root, fault, _, when| {
            let unfinished = open(root).overview().unwrap().unfinished;
            let data = root.join("player/data");
            assert!(
                unfinished.iter().all(|path| !path.starts_with(&data)),
                "{when}: {unfinished:?}"
            );
            if fault == Fault::Full {
                Dataset::open(root)
                    .unwrap()
                    .recover(&RecoverSettings::default())
                    .unwrap();
            }
            assert_valid(root, when);
            assert!(!root.join("player/journal").exists(), "{when}");
            let recovered = open(root)
                .episodes()
                .filter(|episode| episode.as_ref().unwrap().info().run == new_run());
            let transitions: usize = recovered.map(|episode| episode.unwrap().len()).sum();
            assert_eq!(transitions as u64, TRANSITIONS, "{when}");
        },
    );
}
