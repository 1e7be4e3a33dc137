//! Players that share a buffer pool instead of having one buffer each.

use crate::player::Player;
use bevy_ecs::prelude::*;
use bevy_experience::{
    buffer::{BufferError, Sampler, pool::PoolSettings, sample::Actions},
    export::ExportSettings,
    prelude::*,
    recording::SetupError,
    test_app::TestApp,
    transition::Episode,
};
use bevy_reflect::Reflect;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

#[derive(Component, Reflect)]
struct Place([f32; 3]);

#[derive(Component, Reflect)]
struct Speed(f32);

fn recording() -> Recording<Player> {
    Recording::new("player")
        .observe::<Place>()
        .act::<Speed>()
        .reward_terms(["moved"])
}

fn pool(bytes: usize) -> PoolSettings {
    PoolSettings {
        bytes,
        shards: 4,
        ..PoolSettings::default()
    }
}

fn with_pool(pool: PoolSettings) -> PlayerScaling {
    PlayerScaling {
        pool: Some(pool),
        ..Default::default()
    }
}

/// A pool for players beyond the first `above`.
fn sharing(above: usize, pool: PoolSettings) -> PlayerScaling {
    PlayerScaling {
        pool_above: Some(above),
        ..with_pool(pool)
    }
}

/// One tick of a random game: players join, leave, end episodes, opt out, and have observations that are not finite.
fn random_tick(world: &mut World, rng: &mut StdRng, players: &mut Vec<Entity>) {
    for index in (0..players.len()).rev() {
        let player = players[index];
        let by = f32::from(rng.random_range(0..4_u8));
        world.get_mut::<Speed>(player).unwrap().0 = by;
        world.get_mut::<Place>(player).unwrap().0[0] += by;
        world.get_mut::<Reward>(player).unwrap().add("moved", f64::from(by));
        match rng.random_range(0..400) {
            0..8 => world.trigger(EndEpisode::terminated(player, "death")),
            8..12 => world.trigger(EndEpisode::truncated(player, "time_limit")),
            12..20 => {
                world.despawn(player);
                players.swap_remove(index);
            }
            20 => {
                world.entity_mut(player).insert(DoNotRecord);
            }
            21 => {
                world.entity_mut(player).remove::<DoNotRecord>();
            }
            22 => world.get_mut::<Place>(player).unwrap().0[1] = f32::NAN,
            23..30 => world.get_mut::<Place>(player).unwrap().0[1] = 0.5,
            _ => {}
        }
    }
    for _ in 0..rng.random_range(0..3) {
        players.push(spawn(world, rng));
    }
}

fn spawn(world: &mut World, rng: &mut impl Rng) -> Entity {
    // Some agent ids repeat.
    let agent = rng.random_range(0..1 << 20);
    world.spawn((Player, Place([0.0; 3]), Speed(0.0), AgentId(agent))).id()
}

/// What a trainer reads of an episode: agent, first tick, end reason and transitions.
fn contents(episode: &Episode) -> (i64, i64, String, Vec<String>) {
    let steps = episode.transitions().map(|step| {
        format!(
            "{:?} {:?} {} {:?} {:?} {} {}",
            step.observation(),
            step.action().collect::<Vec<_>>(),
            step.reward(),
            step.reward_terms(),
            step.next_observation(),
            step.terminated(),
            step.truncated()
        )
    });
    (
        episode.info().agent_id,
        episode.row(0).header().tick,
        episode.reason().to_string(),
        steps.collect(),
    )
}

fn play(scaling: PlayerScaling, players: usize, ticks: usize) -> (TestApp, Vec<Entity>) {
    let mut test = TestApp::new();
    test.record(recording().scaling(PlayerScaling {
        expected_players: players + ticks,
        ..scaling
    }));
    let mut rng = StdRng::seed_from_u64(11);
    let mut entities: Vec<_> = (0..players).map(|_| spawn(test.world_mut(), &mut rng)).collect();
    for _ in 0..ticks {
        random_tick(test.world_mut(), &mut rng, &mut entities);
        test.ticks(1);
    }
    (test, entities)
}

#[test]
fn a_pool_records_the_same_episodes_as_own_buffers() {
    let record = |scaling| {
        let (mut test, _) = play(scaling, 300, 150);
        let episodes: Vec<_> = test.finish().iter().map(contents).collect();
        let report = test.report();
        assert_eq!((report.pending, report.dropped), (0, report.non_finite), "{report:?}");
        assert!(report.discarded > 0 && report.non_finite > 0, "{report:?}");
        episodes
    };
    let own = record(PlayerScaling::default());
    assert!(own.len() > 500);
    let shared = record(sharing(0, pool(64 << 20)));
    assert_eq!(own, shared);
    // The first players have buffers of their own, later ones share the pool.
    let both = record(sharing(310, pool(64 << 20)));
    assert_eq!(own, both);
}

/// The number of players with a buffer of their own, and whether there is a pool.
fn buffers(test: &TestApp) -> (usize, bool) {
    let players = test.world().resource::<Experience>().buffers("player").unwrap();
    (players.len(), players.pool().is_some())
}

#[test]
fn players_beyond_the_threshold_share_a_pool() {
    let mut test = TestApp::new();
    test.record(recording().scaling(PlayerScaling {
        expected_players: 2,
        ..sharing(2, pool(1 << 20))
    }));
    let mut rng = StdRng::seed_from_u64(1);
    spawn(test.world_mut(), &mut rng);
    spawn(test.world_mut(), &mut rng);
    test.ticks(2);
    assert_eq!(buffers(&test), (2, false));
    spawn(test.world_mut(), &mut rng);
    test.ticks(2);
    assert_eq!(buffers(&test), (2, true));
    assert_eq!(test.finish().len(), 3);
}

