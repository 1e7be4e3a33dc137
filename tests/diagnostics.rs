//! Diagnostics and tracing spans of a recording.

#[path = "support/player.rs"]
mod player;

use bevy_app::prelude::*;
use bevy_diagnostic::{Diagnostic, DiagnosticsPlugin, DiagnosticsStore};
use bevy_experience::{prelude::*, test_app::TestApp};
use core::time::Duration;
use player::{Age, Player, grow};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

fn play() -> TestApp {
    let mut test = TestApp::new();
    test.add_plugins((DiagnosticsPlugin, ExperienceDiagnosticsPlugin));
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0)));
    test
}

#[test]
fn each_recording_has_diagnostics() {
    let mut test = play();
    test.add_recording(Recording::<Player>::new("a/b").observe::<Age>());
    test.ticks(50);
    let value = |test: &TestApp, recording: &str, what: &str| {
        let store = test.world().resource::<DiagnosticsStore>();
        let diagnostic = store.get(&ExperienceDiagnosticsPlugin::path(recording, what));
        diagnostic.and_then(Diagnostic::value)
    };
    assert_eq!(value(&test, "player", "recorded"), Some(49.0));
    assert_eq!(value(&test, "player", "pending"), Some(49.0));
    assert_eq!(value(&test, "a/b", "recorded"), Some(49.0), "it has no sink");
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(30)));
    test.ticks(1);
    assert_eq!(value(&test, "player", "exported"), Some(49.0));
    assert_eq!(value(&test, "player", "pending"), Some(0.0));
    assert_eq!(value(&test, "player", "dropped"), Some(0.0));
    for timed in ["flush_ms", "lag"] {
        assert!((0.0..60_000.0).contains(&value(&test, "player", timed).unwrap()));
    }
    let progress = test.world().resource::<Experience>().progress("player").unwrap();
    assert_eq!((progress.recorded, progress.exported, progress.pending), (49, 49, 0));
    assert_eq!(test.world().resource::<Experience>().progress("no_such"), None);
}

static SPANS: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

/// Collects the names of spans in [`SPANS`].
struct SpanNames;

impl Subscriber for SpanNames {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
        spans.insert(span.metadata().name());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn captures_drains_and_sink_calls_have_spans() {
    tracing::subscriber::set_global_default(SpanNames).unwrap();
    let mut test = play();
    test.ticks(5);
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(experience.flush(Duration::from_secs(30)));
    test.finish();
    let spans = SPANS.lock().unwrap();
    for what in ["capture", "drain", "flush", "write", "close"] {
        assert!(
            spans.contains(format!("experience_{what}").as_str()),
            "{what}: {spans:?}"
        );
    }
}
