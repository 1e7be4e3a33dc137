//! A custom sink: counts episodes and averages their returns by end reason.
//!
//! A sink runs on its own thread and receives whole episodes. It may block, fail or panic without delaying a tick. An
//! `Err` from `write` must mean that the sink took none of the episodes, because they are then offered again.
//!
//!     cargo run --example custom_sink
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    transition::Episode,
};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// Episodes and the sum of their returns, by end reason.
#[derive(Default)]
struct ReturnsSink(BTreeMap<String, (u64, f64)>);

impl Sink for ReturnsSink {
    fn describe(&self) -> Cow<'_, str> {
        "returns by end reason".into()
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        println!("recording `{}`, run {}", recording.schema.name(), recording.run);
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        for episode in episodes {
            let (count, sum) = self.0.entry(episode.reason().to_string()).or_default();
            *count += 1;
            *sum += episode.total_reward();
        }
        Ok(())
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        println!("{} of {} transitions exported", report.exported, report.recorded);
        for (reason, (count, sum)) in &self.0 {
            println!("`{reason}`: {count} episodes, mean return {:.1}", sum / *count as f64);
        }
        Ok(())
    }
}

#[derive(Component)]
struct Worker;

#[derive(Component, Reflect)]
struct Shift(u8);

fn main() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Worker>::new("worker")
                .observe::<Shift>()
                .sink(ReturnsSink::default()),
        )
        .add_systems(FixedUpdate, work);
    app.world_mut().spawn((Worker, Shift(0)));
    (0..40).for_each(|_| app.update());
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(10)), "the sink did not finish");
}

fn work(mut workers: Query<(Entity, &mut Shift, &mut Reward)>, mut commands: Commands) {
    for (worker, mut shift, mut reward) in &mut workers {
        shift.0 = (shift.0 + 1) % 12;
        reward.add("hour", 1.0);
        if shift.0 == 0 {
            commands.trigger(EndEpisode::truncated(worker, "time_limit"));
        }
    }
}
