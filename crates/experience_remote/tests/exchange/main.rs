//! A remote policy with a real server: one that decides, and those that are late, dead, wrong or for another game.

mod mutations;
mod outcomes;
mod server;
#[cfg(feature = "tls")]
mod tls;

use arrow_flight::FlightData;
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::Outcome,
};
use experience_policy::{
    ActionBatch, EpisodeOutcome, ModelRequest, ObservationBatch, PolicyError, PolicyLayout, PolicyModel, Progress,
    Sampling,
};
use experience_remote::RemotePolicy;
use server::{Reply, Script, TestServer, actions, metadata};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const ACCEPTED: &str = r#"{"accepted":{"protocol":1}}"#;

fn schema() -> Schema {
    let action = Column {
        space: Space::Discrete {
            n: 3,
            labels: Vec::new(),
        },
        dtype: DType::U8,
        ..Column::feature("move")
    };
    Schema::new("walker")
        .with_observation([Column::feature("x"), Column::feature("y")])
        .with_action([action])
        .with_reward_terms(["step"])
}

struct Game {
    model: RemotePolicy,
    observations: ObservationBatch,
    actions: ActionBatch,
}

impl Game {
    fn new(mut model: RemotePolicy) -> Self {
        let schema = schema();
        let layout = Arc::new(PolicyLayout::of(&schema));
        model.prepare(&schema, &layout).expect("the address is good");
        Self {
            model,
            observations: ObservationBatch::new(layout.clone()),
            actions: ActionBatch::new(layout),
        }
    }

    /// One decision for this number of players.
    fn decide(&mut self, players: usize) -> Result<Vec<f64>, PolicyError> {
        self.observations.clear();
        for player in 0..players {
            self.observations.push(player as i64, &[player as f32 + 0.1, -0.0], &[]);
            let progress = Progress {
                episode: Some(7),
                step: 2,
                transitions: 1,
                ticks: 3,
                reward: -1.5,
            };
            self.observations.push_progress(progress, &[-1.5]);
        }
        self.actions.begin(players);
        self.model.act(&self.observations, &mut self.actions)?;
        self.actions.decide(&self.observations, Sampling::Greedy, 0);
        Ok((0..players)
            .flat_map(|player| self.actions.values(player).to_vec())
            .collect())
    }
}

fn script(script: impl Fn(usize, &FlightData) -> Vec<Reply> + Send + Sync + 'static) -> Script {
    Arc::new(script)
}

fn always(action: f64) -> Script {
    script(move |_, _| vec![Reply::Send(actions(1, &[action]))])
}

fn text(result: Result<Vec<f64>, PolicyError>) -> String {
    result.expect_err("no decision is made").to_string()
}

#[test]
fn a_decision_is_one_message_and_one_answer() {
    let server = TestServer::start(0, Some(ACCEPTED), None, always(2.0));
    let mut game = Game::new(RemotePolicy::new(&server.address));
    for _ in 0..3 {
        assert_eq!(game.decide(1), Ok(vec![2.0]));
    }
    let status = game.model.status()();
    assert_eq!(
        (status.requests, status.answers, status.connections, status.lost),
        (3, 3, 1, 0)
    );
    let first = server.received.recv().expect("a message was received");
    let hello = first
        .flight_descriptor
        .expect("the first message says what the game is")
        .cmd;
    let hello: serde_json::Value = serde_json::from_slice(&hello).expect("it is JSON");
    assert_eq!(
        (&hello["recording"], &hello["lockstep"]),
        (&"walker".into(), &true.into())
    );
}

