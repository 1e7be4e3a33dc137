//! Samples transitions from the players' live buffers, as from a replay buffer, while the game goes on.
//!
//! Each transition in the buffers is equally likely. A sampler reads; it takes nothing from the buffers.
//!
//!     cargo run --example sample_live
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{buffer::Sampler, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use rand::{SeedableRng, rngs::StdRng};
use std::error::Error;

#[derive(Component)]
struct Walker;

#[derive(Component, Reflect)]
struct Position(f32);

#[derive(Component, Reflect)]
struct Step(f32);

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        // Without a sink, a buffer keeps the newest steps of its player.
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe::<Position>()
                .act::<Step>()
                .reward_terms(["moved"])
                .buffers(BufferSettings {
                    capacity: 256,
                    ..BufferSettings::default()
                }),
        )
        .add_systems(FixedUpdate, walk);
    for step in [1.0, -2.0] {
        app.world_mut().spawn((Walker, Position(0.0), Step(step)));
    }

    let mut rng = StdRng::seed_from_u64(7);
    let mut sampler = None;
    for tick in 0..1000 {
        app.update();
        if tick % 250 != 249 {
            continue;
        }
        let experience = app.world().resource::<Experience>();
        let (Some(schema), Some(buffers)) = (experience.schema("walker"), experience.buffers("walker")) else {
            continue;
        };
        // Watch again whenever players have joined or left.
        let sampler = sampler.get_or_insert_with(|| Sampler::new(schema));
        sampler.watch(buffers.readers())?;
        let batch = sampler.sample(32, &mut rng);
        let mean = batch.reward.iter().sum::<f32>() / batch.len() as f32;
        println!("tick {tick}: {} transitions, mean reward {mean:.2}", batch.len());
    }
    Ok(())
}

fn walk(mut walkers: Query<(&mut Position, &Step, &mut Reward)>) {
    for (mut position, step, mut reward) in &mut walkers {
        position.0 += step.0;
        reward.add("moved", f64::from(step.0.abs()));
    }
}
