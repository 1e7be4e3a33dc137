//! Policies of recordings in which the game requests each decision.

use super::*;

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
