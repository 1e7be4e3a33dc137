//! A game that an environment in Python starts and plays: a walker on a grid of 7 by 7 cells that must reach the cell in the middle.
//!
//! Each step costs 1, so the best mean return is -3.5. `python/examples/train_sb3.py` learns it.
//!
//!     cargo build --example environment --features remote
use bevy_app::{ScheduleRunnerPlugin, TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    policy::{RemotePolicy, environment_seed},
    prelude::*,
};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::error::Error;

#[derive(Component, Reflect, Default)]
#[require(Step, Clock, PolicyControlled)]
struct Walker {
    #[reflect(@ColumnBounds::new(0.0, 6.0))]
    x: f32,
    #[reflect(@ColumnBounds::new(0.0, 6.0))]
    y: f32,
}

/// The action.
#[derive(Component, Reflect, Default)]
#[rustfmt::skip]
enum Step { #[default] Left, Right, Up, Down }

/// The steps of the episode so far.
#[derive(Component, Default)]
struct Clock(u32);

#[derive(Resource)]
struct Random(StdRng);

fn main() -> Result<(), Box<dyn Error>> {
    let mut recording = Recording::<Walker>::new("walker").observe::<Walker>().act::<Step>();
    recording = recording.reward_terms(["step"]).policy_info();
    if let Some(folder) = std::env::args().skip_while(|argument| argument != "--record").nth(1) {
        recording = recording.sink(DatasetSink::new(folder));
    }
    let policy = Policy::<Walker>::for_recording("walker");
    let remote = RemotePolicy::from_env()?;
    // Without a trainer it plays for a while at random.
    let is_alone = remote.is_none();
    let policy = match remote {
        Some(remote) => policy.remote(remote.lockstep()),
        None => policy.random(),
    };
    App::new()
        .add_plugins((TaskPoolPlugin::default(), TimePlugin, ScheduleRunnerPlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_plugins(ExperiencePlugin::default())
        .add_recording(recording)
        .add_policy(policy)
        .insert_resource(Random(StdRng::seed_from_u64(environment_seed().unwrap_or(0))))
        .add_systems(Startup, |mut commands: Commands, mut random: ResMut<Random>| {
            commands.spawn(place(&mut random));
        })
        .add_systems(FixedUpdate, walk)
        .add_systems(
            Update,
            move |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
                *frames += 1;
                if is_alone && *frames == 1000 {
                    exit.write_default();
                }
            },
        )
        .add_observer(
            |ended: On<EpisodeEnded>, mut commands: Commands, mut random: ResMut<Random>| {
                commands.entity(ended.entity).insert((place(&mut random), Clock(0)));
            },
        )
        .add_observer(begin_anew)
        .run();
    Ok(())
}

/// A random cell other than the goal.
fn place(random: &mut Random) -> Walker {
    loop {
        let (x, y) = (random.0.random_range(0..7) as f32, random.0.random_range(0..7) as f32);
        if (x, y) != (3.0, 3.0) {
            return Walker { x, y };
        }
    }
}

fn begin_anew(reset: On<EnvironmentReset>, mut random: ResMut<Random>, mut walkers: Query<(&mut Walker, &mut Clock)>) {
    if let Some(seed) = reset.seed {
        random.0 = StdRng::seed_from_u64(seed);
    }
    for (mut walker, mut clock) in &mut walkers {
        (*walker, *clock) = (place(&mut random), Clock(0));
    }
}

fn walk(mut walkers: Query<(Entity, &mut Walker, &Step, &mut Clock, &mut Reward)>, mut commands: Commands) {
    for (entity, mut walker, step, mut clock, mut reward) in &mut walkers {
        let (x, y) = match step {
            Step::Left => (-1.0, 0.0),
            Step::Right => (1.0, 0.0),
            Step::Up => (0.0, 1.0),
            Step::Down => (0.0, -1.0),
        };
        (walker.x, walker.y) = ((walker.x + x).clamp(0.0, 6.0), (walker.y + y).clamp(0.0, 6.0));
        clock.0 += 1;
        reward.add("step", -1.0);
        if (walker.x, walker.y) == (3.0, 3.0) {
            commands.trigger(EndEpisode::terminated(entity, "goal"));
        } else if clock.0 == 50 {
            commands.trigger(EndEpisode::truncated(entity, "time_limit"));
        }
    }
}
