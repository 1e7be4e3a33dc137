//! With a journal, the memory of an open episode does not grow with its length.

#[path = "support/memory_held.rs"]
mod memory_held;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{export::ExportSettings, journal::JournalSettings, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;
use memory_held::memory_held;

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Senses([f32; 64]);

fn update_senses(mut players: Query<&mut Senses>) {
    for mut senses in &mut players {
        senses.0[0] += 1.0;
    }
}

/// Growth of memory, in bytes, over 16,000 ticks of one player with rows of 320 bytes.
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
                overflow: Overflow::Block(TIMEOUT),
                ..Default::default()
            })
            .sink(DatasetSink::new(folder.path())),
    )
    .add_systems(FixedUpdate, update_senses);
    app.world_mut().spawn((Player, Senses([0.0; 64])));
    let mut run = |ticks: usize| {
        for _ in 0..ticks / 500 {
            for _ in 0..500 {
                app.update();
            }
            assert!(app.world_mut().resource_mut::<Experience>().flush(TIMEOUT));
        }
        memory_held()
    };
    let before = run(4_000);
    let after = run(16_000);
    after.saturating_sub(before)
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_journalled_episode() {
    let with = growth(Some(JournalSettings::default()));
    let without = growth(None);
    // The positions of the rows in the journal take a few bytes for each batch.
    assert!(with < 256 << 10, "{with} bytes more");
    assert!(
        without > 4 << 20,
        "{without} bytes: without a journal the rows are in memory"
    );
}
