//! A model that fails in any way never stops the game: actions stay as they were, and the failure is reported once.

use super::*;
use bevy_experience::policy::{PolicyFailure, PolicyModel, PolicyStatus};

#[derive(Resource, Default)]
struct Failures(Vec<PolicyFailed>);

const BEFORE: Intent = Intent {
    push: 0.5,
    deed: Deed::Stop,
    steps: 3,
    jump: true,
};

/// Plays 10 ticks with a policy, and returns its status, its failures and what was recorded.
fn play(policy: impl FnOnce(Policy<Fighter>) -> Policy<Fighter>) -> (PolicyStatus, Vec<PolicyFailed>, Vec<Episode>) {
    let mut test = TestApp::new();
    test.init_resource::<Weather>().init_resource::<Failures>();
    test.record(recording());
    test.add_policy(policy(Policy::<Fighter>::for_recording("fighter")));
    test.add_observer(|failed: On<PolicyFailed>, mut failures: ResMut<Failures>| {
        failures.0.push(failed.event().clone());
    });
    test.add_systems(FixedUpdate, step);
    let fighter = spawn(&mut test, 1);
    test.world_mut()
        .entity_mut(fighter)
        .insert((PolicyControlled::default(), BEFORE));
    test.ticks(10);
    let status = test
        .world()
        .resource::<Experience>()
        .policies("fighter")
        .next()
        .unwrap()
        .clone();
    let failures = core::mem::take(&mut test.world_mut().resource_mut::<Failures>().0);
    (status, failures, test.finish())
}

#[track_caller]
fn assert_kept(episodes: &[Episode]) {
    assert_eq!(episodes[0].len(), 9);
    for transition in episodes[0].transitions() {
        assert_eq!(transition.action().collect::<Vec<_>>(), [0.5, 2.0, 3.0, 1.0]);
        assert_eq!(info(transition, "policy_version"), 0.0);
        assert!(info(transition, "behavior_logp").is_nan());
    }
}

#[test]
fn an_error_keeps_the_actions() {
    let (status, failures, episodes) = play(|policy| {
        policy.model(|_: &ObservationBatch, _: &mut ActionBatch| Err(PolicyError::Model("out of ideas".to_owned())))
    });
    assert_kept(&episodes);
    assert_eq!((status.failed, status.decisions, status.actions), (9, 0, 0));
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Model);
    assert_eq!(failure.error, "the model failed: out of ideas");
}

#[test]
fn a_panic_keeps_the_actions_and_retires_the_model() {
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let (status, failures, episodes) = play(|policy| {
        policy.model(
            move |_: &ObservationBatch, _: &mut ActionBatch| -> Result<(), PolicyError> {
                *counted.lock().unwrap() += 1;
                panic!("a bug")
            },
        )
    });
    assert_kept(&episodes);
    assert_eq!(
        (
            *calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            status.failed
        ),
        (1, 9)
    );
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Panicked);
    assert_eq!(failure.error, "the model panicked: a bug");
}

#[test]
fn outputs_that_are_missing_or_nan_keep_the_actions() {
    for missing in [false, true] {
        let (status, failures, episodes) = play(|policy| {
            policy.model(move |_: &ObservationBatch, actions: &mut ActionBatch| {
                actions.means_mut(0).fill(0.0);
                if !missing {
                    actions.logits_mut(1).fill(f32::NAN);
                }
                actions.means_mut(2).fill(0.0);
                actions.choose(0, 3, 0, 0);
                Ok(())
            })
        });
        assert_kept(&episodes);
        assert_eq!((status.decisions, status.undecided, status.actions), (9, 9, 0));
        let [failure] = failures.as_slice() else {
            panic!("{failures:?}")
        };
        assert_eq!(failure.failure, PolicyFailure::Undecided);
    }
}

#[test]
fn a_slow_model_does_not_stop_the_game() {
    let start = std::time::Instant::now();
    let (status, failures, episodes) = play(|policy| {
        policy
            .time_limit(Duration::from_millis(5))
            .model(|_: &ObservationBatch, _: &mut ActionBatch| {
                std::thread::sleep(Duration::from_secs(4));
                Ok(())
            })
    });
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_kept(&episodes);
    assert_eq!((status.late, status.decisions), (9, 0));
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Late);
}

