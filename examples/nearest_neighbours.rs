//! Observes the two nearest fish in the plane: whether there is one, where it is, and one of its fields.
//!
//! Each neighbour becomes the columns `present`, `dx`, `dy` and the chosen fields. A place without a neighbour holds
//! zeros, so every row has the same width.
//!
//!     cargo run --example nearest_neighbours
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;
use bevy_math::Vec2;
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use bevy_transform::prelude::*;
use std::time::Duration;

#[derive(Component, Reflect)]
struct Fish {
    size: f32,
}

/// Displacement per tick.
#[derive(Component, Reflect)]
struct Velocity(Vec2);

fn main() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Fish>::new("fish")
                .observe_fields::<Transform>(["translation.x", "translation.y"])
                .observe_nearest_with(Nearest::<Fish>::new(2, 10.0).xy().with_field::<Fish>("size"))
                .act::<Velocity>()
                .sink(sink.clone()),
        )
        .add_systems(FixedUpdate, swim);
    // The third fish is farther than 10 units from the others.
    for (size, x) in [(1.0, 0.0), (2.0, 4.0), (3.0, 50.0)] {
        app.world_mut().spawn((
            Fish { size },
            Velocity(Vec2::new(0.5, 0.0)),
            Transform::from_xyz(x, 0.0, 0.0),
        ));
    }
    for _ in 0..3 {
        app.update();
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let schema = sink.schema().expect("the recording has begun");
    for episode in sink.episodes() {
        println!("fish {}", episode.info().agent_id);
        let observation = episode.transition(0).observation();
        for (name, value) in schema.feature_names().iter().zip(observation) {
            println!("  {name} = {value}");
        }
    }
}

fn swim(mut fish: Query<(&mut Transform, &Velocity)>) {
    for (mut transform, velocity) in &mut fish {
        transform.translation += velocity.0.extend(0.0);
    }
}
