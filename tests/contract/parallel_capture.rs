//! Parallel capture: several threads record the same rows as one.

use crate::{
    player::Player,
    support::{SparseTag, TableTag},
};
use bevy_ecs::{entity_disabling::Disabled, prelude::*};
use bevy_experience::{
    account::RunReport,
    buffer::pool::PoolSettings,
    prelude::*,
    test_app::TestApp,
    transition::{Episode, RunId},
};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    thread::{ThreadId, available_parallelism},
};

#[derive(Component, Reflect)]
struct Place([f32; 3]);

#[derive(Component, Reflect)]
struct Speed(f32);

#[derive(Component, Reflect)]
struct Match(i32);

type Threads = Arc<Mutex<HashSet<ThreadId>>>;

fn recording(threads: &Threads) -> Recording<Player> {
    let threads = threads.clone();
    Recording::new("player")
        .observe::<Place>()
        .observe_with::<Speed>(["speed"], move |speed, out| {
            threads.lock().unwrap().insert(std::thread::current().id());
            out[0] = speed.0;
        })
        .match_id::<Match>()
        .act::<Speed>()
        .reward_terms(["moved", "found"])
        .episodes(EpisodeRules {
            max_steps: 40,
            ..Default::default()
        })
}

fn scaling() -> PlayerScaling {
    PlayerScaling {
        expected_players: 1000,
        pool: Some(PoolSettings {
            bytes: 32 << 20,
            shards: 5,
            ..PoolSettings::default()
        }),
        ..Default::default()
    }
}

fn sharing_above(players: usize) -> PlayerScaling {
    PlayerScaling {
        pool_above: Some(players),
        ..scaling()
    }
}

fn spawn(world: &mut World, rng: &mut StdRng) -> Entity {
    // Some agent ids repeat, and some players have none.
    let agent = AgentId(rng.random_range(0..1 << 14));
    let at = Transform::from_xyz(rng.random_range(0.0..20.0), rng.random_range(0.0..20.0), 0.0);
    let player = (Player, Place([0.0; 3]), Speed(0.0), Match(rng.random_range(0..3)), at);
    match rng.random_range(0..4) {
        0 => world.spawn(player).id(),
        _ => world.spawn((player, agent)).id(),
    }
}

/// One tick of a random game with each event that capture handles.
fn random_tick(world: &mut World, rng: &mut StdRng, players: &mut Vec<Entity>, tick: usize) {
    for index in (0..players.len()).rev() {
        let player = players[index];
        let by = f32::from(rng.random_range(0..4_u8));
        world.get_mut::<Speed>(player).unwrap().0 = by;
        world.get_mut::<Place>(player).unwrap().0[0] += by;
        let mut reward = world.get_mut::<Reward>(player).unwrap();
        reward.add("moved", f64::from(by));
        if tick > 50 && rng.random_range(0..9) == 0 {
            reward.add("found", 1.0);
        }
        match rng.random_range(0..6000) {
            0..8 => world.trigger(EndEpisode::terminated(player, "death")),
            8..12 => world.trigger(EndEpisode::truncated(player, "time_limit")),
            12..20 => {
                world.despawn(player);
                players.swap_remove(index);
            }
            20 => {
                world.entity_mut(player).insert(DoNotRecord);
            }
            21..23 => {
                world.entity_mut(player).remove::<DoNotRecord>();
            }
            23 => world.get_mut::<Place>(player).unwrap().0[1] = f32::NAN,
            24..31 => world.get_mut::<Place>(player).unwrap().0[1] = 0.5,
            31..35 => {
                world.entity_mut(player).insert(TableTag);
            }
            35..39 => {
                world.entity_mut(player).remove::<TableTag>();
            }
            39..43 => {
                world.entity_mut(player).insert(SparseTag);
            }
            43..47 => {
                world.entity_mut(player).remove::<SparseTag>();
            }
            47 => {
                world.entity_mut(player).insert(Disabled);
            }
            48..50 => {
                world.entity_mut(player).remove::<Disabled>();
            }
            _ => {}
        }
    }
    let joining = if tick % 60 == 59 { 100 } else { 4 };
    for _ in 0..rng.random_range(0..joining) {
        players.push(spawn(world, rng));
    }
}

/// The metadata of an episode, and every word of its rows.
fn contents(episode: &Episode) -> (String, Vec<u64>) {
    let info = format!("{:?} {:?}", episode.info(), episode.reason());
    (info, episode.rows().to_vec())
}

