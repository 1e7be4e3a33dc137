//! A minimal headless game that records a dataset: walkers that move to a goal.
//!
//! Each start adds a run to `data/minimal`.
//!
//!     cargo run --example minimal
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{ScheduleRunnerPlugin, TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Dataset, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{error::Error, time::Duration};

#[derive(Component)]
struct Walker;

/// The observation: a position on a line, with the goal at 0.
#[derive(Component, Reflect)]
struct Position(f32);

/// The action: the displacement of the next tick.
#[derive(Component, Reflect)]
struct Step(f32);

fn main() -> Result<(), Box<dyn Error>> {
    App::new()
        // Headless, with one fixed tick per frame. A game with a window adds `DefaultPlugins` here.
        .add_plugins((TaskPoolPlugin::default(), TimePlugin, ScheduleRunnerPlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        // The recording.
        .add_plugins(ExperiencePlugin::default())
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe::<Position>()
                .act::<Step>()
                .reward_terms(["closer", "goal"])
                // A headless game can wait for the disk instead of losing rows.
                .buffers(BufferSettings {
                    overflow: Overflow::Block(Duration::from_secs(10)),
                    ..Default::default()
                })
                .sink(DatasetSink::new("data/minimal")),
        )
        // The game.
        .add_systems(Startup, spawn)
        .add_systems(FixedUpdate, (decide, walk, arrive, stop).chain())
        .add_observer(reset)
        .run();

    // The app has exited, so every episode is written.
    let stats = Dataset::open("data/minimal")?.recording("walker")?.stats()?;
    println!(
        "data/minimal holds {} transitions of {} episodes",
        stats.transitions, stats.episodes
    );
    Ok(())
}

fn spawn(mut commands: Commands) {
    for start in [-4.0, 3.0, 7.0] {
        commands.spawn((Walker, Position(start), Step(0.0)));
    }
}

/// A scripted policy. Keyboard input could write `Step` as well.
fn decide(mut walkers: Query<(&Position, &mut Step)>) {
    for (position, mut step) in &mut walkers {
        step.0 = -position.0.clamp(-0.5, 0.5);
    }
}

fn walk(mut walkers: Query<(&mut Position, &Step, &mut Reward)>) {
    for (mut position, step, mut reward) in &mut walkers {
        let before = position.0.abs();
        position.0 += step.0;
        reward.add("closer", f64::from(before - position.0.abs()));
    }
}

fn arrive(mut walkers: Query<(Entity, &Position, &mut Reward)>, mut commands: Commands) {
    for (walker, position, mut reward) in &mut walkers {
        if position.0 == 0.0 {
            reward.add("goal", 1.0);
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

/// Runs after the final observation was read, so the walker can be moved.
fn reset(ended: On<EpisodeEnded>, mut walkers: Query<&mut Position>) {
    if let Ok(mut position) = walkers.get_mut(ended.entity) {
        position.0 = 5.0;
    }
}

fn stop(mut ticks: Local<u32>, mut exit: MessageWriter<AppExit>) {
    *ticks += 1;
    if *ticks == 1000 {
        exit.write(AppExit::Success);
    }
}
