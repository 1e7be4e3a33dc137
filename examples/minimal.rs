//! The smallest game that records: walkers look for the goal, and leave a dataset in `data/minimal`.
//!
//! Run it again, and the dataset grows by another run.
#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use bevy_app::{ScheduleRunnerPlugin, TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Dataset, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{error::Error, time::Duration};

#[derive(Component)]
struct Walker;

/// Where a walker is; the goal is at 0.
#[derive(Component, Reflect)]
struct Position(f32);

/// What it does next.
#[derive(Component, Reflect)]
struct Step(f32);

fn main() -> Result<(), Box<dyn Error>> {
    App::new()
        // As fast as it can, one fixed tick a frame. A game with a window has `DefaultPlugins` here.
        .add_plugins((TaskPoolPlugin::default(), TimePlugin, ScheduleRunnerPlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        // The recording.
        .add_plugins(ExperiencePlugin::default())
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe::<Position>()
                .act::<Step>()
                .reward_terms(["closer", "goal"])
                // Nobody watches, so it may wait for the disk rather than lose anything.
                .buffers(BufferSettings {
                    overflow: Overflow::Block(Duration::from_secs(10)),
                    ..Default::default()
                })
                .sink(DatasetSink::new("data/minimal")),
        )
        // The game.
        .add_systems(Startup, spawn)
        .add_systems(FixedUpdate, (decide, walk, arrive, stop).chain())
        .add_observer(start_again)
        .run();

    // The app is over, so everything is written.
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

/// The bot: a player's keyboard would do as well.
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

/// The final observation is taken: now the walker may be moved.
fn start_again(ended: On<EpisodeEnded>, mut walkers: Query<&mut Position>) {
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
