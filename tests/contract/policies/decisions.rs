//! Decisions that are kept for display: they are those of the data, and kept only while something asks for them.

use super::*;
use bevy_experience::policy::{PolicyDecision, PolicyFailure};

/// Outputs that differ between players and ticks: a Gaussian, three logits, a mean without a deviation, and two logits.
fn model(observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
    for player in 0..observations.len() {
        let age = observations.features(player)[2];
        actions.means_mut(0)[player] = f64::from(age) * 0.01;
        actions.log_stds_mut(0)[player] = -1.0;
        for (index, logit) in actions.logits_mut(1)[player * 3..][..3].iter_mut().enumerate() {
            *logit = (age + index as f32).sin();
        }
        actions.set(player, 2, 0, f64::from(age) % 7.0);
        actions.logits_mut(3)[player * 2..][..2].copy_from_slice(&[0.5, -0.5]);
    }
    Ok(())
}

fn game(policy: Policy<Fighter>) -> (TestApp, Vec<Entity>) {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording());
    test.add_policy(policy);
    test.add_systems(FixedUpdate, step);
    let fighters: Vec<_> = (0..3).map(|agent| spawn(&mut test, agent)).collect();
    for &fighter in &fighters {
        test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    }
    (test, fighters)
}

fn decision(test: &mut TestApp, player: Entity) -> Option<PolicyDecision> {
    let mut experience = test.world_mut().resource_mut::<Experience>();
    experience.policy_decision("fighter", player).cloned()
}