#[test]
fn the_pool_of_expected_players_is_resident_from_the_start() {
    let mut test = TestApp::new();
    test.record(recording().scaling(PlayerScaling {
        pool_above: Some(2),
        expected_players: 3,
        ..Default::default()
    }));
    test.ticks(1);
    assert_eq!(buffers(&test), (0, true));
    let players = test.world().resource::<Experience>().buffers("player").unwrap();
    let memory = players.pool().unwrap().stats().memory;
    assert!(memory.heap > 200 << 20, "{memory:?}");
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib << 10 > memory.heap, "{kib} KiB of {memory:?}");
        // On huge pages, where the kernel grants them on request.
        let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        let grants = enabled.contains("[always]") || enabled.contains("[madvise]");
        assert_eq!(memory.huge_pages > memory.heap / 2, grants, "{memory:?}");
    }
    let mut rng = StdRng::seed_from_u64(1);
    let entities: Vec<_> = (0..5).map(|_| spawn(test.world_mut(), &mut rng)).collect();
    test.ticks(2);
    // All of them joined in one tick, so all share the pool.
    assert_eq!((buffers(&test), entities.len()), ((0, true), 5));
    assert_eq!(test.finish().len(), 5);
}

#[test]
fn rows_overwritten_in_a_pool_are_counted_and_end_episodes_with_gap() {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            // The exporter thread sleeps while the pool wraps around.
            poll_interval: core::time::Duration::from_millis(300),
            ..ExportSettings::default()
        },
        ..ExperiencePlugin::default()
    });
    test.record(recording().scaling(sharing(0, pool(16 << 10))));
    let mut rng = StdRng::seed_from_u64(5);
    let mut entities: Vec<_> = (0..20).map(|_| spawn(test.world_mut(), &mut rng)).collect();
    for _ in 0..400 {
        random_tick(test.world_mut(), &mut rng, &mut entities);
        test.ticks(1);
    }
    let episodes = test.finish();
    let report = test.report();
    assert_eq!(report.pending, 0, "{report:?}");
    assert_eq!(
        report.recorded,
        report.exported + report.dropped + report.discarded,
        "{report:?}"
    );
    assert!(report.dropped > report.non_finite, "{report:?}");
    assert!(episodes.iter().any(|episode| episode.reason().to_string() == "gap"));
    for step in episodes.iter().flat_map(Episode::transitions) {
        // No transition joins rows of different ticks or players.
        let moved = step.next_observation()[0] - step.observation()[0];
        assert_eq!(f64::from(moved), step.action().next().unwrap());
    }
}

#[test]
fn a_pool_can_be_sampled_while_it_is_written() {
    let (mut test, _) = play(sharing(0, pool(1 << 20)), 100, 60);
    let experience = test.world_mut().resource::<Experience>();
    let mut sampler = Sampler::new(experience.schema("player").unwrap());
    sampler.watch(experience.buffers("player").unwrap().readers()).unwrap();
    let batch = sampler.sample(1000, &mut StdRng::seed_from_u64(3));
    assert_eq!(batch.len(), 1000);
    let Actions::Values(speeds) = &batch.action else {
        panic!("a speed is a number")
    };
    let places = batch.observation.chunks(3).zip(batch.next_observation.chunks(3));
    for ((before, after), speed) in places.zip(speeds) {
        assert_eq!(after[0] - before[0], *speed);
    }
}

#[test]
fn invalid_pool_settings_are_refused() {
    let refused = |recording: Recording<Player>| {
        let mut test = TestApp::new();
        test.try_add_recording(recording).expect_err("the recording is refused")
    };
    let blocking = recording().buffers(BufferSettings {
        overflow: Overflow::Block(core::time::Duration::from_millis(1)),
        ..Default::default()
    });
    let pool_above = Some(10);
    let error = refused(blocking.scaling(PlayerScaling {
        pool_above,
        ..Default::default()
    }));
    assert!(matches!(error, SetupError::Pool(_)), "{error}");
    assert!(error.to_string().contains("`player`"), "{error}");
    let error = refused(
        recording()
            .buffers(BufferSettings {
                kind: BufferKind::Queue,
                ..Default::default()
            })
            .scaling(with_pool(pool(1 << 20))),
    );
    assert!(matches!(error, SetupError::Pool(_)), "{error}");
    let error = refused(recording().scaling(with_pool(pool(100))));
    let SetupError::Buffer { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(source, BufferError::SmallPool { bytes: 100, .. }), "{error}");
}

#[test]
fn a_pool_counts_against_the_memory_budget() {
    let budget = |bytes, pool_above| {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            memory_budget: bytes,
            ..ExperiencePlugin::default()
        });
        let scaling = PlayerScaling {
            expected_players: 100_000,
            pool_above,
            ..Default::default()
        };
        test.try_add_recording(recording().scaling(scaling)).map(|_| ())
    };
    let buffer = BufferSettings::default().bytes(12).unwrap();
    let needed = 4096 * buffer + (256 << 20);
    let error = budget(needed - 1, None).unwrap_err();
    assert!(error.to_string().contains("256.0 MiB for the shared pool"), "{error}");
    assert!(budget(256 << 20, Some(0)).is_ok());
    assert!(budget((256 << 20) - 1, Some(0)).is_err());
}
