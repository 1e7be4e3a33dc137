//! Writes a dataset, and reads it back in Rust: statistics, episodes, and the account of each run.
//!
//! Each start adds a run to `data/read_dataset`.
//!
//!     cargo run --example read_dataset
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Dataset, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{error::Error, time::Duration};

const FOLDER: &str = "data/read_dataset";

#[derive(Component)]
struct Counter;

#[derive(Component, Reflect)]
struct Count(u8);

fn main() -> Result<(), Box<dyn Error>> {
    write();
    let dataset = Dataset::open(FOLDER)?;
    let recording = dataset.recording("counter")?;

    println!("features: {:?}", recording.schema().feature_names());
    let stats = recording.stats()?;
    println!(
        "{} transitions of {} episodes, which ended for {:?}",
        stats.transitions, stats.episodes, stats.reasons
    );
    for run in recording.runs()? {
        println!(
            "run {}: {} recorded, {} exported",
            run.run, run.account.recorded, run.account.exported
        );
    }
    // One episode at a time is in memory.
    if let Some(episode) = recording.episodes().next() {
        let episode = episode?;
        println!("agent {}, return {}:", episode.info().agent_id, episode.total_reward());
        for transition in episode.transitions() {
            println!(
                "  {:?} → {:?}, reward {}, terminated {}",
                transition.observation(),
                transition.next_observation(),
                transition.reward(),
                transition.terminated()
            );
        }
    }
    Ok(())
}

fn write() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Counter>::new("counter")
                .observe::<Count>()
                .reward_terms(["counted"])
                .sink(DatasetSink::new(FOLDER).with_build("read_dataset example")),
        )
        .add_systems(FixedUpdate, count)
        .add_observer(|ended: On<EpisodeEnded>, mut counts: Query<&mut Count>| {
            if let Ok(mut count) = counts.get_mut(ended.entity) {
                count.0 = 0;
            }
        });
    app.world_mut().spawn((Counter, Count(0)));
    (0..20).for_each(|_| app.update());
    // The end of an app closes its sinks, too; here the shard must be whole before it is read.
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));
}

fn count(mut counters: Query<(Entity, &mut Count, &mut Reward)>, mut commands: Commands) {
    for (counter, mut count, mut reward) in &mut counters {
        count.0 += 1;
        reward.add("counted", 1.0);
        if count.0 == 5 {
            commands.trigger(EndEpisode::terminated(counter, "goal"));
        }
    }
}