#[test]
fn the_decision_that_is_kept_is_the_one_in_the_data() {
    let temperature = 1.5;
    let policy = Policy::<Fighter>::for_recording("fighter")
        .version(7)
        .sampling(Sampling::Stochastic { temperature })
        .model(model);
    let (mut test, fighters) = game(policy);
    let mut kept = HashMap::new();
    for _ in 0..60 {
        if let Some(decision) = decision(&mut test, fighters[1]) {
            kept.insert(decision.tick, decision);
        }
        test.ticks(1);
    }
    assert!(kept.len() > 50);
    let episodes = test.finish();
    let episode = episodes.iter().find(|episode| episode.info().agent_id == 1).unwrap();
    let mut compared = 0;
    for transition in episode.transitions() {
        let Some(decision) = kept.get(&transition.before().header().tick) else {
            continue;
        };
        compared += 1;
        assert_eq!((&*decision.policy, decision.version), ("policy", 7));
        assert_eq!(decision.failure, None);
        let values: Vec<_> = decision.heads.iter().flat_map(|head| head.values.clone()).collect();
        let action: Vec<_> = transition.action().collect();
        assert_eq!(values[0] as f32, action[0] as f32);
        assert_eq!(values[1..], action[1..]);
        // The probabilities multiply to that of the data.
        let [push, deed, steps, jump] = &decision.heads[..] else {
            panic!("four columns")
        };
        let deviation = push.deviations[0];
        assert!((deviation - f64::from(temperature) * (-1.0_f64).exp()).abs() < 1e-6);
        assert_eq!((steps.deviations[0].is_nan(), steps.means[0]), (true, steps.values[0]));
        let noise = (push.values[0] - push.means[0]) / deviation;
        let density = -0.5 * noise * noise - deviation.ln() - 0.5 * core::f64::consts::TAU.ln();
        let log_prob = density
            + deed.probabilities[deed.values[0] as usize].ln()
            + jump.probabilities[jump.values[0] as usize].ln();
        assert!((log_prob - info(transition, "behavior_logp")).abs() < 1e-5);
        assert!((log_prob - decision.log_prob).abs() < 1e-9);
        // What the mask of the observation forbids has no probability, unless it forbids everything.
        for (head, bits) in [(deed, 0..3), (jump, 3..5)] {
            let sum: f64 = head.probabilities.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            let allows_any = bits.clone().any(|bit| transition.before().allows(bit));
            for (&probability, bit) in head.probabilities.iter().zip(bits) {
                assert_eq!(probability > 0.0, !allows_any || transition.before().allows(bit));
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let (mut test, fighters) = game(Policy::<Fighter>::for_recording("fighter").model(model));
    test.ticks(20);
    // The first request finds nothing, so nothing was kept.
    assert_eq!(decision(&mut test, fighters[0]), None);
    test.ticks(1);
    let first = decision(&mut test, fighters[0]).unwrap();
    // Of one player at a time.
    assert_eq!(decision(&mut test, fighters[1]), None);
    test.ticks(300);
    let last = decision(&mut test, fighters[1]).unwrap();
    assert_eq!(
        last.tick - first.tick,
        256,
        "256 decisions are kept after the last request"
    );
    test.ticks(1);
    assert_eq!(decision(&mut test, fighters[1]).unwrap().tick - first.tick, 301);
}

#[test]
fn a_decision_that_fails_says_so_and_one_after_a_takeover_is_not_kept() {
    let policy = Policy::<Fighter>::for_recording("fighter").model(
        |observations: &ObservationBatch, actions: &mut ActionBatch| {
            model(observations, actions)?;
            match observations.tick() {
                5..10 => Err(PolicyError::Model("no battery".to_owned())),
                10..15 => {
                    actions.means_mut(0).fill(f64::NAN);
                    Ok(())
                }
                _ => Ok(()),
            }
        },
    );
    let (mut test, fighters) = game(policy);
    let mut failures = Vec::new();
    for _ in 0..20 {
        test.ticks(1);
        if let Some(decision) = decision(&mut test, fighters[2]) {
            assert_eq!(
                decision.heads.is_empty(),
                decision.failure == Some(PolicyFailure::Model),
                "{decision:?}"
            );
            failures.push((decision.tick, decision.failure));
        }
    }
    for (tick, failure) in failures {
        // The model acts in the tick after its observation.
        let expected = match tick + 1 {
            5..10 => Some(PolicyFailure::Model),
            10..15 => Some(PolicyFailure::Undecided),
            _ => None,
        };
        assert_eq!(failure, expected, "at tick {tick}");
    }
    test.world_mut().entity_mut(fighters[2]).remove::<PolicyControlled>();
    // The policy has observed it at the last capture.
    test.ticks(1);
    assert_eq!(decision(&mut test, fighters[2]), None);
}

#[test]
fn a_decision_on_demand_has_the_tick_of_its_request() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Fighter>::new("fighter")
            .observe::<Body>()
            .act::<Intent>()
            .policy_info()
            .decision_on_demand(),
    );
    test.add_policy(Policy::<Fighter>::for_recording("fighter").model(
        |observations: &ObservationBatch, actions: &mut ActionBatch| {
            model(observations, actions)?;
            // Tells the decisions apart.
            actions.set(0, 0, 0, observations.tick() as f64);
            Ok(())
        },
    ));
    test.add_systems(
        FixedUpdate,
        |seats: Query<(Entity, &AgentId)>, mut commands: Commands, mut turn: Local<i64>| {
            *turn += 1;
            for (player, agent) in &seats {
                if (*turn + agent.0) % 3 == 0 {
                    commands.trigger(RequestDecision::of(player));
                }
            }
        },
    );
    let fighters: Vec<_> = (0..3).map(|agent| spawn(&mut test, agent)).collect();
    for &fighter in &fighters {
        test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    }
    let mut kept = HashMap::new();
    for _ in 0..31 {
        test.ticks(1);
        if let Some(decision) = decision(&mut test, fighters[1]) {
            kept.insert(decision.tick, decision.heads[0].values[0]);
        }
    }
    let episodes = test.finish();
    let episode = episodes.iter().find(|episode| episode.info().agent_id == 1).unwrap();
    let mut compared = 0;
    for transition in episode.transitions() {
        if let Some(&push) = kept.get(&transition.before().header().tick) {
            compared += 1;
            assert_eq!(transition.action().next(), Some(push));
        }
    }
    assert!(compared >= 8, "{compared}: {kept:?}");
}
