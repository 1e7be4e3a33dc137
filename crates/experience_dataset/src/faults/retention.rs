//! Tests that inject every fault while retention deletes shards or segments whose episodes are in the journal of their run too, which
//! notes none of them as durable: a process may die before it does.

use super::{
    Acknowledged, assert_valid, at_every_point, episode, episodes, journal, new_run, old, open, put_episode, schema,
};
use crate::{Dataset, JournalSink, RecoverSettings, RunStatus, sink::DatasetSink};
use experience_core::{account::RunReport, transition::RunId};
use experience_export::{RecordingInfo, Sink, SinkError, disk::faults::Fault};
use std::{cell::Cell, path::Path, time::SystemTime};

const EPISODES: u32 = 3;

fn info(run: RunId) -> RecordingInfo {
    RecordingInfo {
        schema: schema(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    }
}

/// Records episodes until the process dies, each in a file of its own. Returns what a flush has acknowledged.
fn record(sink: &mut dyn Sink) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let _ = try_record(sink, &mut acknowledged);
    acknowledged
}

fn try_record(sink: &mut dyn Sink, acknowledged: &mut Acknowledged) -> Result<(), SinkError> {
    let failed = |error: std::io::Error| SinkError::Other(error.to_string());
    sink.open(&info(new_run()))?;
    let mut journal = journal(&sink.journal_folder().unwrap(), new_run()).map_err(failed)?;
    for number in 0..EPISODES {
        let episode = [episode(&schema(), new_run(), number, i64::from(number % 3))];
        journal.begin().map_err(failed)?;
        put_episode(&mut journal, number, &episode[0], true);
        journal.commit().and_then(|()| journal.secure()).map_err(failed)?;
        acknowledged.report.recorded += episode[0].len() as u64;
        sink.write(&episode)?;
        acknowledged.report.exported = acknowledged.report.recorded;
        acknowledged.report.episodes += 1;
        sink.flush(&acknowledged.report)?;
        acknowledged.visible.insert(episode[0].info().episode_id);
    }
    Ok(())
}

/// Recovers the run, and checks that each of its episodes is counted once: it was deleted, or is in a shard. Returns how many were
/// deleted.
fn assert_recovered(root: &Path, acknowledged: &Acknowledged, when: &str) -> u64 {
    assert_valid(root, when);
    let settings = RecoverSettings {
        // The process died before it wrote its account or its lock.
        include_unclear: true,
        ..RecoverSettings::default()
    };
    for found in Dataset::open(root).unwrap().recover(&settings).unwrap() {
        assert!(found.recovery.failed.is_empty(), "{when}: {found:?}");
    }
    assert_valid(root, when);
    let runs = open(root).runs().unwrap();
    let Some(run) = runs.iter().find(|run| run.run == new_run()) else {
        assert!(acknowledged.visible.is_empty(), "{when}");
        return 0;
    };
    assert_eq!(run.status, RunStatus::Recovered, "{when}");
    let all = episodes(root).unwrap().into_iter().map(|(episode, _)| episode);
    let kept: Vec<i64> = all.filter(|episode| episode >> 32 == new_run().get()).collect();
    // Retention deletes the first episodes.
    let deleted = run.retired.episodes;
    let numbers = deleted as u32..deleted as u32 + kept.len() as u32;
    let expected: Vec<i64> = numbers.map(|number| new_run().episode_id(number)).collect();
    assert_eq!(kept, expected, "{when}: {run:?}");
    let episodes = deleted + kept.len() as u64;
    assert!(
        (acknowledged.visible.len() as u64..=u64::from(EPISODES)).contains(&episodes),
        "{when}: {run:?}"
    );
    assert_eq!(run.account.episodes, episodes, "{when}");
    assert_eq!(run.account.exported, 5 * episodes, "{when}");
    assert_eq!(run.account.recorded, 5 * episodes, "{when}");
    deleted
}

/// Checks each moment at which a process dies that deletes files of the run.
fn check_at_every_point(old: &Path, scenario: impl Fn(&Path) -> Acknowledged) {
    let most = Cell::new(0);
    at_every_point(
        old,
        &[Fault::Killed, Fault::PowerLoss, Fault::Refused],
        |root, _| scenario(root),
        |root, _, acknowledged, when| most.set(most.get().max(assert_recovered(root, acknowledged, when))),
    );
    assert!(most.get() > 0, "no episode was deleted");
}

#[test]
fn an_episode_of_a_deleted_shard_is_not_recovered_from_the_journal() {
    let (_folder, old) = old();
    check_at_every_point(&old, |root| {
        record(&mut DatasetSink::new(root).with_shard_bytes(1).with_keep_bytes(1))
    });
}

#[test]
fn an_episode_of_a_deleted_segment_is_not_recovered_from_the_journal() {
    let (_folder, old) = old();
    check_at_every_point(&old, |root| {
        record(&mut JournalSink::new(root).with_segment_bytes(1).with_keep_bytes(1))
    });
}

#[test]
fn an_episode_that_another_run_has_deleted_is_not_recovered_from_the_journal() {
    let (_folder, root) = old();
    let acknowledged = record(&mut DatasetSink::new(&root).with_shard_bytes(1));
    assert_eq!(acknowledged.visible.len(), EPISODES as usize);
    check_at_every_point(&root, |root| {
        let mut sink = DatasetSink::new(root)
            .with_shard_bytes(1)
            .with_keep_bytes(1)
            .without_recovery();
        let run = RunId::from_bits(3);
        let _ = sink
            .open(&info(run))
            .and_then(|()| sink.write(&[episode(&schema(), run, 0, 0)]))
            .and_then(|()| sink.flush(&RunReport::default()));
        Acknowledged {
            visible: acknowledged.visible.clone(),
            ..Acknowledged::default()
        }
    });
}
