//! What a policy is told of its actions is what is recorded of them, bit by bit; and what a policy asks of the game.

use super::*;
use bevy_experience::policy::{
    EpisodeOutcome, ModelRequest, ModelRequests, PolicyFailure, PolicyModel, PolicyStatus, Progress,
};

/// What was told at one decision.
#[derive(Clone, Debug, Default)]
struct Told {
    agents: Vec<i64>,
    features: Vec<Vec<u32>>,
    progress: Vec<Progress>,
    terms: Vec<f32>,
    ends: Vec<(EpisodeOutcome, Vec<u32>)>,
}

type Log = Arc<Mutex<Vec<Told>>>;

/// Acts as `decide`, and keeps what it is told.
#[derive(Clone, Default)]
struct Listener {
    log: Log,
    requests: Arc<ModelRequests>,
    /// The decisions, from 1, for which it is busy.
    busy: &'static [usize],
    needs_outcomes: bool,
    calls: usize,
}

impl PolicyModel for Listener {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        self.calls += 1;
        if self.busy.contains(&self.calls) {
            return Err(PolicyError::Busy);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let (ends, width) = (observations.outcomes(), observations.layout().features().len());
        self.log.lock().unwrap().push(Told {
            agents: observations.agent_ids().to_vec(),
            features: (0..observations.len())
                .map(|player| bits(observations.features(player)))
                .collect(),
            progress: observations.progress().to_vec(),
            terms: observations.all_reward_terms().to_vec(),
            ends: ends
                .ends()
                .iter()
                .enumerate()
                .map(|(index, end)| (end.clone(), bits(&ends.all_features()[index * width..][..width])))
                .collect(),
        });
        for player in 0..observations.len() {
            let age = observations.features(player)[2];
            actions.set(player, 0, 0, f64::from((age * 0.7).sin()));
            actions.choose(player, 1, 0, age as usize % 3);
            actions.set(player, 2, 0, f64::from(age) % 7.0);
            actions.choose(player, 3, 0, age as usize % 2);
        }
        Ok(())
    }

    fn needs_outcomes(&self) -> bool {
        self.needs_outcomes
    }

    fn requests(&self) -> Option<Arc<ModelRequests>> {
        Some(self.requests.clone())
    }
}

/// Ends episodes at several ages, in several ways, and gives rewards.
fn end_some(mut fighters: Query<(Entity, &Body, &AgentId, &mut Reward)>, mut commands: Commands) {
    for (entity, body, agent, mut reward) in &mut fighters {
        reward.add("place", f64::from(body.place) * 0.1);
        reward.add("age", f64::from(body.age) / 3.0);
        match (agent.0, body.age) {
            (0, 7) => commands.trigger(EndEpisode::terminated(entity, "goal")),
            (1, 11) => commands.trigger(EndEpisode::truncated(entity, "time_limit")),
            (2, 23) => commands.entity(entity).despawn(),
            _ => {}
        }
    }
}

fn game(listener: Listener, recording: Recording<Fighter>, ticks: usize) -> (TestApp, Vec<Entity>) {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording.reward_terms(["place", "age"]));
    test.add_policy(Policy::<Fighter>::for_recording("fighter").model(listener));
    test.add_systems(FixedUpdate, (step, end_some).chain());
    test.add_observer(|ended: On<EpisodeEnded>, mut bodies: Query<&mut Body>| {
        if let Ok(mut body) = bodies.get_mut(ended.entity) {
            *body = Body::default();
        }
    });
    let fighters: Vec<_> = (0..4).map(|agent| spawn(&mut test, agent)).collect();
    for &fighter in &fighters {
        test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    }
    test.ticks(ticks);
    (test, fighters)
}

fn listener() -> Listener {
    Listener {
        needs_outcomes: true,
        ..Listener::default()
    }
}

/// The transitions of an agent, as told: reward, terms, ticks, and the end.
type Row = (u64, Vec<u32>, u32, Option<(Outcome, String, Vec<u32>)>);

