//! `LiveSettings`: changes of the export settings take effect while the game runs.

use crate::player::{Age, Player};
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::ExportSettings,
    plugin::{LiveSettings, SinkFailure},
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{borrow::Cow, time::Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// Settings under which no interval, batch size or timeout takes effect within the test.
fn settings_without_limits() -> ExportSettings {
    ExportSettings {
        flush_interval: HOUR,
        patience: HOUR,
        close_timeout: HOUR,
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
    experience.end_episode("player", 1, "test").expect("an episode is open");
    test.ticks(5);
}

/// Whether `condition` becomes true within the time limit, while the game ticks.
fn becomes_true(test: &mut TestApp, within: Duration, mut condition: impl FnMut(&mut TestApp) -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        test.ticks(1);
        if condition(test) {
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
fn live_settings_start_with_the_settings_of_the_plugin() {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: settings_without_limits(),
        ..ExperiencePlugin::default()
    });
    assert_eq!(
        *test.world_mut().resource::<LiveSettings>(),
        LiveSettings::of(&settings_without_limits())
    );
    assert_eq!(LiveSettings::default(), LiveSettings::of(&ExportSettings::default()));
}

#[test]
fn a_shorter_flush_interval_takes_effect() {
    let sink = MemorySink::default();
    let mut test = play(settings_without_limits(), sink.clone());
    end_an_episode(&mut test);
    let arrives = |_: &mut TestApp| !sink.episodes().is_empty();
    assert!(!becomes_true(&mut test, Duration::from_millis(300), arrives));
    set(&mut test, |settings| {
        settings.flush_interval = Duration::from_millis(10);
    });
    assert!(becomes_true(&mut test, Duration::from_secs(30), arrives));
    let experience = test.world_mut().resource::<Experience>();
    let now = experience.export_settings();
    assert_eq!(now.flush_interval, Duration::from_millis(10));
    assert_eq!(now.patience, HOUR);
}

#[test]
fn a_smaller_batch_takes_effect() {
    let sink = MemorySink::default();
    let mut test = play(settings_without_limits(), sink.clone());
    set(&mut test, |settings| settings.batch = 3);
    end_an_episode(&mut test);
    assert!(becomes_true(&mut test, Duration::from_secs(30), |_| !sink
        .episodes()
        .is_empty()));
}

/// A sink whose `write` takes this long.
struct SlowSink(Duration);

impl Sink for SlowSink {
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
fn a_shorter_patience_takes_effect() {
    let settings = ExportSettings {
        flush_interval: Duration::from_millis(1),
        queue_bytes: 1,
        close_timeout: Duration::from_millis(10),
        ..settings_without_limits()
    };
    let mut test = play(settings, SlowSink(Duration::from_secs(5)));
    test.init_resource::<Stalled>();
    test.add_observer(|failed: On<SinkFailed>, mut stalled: ResMut<Stalled>| {
        stalled.0 |= failed.consequence == SinkFailure::Stalled;
    });
    let is_stalled = |test: &mut TestApp| {
        end_an_episode(test);
        test.world_mut().resource::<Stalled>().0
    };
    assert!(!becomes_true(&mut test, Duration::from_millis(300), is_stalled));
    set(&mut test, |settings| settings.patience = Duration::ZERO);
    assert!(becomes_true(&mut test, Duration::from_secs(4), is_stalled));
}

#[test]
fn a_shorter_close_timeout_takes_effect() {
    let settings = ExportSettings {
        flush_interval: Duration::from_millis(1),
        ..settings_without_limits()
    };
    let mut test = play(settings, SlowSink(Duration::from_secs(20)));
    end_an_episode(&mut test);
    std::thread::sleep(Duration::from_millis(100));
    set(&mut test, |settings| settings.close_timeout = Duration::from_millis(50));
    test.ticks(1);
    let begun = Instant::now();
    drop(test);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
