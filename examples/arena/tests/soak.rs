//! Ten minutes of game time at full speed with churn: memory stays constant, and all counts add up.

// The games of these tests are headless. A build with the window would play them again.
#![cfg(not(feature = "window"))]

#[path = "../../../tests/support/memory_held.rs"]
mod memory_held;

use memory_held::memory_held;
use std::{fs, time::Duration};

use arena::{
    ArenaSettings, Clock, headless,
    record::{FIGHTER, buffers, recording},
};
use bevy_experience::{
    dataset::{Dataset, RunStatus},
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
};

const MINUTES: u32 = 10;
const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes by which memory in use varies, with the shards and batches that are open at the moment.
const TOLERANCE: usize = 1 << 20;
/// The size limit of the dataset, in bytes.
const KEEP_BYTES: u64 = 2 << 20;

#[test]
fn memory_is_constant_and_counts_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ArenaSettings {
        players: 12,
        churn: true,
        ..ArenaSettings::default()
    };
    let mut app = headless(settings.clone());
    let sink = DatasetSink::new(folder.path())
        .with_shard_bytes(256 << 10)
        .with_keep_bytes(KEEP_BYTES);
    app.add_plugins((
        ExperiencePlugin {
            export: ExportSettings {
                batch: 1024,
                patience: EXPORT_TIMEOUT,
                // Small enough that the frame buffer reaches its full size at once, not when the machine is first busy.
                journal: Some(JournalSettings {
                    frame_bytes: 64 << 10,
                    ..JournalSettings::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        },
        ExperienceDiagnosticsPlugin,
    ))
    .add_recording(
        recording(&settings)
            .buffers(BufferSettings {
                overflow: Overflow::Block(EXPORT_TIMEOUT),
                ..buffers(&settings)
            })
            .sink(sink),
    );
    let mut held = Vec::new();
    for _ in 0..MINUTES {
        for _ in 0..60 * settings.hz {
            app.update();
        }
        let mut experience = app.world_mut().resource_mut::<Experience>();
        assert!(experience.flush(EXPORT_TIMEOUT));
        held.push(memory_held());
    }
    // The first two minutes warm up: allocations of the game grow, and the first shards are written.
    let most = held[2..5].iter().max().unwrap();
    let last = held[7..].iter().max().unwrap();
    assert!(
        *last <= most + TOLERANCE,
        "bytes held at the end of each minute: {held:?}"
    );

    let played = app.world().resource::<Clock>().player_ticks;
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(EXPORT_TIMEOUT));
    let report = experience.reports(FIGHTER).remove(0);
    assert_eq!(
        (report.exported, report.dropped, report.pending),
        (report.recorded, 0, 0)
    );
    assert_eq!((report.failures, report.unbuffered_agents), (0, 0));
    // Every tick of a player is a transition, except the first of each episode and those while it is dead.
    assert!(
        report.recorded <= played && report.recorded * 10 >= played * 8,
        "{report:?}, {played}"
    );
    let dataset = Dataset::open(folder.path()).unwrap();
    let fighter = dataset.recording(FIGHTER).unwrap();
    let validation = fighter.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    let run = fighter.runs().unwrap().remove(0);
    assert_eq!((run.status, &run.account), (RunStatus::Closed, &report));
    assert!(run.retired.shards > 0, "no old shard was deleted");
    assert_eq!(run.retired.transitions + validation.transitions, report.exported);
    let bytes: u64 = fighter
        .shards()
        .unwrap()
        .iter()
        .map(|shard| fs::metadata(shard).unwrap().len())
        .sum();
    assert!(bytes <= KEEP_BYTES, "{bytes}");
}