#[test]
fn a_model_with_a_time_limit_acts_as_one_without() {
    let actions = |limit: Option<Duration>| {
        let (status, failures, episodes) = play(|policy| {
            let policy = policy.random().seed(5);
            match limit {
                Some(limit) => policy.time_limit(limit),
                None => policy,
            }
        });
        assert_eq!((status.actions, failures.len()), (9, 0));
        let transitions = episodes[0].transitions();
        transitions
            .map(|transition| transition.action().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    assert_eq!(actions(Some(Duration::from_secs(60))), actions(None));
}

/// A model that a test file names: each action is its content.
struct Constant(f64);

impl PolicyModel for Constant {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        for player in 0..observations.len() {
            actions.set(player, 0, 0, self.0);
            actions.choose(player, 1, 0, 0);
            actions.set(player, 2, 0, self.0);
            actions.choose(player, 3, 0, 0);
        }
        Ok(())
    }

    fn version(&self) -> i64 {
        self.0 as i64
    }
}

#[test]
fn a_file_that_changes_is_loaded_between_two_ticks_and_a_bad_one_keeps_the_model() {
    use bevy_experience::policy::ModelError;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.txt");
    // An interval is short here, so no file may be seen half written.
    let replace = |text: &str| {
        let next = folder.path().join("next.txt");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &path).unwrap();
    };
    replace("1");
    let mut test = TestApp::new();
    test.init_resource::<Weather>().init_resource::<Failures>();
    test.record(recording());
    test.add_policy(
        Policy::<Fighter>::for_recording("fighter")
            .reload_interval(Duration::from_millis(5))
            .file(&path, |path, _| {
                let text = std::fs::read_to_string(path).map_err(|error| ModelError::Other(error.to_string()))?;
                let value = text
                    .trim()
                    .parse()
                    .map_err(|_| ModelError::Other(format!("`{text}` is not a number")))?;
                Ok(Box::new(Constant(value)))
            }),
    );
    test.add_observer(|failed: On<PolicyFailed>, mut failures: ResMut<Failures>| {
        failures.0.push(failed.event().clone());
    });
    test.add_systems(FixedUpdate, step);
    let fighter = spawn(&mut test, 1);
    test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    let status = |test: &TestApp| {
        test.world()
            .resource::<Experience>()
            .policies("fighter")
            .next()
            .unwrap()
            .clone()
    };
    let wait = |test: &mut TestApp, is: &dyn Fn(&PolicyStatus) -> bool| {
        for _ in 0..20_000 {
            test.ticks(1);
            if is(&status(test)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{:?}", status(test));
    };
    test.ticks(3);
    replace("23");
    wait(&mut test, &|status| status.reloads == 1);
    test.ticks(2);
    replace("bad");
    wait(&mut test, &|status| status.refused == 1);
    test.ticks(2);
    assert_eq!(status(&test).version, 23);
    let failures = core::mem::take(&mut test.world_mut().resource_mut::<Failures>().0);
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Reload);
    assert_eq!(failure.error, "`bad` is not a number; the model before stays");
    // Each row has the version of the model that decided its action.
    let episodes = test.finish();
    let mut versions = Vec::new();
    for transition in episodes[0].transitions() {
        let version = info(transition, "policy_version");
        assert_eq!(transition.action().next(), Some(version));
        versions.push(version as i64);
    }
    versions.dedup();
    assert_eq!(versions, [1, 23]);
}

#[test]
fn a_player_without_the_component_of_the_action_does_not_act() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>().init_resource::<Failures>();
    test.record(recording());
    test.add_policy(Policy::<Fighter>::for_recording("fighter").random());
    test.add_observer(|failed: On<PolicyFailed>, mut failures: ResMut<Failures>| {
        failures.0.push(failed.event().clone());
    });
    test.add_systems(FixedUpdate, step);
    let fighter = spawn(&mut test, 1);
    test.world_mut()
        .entity_mut(fighter)
        .insert(PolicyControlled::default())
        .remove::<Intent>();
    let other = spawn(&mut test, 2);
    test.world_mut().entity_mut(other).insert(PolicyControlled::default());
    test.ticks(5);
    let failures = core::mem::take(&mut test.world_mut().resource_mut::<Failures>().0);
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}")
    };
    assert_eq!(failure.failure, PolicyFailure::Incomplete);
    assert!(
        failure.error.contains("lacks `") && failure.error.contains("Intent`"),
        "{}",
        failure.error
    );
    // The other players act.
    assert_eq!(
        test.world()
            .resource::<Experience>()
            .policies("fighter")
            .next()
            .unwrap()
            .actions,
        4
    );
    test.world_mut().entity_mut(fighter).insert(Intent::default());
    test.ticks(3);
    assert_eq!(
        test.world()
            .resource::<Experience>()
            .policies("fighter")
            .next()
            .unwrap()
            .actions,
        4 + 3 + 2
    );
}
