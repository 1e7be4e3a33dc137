//! Decisions a second in lockstep with a policy server: `python/benchmarks/remote.py` starts it.
//!
//!     cargo run --release -p experience_remote --example round_trips -- grpc://127.0.0.1:7712 16 5
//!
//! With `bare`, round trips a second of a plain Flight client with messages of the same size, which are sent as they are and not read:
//! what the connection and the server alone take.
//!
//!     cargo run --release -p experience_remote --example round_trips -- grpc://127.0.0.1:7712 16 5 bare
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::{FlightDescriptor, flight_service_client::FlightServiceClient, utils::batches_to_flight_data};
use arrow_schema::{DataType, Field};
use experience_core::schema::{Column, DType, Schema, Space};
use experience_policy::{ActionBatch, ObservationBatch, PolicyLayout, PolicyModel, Progress, Sampling};
use experience_remote::RemotePolicy;
use futures_util::stream;
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tonic::transport::Endpoint;

const FEATURES: usize = 39;

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
        .with_observation((0..FEATURES).map(|index| Column::feature(format!("x{index}"))))
        .with_action([discrete, Column::feature("turn"), Column::feature("speed")])
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, players, seconds, rest @ ..] = &arguments[..] else {
        return Err("expected an address, a number of players and of seconds".into());
    };
    let (players, seconds) = (players.parse()?, seconds.parse()?);
    if rest.iter().any(|argument| argument == "bare") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(bare(address, players, seconds))
    } else {
        decisions(address, players, seconds)
    }
}

fn decisions(address: &str, players: usize, seconds: f64) -> Result<(), Box<dyn Error>> {
    let schema = schema();
    let layout = Arc::new(PolicyLayout::of(&schema));
    let mut model = RemotePolicy::new(address).lockstep();
    model.prepare(&schema, &layout)?;
    let mut observations = ObservationBatch::new(layout.clone());
    let mut actions = ActionBatch::new(layout);
    let features = vec![0.5; FEATURES];
    let mut times = Times::new("decisions", players, seconds);
    for tick in 0_u32.. {
        let begin = Instant::now();
        observations.clear();
        observations.set_tick(tick.into());
        for player in 0..players {
            observations.push(player as i64, &features, &[]);
            let progress = Progress {
                episode: Some(1),
                step: tick,
                transitions: 1,
                ticks: 1,
                reward: 0.5,
            };
            observations.push_progress(progress, &[]);
        }
        actions.begin(players);
        model.act(&observations, &mut actions)?;
        actions.decide(&observations, Sampling::Greedy, 0);
        if times.add(begin.elapsed()) {
            break;
        }
    }
    times.print();
    Ok(())
}

/// Sends the same batch again and again, each time after an answer has come.
async fn bare(address: &str, players: usize, seconds: f64) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::from_shared(address.replace("grpc://", "http://"))?.tcp_nodelay(true);
    let mut client = FlightServiceClient::new(endpoint.connect().await?);
    let batch = batch(players)?;
    let mut messages = batches_to_flight_data(&batch.schema(), [&batch])?;
    messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd(b"bare".to_vec()));
    let (sender, mut receiver) = mpsc::channel(4);
    sender.try_send(messages.remove(0))?;
    let requests = stream::poll_fn(move |context| receiver.poll_recv(context));
    let mut answers = client.do_exchange(requests).await?.into_inner();
    answers.message().await?.ok_or("the server has sent no schema")?;
    let mut times = Times::new("bare round trips", players, seconds);
    loop {
        let begin = Instant::now();
        let mut message = messages[0].clone();
        message.app_metadata = r#"{"tick":1000,"players":16,"missed":0}"#.into();
        sender.try_send(message)?;
        answers.message().await?.ok_or("the server has ended the exchange")?;
        if times.add(begin.elapsed()) {
            break;
        }
    }
    times.print();
    Ok(())
}

/// Columns like those of a decision.
fn batch(players: usize) -> Result<RecordBatch, Box<dyn Error>> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let features = Arc::new(Float32Array::from(vec![0.5; players * FEATURES]));
    let columns: [(&str, ArrayRef); 5] = [
        ("agent_id", Arc::new(Int64Array::from(vec![1; players]))),
        ("episode_id", Arc::new(Int64Array::from(vec![1; players]))),
        ("reward", Arc::new(Float64Array::from(vec![0.5; players]))),
        ("end_reason", Arc::new(StringArray::from(vec![""; players]))),
        (
            "observation",
            Arc::new(FixedSizeListArray::try_new(item, FEATURES as i32, features, None)?),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Measures times after a warm-up.
struct Times {
    name: &'static str,
    players: usize,
    seconds: Duration,
    warm_up: usize,
    times: Vec<Duration>,
    start: Instant,
}

impl Times {
    fn new(name: &'static str, players: usize, seconds: f64) -> Self {
        Self {
            name,
            players,
            seconds: Duration::from_secs_f64(seconds),
            warm_up: 200,
            times: Vec::new(),
            start: Instant::now(),
        }
    }

    /// Adds a time. Returns whether it was the last one.
    fn add(&mut self, time: Duration) -> bool {
        if self.warm_up > 0 {
            self.warm_up -= 1;
            self.start = Instant::now();
            return false;
        }
        self.times.push(time);
        self.start.elapsed() >= self.seconds
    }

    fn print(mut self) {
        let rate = self.times.len() as f64 / self.start.elapsed().as_secs_f64();
        self.times.sort_unstable();
        let quantile = |share: f64| self.times[(self.times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
        println!(
            "{} players: {rate:.0} {} a second; median {:.0} us, 99 % {:.0} us",
            self.players,
            self.name,
            quantile(0.5),
            quantile(0.99)
        );
    }
}
