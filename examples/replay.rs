//! Records an episode, reads it from its dataset, and replays it on a ghost: the recording's components are written back step by step.
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, EpisodeQuery},
    prelude::*,
    test_app::TestApp,
};
use bevy_experience_replay::{Replay, ReplayEnded, ReplayPlugin};
use bevy_transform::prelude::*;
use std::{error::Error, time::Duration};

const FOLDER: &str = "data/replay";

#[derive(Component)]
struct Walker;

/// Moves players. A ghost follows its replay alone.
fn walk(mut walkers: Query<&mut Transform, (With<Walker>, Without<Replay>)>) {
    for mut transform in &mut walkers {
        transform.translation.x += 0.5;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = TestApp::new(); // in a game: `App`, with its plugins and `ExperiencePlugin`
    app.add_plugins(ReplayPlugin)
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe_fields::<Transform>(["translation.x", "translation.y"])
                .sink(DatasetSink::new(FOLDER)),
        )
        .add_systems(FixedUpdate, walk)
        .add_observer(|ended: On<ReplayEnded>| println!("the replay on {} has ended", ended.entity));

    app.world_mut().spawn((Walker, AgentId(7), Transform::default()));
    app.ticks(6);
    let run = app.world_mut().resource::<Experience>().run();
    // Replays go on when recording is closed.
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let dataset = Dataset::open(FOLDER)?;
    let episode = dataset
        .recording("walker")?
        .episode(&EpisodeQuery::new().run(run).agent(7))?;
    let ghost = app.world_mut().spawn((Replay::new(episode), Transform::default())).id();
    for _ in 0..6 {
        app.ticks(1);
        let ghost = app.world_mut().entity(ghost);
        if let (Some(replay), Some(transform)) = (ghost.get::<Replay>(), ghost.get::<Transform>()) {
            println!(
                "step {} of {}: {}",
                replay.step(),
                replay.last_step(),
                transform.translation
            );
        }
    }
    if let Some(report) = app.world_mut().get::<Replay>(ghost).and_then(Replay::report) {
        println!("{report}");
    }
    Ok(())
}
