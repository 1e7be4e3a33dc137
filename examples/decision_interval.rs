//! One decision for every four ticks: a transition lasts four ticks, and its reward is the sum over them.
//!
//! The action is the one of the interval's first tick. The column `ticks` holds the duration of a transition: the last one
//! is shorter if the episode ends within an interval.
//!
//!     cargo run --example decision_interval
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::time::Duration;

#[derive(Component)]
struct Car;

#[derive(Component, Reflect)]
struct Distance(f32);

/// The action, chosen once for every [`INTERVAL`] ticks.
#[derive(Component, Reflect)]
struct Throttle(f32);

const INTERVAL: u32 = 4;

fn main() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Car>::new("car")
                .observe::<Distance>()
                .act::<Throttle>()
                .reward_terms(["progress"])
                .decision_interval(INTERVAL)
                .sink(sink.clone()),
        )
        .add_systems(FixedUpdate, (decide, drive).chain());
    app.world_mut().spawn((Car, Distance(0.0), Throttle(0.0)));
    for _ in 0..12 {
        app.update();
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    for transition in sink.episodes().iter().flat_map(Episode::transitions) {
        println!(
            "tick {}: {:?} with throttle {:?} for {} ticks, reward {}",
            transition.tick(),
            transition.observation(),
            transition.action().collect::<Vec<_>>(),
            transition.ticks(),
            transition.reward()
        );
    }
}

/// The first capture, at which the car joins, is that of tick 0; the first interval begins with the tick after it.
fn decide(mut cars: Query<&mut Throttle>, experience: Res<Experience>) {
    let tick = experience.tick("car").unwrap_or_default();
    if (tick - 1) % i64::from(INTERVAL) == 0 {
        for mut throttle in &mut cars {
            throttle.0 += 0.25;
        }
    }
}

fn drive(mut cars: Query<(Entity, &mut Distance, &Throttle, &mut Reward)>, mut commands: Commands) {
    for (car, mut distance, throttle, mut reward) in &mut cars {
        distance.0 += throttle.0;
        reward.add("progress", f64::from(throttle.0));
        if distance.0 > 4.0 {
            commands.trigger(EndEpisode::terminated(car, "goal"));
        }
    }
}
