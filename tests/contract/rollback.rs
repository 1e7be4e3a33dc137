//! Speculative ticks: a game with rollback, whose rows are those of the last simulation of each tick.

use crate::{log_lines::LogLines, player::Player, support::Choice};
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::HashMap;

/// One tick of the game, which it runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Simulate;

#[derive(Component, Reflect, Clone, Copy, Debug, PartialEq)]
struct Place(f32);

/// The tick that is simulated, and the last one that is confirmed.
#[derive(Resource, Default)]
struct Frame {
    simulated: i64,
    confirmed: i64,
}

/// The input of each player in a tick: 0 to 3, and 9 to leave.
type Inputs = [u8; 2];

#[derive(Resource, Default)]
struct CurrentInputs(Inputs);

/// What the game restores: the place and the choice of each player, by agent id. A reward is not restored.
type Snapshot = Vec<(i64, f32, f32)>;

/// A place from which the next episode begins.
const GOAL: f32 = 12.0;

/// A row: observation, action, reward, next observation, and the end.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    before: f32,
    action: f32,
    reward: f64,
    after: f32,
    end: Option<String>,
}

fn simulate(world: &mut World) {
    let inputs = world.resource::<CurrentInputs>().0;
    let mut players = world.query::<(Entity, &AgentId)>();
    let mut players: Vec<_> = players.iter(world).map(|(entity, agent)| (agent.0, entity)).collect();
    players.sort_unstable();
    for (agent, player) in players {
        let input = inputs[agent as usize];
        world.get_mut::<Choice>(player).unwrap().0 = f32::from(input);
        let mut reward = world.get_mut::<Reward>(player).unwrap();
        reward.add("tick", 1.0);
        reward.add("input", f64::from(input));
        let mut place = world.get_mut::<Place>(player).unwrap();
        place.0 += f32::from(input);
        if input == 9 {
            world.despawn(player);
        } else if place.0 >= GOAL {
            world.trigger(EndEpisode::terminated(player, "goal"));
        }
    }
}

fn reset(ended: On<EpisodeEnded>, mut places: Query<&mut Place>) {
    places.get_mut(ended.entity).unwrap().0 = 0.0;
}

fn capture(world: &mut World) {
    let &Frame { simulated, confirmed } = world.resource::<Frame>();
    world.insert_resource(SpeculativeTicks { simulated, confirmed });
    world.run_schedule(ExperienceCapture);
}

struct Game {
    test: TestApp,
    snapshots: HashMap<i64, Snapshot>,
    /// Players are restored on new entities.
    recreates: bool,
}

impl Game {
    fn new(rules: EpisodeRules, recreates: bool) -> Self {
        let mut test = TestApp::new();
        let recording = |name| {
            Recording::<Player>::new(name)
                .observe::<Place>()
                .capture_after(Simulate)
                .act::<Choice>()
                .reward_terms(["tick", "input"])
                .buffers(BufferSettings {
                    capacity: 4096,
                    ..Default::default()
                })
        };
        test.record(recording("own").episodes(rules.clone()));
        test.record(recording("shared").episodes(rules.clone()).scaling(PlayerScaling {
            pool_above: Some(0),
            ..Default::default()
        }));
        test.record(recording("interval").episodes(rules).decision_interval(3));
        test.init_resource::<Frame>().init_resource::<CurrentInputs>();
        test.add_observer(reset)
            .add_systems(Simulate, (simulate, capture).chain());
        let mut game = Self {
            test,
            snapshots: HashMap::new(),
            recreates,
        };
        for id in 0..2 {
            game.test
                .world_mut()
                .spawn((Player, Place(0.0), Choice(0.0), AgentId(id)));
        }
        game.save(0);
        game
    }

    fn save(&mut self, frame: i64) {
        let world = self.test.world_mut();
        let mut players = world.query::<(&AgentId, &Place, &Choice)>();
        let mut snapshot: Snapshot = players
            .iter(world)
            .map(|(agent, place, choice)| (agent.0, place.0, choice.0))
            .collect();
        snapshot.sort_by_key(|player| player.0);
        self.snapshots.insert(frame, snapshot);
    }

    fn load(&mut self, frame: i64) {
        let snapshot = self.snapshots[&frame].clone();
        let world = self.test.world_mut();
        let mut players = world.query::<(Entity, &AgentId)>();
        let players: HashMap<_, _> = players.iter(world).map(|(entity, agent)| (agent.0, entity)).collect();
        for (agent, &player) in &players {
            if self.recreates || !snapshot.iter().any(|restored| restored.0 == *agent) {
                world.despawn(player);
            }
        }
        for (agent, place, choice) in snapshot {
            match players.get(&agent).filter(|_| !self.recreates) {
                Some(&player) => {
                    world.entity_mut(player).insert((Place(place), Choice(choice)));
                }
                None => {
                    world.spawn((Player, Place(place), Choice(choice), AgentId(agent)));
                }
            }
        }
    }

