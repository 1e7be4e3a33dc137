//! Ten minutes of the game at full speed, with players who come and go: memory stays flat, and the accounts are equal.

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
const PATIENCE: Duration = Duration::from_secs(60);
/// What comes and goes with shards and batches, of which a minute's end sees now more and now less.
const BREATH: usize = 1 << 20;
const KEPT: u64 = 2 << 20;

#[test]
fn memory_is_flat_and_the_accounts_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ArenaSettings {
        players: 12,
        churn: true,
        ..ArenaSettings::default()
    };
    let mut app = headless(settings.clone());
    let sink = DatasetSink::new(folder.path())
        .with_shard_bytes(256 << 10)
        .with_keep_bytes(KEPT);
    app.add_plugins((
        ExperiencePlugin {
            export: ExportSettings {
                batch: 1024,
                patience: PATIENCE,
                // The room for a frame has its full size at once, and not when the machine is busy for the first time.
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
                overflow: Overflow::Block(PATIENCE),
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
        assert!(experience.flush(PATIENCE));
        held.push(memory_held());
    }
    // Two minutes to warm up: capacities of the game, the first shards, everybody's first life.
    let most = held[2..5].iter().max().unwrap();
    let last = held[7..].iter().max().unwrap();
    assert!(*last <= most + BREATH, "bytes held at the end of each minute: {held:?}");

    let played = app.world().resource::<Clock>().player_ticks;
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(PATIENCE));
    let report = experience.reports(FIGHTER).remove(0);
    assert_eq!(
        (report.exported, report.dropped, report.pending),
        (report.recorded, 0, 0)
    );
    assert_eq!((report.failures, report.unbuffered_agents), (0, 0));
    // A player's first tick after each of its beginnings is no transition; everything else is one.
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
    assert!(run.retired.shards > 0, "old shards went");
    assert_eq!(run.retired.transitions + validation.transitions, report.exported);
    let bytes: u64 = fighter
        .shards()
        .unwrap()
        .iter()
        .map(|shard| fs::metadata(shard).unwrap().len())
        .sum();
    assert!(bytes <= KEPT, "{bytes}");
}
