//! Observes all units within sight as a list with a mask, and reads the list back.
//!
//! Soldiers and towers are in one list, with their kind as a one-hot. Places without a unit hold zeros, so every row has the
//! same width. The dataset is in `data/units`; the book reshapes it with NumPy.
//!
//!     cargo run --example entity_list
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Dataset, prelude::*};
use bevy_math::Vec2;
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use bevy_transform::prelude::*;
use std::{error::Error, time::Duration};

const FOLDER: &str = "data/units";

#[derive(Component)]
struct Scout;

#[derive(Component)]
struct Soldier;

#[derive(Component)]
struct Tower;

#[derive(Component, Reflect)]
struct Health(f32);

/// Displacement per tick.
#[derive(Component, Reflect)]
struct Velocity(Vec2);

fn main() -> Result<(), Box<dyn Error>> {
    play();
    let dataset = Dataset::open(FOLDER)?;
    let recording = dataset.recording("scout")?;
    let units = recording.schema().list("units").ok_or("the schema has the list")?;
    let episode = recording.episodes().next().ok_or("there is an episode")??;
    println!("{:?}", units.features());
    for transition in episode.transitions().step_by(10) {
        println!("tick {}:", transition.tick());
        for unit in units.present(transition.observation()) {
            println!("  {unit:?}");
        }
        println!("  and {} more", units.overflow(transition.observation()));
    }
    Ok(())
}

fn play() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Scout>::new("scout")
                .observe_entities(
                    EntityList::new("units", 3)
                        .kind::<Soldier>("soldier")
                        .kind::<Tower>("tower")
                        .within(10.0)
                        .xy()
                        .with_field::<Health>(""),
                )
                .act::<Velocity>()
                .sink(DatasetSink::new(FOLDER)),
        )
        .add_systems(FixedUpdate, walk);
    app.world_mut()
        .spawn((Scout, Velocity(Vec2::X), Transform::from_xyz(-15.0, 0.0, 0.0)));
    for x in 0..5_u8 {
        let place = Transform::from_xyz(f32::from(x), 1.0, 0.0);
        app.world_mut().spawn((Soldier, Health(f32::from(x) * 10.0), place));
    }
    app.world_mut().spawn((Tower, Transform::from_xyz(8.0, 0.0, 0.0)));
    (0..40).for_each(|_| app.update());
    // The shard must be whole before it is read.
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));
}

fn walk(mut walkers: Query<(&mut Transform, &Velocity)>) {
    for (mut transform, velocity) in &mut walkers {
        transform.translation += velocity.0.extend(0.0);
    }
}
