//! Random games against a plain model: joins, ends, resets, despawns, still ticks, decision intervals, splits.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{buffer::pool::PoolSettings, prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;
use proptest::prelude::*;

#[derive(Component, Reflect)]
struct Player;

#[derive(Component, Reflect)]
struct Place(f32);

#[derive(Component, Reflect)]
struct Choice(f32);

/// What happens to one player in one tick, in this order: it chooses, is moved, is paid, and perhaps its episode ends or
/// it goes.
#[derive(Clone, Copy, Debug)]
struct Move {
    choice: u8,
    by: u8,
    pay: u8,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    No,
    Terminated,
    Truncated,
    /// Ended, and moved to 0 by the reset.
    Reset,
    Despawn,
    /// Between this tick and the next.
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
    let one = (0..3_u8, prop_oneof![2 => Just(0_u8), 1 => 1..4_u8], 0..3_u8, end)
        .prop_map(|(choice, by, pay, end)| Move { choice, by, pay, end });
    prop::collection::vec(one, 1..40)
}

/// One transition as the model and the recording both tell it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    before: f32,
    action: f64,
    reward: f64,
    ticks: u32,
    after: f32,
    end: Option<(Outcome, String)>,
}

/// What should have been recorded of a player that lives through `moves`, worked out tick by tick with plain vectors.
fn model(moves: &[Move], every: u32, longest: usize) -> Vec<Vec<Told>> {
    let mut episodes: Vec<Vec<Told>> = Vec::new();
    // The episode so far, and what was seen at its last row.
    let mut open: Option<(Vec<Told>, f32)> = None;
    let mut decision: Option<Told> = None;
    let mut place = 0.0;
    for step in moves {
        place += f32::from(step.by);
        let seen = place;
        if step.end == End::Reset {
            place = 0.0;
        }
        let outcome = match step.end {
            End::No => None,
            End::Truncated => Some((Outcome::Truncated, "time_limit".to_owned())),
            End::Despawn => Some((Outcome::Truncated, "left".to_owned())),
            End::Terminated | End::Reset | End::Between => Some((Outcome::Terminated, "death".to_owned())),
        };
        if let Some((told, before)) = &mut open {
            let under_way = decision.get_or_insert(Told {
                before: *before,
                action: f64::from(step.choice),
                reward: 0.0,
                ticks: 0,
                after: 0.0,
                end: None,
            });
            under_way.reward += f64::from(step.pay);
            under_way.ticks += 1;
            under_way.after = seen;
            if under_way.ticks == every || outcome.is_some() {
                told.extend(decision.take());
                *before = seen;
                if outcome.is_none() && told.len() == longest {
                    told[longest - 1].end = Some((Outcome::Truncated, "split".to_owned()));
                    episodes.push(core::mem::take(told));
                } else if step.end == End::Between && told.len() == longest && told[longest - 1].ticks == every {
                    // The capture that closed it did not know of the end to come.
                    told[longest - 1].end = Some((Outcome::Truncated, "split".to_owned()));
                    episodes.push(core::mem::take(told));
                }
            }
            if let Some(end) = outcome {
                if let Some(last) = told.last_mut() {
                    last.end = Some(end);
                    episodes.push(core::mem::take(told));
                }
                open = None;
            }
        } else if step.end == End::Despawn {
            // Gone before any capture saw it.
            place = 0.0;
            continue;
        } else {
            // It joined in this tick, or its last episode ended before it.
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
    if let Some((mut told, _)) = open
        && let Some(last) = told.last_mut()
    {
        // What was paid in the decision under way came of it, though nobody saw where it led.
        last.reward += decision.map_or(0.0, |decision| decision.reward);
        last.end = Some((Outcome::Truncated, "shutdown".to_owned()));
        episodes.push(told);
    }
    episodes
}

/// What [`RecordMode::OnChange`] makes of what [`RecordMode::EveryTick`] tells: decisions that lead nowhere new are joined
/// to those of the same action that follow.
fn compress(episodes: Vec<Vec<Told>>) -> Vec<Vec<Told>> {
    let join = |episode: Vec<Told>| {
        let mut joined: Vec<Told> = Vec::new();
        for told in episode {
            match joined.last_mut() {
                Some(last) if last.before == last.after && last.action == told.action => {
                    *last = Told {
                        before: last.before,
                        reward: last.reward + told.reward,
                        ticks: last.ticks + told.ticks,
                        ..told
                    };
                }
                _ => joined.push(told),
            }
        }
        joined
    };
    episodes.into_iter().map(join).collect()
}

fn tell(episodes: &[bevy_experience::transition::Episode]) -> Vec<Vec<Told>> {
    let tell = |transition: bevy_experience::transition::Transition<'_>| Told {
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
        .map(|episode| episode.transitions().map(tell).collect())
        .collect()
}

/// Plays all players at once, each its own moves; all have equally many.
fn play(lives: &[Vec<Move>], every: u32, longest: usize) -> TestApp {
    let mut test = TestApp::new();
    let recording = |name| {
        Recording::<Player>::new(name)
            .observe::<Place>()
            .act::<Choice>()
            .reward_terms(["pay"])
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
    // Large enough for a whole game.
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
    let mut entities: Vec<Option<Entity>> = vec![None; lives.len()];
    for tick in 0..lives[0].len() {
        let now: Vec<_> = lives.iter().map(|moves| moves[tick]).collect();
        let world = test.world_mut();
        for (id, entity) in entities.iter_mut().enumerate() {
            if entity.is_none() {
                let agent = AgentId(i64::try_from(id).unwrap());
                *entity = Some(world.spawn((Player, Place(0.0), Choice(0.0), agent)).id());
            }
        }
        world.insert_resource(Now(entities.iter().copied().zip(now.iter().copied()).collect()));
        if tick == 0 {
            test.add_systems(FixedUpdate, act_out);
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
struct Now(Vec<(Option<Entity>, Move)>);

fn act_out(world: &mut World) {
    let now = world.resource::<Now>().0.clone();
    for (entity, step) in now {
        let Some(player) = entity else { continue };
        world.get_mut::<Choice>(player).unwrap().0 = f32::from(step.choice);
        world.get_mut::<Place>(player).unwrap().0 += f32::from(step.by);
        world.get_mut::<Reward>(player).unwrap().add("pay", f64::from(step.pay));
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
    fn random_games_are_recorded_as_a_plain_vec_would(
        lives in prop::collection::vec(moves(), 1..4),
        every in 1..4_u32,
        longest in 1..6_usize,
    ) {
        // All lives are as long as the longest: what a player does after its story is over is not its story.
        let ticks = lives.iter().map(Vec::len).max().unwrap();
        let still = Move { choice: 0, by: 0, pay: 0, end: End::No };
        let lives: Vec<Vec<Move>> = lives
            .into_iter()
            .map(|mut moves| {
                moves.resize(ticks, still);
                moves
            })
            .collect();
        let mut test = play(&lives, every, longest);
        let recorded = |test: &mut TestApp, name: &str, agent: usize| {
            let episodes: Vec<_> = test
                .finish_recording(name)
                .into_iter()
                .filter(|episode| episode.info().agent_id == i64::try_from(agent).unwrap())
                .collect();
            tell(&episodes)
        };
        for (agent, moves) in lives.iter().enumerate() {
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
