//! [`Headless`]: Bevy's default plugins without a window and a GPU, a manual clock, and a scripted keyboard.

use crate::{Log, verdict};
use bevy::{
    app::PluginGroupBuilder,
    ecs::message::MessageWriter,
    input::{ButtonState, keyboard::Key, keyboard::KeyboardInput},
    prelude::*,
    render::{
        RenderPlugin,
        settings::{RenderCreation, WgpuSettings},
        sync_world::SyncWorldPlugin,
    },
    time::TimeUpdateStrategy,
    window::ExitCondition,
};
use bevy_experience::prelude::{MemorySink, SpeculativeTicks};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Frames that a game runs for.
const FRAMES: usize = 3_000;

/// The sink of the recording of this process.
pub fn rows() -> MemorySink {
    static ROWS: OnceLock<MemorySink> = OnceLock::new();
    ROWS.get_or_init(MemorySink::default).clone()
}

/// In place of `DefaultPlugins`. The keys are those that the game reads, and each is held for random times.
pub struct Headless(pub &'static [KeyCode]);

impl PluginGroup for Headless {
    fn build(self) -> PluginGroupBuilder {
        let window = WindowPlugin {
            primary_window: None,
            exit_condition: ExitCondition::DontExit,
            ..default()
        };
        let no_gpu = RenderPlugin {
            render_creation: RenderCreation::Automatic(Box::new(WgpuSettings {
                backends: None,
                ..default()
            })),
            ..default()
        };
        DefaultPlugins.build().set(window).set(no_gpu).add(Script(self.0))
    }
}

struct Script(&'static [KeyCode]);

/// The keyboard of a player with a seed.
#[derive(Resource)]
struct Keyboard {
    keys: &'static [KeyCode],
    held: Vec<bool>,
    random: StdRng,
    window: Entity,
}

impl Plugin for Script {
    fn build(&self, app: &mut App) {
        // Stands for the window of key events.
        let window = app.world_mut().spawn_empty().id();
        // The render plugin adds it only with a GPU, and hooks of components need it.
        app.add_plugins(SyncWorldPlugin)
            .insert_resource(TimeUpdateStrategy::ManualDuration(frame()))
            .insert_resource(Keyboard {
                keys: self.0,
                held: vec![false; self.0.len()],
                random: StdRng::seed_from_u64(seed()),
                window,
            })
            .init_resource::<Log>()
            .add_systems(First, press_keys)
            .set_runner(run);
    }
}

/// The seed of the script, from the variable `GAMES_SEED` of the environment.
pub fn seed() -> u64 {
    std::env::var("GAMES_SEED").map_or(7, |seed| seed.parse().expect("`GAMES_SEED` is a number"))
}

/// Plays the game at a steady speed, eight times as fast as its clock, for games that wait for others.
#[derive(Resource)]
pub struct Paced;

/// The duration of a frame, from the variable `GAMES_HZ` of the environment.
pub fn frame() -> Duration {
    let hz = std::env::var("GAMES_HZ").map_or(60.0, |hz| hz.parse().expect("`GAMES_HZ` is frames per second"));
    Duration::from_secs_f64(1.0 / hz)
}

fn press_keys(mut keyboard: ResMut<Keyboard>, mut events: MessageWriter<KeyboardInput>) {
    let keyboard = &mut *keyboard;
    for (&key_code, held) in keyboard.keys.iter().zip(&mut keyboard.held) {
        if keyboard.random.random_ratio(1, 12) {
            *held = !*held;
            events.write(KeyboardInput {
                key_code,
                logical_key: Key::Unidentified(bevy::input::keyboard::NativeKey::Unidentified),
                state: if *held {
                    ButtonState::Pressed
                } else {
                    ButtonState::Released
                },
                text: None,
                repeat: false,
                window: keyboard.window,
            });
        }
    }
}

fn run(mut app: App) -> AppExit {
    app.finish();
    app.cleanup();
    let pace = app.world().contains_resource::<Paced>().then(|| frame() / 8);
    let started = Instant::now();
    for count in 0..FRAMES {
        if let Some(pace) = pace {
            let due = started + pace * u32::try_from(count).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        app.update();
        if app.should_exit().is_some() {
            break;
        }
    }
    let has_rollback = app.world().contains_resource::<SpeculativeTicks>();
    let log = app
        .world_mut()
        .remove_resource::<Log>()
        .expect("the plugin inserted it");
    // Closes the recording.
    drop(app);
    verdict::compare(&log, has_rollback)
}
