//! Policies that cannot act are refused at set-up, with what is wrong and what to do.

use super::*;
use bevy_experience::policy::{ModelError, PolicySetupError};

#[derive(Component)]
struct Racer;

#[derive(Component)]
struct Heading(f32);

#[derive(Resource)]
struct Stick(f32);

#[derive(Component, Reflect)]
#[component(immutable)]
struct Fixed(f32);

fn message(test: &mut TestApp, policy: Policy<Fighter>) -> String {
    test.try_add_policy(policy)
        .map(|_| ())
        .expect_err("a refusal")
        .to_string()
}

fn policy() -> Policy<Fighter> {
    Policy::for_recording("fighter")
}

#[test]
fn what_does_not_fit_the_recording_is_refused() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    assert_eq!(
        message(&mut test, policy().random()),
        "a policy was added for recording `fighter`, which does not exist: add the recording before the policy"
    );
    test.record(recording());
    assert_eq!(
        message(&mut test, Policy::for_recording("figther").random()),
        "a policy was added for recording `figther`, which does not exist: the recordings are `fighter`; add a recording before its \
         policy"
    );
    let error = test
        .try_add_policy(Policy::<Racer>::for_recording("fighter").random())
        .err()
        .unwrap();
    assert!(matches!(error, PolicySetupError::Marker { .. }), "{error}");
    assert!(error.to_string().contains("::Fighter>`"), "{error}");
    assert_eq!(
        message(&mut test, policy()),
        "the policy `policy` of recording `fighter` has no model: give it one with `model`, `random`, `file` or `onnx`"
    );
    let nan = policy().random().sampling(Sampling::Stochastic { temperature: 0.0 });
    assert!(message(&mut test, nan).contains("the temperature 0: give a number above 0"));
    let elsewhere = policy().random().act_before(ExperienceCapture);
    assert!(message(&mut test, elsewhere).contains("neither in the main loop nor in the fixed loop"));
    let unknown = policy().random().write_with::<Heading>(["heading"], |_, _| {});
    assert_eq!(
        message(&mut test, unknown),
        "the policy `policy` of recording `fighter` writes the action `heading`, which the recording does not have: its actions are \
         `intent.push`, `intent.deed`, `intent.steps`, `intent.jump`"
    );
    let partly = policy().random().write_with::<Heading>(["intent.push"], |_, _| {});
    assert!(message(&mut test, partly).contains("and not the others of"));
    let bad_file = policy().file("missing", |_, _| {
        Err(ModelError::Other("there is no such file".to_owned()))
    });
    assert_eq!(
        message(&mut test, bad_file),
        "the policy `policy` of recording `fighter`: there is no such file"
    );
    test.add_policy(policy().random());
    assert!(
        message(&mut test, policy().random()).contains("has a policy `policy` already: give each a name with `named`")
    );
}

#[test]
fn actions_without_a_way_back_are_refused_by_name_and_written_by_the_game_otherwise() {
    let mut test = TestApp::new();
    test.insert_resource(Stick(0.0));
    test.record(
        Recording::<Fighter>::new("fighter")
            .observe::<Body>()
            .act_with::<Heading>(["cos", "sin"], |heading, out| (out[1], out[0]) = heading.0.sin_cos())
            .act_discrete_with::<Heading>("half", 2, |heading| i64::from(heading.0 < 0.0))
            .act_resource_with::<Stick>(["stick"], |stick, out| out[0] = stick.0)
            .policy_info(),
    );
    assert_eq!(
        message(&mut test, policy().random()),
        "the policy `policy` of recording `fighter` cannot write the action `cos`, `sin`, `half`, `stick`: the recording computes it \
         from a value, and the way back is not known; add `Policy::write_with` or `Policy::write_resource_with` with these names, or \
         record the fields with `act::<T>()`"
    );
    let twice = policy()
        .random()
        .write_with::<Heading>(["cos", "sin"], |_, _| {})
        .write_with::<Heading>(["sin"], |_, _| {});
    assert!(message(&mut test, twice).contains("`sin`, twice: name it once"));
    test.add_policy(
        policy()
            .model(|observations: &ObservationBatch, actions: &mut ActionBatch| {
                for player in 0..observations.len() {
                    actions.set(player, 0, 0, 0.0);
                    actions.set(player, 1, 0, -1.0);
                    actions.choose(player, 2, 0, 1);
                    actions.set(player, 3, 0, 0.75);
                }
                Ok(())
            })
            .write_with::<Heading>(["sin", "cos", "half"], |heading, values| {
                assert_eq!(values[2], 1.0);
                heading.0 = f64::atan2(values[0], values[1]) as f32;
            })
            .write_resource_with::<Stick>(["stick"], |stick, values| stick.0 = values[0] as f32),
    );
    test.world_mut()
        .spawn((Fighter, Body::default(), Heading(1.0), PolicyControlled::default()));
    test.ticks(3);
    let episodes = test.finish();
    for transition in episodes[0].transitions() {
        let action: Vec<_> = transition.action().collect();
        assert!(
            action[0].abs() < 1e-6 && action[1] == -1.0 && action[2] == 1.0 && action[3] == 0.75,
            "{action:?}"
        );
        assert_eq!(info(transition, "policy_version"), 1.0);
    }
}

#[test]
fn an_immutable_component_is_refused() {
    let mut test = TestApp::new();
    test.record(Recording::<Fighter>::new("fighter").observe::<Body>().act::<Fixed>());
    let error = message(&mut test, policy().random());
    assert!(error.contains("Fixed`, which is an immutable component"), "{error}");
}

#[test]
fn a_recording_without_an_action_is_refused() {
    let mut test = TestApp::new();
    test.record(Recording::<Fighter>::new("fighter").observe::<Body>());
    assert!(message(&mut test, policy().random()).contains("records no action"));
}
