//! Property test: random games against a reference model of joins, ends, resets, despawns, decision intervals and splits.

use crate::{player::Player, support::Choice};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{buffer::pool::PoolSettings, prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;
use proptest::prelude::*;

#[derive(Component, Reflect)]
struct Place(f32);

/// One tick of one player, in this order: its action, its movement, its reward, and the end of its episode, if any.
#[derive(Clone, Copy, Debug)]
struct Move {
    choice: u8,
    by: u8,
    reward: u8,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    No,
    Terminated,
    Truncated,
    /// Terminated, and reset to place 0.
    Reset,
    Despawn,
    /// Terminated between this tick and the next.
    Between,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let end = prop_oneof![
        12 => Just(End::No),
        1 => Just(End::Terminated),
        1 => Just(End::Truncated),
        1 => Just(End::Reset),
        1 => Just(End::Despawn),
        1 => Just(End::Between),
    ];
    let one =
        (0..3_u8, prop_oneof![2 => Just(0_u8), 1 => 1..4_u8], 0..3_u8, end).prop_map(|(choice, by, reward, end)| {
            Move {
                choice,
                by,
                reward,
                end,
            }
        });
    prop::collection::vec(one, 1..40)
}

/// One transition, of the model or of the recording.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    before: f32,
    action: f64,
    reward: f64,
    ticks: u32,
    after: f32,
    end: Option<(Outcome, String)>,
}

/// The episodes that have to be recorded of a player that makes `moves`.
fn model(moves: &[Move], every: u32, longest: usize) -> Vec<Vec<Step>> {
    let mut episodes: Vec<Vec<Step>> = Vec::new();
    // The open episode, and the observation of its last row.
    let mut open: Option<(Vec<Step>, f32)> = None;
    let mut decision: Option<Step> = None;
    let mut place = 0.0;
    for step in moves {
        place += f32::from(step.by);
        let observed = place;
        if step.end == End::Reset {
            place = 0.0;
        }
        let outcome = match step.end {
            End::No => None,
            End::Truncated => Some((Outcome::Truncated, "time_limit".to_owned())),
            End::Despawn => Some((Outcome::Truncated, "left".to_owned())),
            End::Terminated | End::Reset | End::Between => Some((Outcome::Terminated, "death".to_owned())),
        };
        if let Some((steps, before)) = &mut open {
            let current = decision.get_or_insert(Step {
                before: *before,
                action: f64::from(step.choice),
                reward: 0.0,
                ticks: 0,
                after: 0.0,
                end: None,
            });
            current.reward += f64::from(step.reward);
            current.ticks += 1;
            current.after = observed;
            if current.ticks == every || outcome.is_some() {
                steps.extend(decision.take());
                *before = observed;
                if outcome.is_none() && steps.len() == longest {
                    steps[longest - 1].end = Some((Outcome::Truncated, "split".to_owned()));
                    episodes.push(core::mem::take(steps));
                } else if step.end == End::Between && steps.len() == longest && steps[longest - 1].ticks == every {
                    // The capture that closed the transition split the episode, because the end came later.
                    steps[longest - 1].end = Some((Outcome::Truncated, "split".to_owned()));
                    episodes.push(core::mem::take(steps));
                }
            }
            if let Some(end) = outcome {
                if let Some(last) = steps.last_mut() {
                    last.end = Some(end);
                    episodes.push(core::mem::take(steps));
                }
                open = None;
            }
        } else if step.end == End::Despawn {
            // Despawned before its first capture.
            place = 0.0;
            continue;
        } else {
            // It joins in this tick, or its last episode ended before this tick.
            open = (step.end != End::Between).then_some((Vec::new(), place));
            continue;
        }
        match step.end {
            // The next episode begins at the capture that publishes this end.
            End::Terminated | End::Truncated | End::Reset => open = Some((Vec::new(), place)),
            End::Despawn => place = 0.0,
            End::No | End::Between => {}
        }
    }
    if let Some((mut steps, _)) = open
        && let Some(last) = steps.last_mut()
    {
        // The reward of the open decision is added to the last transition. Its next observation is never captured.
        last.reward += decision.map_or(0.0, |decision| decision.reward);
        last.end = Some((Outcome::Truncated, "shutdown".to_owned()));
        episodes.push(steps);
    }
    episodes
}

/// The episodes of [`RecordMode::OnChange`], from those of [`RecordMode::EveryTick`]: a transition without a change of the
/// observation is joined with the next one if both have the same action.
fn compress(episodes: Vec<Vec<Step>>) -> Vec<Vec<Step>> {
    let join = |episode: Vec<Step>| {
        let mut joined: Vec<Step> = Vec::new();
        for step in episode {
            match joined.last_mut() {
                Some(last) if last.before == last.after && last.action == step.action => {
                    *last = Step {
                        before: last.before,
                        reward: last.reward + step.reward,
                        ticks: last.ticks + step.ticks,
                        ..step
                    };
                }
                _ => joined.push(step),
            }
        }
        joined
    };
    episodes.into_iter().map(join).collect()
}

