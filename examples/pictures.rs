//! Records observations of more than 1 KiB: a picture of 32 × 32 pixels for each player.
//!
//! Such a row has its `next_observation` only where an episode ends. In all other rows it is the next row's `observation`.
//! Each start adds a run to `data/pictures`.
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

/// The action.
#[derive(Component, Reflect)]
struct Stride(f32);

/// What the walker sees: a bright column at its position.
#[derive(Component, Reflect)]
struct Picture([[f32; SIZE]; SIZE]);

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe::<Picture>()
                .act::<Stride>()
                .reward_terms(["distance"])
                .sink(DatasetSink::new(FOLDER)),
        )
        .add_systems(FixedUpdate, (walk, draw).chain())
        .add_observer(
            |ended: On<EpisodeEnded>, mut walkers: Query<(&mut Position, &mut Picture)>| {
                if let Ok((mut position, mut picture)) = walkers.get_mut(ended.entity) {
                    position.0 = 0.0;
                    *picture = picture_at(0.0);
                }
            },
        );
    for walker in 1..=3_u8 {
        app.world_mut()
            .spawn((Walker, Position(0.0), Stride(f32::from(walker)), picture_at(0.0)));
    }
    (0..200).for_each(|_| app.update());
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let dataset = Dataset::open(FOLDER)?;
    let walker = dataset.recording("walker")?;
    let stats = walker.stats()?;
    println!("{} transitions in {} episodes", stats.transitions, stats.episodes);
    Ok(())
}

fn walk(mut walkers: Query<(Entity, &mut Position, &Stride, &mut Reward)>, mut commands: Commands) {
    for (walker, mut position, stride, mut reward) in &mut walkers {
        position.0 += stride.0;
        reward.add("distance", f64::from(stride.0));
        if position.0 >= STEPS {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

fn draw(mut walkers: Query<(&Position, &mut Picture)>) {
    for (position, mut picture) in &mut walkers {
        *picture = picture_at(position.0);
    }
}

fn picture_at(position: f32) -> Picture {
    let mut pixels = [[0.0; SIZE]; SIZE];
    for row in &mut pixels {
        row[position as usize % SIZE] = 1.0;
    }
    Picture(pixels)
}
