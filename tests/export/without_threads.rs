//! An exporter without threads, as on WebAssembly: the game runs it, once per update.

use crate::{
    player::{Age, Player, grow},
    support::assert_balanced,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::ExportSettings,
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
    time::Instant,
};

/// The threads that called a sink.
type Callers = Arc<Mutex<Vec<ThreadId>>>;

/// Notes the thread of each call, and fails the writes if it is told to.
struct NotingSink(Callers, bool);

impl NotingSink {
    fn note(&self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

impl Sink for NotingSink {
    fn describe(&self) -> Cow<'_, str> {
        "noting".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        self.note();
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        self.note();
        if self.1 {
            return Err(SinkError::Io {
                action: "write to",
                path: "disk".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        self.note();
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        self.note();
        Ok(())
    }
}

/// An app with one player whose episodes have 4 steps, and an exporter without threads.
fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            threads: false,
            flush_interval: Duration::ZERO,
            ..Default::default()
        },
        ..Default::default()
    });
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, (grow, end_each_fourth).chain());
    test.world_mut().spawn((Player, Age(0.0)));
    test
}

fn end_each_fourth(players: Query<(Entity, &Age)>, mut commands: Commands) {
    for (player, age) in &players {
        if (age.0 as u32).is_multiple_of(4) {
            commands.trigger(EndEpisode::terminated(player, "goal"));
        }
    }
}

fn exported(test: &TestApp) -> u64 {
    let report = test.report();
    assert_balanced(&report);
    report.exported
}

#[test]
fn episodes_reach_the_sinks_during_play_on_the_thread_of_the_game() {
    let callers = Callers::default();
    let mut test = play(Recording::new("player").sink(NotingSink(callers.clone(), false)));
    test.ticks(9);
    assert!(exported(&test) >= 4, "{:?}", test.report());
    let episodes = test.finish();
    assert!(episodes.len() >= 2 && episodes.iter().all(|episode| episode.len() > 0));
    let report = test.report();
    assert_eq!((report.exported, report.pending), (report.recorded, 0));
    let callers = callers.lock().unwrap();
    assert!(callers.len() > 3 && callers.iter().all(|&caller| caller == thread::current().id()));
}

#[test]
fn episodes_are_the_same_as_with_threads() {
    let record = |threads| {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            export: ExportSettings {
                threads,
                ..Default::default()
            },
            run: Some(bevy_experience::transition::RunId::from_bits(7)),
            ..Default::default()
        });
        test.record(Recording::<Player>::new("player").observe::<Age>());
        test.add_systems(FixedUpdate, (grow, end_each_fourth).chain());
        for age in 0..5 {
            test.world_mut().spawn((Player, Age(age as f32)));
        }
        test.ticks(50);
        let episodes = test.finish();
        episodes
            .iter()
            .map(|episode| {
                let rows: Vec<_> = (0..=episode.len())
                    .map(|row| episode.row(row).observation().to_vec())
                    .collect();
                (*episode.info(), rows)
            })
            .map(|found| format!("{found:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(record(false), record(true));
}

#[test]
fn a_flush_returns_when_everything_was_written() {
    let mut test = play(Recording::new("player"));
    test.ticks(30);
    let recorded = test.report().recorded;
    let flushed = test
        .world_mut()
        .resource_mut::<Experience>()
        .flush(Duration::from_secs(5));
    assert!(flushed);
    // The open episode is not written.
    assert!(exported(&test) + 4 >= recorded);
}

#[test]
fn a_sink_that_fails_does_not_hold_up_the_game() {
    let callers = Callers::default();
    let mut test = play(Recording::new("player").sink(NotingSink(callers, true)));
    let begun = Instant::now();
    test.ticks(40);
    test.finish();
    // A retry would wait for at least 25 ms, and a full disk until it has space.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let reports = test.world_mut().resource::<Experience>().reports("player");
    let failing = &reports[0];
    assert_balanced(failing);
    assert_eq!((failing.exported, failing.dropped), (0, failing.recorded));
    assert_eq!(
        reports[1].exported, reports[1].recorded,
        "the other sink takes everything"
    );
}

#[test]
fn a_game_that_waits_for_free_rows_drains_them_itself() {
    let mut test = play(Recording::new("player").buffers(BufferSettings {
        capacity: 8,
        overflow: Overflow::Block(Duration::from_secs(60)),
        ..Default::default()
    }));
    let begun = Instant::now();
    // No update ends between the ticks of one frame, so only waiting drains the buffer.
    test.frame(100);
    test.finish();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let report = test.report();
    assert_eq!((report.dropped, report.exported), (0, report.recorded));
}

#[test]
fn batches_of_a_channel_are_received_by_the_game() {
    let (sink, batches) = ChannelSink::bounded(64);
    let mut test = play(Recording::new("player").sink(sink));
    let mut received = 0;
    for _ in 0..20 {
        test.ticks(1);
        received += batches.try_iter().map(|batch| batch.num_rows()).sum::<usize>();
    }
    assert!(received >= 12, "{received}");
    test.finish();
    received += batches.try_iter().map(|batch| batch.num_rows()).sum::<usize>();
    assert_eq!(received as u64, test.report().recorded);
}

#[test]
fn dropping_the_app_writes_what_is_left() {
    let sink = MemorySink::default();
    let mut test = play(Recording::new("player").sink(sink.clone()));
    test.ticks(6);
    let recorded = test.report().recorded;
    drop(test);
    let written: usize = sink.episodes().iter().map(Episode::len).sum();
    assert_eq!(written as u64, recorded);
}

/// A sink that cannot be closed.
struct Unclosable;

impl Sink for Unclosable {
    fn describe(&self) -> Cow<'_, str> {
        "unclosable".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Err(SinkError::Other("it stays open".to_owned()))
    }
}

#[test]
fn a_close_reports_a_sink_that_could_not_be_closed() {
    let close = |recording: Recording<Player>| {
        let mut test = play(recording);
        test.ticks(9);
        test.world_mut()
            .resource_mut::<Experience>()
            .close(Duration::from_secs(5))
    };
    assert!(close(Recording::new("player").sink(MemorySink::default())));
    assert!(!close(Recording::new("player").sink(Unclosable)));
}
