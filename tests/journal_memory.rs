//! An open episode lies in the journal: a player of three weeks takes no more memory than one of three minutes.

#[path = "support/memory_held.rs"]
mod memory_held;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{export::ExportSettings, journal::JournalSettings, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;
use memory_held::memory_held;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Senses([f32; 64]);

fn feel(mut players: Query<&mut Senses>) {
    for mut senses in &mut players {
        senses.0[0] += 1.0;
    }
}

/// By how much memory grows while one player lives 16,000 ticks, of rows of 320 bytes each.
fn growth(journal: Option<JournalSettings>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        TimePlugin,
        ExperiencePlugin {
            export: ExportSettings {
                journal,
                ..ExportSettings::default()
            },
            ..ExperiencePlugin::default()
        },
    ))
    .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
    .add_recording(
        Recording::<Player>::new("player")
            .observe::<Senses>()
            .buffers(BufferSettings {
                overflow: Overflow::Block(PATIENCE),
                ..Default::default()
            })
            .sink(DatasetSink::new(folder.path())),
    )
    .add_systems(FixedUpdate, feel);
    app.world_mut().spawn((Player, Senses([0.0; 64])));
    let mut live = |ticks: usize| {
        for _ in 0..ticks / 500 {
            for _ in 0..500 {
                app.update();
            }
            assert!(app.world_mut().resource_mut::<Experience>().flush(PATIENCE));
        }
        memory_held()
    };
    let before = live(4_000);
    let after = live(16_000);
    after.saturating_sub(before)
}

#[test]
fn a_long_life_takes_no_more_memory_than_a_short_one() {
    let with = growth(Some(JournalSettings::default()));
    let without = growth(None);
    // Where each stretch of rows lies takes a few bytes.
    assert!(with < 256 << 10, "{with} bytes more");
    assert!(
        without > 4 << 20,
        "{without} bytes: without a journal they would be in memory"
    );
}
