//! Policies in a game with rollback: a tick that is simulated again has the same decision for the same state, and one row.

use super::*;
use bevy_ecs::schedule::ScheduleLabel;
use bevy_experience::{
    plugin::ExperienceTick,
    policy::{PolicyFailure, PolicyModel, RandomModel},
};

/// One tick of the game, which it runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Simulate;

/// What moves all fighters in a tick. It is predicted, and maybe wrongly.
#[derive(Resource, Clone, Copy)]
struct Wind(f32);

#[derive(Resource, Clone, Copy)]
struct Frame {
    simulated: i64,
    confirmed: i64,
    /// The game sets `SpeculativeTicks` before it runs `ExperienceTick`.
    begins_with_its_number: bool,
}

#[derive(Resource, Default)]
struct Failures(Vec<PolicyFailed>);

type Snapshot = Vec<(i64, Body, Intent, Option<PolicyControlled>)>;

/// What a row has: the observation, the action, both columns of `policy_info`, and who acted.
type Row = (Vec<u32>, Vec<u64>, u64, Option<u32>, String);

fn begin(world: &mut World) {
    let frame = *world.resource::<Frame>();
    if frame.begins_with_its_number {
        world.insert_resource(SpeculativeTicks {
            simulated: frame.simulated,
            confirmed: frame.confirmed,
        });
    }
    world.run_schedule(ExperienceTick);
}

fn blow(wind: Res<Wind>, mut bodies: Query<&mut Body>) {
    for mut body in &mut bodies {
        body.speed += wind.0;
    }
}

fn capture(world: &mut World) {
    let Frame {
        simulated, confirmed, ..
    } = *world.resource::<Frame>();
    world.insert_resource(SpeculativeTicks { simulated, confirmed });
    world.run_schedule(ExperienceCapture);
}

struct Game {
    test: TestApp,
    snapshots: HashMap<i64, Snapshot>,
    recreates: bool,
    begins_with_its_number: bool,
    /// The observations of each agent and tick that the policy has decided, the last ones.
    seen: Arc<Mutex<HashMap<(i64, i64), Vec<u32>>>>,
}

impl Game {
    fn new(recreates: bool, interval: u32) -> Self {
        let mut test = TestApp::new();
        test.init_resource::<Failures>();
        test.record(
            Recording::<Fighter>::new("fighter")
                .observe::<Body>()
                .act::<Intent>()
                .policy_info()
                .decision_interval(interval)
                .capture_after(Simulate),
        );
        let seen = Arc::<Mutex<HashMap<_, _>>>::default();
        let log = seen.clone();
        let mut random = RandomModel::new(4);
        test.add_policy(
            Policy::<Fighter>::for_recording("fighter")
                .sampling(Sampling::Stochastic { temperature: 1.0 })
                .seed(9)
                .model(move |observations: &ObservationBatch, actions: &mut ActionBatch| {
                    random.act(observations, actions)?;
                    for player in 0..observations.len() {
                        // Depends on what it sees, so that a wrong prediction is another decision.
                        let place = observations.features(player)[0];
                        actions.set(player, 0, 0, f64::from(place.sin()));
                        let key = (observations.agent_ids()[player], observations.tick());
                        log.lock().unwrap().insert(key, bits(observations.features(player)));
                    }
                    Ok(())
                }),
        );
        test.add_observer(|failed: On<PolicyFailed>, mut failures: ResMut<Failures>| {
            failures.0.push(failed.event().clone());
        });
        test.add_systems(Simulate, (begin, blow, step, capture).chain());
        for agent in 0..3 {
            let fighter = spawn(&mut test, agent);
            if agent < 2 {
                test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
            }
        }
        let mut game = Self {
            test,
            snapshots: HashMap::new(),
            recreates,
            begins_with_its_number: true,
            seen,
        };
        game.save(0);
        game
    }

    fn save(&mut self, frame: i64) {
        let world = self.test.world_mut();
        let mut fighters = world.query::<(&AgentId, &Body, &Intent, Option<&PolicyControlled>)>();
        let snapshot = fighters.iter(world);
        let snapshot = snapshot.map(|(agent, body, intent, controlled)| (agent.0, *body, *intent, controlled.cloned()));
        let mut snapshot: Snapshot = snapshot.collect();
        snapshot.sort_by_key(|fighter| fighter.0);
        self.snapshots.insert(frame, snapshot);
    }

    fn load(&mut self, frame: i64) {
        let world = self.test.world_mut();
        let mut fighters = world.query::<(Entity, &AgentId)>();
        let mut fighters: HashMap<_, _> = fighters.iter(world).map(|(entity, agent)| (agent.0, entity)).collect();
        if self.recreates {
            for (_, fighter) in fighters.drain() {
                world.despawn(fighter);
            }
        }
        for (agent, body, intent, controlled) in self.snapshots[&frame].clone() {
            let fighter = match fighters.get(&agent) {
                Some(&fighter) => fighter,
                None => spawn(&mut self.test, agent),
            };
            let mut fighter = self.test.world_mut().entity_mut(fighter);
            fighter.insert((body, intent));
            if let Some(controlled) = controlled.filter(|_| self.recreates) {
                fighter.insert(controlled);
            }
        }
    }