fn told_rows(log: &Log) -> HashMap<i64, Vec<Row>> {
    let mut rows: HashMap<i64, Vec<Row>> = HashMap::new();
    for told in log.lock().unwrap().iter() {
        for (end, features) in &told.ends {
            let row = (
                end.progress.reward.to_bits(),
                Vec::new(),
                end.progress.ticks,
                Some((end.outcome, end.reason.to_string(), features.clone())),
            );
            rows.entry(end.agent_id).or_default().push(row);
        }
        for (player, progress) in told.progress.iter().enumerate() {
            assert!(progress.transitions <= 1);
            if progress.transitions == 1 {
                let terms = &told.terms[player * 2..][..2];
                let terms = terms.iter().map(|term| term.to_bits()).collect();
                let row = (progress.reward.to_bits(), terms, progress.ticks, None);
                rows.entry(told.agents[player]).or_default().push(row);
            }
        }
    }
    rows
}

#[test]
fn what_a_policy_is_told_is_what_is_recorded() {
    for interval in [1, 3] {
        let listener = listener();
        let log = listener.log.clone();
        let (mut test, _) = game(listener, recording().decision_interval(interval), 60);
        let told = told_rows(&log);
        let first_observations: Vec<_> = log.lock().unwrap()[0].features.clone();
        let mut recorded: HashMap<i64, Vec<Row>> = HashMap::new();
        let mut ends = 0;
        let episodes = test.finish();
        for episode in &episodes {
            for transition in episode.transitions() {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                // A policy is not asked any more at the shutdown, and was told of the transition before.
                let reason = transition.end_reason().filter(|&reason| *reason != EndReason::SHUTDOWN);
                let end = reason.map(|reason| {
                    let outcome = if transition.terminated() {
                        Outcome::Terminated
                    } else {
                        Outcome::Truncated
                    };
                    (outcome, reason.to_string(), bits(transition.next_observation()))
                });
                ends += usize::from(end.is_some());
                let terms = if end.is_some() {
                    Vec::new()
                } else {
                    bits(transition.reward_terms())
                };
                let row = (transition.reward().to_bits(), terms, transition.ticks(), end);
                recorded.entry(episode.info().agent_id).or_default().push(row);
            }
        }
        assert!(ends > 8, "{ends}");
        for (agent, rows) in &told {
            // The transitions of the last ticks were not told any more, and those of the shutdown end otherwise.
            let recorded = &recorded[agent];
            assert!(
                rows.len() + 3 >= recorded.len() && rows.len() > 5,
                "{} {}",
                rows.len(),
                recorded.len()
            );
            // The shutdown adds the reward of a decision that is not complete to the last transition.
            let told_until = rows.len().min(recorded.len() - 1);
            assert_eq!(
                rows[..told_until],
                recorded[..told_until],
                "agent {agent}, interval {interval}"
            );
        }
        let firsts: Vec<_> = (0..4)
            .map(|agent| {
                let episode = episodes
                    .iter()
                    .find(|episode| episode.info().agent_id == agent)
                    .unwrap();
                let first = episode.transition(0);
                first
                    .observation()
                    .iter()
                    .map(|value| value.to_bits())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(first_observations, firsts);
    }
}

#[test]
fn a_policy_that_is_told_outcomes_changes_neither_the_world_nor_the_data() {
    let play = |listener: Listener| {
        let (mut test, fighters) = game(listener, recording(), 60);
        let bodies: Vec<_> = fighters
            .iter()
            .map(|&fighter| test.world_mut().get::<Body>(fighter).copied())
            .collect();
        let rows: Vec<_> = test.finish().iter().map(Episode::len).collect();
        (bodies, rows)
    };
    assert_eq!(play(listener()), play(Listener::default()));
}

#[test]
fn what_a_busy_policy_was_not_told_is_told_later() {
    let all = listener();
    let busy = Listener {
        busy: &[4, 5, 8, 9, 12, 13, 24],
        ..listener()
    };
    let logs = [all.log.clone(), busy.log.clone()];
    game(all, recording(), 40);
    let (test, _) = game(busy, recording(), 40);
    let status: PolicyStatus = test
        .world()
        .resource::<Experience>()
        .policies("fighter")
        .next()
        .unwrap()
        .clone();
    assert_eq!(status.late, 7);
    // The world is another one, but each episode has the same number of steps, and the ends are all told.
    let steps = |log: &Log| {
        let mut steps: Vec<(i64, u32)> = Vec::new();
        for told in log.lock().unwrap().iter() {
            steps.extend(told.ends.iter().map(|(end, _)| (end.agent_id, end.progress.step)));
        }
        steps.sort_unstable();
        steps
    };
    assert_eq!(steps(&logs[0]), steps(&logs[1]));
    let total = |log: &Log| -> u32 {
        let log = log.lock().unwrap();
        let open: u32 = log
            .iter()
            .flat_map(|told| &told.progress)
            .map(|progress| progress.transitions)
            .sum();
        let ended: u32 = log
            .iter()
            .flat_map(|told| &told.ends)
            .map(|(end, _)| end.progress.transitions)
            .sum();
        open + ended
    };
    assert_eq!(total(&logs[0]), total(&logs[1]));
}

#[test]
fn a_reset_ends_the_episodes_and_what_it_leaves_is_observed_first() {
    let listener = listener();
    let (log, requests) = (listener.log.clone(), listener.requests.clone());
    let (mut test, _) = game(listener, recording(), 3);
    requests.push(ModelRequest::Reset { seed: Some(9) });
    test.ticks(1);
    assert_eq!(requests.take_reset(), Some(false), "no observer sets up the game");

    test.add_observer(|reset: On<EnvironmentReset>, mut bodies: Query<&mut Body>| {
        assert_eq!((&*reset.recording, reset.seed), ("fighter", Some(9)));
        bodies.iter_mut().for_each(|mut body| {
            *body = Body {
                place: 100.0,
                ..Body::default()
            }
        });
    });
    requests.push(ModelRequest::Reset { seed: Some(9) });
    test.ticks(1);
    assert_eq!(requests.take_reset(), Some(true));
    log.lock().unwrap().clear();
    test.ticks(1);
    let told = log.lock().unwrap()[0].clone();
    assert!(
        told.ends
            .iter()
            .all(|(end, _)| (end.outcome, &*end.reason) == (Outcome::Truncated, "reset"))
    );
    assert_eq!((told.ends.len(), told.agents.len()), (4, 4));
    assert!(
        told.progress
            .iter()
            .all(|progress| (progress.step, progress.transitions) == (0, 0))
    );
    assert!(told.features.iter().all(|features| features[0] == 100.0_f32.to_bits()));
}

#[test]
fn a_recording_has_one_policy_that_is_told_outcomes() {
    let (mut test, _) = game(listener(), recording(), 0);
    let policy = || Policy::<Fighter>::for_recording("fighter").named("second");
    let refused = test.try_add_policy(policy().model(listener())).err();
    let refused = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("has a remote policy already"), "{refused}");
    assert!(test.try_add_policy(policy().random()).is_ok());
}

#[test]
fn an_exit_that_a_policy_asks_for_exits_the_app() {
    let listener = listener();
    let requests = listener.requests.clone();
    let (mut test, _) = game(listener, recording(), 2);
    assert!(test.should_exit().is_none());
    requests.push(ModelRequest::Exit);
    test.ticks(1);
    assert!(test.should_exit().is_some());
}

#[test]
fn a_version_that_changes_is_in_the_data_from_its_first_decision_on() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording());
    let mut calls = 0;
    test.add_policy(Policy::<Fighter>::for_recording("fighter").model(
        move |observations: &ObservationBatch, actions: &mut ActionBatch| {
            calls += 1;
            actions.set_version(1 + calls / 4);
            for player in 0..observations.len() {
                if calls % 5 == 0 {
                    actions.keep_action(player);
                    continue;
                }
                actions.set(player, 0, 0, 0.5);
                actions.choose(player, 1, 0, 1);
                actions.set(player, 2, 0, 1.0);
                actions.choose(player, 3, 0, 0);
            }
            Ok(())
        },
    ));
    test.add_systems(FixedUpdate, step);
    test.add_observer(|failed: On<PolicyFailed>| assert_ne!(failed.failure, PolicyFailure::Undecided));
    let fighter = spawn(&mut test, 0);
    test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    test.ticks(20);
    let episodes = test.finish();
    for (index, transition) in episodes[0].transitions().enumerate() {
        // The first transition ends before the first decision.
        let call = index as i64 + 1;
        let version = transition.after().info("policy_version");
        let expected = if call % 5 == 0 { 0 } else { 1 + call / 4 };
        assert_eq!(version, Some(vec![expected as f64]), "{call}");
        assert_eq!(
            transition.controller(),
            Some(format!("policy:policy@{}", 1 + call / 4).as_str()),
            "{call}"
        );
    }
}
