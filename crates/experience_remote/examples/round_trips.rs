//! Decisions a second in lockstep with a policy server: `python/benchmarks/remote.py` starts it.
//!
//!     cargo run --release -p experience_remote --example round_trips -- grpc://127.0.0.1:7712 16 5
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use experience_core::schema::{Column, DType, Schema, Space};
use experience_policy::{ActionBatch, ObservationBatch, PolicyLayout, PolicyModel, Progress, Sampling};
use experience_remote::RemotePolicy;
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

/// As in the arena: 39 features, a discrete head and two numbers.
fn schema() -> Schema {
    let discrete = Column {
        dtype: DType::U8,
        space: Space::Discrete {
            n: 3,
            labels: Vec::new(),
        },
        ..Column::feature("deed")
    };
    Schema::new("walker")
        .with_observation((0..39).map(|index| Column::feature(format!("x{index}"))))
        .with_action([discrete, Column::feature("turn"), Column::feature("speed")])
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, players, seconds] = &arguments[..] else {
        return Err("expected an address, a number of players and of seconds".into());
    };
    let (players, limit): (usize, f64) = (players.parse()?, seconds.parse()?);
    let schema = schema();
    let layout = Arc::new(PolicyLayout::of(&schema));
    let mut model = RemotePolicy::new(address).lockstep();
    model.prepare(&schema, &layout)?;
    let mut observations = ObservationBatch::new(layout.clone());
    let mut actions = ActionBatch::new(layout);
    let features = vec![0.5; 39];
    let mut decide = |tick: i64| {
        observations.clear();
        observations.set_tick(tick);
        for player in 0..players {
            observations.push(player as i64, &features, &[]);
            let progress = Progress {
                episode: Some(1),
                step: tick as u32,
                transitions: 1,
                ticks: 1,
                reward: 0.5,
            };
            observations.push_progress(progress, &[]);
        }
        actions.begin(players);
        model.act(&observations, &mut actions)?;
        actions.decide(&observations, Sampling::Greedy, 0);
        Ok::<_, Box<dyn Error>>(())
    };
    for tick in 0..200 {
        decide(tick)?;
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < Duration::from_secs_f64(limit) {
        let begin = Instant::now();
        decide(times.len() as i64)?;
        times.push(begin.elapsed());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    let quantile = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{players} players: {rate:.0} decisions a second; median {:.0} us, 99 % {:.0} us",
        quantile(0.5),
        quantile(0.99)
    );
    Ok(())
}