/// The episodes of a game, its report, and the number of threads that read players.
fn play(adjust: impl Fn(Recording<Player>) -> Recording<Player>) -> (Vec<(String, Vec<u64>)>, RunReport, usize) {
    let threads = Threads::default();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        run: Some(RunId::from_bits(7)),
        ..ExperiencePlugin::default()
    });
    test.record(adjust(recording(&threads)));
    let mut rng = StdRng::seed_from_u64(11);
    let mut players: Vec<_> = (0..700).map(|_| spawn(test.world_mut(), &mut rng)).collect();
    for tick in 0..150 {
        random_tick(test.world_mut(), &mut rng, &mut players, tick);
        test.ticks(1);
    }
    let episodes = test.finish().iter().map(contents).collect();
    let threads = threads.lock().unwrap().len();
    (episodes, test.report(), threads)
}

/// Plays one game with serial and with parallel capture, and compares the results.
fn compare(scaling: PlayerScaling, adjust: impl Fn(Recording<Player>) -> Recording<Player>) {
    compare_with(true, scaling, adjust);
}

fn compare_with(
    several_threads: bool,
    scaling: PlayerScaling,
    adjust: impl Fn(Recording<Player>) -> Recording<Player>,
) {
    let play = |parallel_above| {
        let parallel_above = Some(parallel_above);
        let scaling = PlayerScaling {
            parallel_above,
            ..scaling.clone()
        };
        play(|recording| adjust(recording).scaling(scaling.clone()))
    };
    let (serial, report, threads) = play(usize::MAX);
    assert_eq!(threads, 1);
    assert!(serial.len() > 2000, "{}", serial.len());
    assert!(
        report.discarded > 0 && report.non_finite > 0 && report.refused_agents > 0,
        "{report:?}"
    );
    let (parallel, parallel_report, threads) = play(0);
    if several_threads && available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        assert!(threads > 1, "one thread captured all players");
    }
    assert_eq!(serial.len(), parallel.len());
    for (serial, parallel) in serial.iter().zip(&parallel) {
        assert_eq!(serial, parallel);
    }
    assert_eq!(report, parallel_report);
}

#[test]
fn parallel_capture_into_own_buffers() {
    compare(scaling(), |recording| recording);
}

#[test]
fn parallel_capture_into_a_pool() {
    compare(sharing_above(0), |recording| recording);
}

#[test]
fn parallel_capture_into_own_buffers_and_a_pool() {
    compare(sharing_above(720), |recording| recording);
}

#[test]
fn parallel_capture_into_a_pool_of_one_shard() {
    // The thread that holds the shard captures all players.
    let one_shard = PlayerScaling {
        pool: Some(PoolSettings {
            bytes: 4 << 20,
            shards: 1,
            ..PoolSettings::default()
        }),
        ..sharing_above(0)
    };
    compare_with(false, one_shard, |recording| recording);
}

#[test]
fn parallel_capture_with_neighbour_sensors() {
    compare(sharing_above(0), |recording| {
        recording.observe_nearest_with(Nearest::<Player>::new(2, 3.0).xy().with_field::<Speed>(""))
    });
}

#[test]
fn parallel_capture_with_sources_beyond_the_players() {
    compare(sharing_above(0), |recording| {
        recording
            .observe_has::<TableTag>()
            .observe_optional::<Match>()
            .observe_count::<TableTag>()
            .observe_world_position_fields(["x", "y"])
            .observe_related_with::<ChildOf, Place>(["parent"], |place, out| out[0] = f32::from(place.is_some()))
            .observe_system(
                ["sensed.speed", "sensed.place"],
                |players: PlayerValues, all: Query<(&Speed, &Place)>| {
                    for (player, values) in players {
                        if let Ok((speed, place)) = all.get(player) {
                            values.copy_from_slice(&[speed.0, place.0[1]]);
                        }
                    }
                },
            )
            .act_discrete_system("fast", 2, |players: PlayerChoices, all: Query<&Speed>| {
                for (player, choice) in players {
                    *choice = all.get(player).map_or(0, |speed| i64::from(speed.0 > 1.0));
                }
            })
    });
}

#[test]
fn parallel_capture_with_entity_lists() {
    compare(sharing_above(0), |recording| {
        recording.observe_entities(
            EntityList::new("others", 6)
                .kind::<TableTag>("tagged")
                .kind::<Player>("player")
                .within(2.0)
                .xy()
                .order(EntityOrder::Id)
                .with_field::<Speed>(""),
        )
    });
}
