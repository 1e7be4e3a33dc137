//! Controls a recording from outside the game rules: pauses it, tags an episode, and discards one.
//!
//! None of this is visible to the game. A pause ends open episodes (`truncated`, reason `paused`); a discarded episode
//! reaches no sink and counts as `discarded`; tags are kept in a file of the run.
//!
//!     cargo run --example pause_and_tag
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{error::Error, time::Duration};

#[derive(Component)]
struct Pilot;

#[derive(Component, Reflect)]
struct Altitude(f32);

fn main() -> Result<(), Box<dyn Error>> {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Pilot>::new("pilot")
                .observe::<Altitude>()
                .sink(sink.clone()),
        )
        .add_systems(FixedUpdate, |mut pilots: Query<&mut Altitude>| {
            pilots.iter_mut().for_each(|mut altitude| altitude.0 += 1.0);
        });
    for agent in [1, 2] {
        app.world_mut().spawn((Pilot, Altitude(0.0), AgentId(agent)));
    }
    play(&mut app, 4);

    let mut experience = app.world_mut().resource_mut::<Experience>();
    experience.tag_episode("pilot", 1, "good landing")?;
    experience.discard_episode("pilot", 2)?;
    play(&mut app, 3);

    app.world_mut()
        .resource_mut::<Experience>()
        .pause("a cutscene is shown");
    play(&mut app, 5);
    let mut experience = app.world_mut().resource_mut::<Experience>();
    if let Some(reason) = experience.pause_reason("pilot") {
        println!("paused: {reason}");
    }
    experience.resume();
    play(&mut app, 3);

    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));
    for episode in sink.episodes() {
        let agent = episode.info().agent_id;
        println!(
            "agent {agent}: {} transitions, reason `{}`",
            episode.len(),
            episode.reason()
        );
    }
    let report = sink.report();
    for tag in &report.tags {
        println!("episode {} of agent {}: `{}`", tag.episode_id, tag.agent_id, tag.tag);
    }
    println!(
        "{} recorded = {} exported + {} dropped + {} discarded + {} pending",
        report.recorded, report.exported, report.dropped, report.discarded, report.pending
    );
    Ok(())
}

fn play(app: &mut App, ticks: usize) {
    (0..ticks).for_each(|_| app.update());
}