    fn advance(&mut self, frame: i64, inputs: Inputs, confirmed: i64) {
        let world = self.test.world_mut();
        world.insert_resource(Frame {
            simulated: frame,
            confirmed,
        });
        world.insert_resource(CurrentInputs(inputs));
        world.run_schedule(Simulate);
        self.save(frame);
    }

    /// The rows of each player, by recording.
    fn finish(&mut self, name: &str) -> [Vec<Row>; 2] {
        let episodes = self.test.finish_recording(name);
        [0, 1].map(|agent| {
            let own = episodes.iter().filter(|episode| episode.info().agent_id == agent);
            own.flat_map(rows).collect()
        })
    }
}

fn rows(episode: &Episode) -> Vec<Row> {
    let row = |transition: bevy_experience::transition::Transition<'_>| Row {
        before: transition.observation()[0],
        action: transition.action().next().unwrap() as f32,
        reward: transition.reward(),
        after: transition.next_observation()[0],
        end: transition.end_reason().map(ToString::to_string),
    };
    episode.transitions().map(row).collect()
}

/// The rows of a game that simulates each tick once, with the inputs of ticks 1, 2, 3 and so on.
fn truth(inputs: &[Inputs]) -> [Vec<Row>; 2] {
    [0, 1].map(|agent| {
        let mut rows: Vec<Row> = Vec::new();
        let mut place = 0.0;
        // The observation of the last row, once the player has joined.
        let mut before = None;
        for input in inputs.iter().map(|inputs| inputs[agent]) {
            place += f32::from(input);
            let end = match input {
                9 => Some("left"),
                _ if place >= GOAL => Some("goal"),
                _ => None,
            };
            let after = place;
            if end == Some("goal") {
                place = 0.0;
            }
            if let Some(before) = before {
                rows.push(Row {
                    before,
                    action: f32::from(input),
                    reward: 1.0 + f64::from(input),
                    after,
                    end: end.map(str::to_owned),
                });
            }
            if end == Some("left") {
                return rows;
            }
            before = Some(place);
        }
        if let Some(last) = rows.last_mut() {
            last.end.get_or_insert("shutdown".to_owned());
        }
        rows
    })
}

fn random_inputs(random: &mut StdRng, frames: usize, leaves_at: Option<usize>) -> Vec<Inputs> {
    (1..=frames)
        .map(|frame| {
            let second = if leaves_at == Some(frame) {
                9
            } else {
                random.random_range(0..4)
            };
            [random.random_range(0..4), second]
        })
        .collect()
}

/// As `bevy_ggrs` does it in a session of the type `SyncTest`.
fn sync_test(game: &mut Game, inputs: &[Inputs], distance: i64) {
    for now in 1..=inputs.len() as i64 {
        let from = if now > distance { now - distance } else { now };
        if from < now {
            game.load(from - 1);
        }
        for frame in from..=now {
            game.advance(frame, inputs[frame as usize - 1], frame - 1 - distance);
        }
    }
}

#[test]
fn each_tick_of_a_sync_test_has_one_row_with_a_reward_of_one() {
    for recreates in [false, true] {
        for distance in 1..=7 {
            let mut random = StdRng::seed_from_u64(distance as u64);
            let inputs = random_inputs(&mut random, 120, Some(60));
            let mut game = Game::new(EpisodeRules::default(), recreates);
            sync_test(&mut game, &inputs, distance);
            let confirmed = inputs.len() - distance as usize - 1;
            let expected = truth(&inputs[..confirmed]);
            for name in ["own", "shared"] {
                assert_eq!(game.finish(name), expected, "{name}, distance {distance}");
            }
            let episodes = game.test.finish_recording("own");
            for episode in &episodes {
                for pair in 0..episode.len() {
                    assert_eq!(episode.row(pair).header().tick + 1, episode.row(pair + 1).header().tick);
                    assert_eq!(episode.row(pair + 1).reward_terms()[0], 1.0, "true reward 1 a tick");
                }
            }
            assert_eq!(game.test.report().pending, 0);
        }
    }
}

#[test]
fn mispredicted_ticks_are_replaced() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let inputs = random_inputs(&mut random, 150, (seed % 2 == 0).then_some(80));
        let mut game = Game::new(EpisodeRules::default(), seed % 3 == 0);
        let mut known = 0;
        for now in 1..=inputs.len() as i64 {
            let before = known;
            known = known.max(now - random.random_range(0..8)).min(now);
            let from = (before + 1).min(now);
            if from < now {
                game.load(from - 1);
            }
            for frame in from..=now {
                let input = if frame <= known {
                    inputs[frame as usize - 1]
                } else {
                    // A wrong prediction can end an episode, or let a player leave.
                    [random.random_range(0..4), if random.random_bool(0.1) { 9 } else { 3 }]
                };
                game.advance(frame, input, known);
            }
        }
        // The last ticks are not confirmed.
        let expected = truth(&inputs[..known as usize]);
        for name in ["own", "shared"] {
            assert_eq!(game.finish(name), expected, "{name}, seed {seed}");
        }
    }
}

