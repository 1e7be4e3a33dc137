//! A person takes a seat of a policy and leaves it again: the data says row by row who acted.

use super::*;

/// A person's intent, which is not one of the policy's.
const PERSON: Intent = Intent {
    push: 0.125,
    deed: Deed::Push,
    steps: 99,
    jump: false,
};

fn person(mut seats: Query<&mut Intent, Without<PolicyControlled>>) {
    for mut intent in &mut seats {
        *intent = PERSON;
    }
}

#[test]
fn each_transition_says_who_acted() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording());
    test.add_policy(
        Policy::<Fighter>::for_recording("fighter")
            .version(12)
            .sampling(Sampling::Stochastic { temperature: 1.0 })
            .model(|_: &ObservationBatch, actions: &mut ActionBatch| {
                actions.means_mut(0).fill(-1.0);
                actions.logits_mut(1).fill(0.0);
                actions.means_mut(2).fill(-5.0);
                actions.logits_mut(3).fill(0.0);
                Ok(())
            }),
    );
    test.add_systems(FixedUpdate, (person, step).chain());
    let fighter = spawn(&mut test, 1);
    test.world_mut().entity_mut(fighter).insert(Controller::Person);
    // Who acts in the tick after each capture: the policy acts on observations of captures at which it had the seat.
    let mut expected = Vec::new();
    let mut had_seat = false;
    for tick in 0..40_usize {
        let has_seat = tick % 11 > 3;
        let mut seat = test.world_mut().entity_mut(fighter);
        if has_seat && !seat.contains::<PolicyControlled>() {
            seat.insert(PolicyControlled::default());
        } else if !has_seat {
            seat.remove::<PolicyControlled>();
        }
        test.ticks(1);
        expected.push(had_seat && has_seat);
        had_seat = has_seat;
    }
    let episodes = test.finish();
    let transitions: Vec<_> = episodes[0].transitions().collect();
    // The first capture begins the episode.
    assert_eq!(transitions.len(), expected.len() - 1);
    for (transition, by_policy) in transitions.iter().zip(&expected[1..]) {
        let action: Vec<_> = transition.action().collect();
        let log_prob = info(*transition, "behavior_logp");
        let controller = if *by_policy { "policy:policy@12" } else { "person" };
        assert_eq!(transition.controller(), Some(controller));
        if *by_policy {
            assert_eq!((action[0], action[2]), (-1.0, -5.0));
            assert_eq!(info(*transition, "policy_version"), 12.0);
            // Two choices, of the alternatives that the mask allows.
            let allowed = |bits: core::ops::Range<usize>| match bits
                .clone()
                .filter(|&bit| transition.before().allows(bit))
                .count()
            {
                0 => bits.len(),
                count => count,
            };
            let probability = 1.0 / (allowed(0..3) * allowed(3..5)) as f64;
            assert!(
                (log_prob - probability.ln()).abs() < 1e-6,
                "{log_prob} for {probability}"
            );
        } else {
            assert_eq!((info(*transition, "policy_version"), log_prob.is_nan()), (0.0, true));
        }
    }
    // A seat that is handed over is idle for one tick, in which its action stays as it was.
    assert!(
        transitions
            .iter()
            .filter(|transition| info(**transition, "policy_version") == 0.0)
            .all(|transition| {
                let action: Vec<_> = transition.action().collect();
                action[2] == 99.0
            })
    );
}

#[test]
fn several_policies_act_for_the_players_that_name_them() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording());
    for (name, version) in [("left", 1), ("right", 2)] {
        test.add_policy(
            Policy::<Fighter>::for_recording("fighter")
                .named(name)
                .random()
                .version(version),
        );
    }
    test.add_systems(FixedUpdate, step);
    for (agent, policy) in [(1, ""), (2, "right"), (3, "left"), (4, "absent")] {
        let fighter = spawn(&mut test, agent);
        test.world_mut()
            .entity_mut(fighter)
            .insert(PolicyControlled::by(policy));
    }
    test.ticks(5);
    let versions: Vec<_> = test
        .finish()
        .iter()
        .map(|episode| info(episode.transition(0), "policy_version"))
        .collect();
    assert_eq!(versions, [1.0, 2.0, 1.0, 0.0]);
}
