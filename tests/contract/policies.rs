//! Policies: they see what is recorded, their actions are those of the data, and their failures never stop the game.

mod decisions;
mod failures;
mod on_demand;
#[cfg(feature = "policy_onnx")]
mod onnx;
mod outcomes;
mod rollback;
mod setup;
mod taking_over;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    policy::{ActionBatch, ObservationBatch, PolicyError},
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;
use bevy_time::{Fixed, Time, TimeUpdateStrategy};
use bevy_transform::components::Transform;
use core::{
    hash::{Hash, Hasher},
    time::Duration,
};
use proptest::prelude::*;
use std::{
    collections::HashMap,
    hash::DefaultHasher,
    sync::{Arc, Mutex},
};

#[derive(Component)]
pub struct Fighter;

#[derive(Component, Reflect, Clone, Copy, PartialEq, Debug, Default)]
pub struct Body {
    place: f32,
    speed: f32,
    age: u32,
}

#[derive(Reflect, Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Deed {
    #[default]
    Hold,
    Push,
    Stop,
}

#[derive(Component, Reflect, Clone, Copy, PartialEq, Debug, Default)]
pub struct Intent {
    push: f32,
    deed: Deed,
    steps: i8,
    jump: bool,
}

/// The alternatives of `Intent`: three deeds, then no jump and jump.
#[derive(Component, Reflect, Clone, Copy, Debug, Default)]
pub struct Allowed([bool; 5]);

#[derive(Resource, Reflect, Default)]
pub struct Weather(f32);

fn recording() -> Recording<Fighter> {
    Recording::<Fighter>::new("fighter")
        .observe::<Body>()
        .observe_resource::<Weather>()
        .observe_entities(
            EntityList::new("others", 2)
                .kind::<Fighter>("fighter")
                .with_field::<Body>(""),
        )
        .observe_system(["fighters"], |players: PlayerValues, all: Query<&Fighter>| {
            players
                .into_iter()
                .for_each(|(_, values)| values[0] = all.iter().count() as f32);
        })
        .act::<Intent>()
        .action_mask::<Allowed>()
        .policy_info()
}

/// Moves fighters as they intend.
fn step(mut fighters: Query<(&mut Body, &Intent, &mut Transform, &mut Allowed)>) {
    for (mut body, intent, mut transform, mut allowed) in &mut fighters {
        body.speed = match intent.deed {
            Deed::Hold => body.speed * 0.9,
            Deed::Push => body.speed + intent.push,
            Deed::Stop => 0.0,
        };
        body.place += body.speed + f32::from(intent.steps) * 0.01 + f32::from(u8::from(intent.jump));
        body.age += 1;
        transform.translation.x = body.place;
        let age = body.age;
        allowed.0 = core::array::from_fn(|bit| !(age as usize * 7 + bit * 3).is_multiple_of(4));
    }
}

/// A script, which depends on what a fighter observes alone.
fn decide(body: &Body) -> Intent {
    let age = body.age;
    Intent {
        push: (age as f32 * 0.7).sin(),
        deed: [Deed::Hold, Deed::Push, Deed::Stop][(age as usize * 5 + body.place.abs() as usize) % 3],
        steps: (age * 37 % 200) as u8 as i8,
        jump: age.is_multiple_of(5),
    }
}

fn spawn(test: &mut TestApp, agent: i64) -> Entity {
    let body = Body {
        place: agent as f32,
        ..Default::default()
    };
    test.world_mut()
        .spawn((
            Fighter,
            AgentId(agent),
            body,
            Intent::default(),
            Allowed([true; 5]),
            Transform::default(),
        ))
        .id()
}

