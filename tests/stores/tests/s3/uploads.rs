//! Uploads by games that end, die and run beside others.

use super::*;

#[test]
fn a_run_is_uploaded_and_read_by_its_address() {
    let world = World::new();
    let printed = world.record(1, 3, &[]);
    assert!(printed.contains("closed"), "{printed}");
    assert_eq!(
        world.objects(),
        [
            "README.md",
            "player/data/00000001-00000.parquet",
            "player/data/00000001-00001.parquet",
            "player/data/00000001-00002.parquet",
            "player/experience.json",
            "player/runs/00000001.json",
        ]
    );
    assert_eq!(world.episodes(), 6);
    assert_eq!(world.waiting_shards(), 0);
    let (code, info) = world.experience(&["info", ADDRESS]);
    assert_eq!(code, Some(0), "{info}");
    assert!(info.contains("0 runs alive, 0 dead, 1 over"), "{info}");
}

#[test]
fn a_large_shard_is_uploaded_in_parts_and_read_by_ranges() {
    let world = World::new();
    // Two episodes of 8,000 transitions with 450 values each, of which 24 bits are random: about 21 MB in a shard.
    let printed = world.record(1, 1, &["--columns", "450", "--steps", "8000", "--wait", "120"]);
    assert!(printed.contains("closed"), "{printed}");
    let requests = world.server.take_requests();
    assert!(
        requests.iter().any(|request| request.contains("partNumber=2")),
        "{requests:?}"
    );
    let size = std::fs::metadata(
        world
            .folder
            .path()
            .join("buckets/games/arena/v1/player/data/00000001-00000.parquet"),
    )
    .unwrap()
    .len();
    assert!(size > 16 << 20, "{size}");
    assert_eq!(world.episodes(), 2);
    let _ = world.server.take_requests();
    // The number of agents is in one column of the shard, which is not downloaded as a whole.
    let (code, info) = world.experience(&["info", ADDRESS]);
    assert_eq!(code, Some(0), "{info}");
    let gets = world.server.take_requests();
    let gets = gets
        .iter()
        .filter(|request| request.starts_with("GET") && request.contains(".parquet"))
        .count();
    assert!((1..6).contains(&gets), "{gets} requests read the shard");
}

#[test]
fn several_games_write_one_dataset_while_it_is_read() {
    let world = World::new();
    let mut games: Vec<_> = (1..=4)
        .map(|run| Game::spawn(world.recorder(ADDRESS, run, 2, &["--pause"])))
        .collect();
    for game in &mut games {
        game.wait_for("paused");
    }
    wait_until("the upload of eight shards", || {
        world.objects().iter().filter(|name| name.ends_with(".parquet")).count() == 8
    });
    wait_until("the fleet", || {
        let (_, info) = world.experience(&["info", ADDRESS]);
        info.contains("4 runs alive, 0 dead, 0 over")
    });
    assert_eq!(world.episodes(), 16);
    let killed = games.pop().unwrap();
    killed.kill();
    for game in games {
        let rest = game.finish();
        assert!(rest.contains("closed"), "{rest}");
    }
    let (_, info) = world.experience(&["info", ADDRESS]);
    assert!(info.contains("1 runs alive, 0 dead, 3 over"), "{info}");
    assert_eq!(world.episodes(), 16);
    // The host of the dead game uploads what it has left. That is its account here.
    let (code, recovered) = world.experience(&["recover", ADDRESS, "--staging", world.staging().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{recovered}");
    let (_, info) = world.experience(&["info", ADDRESS]);
    assert!(info.contains("0 runs alive, 0 dead, 4 over"), "{info}");
    assert_eq!(world.episodes(), 16);
}

#[test]
fn a_game_that_was_killed_is_uploaded_by_the_next_one() {
    let world = World::new();
    for round in 0..6_u32 {
        let mut game = Game::spawn(world.recorder(ADDRESS, round + 1, 8, &[]));
        game.wait_for(&format!("flushed {}", round + 1));
        game.kill();
    }
    let printed = world.record(99, 1, &[]);
    assert!(printed.contains("closed"), "{printed}");
    let staging = world.staging();
    let (code, recovered) = world.experience(&["recover", ADDRESS, "--staging", staging.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{recovered}");
    // Each run has at least the shards that it had flushed, and each episode once: `validate` finds doubles.
    assert!(world.episodes() >= 2 * (1 + 2 + 3 + 4 + 5 + 6) + 2);
    assert_eq!(world.waiting_shards(), 0);
    let (_, info) = world.experience(&["info", ADDRESS]);
    assert!(info.contains("0 runs alive, 0 dead, 7 over"), "{info}");
}

#[test]
fn retention_bounds_the_bytes_in_the_store() {
    let world = World::new();
    let printed = world.record(1, 8, &["--keep", "1"]);
    assert!(printed.contains("closed"), "{printed}");
    let shards: Vec<_> = world
        .objects()
        .into_iter()
        .filter(|name| name.ends_with(".parquet"))
        .collect();
    assert_eq!(shards, ["player/data/00000001-00007.parquet"]);
    assert_eq!(world.episodes(), 2);
}
