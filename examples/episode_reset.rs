//! Resets a player when its episode ends, in an observer of `EpisodeEnded`.
//!
//! The final observation is read when `EndEpisode` is applied, and `EpisodeEnded` is triggered right after that. So the
//! data holds the state in which the episode ended, and the next episode begins with the state after the reset.
//!
//!     cargo run --example episode_reset
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::time::Duration;

#[derive(Component)]
struct Runner;

#[derive(Component, Reflect)]
struct Position(f32);

/// Distance per tick.
#[derive(Component, Reflect)]
struct Speed(f32);

const FINISH: f32 = 3.0;

fn main() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Runner>::new("runner")
                .observe::<Position>()
                .act::<Speed>()
                .reward_terms(["finish"])
                .sink(sink.clone()),
        )
        .add_systems(FixedUpdate, (run, finish).chain())
        .add_observer(reset);
    app.world_mut().spawn((Runner, Position(0.0), Speed(1.0)));
    for _ in 0..8 {
        app.update();
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    for episode in sink.episodes() {
        let first = episode.transition(0);
        let last = episode.transition(episode.len() - 1);
        println!(
            "{} transitions from {:?} to {:?}, reason `{}`",
            episode.len(),
            first.observation(),
            last.next_observation(),
            episode.reason()
        );
    }
}

fn run(mut runners: Query<(&mut Position, &Speed)>) {
    for (mut position, speed) in &mut runners {
        position.0 += speed.0;
    }
}

fn finish(mut runners: Query<(Entity, &Position, &mut Reward)>, mut commands: Commands) {
    for (runner, position, mut reward) in &mut runners {
        if position.0 >= FINISH {
            reward.add("finish", 1.0);
            // Writing `position` here would put the reset state into the final observation.
            commands.trigger(EndEpisode::terminated(runner, "goal"));
        }
    }
}

fn reset(ended: On<EpisodeEnded>, mut runners: Query<&mut Position>) {
    if let Ok(mut position) = runners.get_mut(ended.entity) {
        position.0 = 0.0;
    }
}