fn info(transition: Transition<'_>, name: &str) -> f64 {
    transition.after().info(name).unwrap()[0]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The hash of all bodies at each tick.
fn hash_world(test: &mut TestApp, hash: &mut DefaultHasher) {
    let mut fighters = test.world_mut().query::<(&AgentId, &Body, &Intent)>();
    let mut found: Vec<_> = fighters
        .iter(test.world())
        .map(|(agent, body, intent)| (agent.0, format!("{body:?} {intent:?}")))
        .collect();
    found.sort();
    found.hash(hash);
}

#[test]
fn a_recorded_script_that_is_played_back_by_lookup_makes_the_same_world() {
    let play = |lookup: Option<Vec<Episode>>| {
        let mut test = TestApp::new();
        test.init_resource::<Weather>();
        // The mask is not that of the script.
        test.record(
            Recording::<Fighter>::new("fighter")
                .observe::<Body>()
                .act::<Intent>()
                .policy_info(),
        );
        let script = |mut fighters: Query<(&Body, &mut Intent, Option<&PolicyControlled>)>| {
            for (body, mut intent, controlled) in &mut fighters {
                // A policy acts from the first capture on.
                if controlled.is_none() || body.age == 0 {
                    *intent = decide(body);
                }
            }
        };
        test.add_systems(FixedUpdate, (script, step).chain());
        let plays_back = lookup.is_some();
        if let Some(episodes) = lookup {
            let mut table = HashMap::new();
            for transition in episodes.iter().flat_map(Episode::transitions) {
                let agent = transition.episode().info().agent_id;
                table.insert(
                    (agent, bits(transition.observation())),
                    transition.action().collect::<Vec<_>>(),
                );
            }
            test.add_policy(Policy::<Fighter>::for_recording("fighter").model(
                move |observations: &ObservationBatch, actions: &mut ActionBatch| {
                    for player in 0..observations.len() {
                        let key = (observations.agent_ids()[player], bits(observations.features(player)));
                        let action = table
                            .get(&key)
                            .ok_or_else(|| PolicyError::Model("not recorded".to_owned()))?;
                        actions.set(player, 0, 0, action[0]);
                        actions.choose(player, 1, 0, action[1] as usize);
                        actions.set(player, 2, 0, action[2]);
                        actions.choose(player, 3, 0, action[3] as usize);
                    }
                    Ok(())
                },
            ));
        }
        let mut hash = DefaultHasher::new();
        for agent in 0..3 {
            let fighter = spawn(&mut test, agent);
            if plays_back {
                test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
            }
        }
        for _ in 0..200 {
            test.ticks(1);
            hash_world(&mut test, &mut hash);
        }
        if plays_back {
            let experience = test.world().resource::<Experience>();
            let status = experience.policies("fighter").next().unwrap().clone();
            assert_eq!((status.decisions, status.actions, status.failed), (199, 3 * 199, 0));
        }
        (hash.finish(), test.finish())
    };
    let (scripted, episodes) = play(None);
    let (played, again) = play(Some(episodes));
    assert_eq!(played, scripted);
    assert!(
        again
            .iter()
            .flat_map(Episode::transitions)
            .all(|transition| info(transition, "policy_version") == 1.0)
    );
}

/// What a policy has seen, by agent and tick.
type Seen = Arc<Mutex<HashMap<(i64, i64), (Vec<u32>, Vec<bool>)>>>;

/// A game that is captured in fixed ticks or in frames.
#[derive(Clone, Debug)]
struct Game {
    moves_in_frames: bool,
    /// Frames a second; one fixed tick a frame where `None`.
    frames: Option<u32>,
    /// The begin of each tick in which a fighter ends its episode, or gets or loses the policy: agent and what happens.
    events: Vec<(u8, u8)>,
    interval: u32,
}

fn game() -> impl Strategy<Value = Game> {
    let frames = prop_oneof![Just(None), Just(Some(30)), Just(Some(60)), Just(Some(144))];
    let events = proptest::collection::vec((0..3_u8, 0..8_u8), 60);
    (any::<bool>(), frames, events, 1..4_u32).prop_map(|(moves_in_frames, frames, events, interval)| Game {
        moves_in_frames,
        frames,
        events,
        interval,
    })
}

fn play(game: &Game) -> (Seen, Vec<Episode>) {
    let seen = Seen::default();
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording().decision_interval(game.interval));
    let log = seen.clone();
    let random = bevy_experience::policy::RandomModel::new(4);
    let mut random = random;
    test.add_policy(
        Policy::<Fighter>::for_recording("fighter")
            .sampling(Sampling::Stochastic { temperature: 1.0 })
            .seed(7)
            .model(move |observations: &ObservationBatch, actions: &mut ActionBatch| {
                use bevy_experience::policy::PolicyModel;
                let mut log = log.lock().unwrap();
                for player in 0..observations.len() {
                    let key = (observations.agent_ids()[player], observations.tick());
                    let saw = (bits(observations.features(player)), observations.mask(player).to_vec());
                    assert!(log.insert(key, saw).is_none(), "one decision a tick");
                }
                random.act(observations, actions)
            }),
    );
    if game.moves_in_frames {
        test.add_systems(Update, step);
    } else {
        test.add_systems(FixedUpdate, step);
        // What changes between two ticks is not what was captured.
        test.add_systems(Update, |mut weather: ResMut<Weather>| weather.0 += 0.25);
    }
    if let Some(frames) = game.frames {
        test.insert_resource(Time::<Fixed>::from_hz(60.0));
        let frame = Duration::from_secs(1) / frames;
        test.insert_resource(TimeUpdateStrategy::ManualDuration(frame));
    }
    let fighters: Vec<_> = (0..3).map(|agent| spawn(&mut test, agent)).collect();
    test.world_mut()
        .entity_mut(fighters[0])
        .insert(PolicyControlled::default());
    for &(agent, event) in &game.events {
        let fighter = fighters[usize::from(agent)];
        match event {
            0 => test.world_mut().trigger(EndEpisode::terminated(fighter, "goal")),
            1 | 2 => {
                test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
            }
            3 => {
                test.world_mut().entity_mut(fighter).remove::<PolicyControlled>();
            }
            _ => {}
        }
        test.update();
    }
    (seen, test.finish())
}