fn steps(episodes: &[bevy_experience::transition::Episode]) -> Vec<Vec<Step>> {
    let step = |transition: bevy_experience::transition::Transition<'_>| Step {
        before: transition.observation()[0],
        action: transition.action().next().unwrap(),
        reward: transition.reward(),
        ticks: transition.ticks(),
        after: transition.next_observation()[0],
        end: transition
            .end_reason()
            .map(|reason| (transition.episode().outcome(), reason.to_string())),
    };
    episodes
        .iter()
        .map(|episode| episode.transitions().map(step).collect())
        .collect()
}

/// Plays all scripts in one app. They have one length.
fn play(scripts: &[Vec<Move>], every: u32, longest: usize) -> TestApp {
    let mut test = TestApp::new();
    let recording = |name| {
        Recording::<Player>::new(name)
            .observe::<Place>()
            .act::<Choice>()
            .reward_terms(["reward"])
            .decision_interval(every)
    };
    let longest = u32::try_from(longest).unwrap();
    let blocking = |name| {
        recording(name).buffers(BufferSettings {
            overflow: Overflow::Block(core::time::Duration::from_secs(20)),
            ..Default::default()
        })
    };
    let rules = EpisodeRules {
        max_steps: longest,
        ..Default::default()
    };
    test.record(blocking("every").episodes(rules.clone()));
    test.record(blocking("whole"));
    test.record(blocking("change").mode(RecordMode::OnChange));
    // Large enough for all rows of a game.
    let pool = PoolSettings {
        bytes: 1 << 20,
        shards: 2,
        ..PoolSettings::default()
    };
    test.record(recording("shared").episodes(rules).scaling(PlayerScaling {
        pool_above: Some(0),
        pool: Some(pool),
        ..Default::default()
    }));
    let mut entities: Vec<Option<Entity>> = vec![None; scripts.len()];
    for tick in 0..scripts[0].len() {
        let now: Vec<_> = scripts.iter().map(|moves| moves[tick]).collect();
        let world = test.world_mut();
        for (id, entity) in entities.iter_mut().enumerate() {
            if entity.is_none() {
                let agent = AgentId(i64::try_from(id).unwrap());
                *entity = Some(world.spawn((Player, Place(0.0), Choice(0.0), agent)).id());
            }
        }
        world.insert_resource(CurrentMoves(
            entities.iter().copied().zip(now.iter().copied()).collect(),
        ));
        if tick == 0 {
            test.add_systems(FixedUpdate, apply_moves);
        }
        test.ticks(1);
        for (id, entity) in entities.iter_mut().enumerate() {
            match (now[id].end, *entity) {
                (End::Despawn, _) => *entity = None,
                (End::Between, Some(player)) => {
                    test.world_mut().trigger(EndEpisode::terminated(player, "death"));
                }
                _ => {}
            }
        }
    }
    test
}

#[derive(Resource)]
struct CurrentMoves(Vec<(Option<Entity>, Move)>);

fn apply_moves(world: &mut World) {
    let now = world.resource::<CurrentMoves>().0.clone();
    for (entity, step) in now {
        let Some(player) = entity else { continue };
        world.get_mut::<Choice>(player).unwrap().0 = f32::from(step.choice);
        world.get_mut::<Place>(player).unwrap().0 += f32::from(step.by);
        world
            .get_mut::<Reward>(player)
            .unwrap()
            .add("reward", f64::from(step.reward));
        match step.end {
            End::No | End::Between => {}
            End::Terminated => world.trigger(EndEpisode::terminated(player, "death")),
            End::Truncated => world.trigger(EndEpisode::truncated(player, "time_limit")),
            End::Reset => {
                world.trigger(EndEpisode::terminated(player, "death"));
                world.get_mut::<Place>(player).unwrap().0 = 0.0;
            }
            End::Despawn => {
                world.despawn(player);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_games_are_recorded_as_the_model_predicts(
        scripts in prop::collection::vec(moves(), 1..4),
        every in 1..4_u32,
        longest in 1..6_usize,
    ) {
        // Idle moves fill all scripts to the length of the longest.
        let ticks = scripts.iter().map(Vec::len).max().unwrap();
        let idle = Move { choice: 0, by: 0, reward: 0, end: End::No };
        let scripts: Vec<Vec<Move>> = scripts
            .into_iter()
            .map(|mut moves| {
                moves.resize(ticks, idle);
                moves
            })
            .collect();
        let mut test = play(&scripts, every, longest);
        let recorded = |test: &mut TestApp, name: &str, agent: usize| {
            let episodes: Vec<_> = test
                .finish_recording(name)
                .into_iter()
                .filter(|episode| episode.info().agent_id == i64::try_from(agent).unwrap())
                .collect();
            steps(&episodes)
        };
        for (agent, moves) in scripts.iter().enumerate() {
            prop_assert_eq!(recorded(&mut test, "every", agent), model(moves, every, longest));
            prop_assert_eq!(recorded(&mut test, "shared", agent), model(moves, every, longest));
            let whole = model(moves, every, usize::MAX);
            prop_assert_eq!(&recorded(&mut test, "whole", agent), &whole);
            prop_assert_eq!(recorded(&mut test, "change", agent), compress(whole));
        }
        let report = test.report();
        prop_assert_eq!(report.pending, 0);
        prop_assert_eq!(report.recorded, report.exported);
    }
}