#[test]
fn the_batch_holds_what_was_observed_bit_by_bit() {
    let server = TestServer::start(
        0,
        Some(ACCEPTED),
        None,
        script(|_, _| vec![Reply::Send(metadata(r#"{"keep":true}"#))]),
    );
    let mut game = Game::new(RemotePolicy::new(&server.address));
    let end = EpisodeOutcome {
        agent_id: -4,
        progress: Progress {
            episode: Some(1 << 40),
            step: 9,
            transitions: 1,
            ticks: 1,
            reward: 0.25,
        },
        outcome: Outcome::Terminated,
        reason: "goal".into(),
        has_observation: true,
    };
    game.observations
        .outcomes_mut()
        .push(end, &[0.25], &[f32::MIN_POSITIVE, 3.5], &[]);
    game.decide(2).expect("the players keep their actions");
    assert!((0..2).all(|player| game.actions.is_kept(player) && !game.actions.is_decided(player)));
    let (first, data) = (server.received.recv(), server.received.recv());
    let (first, data) = (first.expect("the schema was sent"), data.expect("a batch was sent"));
    let schema = Arc::new(try_schema_from_flatbuffer_bytes(&first.data_header).expect("it is a schema"));
    let batch = arrow_flight::utils::flight_data_to_arrow_batch(&data, schema, &Default::default());
    let batch = batch.expect("it is a batch of the schema");
    let list = |name: &str| {
        let column = batch.column_by_name(name).expect("the column exists").to_data();
        column.child_data()[0].buffers()[0].typed_data::<f32>().to_vec()
    };
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(
        bits(&list("observation")),
        bits(&[0.1, -0.0, 1.1, -0.0, f32::MIN_POSITIVE, 3.5])
    );
    assert_eq!(list("reward_terms"), [-1.5, -1.5, 0.25]);
    let longs = |name: &str| {
        batch
            .column_by_name(name)
            .expect("the column exists")
            .to_data()
            .buffers()[0]
            .typed_data::<i64>()
            .to_vec()
    };
    assert_eq!(
        (longs("agent_id"), longs("episode_id")),
        (vec![0, 1, -4], vec![7, 7, 1 << 40])
    );
    assert_eq!(
        batch
            .column_by_name("outcome")
            .expect("the column exists")
            .to_data()
            .buffers()[0]
            .as_slice(),
        [0, 0, 1]
    );
    assert_eq!(
        batch
            .column_by_name("end_reason")
            .expect("the column exists")
            .to_data()
            .buffers()[1]
            .as_slice(),
        b"goal"
    );
}

#[test]
fn a_server_that_is_killed_is_reported_and_connected_again() {
    let server = TestServer::start(0, Some(ACCEPTED), None, always(1.0));
    let (port, address) = (server.port, server.address.clone());
    let mut game = Game::new(RemotePolicy::new(&address));
    assert_eq!(game.decide(1), Ok(vec![1.0]));
    drop(server);
    let lost = text(game.decide(1));
    assert!(lost.contains("is lost") && lost.contains(&address), "{lost}");
    // The game goes on at full speed.
    let start = Instant::now();
    assert!((0..100).all(|_| game.decide(1).is_err()));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let _server = TestServer::start(port, Some(ACCEPTED), None, always(0.0));
    let until = Instant::now() + Duration::from_secs(10);
    while game.decide(1) != Ok(vec![0.0]) {
        assert!(Instant::now() < until, "{:?}", game.model.status()());
        thread::sleep(Duration::from_millis(20));
    }
    let status = game.model.status()();
    assert_eq!((status.connections, status.lost, status.is_connected), (2, 1, true));
    assert!(status.disconnected >= 100);
}

#[test]
fn a_server_that_hangs_is_found_out_and_heartbeats_tell_a_slow_one_from_it() {
    let hangs = script(|_, _| Vec::new());
    let server = TestServer::start(0, Some(ACCEPTED), None, hangs);
    let policy = RemotePolicy::new(&server.address).silence_limit(Duration::from_millis(300));
    let mut game = Game::new(policy);
    let start = Instant::now();
    let lost = text(game.decide(1));
    assert!(lost.contains("nothing was heard"), "{lost}");
    assert!(
        (250..3000).contains(&start.elapsed().as_millis()),
        "{:?}",
        start.elapsed()
    );

    let slow = script(|_, _| {
        let beat = [
            Reply::Wait(Duration::from_millis(150)),
            Reply::Send(metadata(r#"{"heartbeat":true}"#)),
        ];
        (0..5)
            .flat_map(|_| beat.clone())
            .chain([Reply::Send(actions(1, &[2.0]))])
            .collect()
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, slow);
    let policy = RemotePolicy::new(&server.address).silence_limit(Duration::from_millis(300));
    assert_eq!(Game::new(policy).decide(1), Ok(vec![2.0]));
}

#[test]
fn late_answers_are_counted_and_not_used() {
    let slow = script(|number, _| {
        let wait = if number == 1 { 200 } else { 0 };
        vec![
            Reply::Wait(Duration::from_millis(wait)),
            Reply::Send(actions(1, &[number as f64 - 1.0])),
        ]
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, slow);
    let policy = RemotePolicy::new(&server.address).deadline(Duration::from_millis(30));
    let mut game = Game::new(policy.first_wait(Duration::from_secs(5)));
    assert!(matches!(game.decide(1), Err(PolicyError::Late(_))));
    assert_eq!(game.decide(1), Err(PolicyError::Busy));
    thread::sleep(Duration::from_millis(250));
    // The late answer would be 0.
    assert_eq!(game.decide(1), Ok(vec![1.0]));
    let status = game.model.status()();
    assert_eq!((status.late, status.skipped, status.answers, status.lost), (1, 1, 1, 0));
}

#[test]
fn wrong_answers_are_refused_and_the_connection_goes_on() {
    let wrong = script(|number, _| {
        vec![Reply::Send(match number {
            1 => actions(2, &[0.0, 0.0]),
            2 => actions(1, &[3.0]),
            3 => actions(1, &[f64::NAN]),
            4 => actions(1, &[-1.0]),
            5 => actions(1, &[0.5]),
            6 => actions(1, &[0.0; 40]),
            7 => actions(1, &[]),
            8 => metadata(r#"{"surprise":true}"#),
            9 => metadata("not JSON"),
            10 => FlightData {
                data_header: vec![7; 33].into(),
                ..FlightData::default()
            },
            _ => actions(1, &[2.0]),
        })]
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, wrong);
    let mut game = Game::new(RemotePolicy::new(&server.address));
    for number in 1..=10 {
        let refused = text(game.decide(1));
        assert!(refused.contains("is refused"), "{number}: {refused}");
    }
    assert_eq!(game.decide(1), Ok(vec![2.0]));
    let status = game.model.status()();
    assert_eq!((status.refused, status.answers, status.lost), (10, 1, 0));
}

#[test]
fn a_message_above_the_limit_is_not_read() {
    let huge = script(|_, _| {
        vec![Reply::Send(FlightData {
            data_body: vec![0; 1 << 20].into(),
            ..actions(1, &[0.0])
        })]
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, huge);
    let mut game = Game::new(RemotePolicy::new(&server.address).max_message_bytes(1 << 16));
    let lost = text(game.decide(1));
    assert!(lost.contains("is lost") && lost.contains("limit"), "{lost}");
}

#[test]
fn a_server_for_another_schema_is_refused_with_what_differs() {
    let other = r#"{"accepted":{"protocol":1,"model":{"features":["x","z"],"action_mask":0,
        "heads":[{"name":"move","output":"action.move","kind":"discrete","n":4}]}}}"#;
    let server = TestServer::start(0, Some(other), None, always(0.0));
    let refused = text(Game::new(RemotePolicy::new(&server.address).first_wait(Duration::from_secs(1))).decide(1));
    for part in [
        "another schema",
        "lacks the features `y`",
        "lacks the features `z`",
        "one of 3 here and one of 4",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let newer = r#"{"accepted":{"protocol":2}}"#;
    let server = TestServer::start(0, Some(newer), None, always(0.0));
    let refused = text(Game::new(RemotePolicy::new(&server.address).first_wait(Duration::from_secs(1))).decide(1));
    assert!(refused.contains("its protocol is 2"), "{refused}");
}

#[test]
fn without_the_token_nothing_is_played() {
    let server = TestServer::start(0, Some(ACCEPTED), Some("secret"), always(1.0));
    let game = |policy: RemotePolicy| Game::new(policy.first_wait(Duration::from_millis(500))).decide(1);
    assert_eq!(game(RemotePolicy::new(&server.address).token("secret")), Ok(vec![1.0]));
    for policy in [
        RemotePolicy::new(&server.address),
        RemotePolicy::new(&server.address).token("wrong-token"),
    ] {
        assert!(!format!("{policy:?}").contains("wrong-token"));
        let refused = text(game(policy));
        assert!(
            refused.contains("the token is missing or wrong") && !refused.contains("wrong-token"),
            "{refused}"
        );
    }
    let layout = PolicyLayout::of(&schema());
    let far = RemotePolicy::new("grpc://192.0.2.1:7712").prepare(&schema(), &layout);
    assert!(
        far.expect_err("it needs a token")
            .to_string()
            .contains("give its token")
    );
}

#[test]
fn a_reset_and_an_exit_are_asked_of_the_game() {
    let asks = script(|number, _| {
        let json = if number == 1 {
            r#"{"reset":{"seed":5}}"#
        } else {
            r#"{"exit":true}"#
        };
        vec![Reply::Send(metadata(json))]
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, asks);
    let mut game = Game::new(RemotePolicy::new(&server.address));
    let requests = game.model.requests().expect("it has requests");
    game.decide(1).expect("the player keeps its action");
    assert_eq!(requests.take(), [ModelRequest::Reset { seed: Some(5) }]);
    requests.answer_reset(true);
    game.decide(1).expect("the player keeps its action");
    assert_eq!(requests.take(), [ModelRequest::Exit]);
    let told = server.received.iter().nth(2).expect("a batch was sent").app_metadata;
    assert!(String::from_utf8_lossy(&told).contains(r#""reset":true"#));
}

#[test]
fn a_game_of_an_environment_exits_when_the_connection_ends() {
    let ends = script(|_, _| vec![Reply::End]);
    let server = TestServer::start(0, Some(ACCEPTED), None, ends);
    let mut game = Game::new(RemotePolicy::new(&server.address).exit_on_close(true));
    let requests = game.model.requests().expect("it has requests");
    assert!(text(game.decide(1)).contains("is lost"));
    assert_eq!(requests.take(), [ModelRequest::Exit]);
    let fails = script(|_, _| vec![Reply::Fail("the trainer failed")]);
    let server = TestServer::start(0, Some(ACCEPTED), None, fails);
    assert!(text(Game::new(RemotePolicy::new(&server.address)).decide(1)).contains("the trainer failed"));
}

#[test]
fn a_game_that_is_refused_does_not_wait_and_does_not_exit() {
    let server = TestServer::start(0, None, None, always(1.0));
    let mut game = Game::new(RemotePolicy::new(&server.address).exit_on_close(true));
    let requests = game.model.requests().expect("it has requests");
    let start = Instant::now();
    let refused = text(game.decide(1));
    assert!(refused.contains("refuses the game: another recording"), "{refused}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(requests.take(), []);
}

#[test]
fn a_pause_of_the_game_is_not_silence_of_the_server() {
    let slow = script(|number, _| {
        let wait = if number == 1 { 100 } else { 0 };
        vec![
            Reply::Wait(Duration::from_millis(wait)),
            Reply::Send(actions(1, &[number as f64 - 1.0])),
        ]
    });
    let server = TestServer::start(0, Some(ACCEPTED), None, slow);
    let policy = RemotePolicy::new(&server.address)
        .deadline(Duration::from_millis(30))
        .silence_limit(Duration::from_millis(300));
    let mut game = Game::new(policy.first_wait(Duration::from_secs(5)));
    assert!(matches!(game.decide(1), Err(PolicyError::Late(_))));
    thread::sleep(Duration::from_millis(500));
    assert_eq!(game.decide(1), Ok(vec![1.0]));
    assert_eq!(game.model.status()().lost, 0);
}

#[test]
fn limits_can_be_as_long_as_a_duration() {
    let server = TestServer::start(0, Some(ACCEPTED), None, always(1.0));
    let policy = RemotePolicy::new(&server.address)
        .deadline(Duration::MAX)
        .silence_limit(Duration::MAX)
        .first_wait(Duration::MAX);
    assert_eq!(Game::new(policy).decide(1), Ok(vec![1.0]));
}

#[test]
fn a_game_inside_of_a_runtime_is_decided_for() {
    let server = TestServer::start(0, Some(ACCEPTED), None, always(1.0));
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(async {
        let mut game = Game::new(RemotePolicy::new(&server.address));
        assert_eq!(game.decide(1), Ok(vec![1.0]));
        assert_eq!(game.decide(1), Ok(vec![1.0]));
    });
}
