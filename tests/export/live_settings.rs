//! Settings that are changed while the game runs, and hold from then on.

use bevy_ecs::prelude::*;
use bevy_experience::{
    export::ExportSettings,
    plugin::{LiveSettings, SinkFailure},
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use bevy_reflect::Reflect;
use core::time::Duration;
use std::{borrow::Cow, time::Instant};

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

const AN_HOUR: Duration = Duration::from_secs(3600);

/// Nothing is handed over by itself, and nobody gives up.
fn patient() -> ExportSettings {
    ExportSettings {
        flush_interval: AN_HOUR,
        patience: AN_HOUR,
        close_timeout: AN_HOUR,
        batch: usize::MAX,
        batch_bytes: usize::MAX,
        ..ExportSettings::default()
    }
}

fn play(export: ExportSettings, sink: impl Sink) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export,
        ..ExperiencePlugin::default()
    });
    test.add_recording(Recording::<Player>::new("player").observe::<Age>().sink(sink));
    test.world_mut().spawn((Player, Age(0.0), AgentId(1)));
    test.ticks(10);
    test
}

fn end_an_episode(test: &mut TestApp) {
    let mut experience = test.world_mut().resource_mut::<Experience>();
    experience.end_episode("player", 1, "test").expect("one is open");
    test.ticks(5);
}

/// Whether something happens within so long, while the game goes on.
fn happens(test: &mut TestApp, within: Duration, mut it: impl FnMut(&mut TestApp) -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        test.ticks(1);
        if it(test) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn set(test: &mut TestApp, edit: impl FnOnce(&mut LiveSettings)) {
    edit(&mut test.world_mut().resource_mut::<LiveSettings>());
}

#[test]
fn they_begin_as_the_plugin_was_told() {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: patient(),
        ..ExperiencePlugin::default()
    });
    assert_eq!(
        *test.world_mut().resource::<LiveSettings>(),
        LiveSettings::of(&patient())
    );
    assert_eq!(LiveSettings::default(), LiveSettings::of(&ExportSettings::default()));
}

#[test]
fn a_shorter_flush_interval_hands_over_sooner() {
    let sink = MemorySink::default();
    let mut test = play(patient(), sink.clone());
    end_an_episode(&mut test);
    let arrives = |_: &mut TestApp| !sink.episodes().is_empty();
    assert!(!happens(&mut test, Duration::from_millis(300), arrives));
    set(&mut test, |settings| {
        settings.flush_interval = Duration::from_millis(10);
    });
    assert!(happens(&mut test, Duration::from_secs(30), arrives));
    let experience = test.world_mut().resource::<Experience>();
    let now = experience.export_settings();
    assert_eq!(now.flush_interval, Duration::from_millis(10));
    assert_eq!(now.patience, AN_HOUR);
}

#[test]
fn a_smaller_batch_hands_over_sooner() {
    let sink = MemorySink::default();
    let mut test = play(patient(), sink.clone());
    set(&mut test, |settings| settings.batch = 3);
    end_an_episode(&mut test);
    assert!(happens(&mut test, Duration::from_secs(30), |_| !sink
        .episodes()
        .is_empty()));
}

/// Takes its time.
struct Slow(Duration);

impl Sink for Slow {
    fn describe(&self) -> Cow<'_, str> {
        "slow".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        std::thread::sleep(self.0);
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

#[derive(Resource, Default)]
struct Stalled(bool);

#[test]
fn less_patience_gives_a_slow_sink_up() {
    let settings = ExportSettings {
        flush_interval: Duration::from_millis(1),
        queue_bytes: 1,
        close_timeout: Duration::from_millis(10),
        ..patient()
    };
    let mut test = play(settings, Slow(Duration::from_secs(5)));
    test.init_resource::<Stalled>();
    test.add_observer(|failed: On<SinkFailed>, mut stalled: ResMut<Stalled>| {
        stalled.0 |= failed.consequence == SinkFailure::Stalled;
    });
    let is_stalled = |test: &mut TestApp| {
        end_an_episode(test);
        test.world_mut().resource::<Stalled>().0
    };
    assert!(!happens(&mut test, Duration::from_millis(300), is_stalled));
    set(&mut test, |settings| settings.patience = Duration::ZERO);
    assert!(happens(&mut test, Duration::from_secs(4), is_stalled));
}

#[test]
fn a_shorter_timeout_ends_the_app_sooner() {
    let settings = ExportSettings {
        flush_interval: Duration::from_millis(1),
        ..patient()
    };
    let mut test = play(settings, Slow(Duration::from_secs(20)));
    end_an_episode(&mut test);
    std::thread::sleep(Duration::from_millis(100));
    set(&mut test, |settings| settings.close_timeout = Duration::from_millis(50));
    test.ticks(1);
    let begun = Instant::now();
    drop(test);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
