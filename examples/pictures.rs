//! Records images: a picture of 32 × 32 pixels for each player, as bytes in the column `observation.picture`.
//!
//! Each walker also measures the distance to the goal by 360 rays, an observation of more than 1 KiB. Rows of such observations, and
//! rows with images, have the next one only where an episode ends. In all other rows it is that of the next row. Each start adds a
//! run to `data/pictures`.
//!
//!     cargo run --example pictures
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Dataset, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{error::Error, time::Duration};

const FOLDER: &str = "data/pictures";
const SIZE: usize = 32;
const STEPS: f32 = 25.0;

#[derive(Component)]
struct Walker;

#[derive(Component, Reflect)]
struct Position(f32);

/// Distances, more than 1 KiB of `f32`.
#[derive(Component, Reflect)]
struct Lidar([f32; 360]);

/// The action.
#[derive(Component, Reflect)]
struct Stride(f32);

/// What the walker sees, in red, green and blue: a bright column at its position.
#[derive(Component, Reflect)]
struct Picture([[[u8; 3]; SIZE]; SIZE]);

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe::<Position>()
                .observe::<Lidar>()
                .observe_image::<Picture>()
                .act::<Stride>()
                .reward_terms(["distance"])
                .sink(DatasetSink::new(FOLDER)),
        )
        // The last observation is read when the end is triggered, so the walkers look before.
        .add_systems(FixedUpdate, (walk, look, reach).chain())
        .add_observer(
            |ended: On<EpisodeEnded>, mut walkers: Query<(&mut Position, &mut Lidar, &mut Picture)>| {
                if let Ok((mut position, mut lidar, mut picture)) = walkers.get_mut(ended.entity) {
                    position.0 = 0.0;
                    (*lidar, *picture) = (lidar_at(0.0), picture_at(0.0));
                }
            },
        );
    for walker in 1..=3_u8 {
        app.world_mut().spawn((
            Walker,
            Position(0.0),
            Stride(f32::from(walker)),
            lidar_at(0.0),
            picture_at(0.0),
        ));
    }
    (0..200).for_each(|_| app.update());
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let dataset = Dataset::open(FOLDER)?;
    let walker = dataset.recording("walker")?;
    let first = walker.episodes().next().ok_or("there is no episode")??;
    let pixels = first.transition(0).image(0);
    println!(
        "{} bytes in the first image of {:?}",
        pixels.len(),
        walker.schema().images()[0].shape
    );
    let stats = walker.stats()?;
    println!("{} transitions in {} episodes", stats.transitions, stats.episodes);
    Ok(())
}

fn walk(mut walkers: Query<(&mut Position, &Stride, &mut Reward)>) {
    for (mut position, stride, mut reward) in &mut walkers {
        position.0 += stride.0;
        reward.add("distance", f64::from(stride.0));
    }
}

fn reach(walkers: Query<(Entity, &Position), With<Walker>>, mut commands: Commands) {
    for (walker, position) in &walkers {
        if position.0 >= STEPS {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

fn look(mut walkers: Query<(&Position, &mut Lidar, &mut Picture)>) {
    for (position, mut lidar, mut picture) in &mut walkers {
        (*lidar, *picture) = (lidar_at(position.0), picture_at(position.0));
    }
}

fn lidar_at(position: f32) -> Lidar {
    Lidar(core::array::from_fn(|ray| {
        (STEPS - position) * (1.0 + ray as f32 / 360.0)
    }))
}

fn picture_at(position: f32) -> Picture {
    let mut pixels = [[[0; 3]; SIZE]; SIZE];
    for (y, row) in pixels.iter_mut().enumerate() {
        // Green and blue tell the rows and the positions apart.
        row[position as usize % SIZE] = [255, y as u8, position as u8];
    }
    Picture(pixels)
}
