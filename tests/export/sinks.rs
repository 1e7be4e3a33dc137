//! Faulty sinks: errors, panics, slow writes, full disks, and calls that never return.

mod full_disk;
mod overflow;

use crate::{
    player::{Age, Player, grow},
    support::assert_balanced,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::{ExportSettings, RetrySettings},
    plugin::SinkFailure,
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{
    borrow::Cow,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Calls a closure before each write of the inner sink.
struct FaultySink<F, S>(F, S);

impl<F: FnMut() -> Result<(), SinkError> + Send + 'static, S: Sink> Sink for FaultySink<F, S> {
    fn describe(&self) -> Cow<'_, str> {
        "faulty".into()
    }
    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.1.open(recording)
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        (self.0)()?;
        self.1.write(episodes)
    }
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.1.flush(report)
    }
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.1.close(report)
    }
}

fn storage_full() -> SinkError {
    SinkError::Io {
        action: "write to",
        path: "disk".into(),
        source: io::ErrorKind::StorageFull.into(),
    }
}

/// The events that the game received.
#[derive(Resource, Default)]
struct Events {
    failures: Vec<SinkFailed>,
    lost: u64,
}

fn settings() -> ExportSettings {
    ExportSettings {
        flush_interval: Duration::from_millis(5),
        batch: 16,
        retry: RetrySettings {
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(8),
            patience: Duration::from_millis(200),
        },
        ..Default::default()
    }
}

/// An app with one player, and episodes of 4 steps.
fn play(export: ExportSettings, recording: Recording<Player>) -> TestApp {
    play_episodes_of(4, export, recording)
}

fn play_episodes_of(steps: u32, export: ExportSettings, recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export,
        ..Default::default()
    });
    test.add_recording(recording.observe::<Age>().episodes(EpisodeRules {
        max_steps: steps,
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, grow);
    test.init_resource::<Events>();
    test.add_observer(|failed: On<SinkFailed>, mut events: ResMut<Events>| events.failures.push(failed.clone()));
    test.add_observer(|gap: On<GapDetected>, mut events: ResMut<Events>| {
        assert_eq!(gap.recording, "player");
        events.lost += gap.lost;
    });
    test.world_mut().spawn((Player, Age(0.0), AgentId(7)));
    test.ticks(1);
    test
}

fn reports(test: &TestApp) -> Vec<RunReport> {
    let reports = test.world().resource::<Experience>().reports("player");
    for report in &reports {
        assert_balanced(report);
    }
    reports
}

/// Ticks until `done` returns true.
#[track_caller]
fn play_until(test: &mut TestApp, mut done: impl FnMut(&mut TestApp) -> bool) {
    let begun = Instant::now();
    while !done(test) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "timed out: {:?}",
            reports(test)
        );
        test.ticks(1);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn close(test: &mut TestApp) -> bool {
    let mut experience = test.world_mut().resource_mut::<Experience>();
    experience.close(Duration::from_secs(30))
}

fn failures(test: &TestApp) -> Vec<SinkFailure> {
    let events = test.world().resource::<Events>();
    for failure in &events.failures {
        assert_eq!(
            (failure.recording.as_str(), failure.sink.as_str()),
            ("player", "faulty")
        );
    }
    events.failures.iter().map(|failed| failed.consequence).collect()
}

#[test]
fn a_transient_sink_failure_loses_no_episode() {
    let kept = MemorySink::default();
    let mut calls = 0;
    let sink = FaultySink(
        move || {
            calls += 1;
            // The first three fail as well: a slow machine may have time for one successful write only.
            if calls <= 3 || calls % 5 < 3 {
                return Err(SinkError::Other("busy".to_owned()));
            }
            Ok(())
        },
        kept.clone(),
    );
    let mut export = settings();
    // Longer than a slow machine needs.
    export.retry.patience = Duration::from_secs(60);
    let mut test = play(export, Recording::new("player").sink(sink));
    test.ticks(99);
    assert!(close(&mut test));
    let report = reports(&test).remove(0);
    assert_eq!((report.exported, report.dropped, report.pending), (99, 0, 0));
    assert!(report.failures >= 3, "{report:?}");
    // Each transition once, and in order.
    let ages: Vec<_> = kept
        .episodes()
        .iter()
        .flat_map(|episode| {
            episode
                .transitions()
                .map(|step| step.observation()[0])
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(ages.iter().copied().eq((1..100).map(|age| age as f32)), "{ages:?}");
    assert_eq!(failures(&test), []);
}

#[test]
fn a_lasting_sink_failure_is_reported_once_and_export_resumes_after_it() {
    let kept = MemorySink::default();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let sink = FaultySink(
        move || match is_broken.load(Ordering::Relaxed) {
            true => Err(SinkError::Other("unreachable".to_owned())),
            false => Ok(()),
        },
        kept.clone(),
    );
    let good = MemorySink::default();
    let recording = Recording::new("player").sink(sink).sink(good.clone());
    let mut test = play(settings(), recording);
    play_until(&mut test, |test| {
        reports(test)[0].dropped >= 64 && !failures(test).is_empty()
    });
    assert_eq!(failures(&test), [SinkFailure::Refuses]);
    assert_eq!(test.world().resource::<Events>().failures[0].error, "unreachable");
    broken.store(false, Ordering::Relaxed);
    play_until(&mut test, |test| reports(test)[0].exported >= 64);
    broken.store(true, Ordering::Relaxed);
    play_until(&mut test, |test| failures(test).len() == 2);
    broken.store(false, Ordering::Relaxed);
    assert!(close(&mut test));
    let [faulty, other] = &reports(&test)[..] else {
        panic!("two sinks have two reports");
    };
    assert_eq!((faulty.pending, other.pending, other.dropped), (0, 0, 0));
    let transitions = |sink: &MemorySink| sink.episodes().iter().map(|episode| episode.len() as u64).sum::<u64>();
    assert_eq!(transitions(&kept), faulty.exported);
    assert_eq!(transitions(&good), other.recorded);
}

#[test]
fn a_sink_that_panics_is_retired() {
    let good = MemorySink::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let called = calls.clone();
    let sink = FaultySink(
        move || {
            called.fetch_add(1, Ordering::Relaxed);
            panic!("a bug in a sink")
        },
        MemorySink::default(),
    );
    let mut test = play(settings(), Recording::new("player").sink(sink).sink(good.clone()));
    play_until(&mut test, |test| {
        !failures(test).is_empty() && reports(test)[0].dropped > 32
    });
    assert_eq!(failures(&test), [SinkFailure::Retired]);
    assert_eq!(
        test.world().resource::<Events>().failures[0].error,
        "it panicked: a bug in a sink"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(close(&mut test));
    let [faulty, other] = &reports(&test)[..] else {
        panic!("two sinks have two reports");
    };
    assert_eq!((faulty.dropped, faulty.pending), (faulty.recorded, 0));
    assert_eq!((other.dropped, other.pending), (0, 0));
}

#[test]
fn a_sink_that_never_returns_loses_its_own_episodes_only() {
    let good = MemorySink::default();
    let sink = FaultySink(
        || {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(())
        },
        MemorySink::default(),
    );
    let export = ExportSettings {
        queue_bytes: 4096,
        patience: Duration::from_secs(1),
        ..settings()
    };
    let recording = Recording::new("player")
        .buffers(BufferSettings {
            capacity: 4096,
            ..Default::default()
        })
        .sink(sink)
        .sink(good.clone());
    let mut test = play(export, recording);
    play_until(&mut test, |test| {
        reports(test)[0].dropped > 64 && !failures(test).is_empty()
    });
    assert_eq!(failures(&test), [SinkFailure::Stalled]);
    let exported = reports(&test)[1].exported;
    play_until(&mut test, |test| reports(test)[1].exported > exported + 64);
    let mut experience = test.world_mut().resource_mut::<Experience>();
    let begun = Instant::now();
    assert!(!experience.flush(Duration::from_millis(100)));
    assert!(!experience.close(Duration::from_secs(3)));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let [faulty, other] = &reports(&test)[..] else {
        panic!("two sinks have two reports");
    };
    assert_eq!((other.dropped, other.pending), (0, 0), "{other:?}");
    assert!(faulty.pending > 0, "the batch inside the sink stays pending");
    assert_eq!(good.report().exported, other.recorded, "the other sink was closed");
}

#[test]
fn a_sink_that_cannot_be_opened_is_reported_and_counted() {
    struct UnopenableSink;
    impl Sink for UnopenableSink {
        fn describe(&self) -> Cow<'_, str> {
            "faulty".into()
        }
        fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
            Err(SinkError::Other("not found".to_owned()))
        }
        fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
            panic!("the sink was never opened")
        }
        fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
            panic!("the sink was never opened")
        }
        fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
            panic!("the sink was never opened")
        }
    }
    let mut test = play(settings(), Recording::new("player").sink(UnopenableSink));
    play_until(&mut test, |test| {
        reports(test)[0].dropped > 0 && !failures(test).is_empty()
    });
    assert_eq!(failures(&test), [SinkFailure::Refuses]);
    assert!(close(&mut test));
    let report = reports(&test).remove(0);
    assert_eq!((report.dropped, report.pending), (report.recorded, 0));
}

