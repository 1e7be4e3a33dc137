//! Tests that inject every fault while a `JournalSink` records with a limit, so that it deletes segments.

use super::{Acknowledged, assert_valid, at_every_point, episode, episodes, new_run, old, open, schema};
use crate::{Dataset, JournalSink, RecoverSettings};
use experience_core::account::RunReport;
use experience_export::{RecordingInfo, Sink, SinkError, disk::faults::Fault};
use std::{path::Path, time::SystemTime};

const EPISODES: u32 = 3;

/// Records episodes, each in a segment of its own, of which the last stays. Operations that fail are repeated once.
fn record(root: &Path, acknowledged: &mut Acknowledged) -> Result<(), SinkError> {
    let schema = schema();
    let mut sink = JournalSink::new(root).with_segment_bytes(1).with_keep_bytes(1);
    let info = RecordingInfo {
        schema: schema.clone(),
        run: new_run(),
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).or_else(|_| sink.open(&info))?;
    for number in 0..EPISODES {
        let episode = [episode(&schema, new_run(), number, i64::from(number % 3))];
        let report = &mut acknowledged.report;
        sink.write(&episode).or_else(|_| sink.write(&episode))?;
        report.recorded += episode[0].len() as u64;
        report.exported = report.recorded;
        report.episodes += 1;
        let flush = |sink: &mut JournalSink, report: &RunReport| sink.flush(report);
        flush(&mut sink, report).or_else(|_| flush(&mut sink, report))?;
        acknowledged.visible.insert(episode[0].info().episode_id);
    }
    let report = &acknowledged.report;
    sink.close(report).or_else(|_| sink.close(report))
}

#[test]
fn a_deletion_of_segments_that_stops_at_any_moment_leaves_a_right_account() {
    let (_folder, old) = old();
    at_every_point(
        &old,
        &[Fault::Killed, Fault::PowerLoss, Fault::Refused],
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record(root, &mut acknowledged);
            acknowledged
        },
        |root, fault, acknowledged, when| {
            assert_valid(root, when);
            let settings = RecoverSettings {
                // The process died before it wrote its account or its lock.
                include_unclear: true,
                ..RecoverSettings::default()
            };
            Dataset::open(root).unwrap().recover(&settings).unwrap();
            assert_valid(root, when);
            let numbers = episodes(root).unwrap();
            let numbers = numbers.iter().map(|(episode, _)| *episode);
            let kept: Vec<i64> = numbers.filter(|episode| episode >> 32 == new_run().get()).collect();
            let runs = open(root).runs().unwrap();
            let Some(run) = runs.iter().find(|run| run.run == new_run()) else {
                assert!(acknowledged.visible.is_empty(), "{when}");
                return;
            };
            // Retention deletes the first episodes. What was flushed is there, or deleted.
            let first = run.retired.episodes;
            let all: Vec<i64> = (first as u32..first as u32 + kept.len() as u32)
                .map(|number| new_run().episode_id(number))
                .collect();
            assert_eq!(kept, all, "{when}");
            let flushed = acknowledged.visible.len() as u64;
            assert!(first + kept.len() as u64 >= flushed, "{when}: {run:?}");
            assert_eq!(run.account.episodes, first + kept.len() as u64, "{when}");
            assert_eq!(run.account.exported, 5 * run.account.episodes, "{when}");
            assert!(run.segments.is_empty(), "{when}");
            if fault == Fault::Refused {
                assert_eq!(run.account, acknowledged.report, "{when}");
            }
        },
    );
}