/// Compares what a policy has seen with what was recorded. Returns the number of transitions that it has decided.
fn compare(game: &Game) -> Result<usize, TestCaseError> {
    let (seen, episodes) = play(game);
    let seen = seen.lock().unwrap();
    let mut decided = 0;
    for transition in episodes.iter().flat_map(Episode::transitions) {
        let agent = transition.episode().info().agent_id;
        // The tick of a transition is that of its observation.
        let first_tick = transition.tick() + 1;
        let saw = seen.get(&(agent, first_tick));
        let by_policy = info(transition, "policy_version") > 0.0;
        if by_policy && game.interval == 1 {
            prop_assert!(saw.is_some(), "a decision at {first_tick}");
        }
        let Some((observation, mask)) = saw else { continue };
        prop_assert_eq!(observation, &bits(transition.observation()));
        let recorded: Vec<_> = (0..5).map(|bit| transition.before().allows(bit)).collect();
        prop_assert_eq!(mask, &recorded);
        if by_policy {
            decided += 1;
            // The action is one that the mask of its observation allows.
            let action: Vec<_> = transition.action().collect();
            prop_assert!(mask[action[1] as usize] || !mask[..3].contains(&true));
            prop_assert!(mask[3 + action[3] as usize] || !mask[3..].contains(&true));
        }
    }
    Ok(decided)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_policy_sees_bit_by_bit_what_is_recorded(game in game()) {
        compare(&game)?;
    }
}

#[test]
fn a_policy_decides_each_transition_of_its_player() {
    for moves_in_frames in [false, true] {
        for (frames, interval, expected) in [(None, 1, 59), (None, 3, 19), (Some(30), 1, 59), (Some(144), 2, 9)] {
            let events = vec![(0, 7); 60];
            let decided = compare(&Game {
                moves_in_frames,
                frames,
                events,
                interval,
            })
            .unwrap();
            assert!(
                decided >= expected,
                "{decided} of {expected} in {frames:?} with {interval}"
            );
        }
    }
}

#[test]
fn recording_does_not_change_what_a_policy_does() {
    let play = |enabled: bool, pauses: bool, interval: u32| {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            enabled,
            ..Default::default()
        });
        test.init_resource::<Weather>();
        test.record(recording().decision_interval(interval));
        test.add_policy(Policy::<Fighter>::for_recording("fighter").random().seed(3));
        test.add_systems(FixedUpdate, step);
        for agent in 0..4 {
            let fighter = spawn(&mut test, agent);
            test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
        }
        let mut hash = DefaultHasher::new();
        for tick in 0..120 {
            if tick % 17 == 5 {
                let mut fighters = test.world_mut().query_filtered::<Entity, With<Fighter>>();
                let fighter = fighters.iter(test.world()).nth(tick % 4).unwrap();
                test.world_mut().trigger(EndEpisode::terminated(fighter, "goal"));
            }
            let mut experience = test.world_mut().resource_mut::<Experience>();
            if pauses && tick == 31 {
                experience.pause("test");
            } else if pauses && tick == 50 {
                experience.resume();
            }
            test.ticks(1);
            hash_world(&mut test, &mut hash);
        }
        hash.finish()
    };
    for interval in [1, 3] {
        let expected = play(true, false, interval);
        assert_eq!(play(false, false, interval), expected, "without recording");
        assert_eq!(play(true, true, interval), expected, "with pauses");
    }
}

#[test]
fn a_decision_lasts_for_the_interval_of_the_recording() {
    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording().decision_interval(3));
    test.add_policy(Policy::<Fighter>::for_recording("fighter").random());
    test.add_systems(FixedUpdate, step);
    let fighter = spawn(&mut test, 1);
    test.world_mut().entity_mut(fighter).insert(PolicyControlled::default());
    // The first capture, 10 decisions, and the episode ends in the middle of the next.
    test.ticks(32);
    test.world_mut().trigger(EndEpisode::terminated(fighter, "goal"));
    test.ticks(7);
    let decisions = test
        .world()
        .resource::<Experience>()
        .policies("fighter")
        .next()
        .unwrap()
        .decisions;
    let episodes = test.finish();
    assert_eq!(episodes[0].len(), 11);
    assert_eq!(episodes[0].transition(10).ticks(), 1);
    // The end is between two ticks: the next capture begins an episode, of which six ticks are played.
    assert_eq!(decisions, 11 + 2);
    assert!(
        episodes
            .iter()
            .flat_map(Episode::transitions)
            .all(|transition| info(transition, "policy_version") > 0.0)
    );
}