#[test]
fn randomly_failing_sinks_keep_separate_counts_and_order() {
    for seed in 0..4_u32 {
        let kept: Vec<_> = (0..4).map(|_| MemorySink::default()).collect();
        let mut recording = Recording::new("player").buffers(BufferSettings {
            capacity: 64,
            ..Default::default()
        });
        for (index, kept) in kept.iter().enumerate() {
            let mut state = seed * 4 + index as u32 + 1;
            let behaviour = move || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match state >> 24 {
                    0..=30 => Err(SinkError::Other("transient".to_owned())),
                    31..=33 => Err(storage_full()),
                    34..=36 => Err(SinkError::Full),
                    37..=60 => {
                        std::thread::sleep(Duration::from_millis(4 * index as u64 * index as u64));
                        Ok(())
                    }
                    _ => Ok(()),
                }
            };
            recording = recording.sink(FaultySink(behaviour, kept.clone()));
        }
        let export = ExportSettings {
            queue_bytes: 4096,
            patience: Duration::from_millis(10),
            retry: RetrySettings {
                patience: Duration::from_millis(3),
                ..settings().retry
            },
            ..settings()
        };
        let mut test = play(export, recording);
        for agent in 0..5 {
            test.world_mut().spawn((Player, Age(0.0), AgentId(agent)));
        }
        for round in 0..1500 {
            test.ticks(1);
            if round % 10 == 0 {
                std::thread::sleep(Duration::from_millis(1));
                reports(&test);
            }
        }
        assert!(close(&mut test));
        for (report, kept) in reports(&test).iter().zip(&kept) {
            assert_eq!(report.pending, 0);
            assert!(report.exported > 0);
            let episodes = kept.episodes();
            let transitions: usize = episodes.iter().map(Episode::len).sum();
            assert_eq!(transitions as u64, report.exported);
            for agent in [0, 1, 2, 3, 4, 7] {
                let own = episodes.iter().filter(|episode| episode.info().agent_id == agent);
                let ticks: Vec<_> = own.map(|episode| episode.row(0).header().tick).collect();
                assert!(
                    ticks.windows(2).all(|pair| pair[0] < pair[1]),
                    "agent {agent}: {ticks:?}"
                );
            }
        }
    }
}
