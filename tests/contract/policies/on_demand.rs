//! Policies of recordings in which the game requests each decision.

use super::*;
use bevy_ecs::world::DeferredWorld;
use bevy_experience::policy::PolicyModel;

/// Seats take turns, and the game asks twice in some ticks.
fn ask(mut seats: Query<(Entity, &AgentId, &mut Body)>, mut commands: Commands, mut turn: Local<u32>) {
    for _ in 0..1 + *turn % 2 {
        let mut seats = seats.iter_mut();
        let (player, _, mut body) = seats.find(|(_, agent, _)| agent.0 == i64::from(*turn % 3)).unwrap();
        body.age = *turn;
        body.place += body.speed;
        commands.trigger(RequestDecision::of(player));
        *turn += 1;
    }
}

#[test]
fn a_policy_acts_on_each_request_and_sees_what_the_step_begins_with() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Fighter>::new("fighter")
            .observe::<Body>()
            .act::<Intent>()
            .policy_info()
            .decision_on_demand(),
    );
    let seen: Arc<Mutex<Vec<(i64, Vec<u32>)>>> = Arc::default();
    let log = seen.clone();
    test.add_policy(Policy::<Fighter>::for_recording("fighter").version(5).model(
        move |observations: &ObservationBatch, actions: &mut ActionBatch| {
            for player in 0..observations.len() {
                let features = observations.features(player);
                log.lock()
                    .unwrap()
                    .push((observations.agent_ids()[player], bits(features)));
                actions.set(player, 0, 0, f64::from(features[2]));
                actions.choose(player, 1, 0, 1);
                actions.set(player, 2, 0, 0.0);
                actions.choose(player, 3, 0, 0);
            }
            Ok(())
        },
    ));
    test.add_systems(FixedUpdate, ask);
    for agent in 0..3 {
        let fighter = spawn(&mut test, agent);
        // The last seat is a person's, who never decides.
        if agent < 2 {
            test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
        }
    }
    test.ticks(40);
    let status = test
        .world()
        .resource::<Experience>()
        .policies("fighter")
        .next()
        .unwrap()
        .clone();
    // One request in the first tick and two in each other, of which two thirds are those of the policy.
    let requests = (0..79).filter(|turn| turn % 3 < 2).count() as u64;
    assert_eq!((status.actions, status.failed), (requests, 0));
    let episodes = test.finish();
    let seen = seen.lock().unwrap();
    for agent in 0..2 {
        let own: Vec<_> = seen.iter().filter(|(id, _)| *id == agent).map(|(_, saw)| saw).collect();
        let episode = episodes
            .iter()
            .find(|episode| episode.info().agent_id == agent)
            .unwrap();
        assert!(episode.len() >= 19, "{}", episode.len());
        for (transition, saw) in episode.transitions().zip(own) {
            assert_eq!(&bits(transition.observation()), saw);
            let action: Vec<_> = transition.action().collect();
            assert_eq!((action[0], action[1]), (f64::from(transition.observation()[2]), 1.0));
            assert_eq!(info(transition, "policy_version"), 5.0);
        }
    }
    assert!(
        episodes
            .iter()
            .all(|episode| episode.info().agent_id != 2 || episode.len() == 0)
    );
}

/// Counts what it is told, and is busy at each third call.
struct Counter {
    told: Arc<Mutex<HashMap<i64, u32>>>,
    calls: usize,
}

impl PolicyModel for Counter {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(PolicyError::Busy);
        }
        let mut told = self.told.lock().unwrap();
        for (agent, progress) in observations.agent_ids().iter().zip(observations.progress()) {
            *told.entry(*agent).or_default() += progress.transitions;
        }
        for player in 0..observations.len() {
            actions.set(player, 0, 0, 0.5);
            actions.choose(player, 1, 0, 1);
            actions.set(player, 2, 0, 0.0);
            actions.choose(player, 3, 0, 0);
        }
        Ok(())
    }

    fn needs_outcomes(&self) -> bool {
        true
    }
}

#[derive(Event)]
struct AskAll;

#[test]
fn each_transition_is_told_once_if_requests_share_a_decision() {
    let told: Arc<Mutex<HashMap<i64, u32>>> = Arc::default();
    let mut test = TestApp::new();
    test.record(
        Recording::<Fighter>::new("fighter")
            .observe::<Body>()
            .act::<Intent>()
            .decision_on_demand(),
    );
    let model = Counter {
        told: told.clone(),
        calls: 0,
    };
    test.add_policy(Policy::<Fighter>::for_recording("fighter").model(model));
    let fighters: Vec<_> = (0..2).map(|agent| spawn(&mut test, agent)).collect();
    for &fighter in &fighters {
        test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    }
    // Both requests come before the policy acts, and it acts twice: the second time without players.
    test.add_observer(move |_: On<AskAll>, mut world: DeferredWorld| {
        for &fighter in &fighters {
            world.trigger(RequestDecision::of(fighter));
        }
    });
    test.add_systems(FixedUpdate, |mut commands: Commands| commands.trigger(AskAll));
    // The last call is not a busy one.
    test.ticks(40);
    let transitions: Vec<_> = test.finish().iter().map(Episode::len).collect();
    let told = told.lock().unwrap();
    for agent in 0..2 {
        let (told, recorded) = (told[&agent] as usize, transitions[agent as usize]);
        assert!(
            recorded > 20 && (recorded - 2..=recorded).contains(&told),
            "{told} of {recorded}"
        );
    }
}