    fn advance(&mut self, frame: i64, wind: f32, confirmed: i64) {
        let begins_with_its_number = self.begins_with_its_number;
        let world = self.test.world_mut();
        world.insert_resource(Frame {
            simulated: frame,
            confirmed,
            begins_with_its_number,
        });
        world.insert_resource(Wind(wind));
        world.run_schedule(Simulate);
        self.save(frame);
    }

    fn failures(&mut self) -> Vec<PolicyFailed> {
        core::mem::take(&mut self.test.world_mut().resource_mut::<Failures>().0)
    }

    /// The rows of each agent.
    fn finish(mut self) -> (Vec<Vec<Row>>, HashMap<(i64, i64), Vec<u32>>) {
        let episodes = self.test.finish();
        let rows = (0..3).map(|agent| {
            let own = episodes.iter().filter(|episode| episode.info().agent_id == agent);
            let rows = own.flat_map(Episode::transitions).map(|transition| {
                let by_policy = info(transition, "policy_version") > 0.0;
                (
                    bits(transition.observation()),
                    transition.action().map(f64::to_bits).collect(),
                    transition.tick() as u64,
                    by_policy.then(|| (info(transition, "behavior_logp") as f32).to_bits()),
                    transition.controller().unwrap_or_default().to_owned(),
                )
            });
            rows.collect()
        });
        let rows = rows.collect();
        let seen = self.seen.lock().unwrap().clone();
        (rows, seen)
    }
}

fn wind(frame: i64) -> f32 {
    (frame as f32 * 1.3).sin()
}

/// The rows of a game that simulates each tick once.
fn truth(frames: i64) -> Vec<Vec<Row>> {
    let mut game = Game::new(false, 1);
    for frame in 1..=frames {
        game.advance(frame, wind(frame), frame);
    }
    game.finish().0
}

#[test]
fn ticks_that_are_simulated_again_have_the_same_decisions_and_one_row() {
    for recreates in [false, true] {
        for distance in [1, 2, 7] {
            let mut game = Game::new(recreates, 1);
            for now in 1..=60 {
                let from = if now > distance { now - distance } else { now };
                if from < now {
                    game.load(from - 1);
                }
                for frame in from..=now {
                    let before = game.snapshots.get(&frame).cloned();
                    game.advance(frame, wind(frame), from - 1);
                    if let Some(before) = before {
                        assert_eq!(game.snapshots[&frame], before, "frame {frame}");
                    }
                }
            }
            assert_eq!(game.failures(), []);
            let (rows, seen) = game.finish();
            assert_eq!(rows, truth(60 - distance - 1), "distance {distance}");
            for (agent, rows) in rows.iter().enumerate() {
                assert!(rows.len() as i64 > 50 - distance);
                for (observation, _, tick, log_prob, controller) in rows {
                    assert_eq!(log_prob.is_some(), agent < 2);
                    assert_eq!(controller.starts_with("policy:policy@1"), agent < 2, "{controller}");
                    if agent < 2 {
                        assert_eq!(seen[&(agent as i64, *tick as i64 + 1)], *observation);
                    }
                }
            }
        }
    }
}

#[test]
fn a_decision_on_a_wrong_prediction_is_replaced() {
    let mut game = Game::new(false, 1);
    let mut known = 0;
    for now in 1..=80 {
        let before = known;
        known = (now - (now * 7 % 5)).clamp(known, now);
        let from = (before + 1).min(now);
        if from < now {
            game.load(from - 1);
        }
        for frame in from..=now {
            // A prediction is always wrong.
            game.advance(frame, if frame <= known { wind(frame) } else { 5.0 }, known);
        }
    }
    assert_eq!(game.failures(), []);
    assert_eq!(game.finish().0, truth(known));
}

#[test]
fn a_game_that_does_not_say_which_tick_begins_is_told_what_to_do() {
    let mut game = Game::new(false, 1);
    game.begins_with_its_number = false;
    for frame in 1..=10 {
        game.advance(frame, wind(frame), frame - 3);
    }
    let failures = game.failures();
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Speculative);
    assert!(
        failure
            .error
            .contains("it does not act any more: insert `SpeculativeTicks` and run `ExperienceTick` at the begin"),
        "{}",
        failure.error
    );
    let (rows, _) = game.finish();
    assert!(rows[0].iter().skip(2).all(|row| row.3.is_none()));
}

#[test]
fn a_decision_interval_is_refused_in_speculative_ticks() {
    let mut game = Game::new(false, 3);
    for frame in 1..=20 {
        game.advance(frame, wind(frame), frame - 3);
    }
    let failures = game.failures();
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Speculative);
    assert!(
        failure.error.contains("record without `decision_interval`"),
        "{}",
        failure.error
    );
    let (rows, seen) = game.finish();
    assert!(seen.is_empty() && !rows[0].is_empty() && rows[0].iter().all(|row| row.3.is_none()));
}

#[test]
fn a_player_without_an_agent_id_does_not_act_in_speculative_ticks() {
    let mut game = Game::new(false, 1);
    let world = game.test.world_mut();
    world.spawn((Fighter, Body::default(), Intent::default(), PolicyControlled::default()));
    for frame in 1..=5 {
        game.advance(frame, wind(frame), frame - 3);
    }
    let failures = game.failures();
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Incomplete);
    assert!(failure.error.contains("lacks `AgentId`"), "{}", failure.error);
}
