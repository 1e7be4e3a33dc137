//! Trains in the process of the game: a contextual bandit learns from Arrow batches on its own thread, and the players
//! follow its current policy.
//!
//! Each player observes a signal and pulls a lever. The lever that pays depends on the signal.
//!
//!     cargo run --example train_in_process
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type},
};
use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{export::ExportSettings, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

const SIGNALS: usize = 4;
const LEVERS: usize = 4;

#[derive(Component)]
struct Player;

/// The observation: one of `SIGNALS`.
#[derive(Component, Reflect)]
struct Signal(u8);

/// The action: one of `LEVERS`.
#[derive(Component)]
struct Lever(usize);

#[derive(Resource)]
struct GameRng(StdRng);

/// The lever with the highest estimated value for each signal.
#[derive(Resource, Clone, Default)]
struct Policy(Arc<Mutex<[usize; SIGNALS]>>);

fn main() {
    let policy = Policy::default();
    let (sink, batches) = ChannelSink::bounded(64);
    let trainer = thread::spawn({
        let policy = policy.clone();
        // The loop ends when the recording is closed and the channel is empty.
        move || {
            batches
                .iter()
                .fold(Trainer::default(), |trainer, batch| trainer.learn(&batch, &policy))
        }
    });

    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_plugins(ExperiencePlugin {
            // Small batches keep the policy of the players up to date.
            export: ExportSettings {
                batch: 256,
                ..ExportSettings::default()
            },
            ..ExperiencePlugin::default()
        })
        .add_recording(
            Recording::<Player>::new("player")
                .observe::<Signal>()
                .act_discrete_with::<Lever>("lever", LEVERS as u64, |lever| lever.0 as i64)
                .reward_terms(["payout"])
                // A sink receives whole episodes. Split them, so that the trainer does not wait for an end.
                .episodes(EpisodeRules {
                    max_steps: 32,
                    ..Default::default()
                })
                .sink(sink),
        )
        .insert_resource(GameRng(StdRng::seed_from_u64(7)))
        .insert_resource(policy)
        .add_systems(FixedUpdate, (choose, pull).chain());
    for _ in 0..8 {
        app.world_mut().spawn((Player, Signal(0), Lever(0)));
    }
    for _ in 0..4000 {
        app.update();
        // Stands for the time that a game spends on a frame.
        thread::sleep(Duration::from_micros(100));
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let trainer = trainer.join().expect("the trainer does not panic");
    println!(
        "{} transitions in all; the best levers are {:?}",
        trainer.seen,
        trainer.best()
    );
}

/// Epsilon-greedy: follows the policy, and explores with a probability of 0.1.
fn choose(mut players: Query<(&Signal, &mut Lever)>, policy: Res<Policy>, mut rng: ResMut<GameRng>) {
    let best = *policy.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (signal, mut lever) in &mut players {
        let explores = rng.0.random_bool(0.1);
        lever.0 = if explores {
            rng.0.random_range(0..LEVERS)
        } else {
            best[usize::from(signal.0)]
        };
    }
}

/// The environment: rewards the lever that pays, and draws the next signal.
fn pull(mut players: Query<(&mut Signal, &Lever, &mut Reward)>, mut rng: ResMut<GameRng>) {
    for (mut signal, lever, mut reward) in &mut players {
        if lever.0 == (usize::from(signal.0) + 1) % LEVERS {
            reward.add("payout", 1.0);
        }
        signal.0 = rng.0.random_range(0..SIGNALS as u8);
    }
}

/// The mean reward of each lever at each signal.
#[derive(Default)]
struct Trainer {
    values: [[f64; LEVERS]; SIGNALS],
    counts: [[f64; LEVERS]; SIGNALS],
    seen: usize,
    /// Transitions and total reward since the last printed line.
    since: (usize, f64),
}

impl Trainer {
    fn learn(mut self, batch: &RecordBatch, policy: &Policy) -> Self {
        // `observation` has one feature, so it has one value per row.
        let signals = batch["observation"].as_fixed_size_list().values();
        let signals = signals.as_primitive::<Float32Type>().values();
        let levers = batch["action"].as_primitive::<Int64Type>().values();
        let rewards = batch["reward"].as_primitive::<Float64Type>().values();
        for ((&signal, &lever), &reward) in signals.iter().zip(levers).zip(rewards) {
            let (signal, lever) = (signal as usize, lever as usize);
            self.counts[signal][lever] += 1.0;
            let count = self.counts[signal][lever];
            self.values[signal][lever] += (reward - self.values[signal][lever]) / count;
            self.since.1 += reward;
        }
        self.seen += rewards.len();
        self.since.0 += rewards.len();
        if self.since.0 >= 4000 {
            println!(
                "after {:>5} transitions: mean reward {:.2}",
                self.seen,
                self.since.1 / self.since.0 as f64
            );
            self.since = (0, 0.0);
        }
        *policy.0.lock().unwrap_or_else(PoisonError::into_inner) = self.best();
        self
    }

    fn best(&self) -> [usize; SIGNALS] {
        self.values.map(|values| {
            (0..LEVERS)
                .max_by(|a, b| values[*a].total_cmp(&values[*b]))
                .unwrap_or(0)
        })
    }
}