#[test]
fn decision_intervals_and_late_final_observations_are_those_of_the_confirmed_ticks() {
    let play = |distance: i64, when| {
        let mut random = StdRng::seed_from_u64(3);
        let inputs = random_inputs(&mut random, 100, None);
        let mut game = Game::new(
            EpisodeRules {
                final_observation: when,
                ..Default::default()
            },
            false,
        );
        if distance == 0 {
            for (frame, &input) in (1..=92).zip(&inputs) {
                game.advance(frame, input, frame);
            }
        } else {
            sync_test(&mut game, &inputs, distance);
        }
        (game.finish("interval"), game.finish("own"))
    };
    for when in [FinalObservation::AtTrigger, FinalObservation::AtCapture] {
        let expected = play(0, when);
        assert!(expected.0[0].len() > 20);
        assert_eq!(play(7, when), expected, "{when:?}");
    }
}

#[test]
fn an_opt_out_reaches_ticks_that_are_not_confirmed() {
    let mut game = Game::new(EpisodeRules::default(), false);
    for frame in 1..=10 {
        game.advance(frame, [1, 1], frame - 8);
    }
    let world = game.test.world_mut();
    let mut players = world.query::<(Entity, &AgentId)>();
    let player = players.iter(world).find(|(_, agent)| agent.0 == 1).unwrap().0;
    world.entity_mut(player).insert(DoNotRecord);
    for frame in 11..=30 {
        game.advance(frame, [1, 1], frame - 8);
    }
    let rows = game.finish("own");
    assert_eq!((rows[0].len() > 10, rows[1].len()), (true, 0));
}

#[test]
fn a_tick_that_is_simulated_again_after_it_was_confirmed_is_logged_once() {
    let mut game = Game::new(EpisodeRules::default(), false);
    let log = LogLines::default();
    log.collect(|| {
        for frame in [1, 2, 3, 4, 3, 4, 5, 6] {
            game.advance(frame, [1, 1], 4);
        }
    });
    let warnings = log.warnings();
    let about = warnings
        .iter()
        .filter(|line| line.contains("recording `own`: tick 3 was simulated again"));
    assert_eq!(about.count(), 1, "{warnings:?}");
    assert_eq!(game.finish("own")[0].len(), 3);
}

#[test]
fn ticks_that_are_never_confirmed_are_bounded_and_logged() {
    let mut game = Game::new(EpisodeRules::default(), false);
    let log = LogLines::default();
    log.collect(|| {
        for frame in 1..=1100 {
            game.advance(frame, [1, 1], 0);
        }
    });
    assert!(log.warnings()[0].contains("more than 1024 ticks are not confirmed"));
    assert_eq!(game.finish("own")[0].len(), 1100 - 1024 - 1);
}

#[test]
fn a_recording_of_frames_is_not_speculative() {
    let mut game = Game::new(EpisodeRules::default(), false);
    let recording = Recording::<Player>::new("frames").observe::<Place>();
    game.test.record(recording.capture_after(bevy_app::Last));
    for frame in 1..=20 {
        game.advance(frame, [1, 1], frame - 8);
        game.test.update();
    }
    let places = |episode: &Episode| -> Vec<f32> {
        let rows = 0..=episode.len();
        rows.map(|row| episode.row(row).observation()[0]).collect()
    };
    let frames = game.test.finish_recording("frames");
    assert_eq!(places(&frames[0])[..3], [1.0, 2.0, 3.0]);
    assert_eq!(places(&frames[0]).last(), Some(&11.0), "the last frame before the goal");
    assert_eq!(frames[0].reason().as_str(), "goal");
    assert_eq!(game.finish("own")[0].len(), 11);
}

#[test]
fn a_game_that_runs_captures_itself_ends_episodes_within_ticks() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Place>()
            .capture_after(Simulate),
    );
    test.init_resource::<CurrentInputs>();
    test.add_observer(reset).add_systems(
        Simulate,
        (simulate, |world: &mut World| world.run_schedule(ExperienceCapture)).chain(),
    );
    test.world_mut().spawn((Player, Place(0.0), Choice(0.0), AgentId(0)));
    for _ in 0..9 {
        test.insert_resource(CurrentInputs([3, 0]));
        test.world_mut().run_schedule(Simulate);
    }
    let episodes = test.finish();
    let places = |episode: &Episode| -> Vec<f32> {
        let rows = 0..=episode.len();
        rows.map(|row| episode.row(row).observation()[0]).collect()
    };
    assert_eq!(places(&episodes[0]), [3.0, 6.0, 9.0, 12.0]);
    assert_eq!(places(&episodes[1]), [0.0, 3.0, 6.0, 9.0, 12.0]);
}
