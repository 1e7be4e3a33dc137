//! An open episode lies in the journal: a player of three weeks takes no more memory than one of three minutes.
#![expect(unsafe_code, reason = "an allocator that counts is unsafe to implement")]

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{export::ExportSettings, journal::JournalSettings, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Counts the bytes that all threads hold.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator, which keeps the promises; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
            .overflow(Overflow::Block(PATIENCE))
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
        HELD.load(Ordering::Relaxed)
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
