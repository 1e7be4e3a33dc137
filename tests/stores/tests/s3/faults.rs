//! Faults of the server while games upload.

use super::*;
use stores::{Effect, Fault};

fn fault(part: &str, skip: usize, count: usize, effect: Effect) -> Fault {
    Fault {
        part: part.to_owned(),
        skip,
        count,
        ..Fault::always(effect)
    }
}

/// Records while the server has `faults`, and checks that all of it is in the store.
#[track_caller]
fn record_with(faults: impl IntoIterator<Item = Fault>) {
    let world = World::new();
    world.server.set_faults(faults);
    let printed = world.record(1, 4, &["--wait", "50"]);
    assert!(printed.contains("closed"), "{printed}");
    world.server.set_faults([]);
    assert_eq!(world.episodes(), 8);
    assert_eq!(world.waiting_shards(), 0);
}

#[test]
fn errors_of_the_server_are_repeated() {
    record_with([
        fault(".parquet", 1, 12, Effect::Status(500, "InternalError")),
        fault("runs/", 0, 3, Effect::Status(503, "SlowDown")),
    ]);
}

#[test]
fn an_answer_that_is_lost_doubles_nothing() {
    record_with([fault(".parquet", 0, 5, Effect::Late(500, "InternalError"))]);
}

#[test]
fn a_slow_server_delays_the_end_alone() {
    record_with([fault("", 0, 40, Effect::Delay(Duration::from_millis(120)))]);
}

#[test]
fn a_full_store_is_named_and_waited_for() {
    let world = World::new();
    world.server.set_faults([fault(
        ".parquet",
        0,
        usize::MAX,
        Effect::Status(507, "InsufficientStorage"),
    )]);
    let printed = world.record(1, 2, &["--wait", "8"]);
    assert!(
        printed.contains("the store is full") && printed.contains("free space"),
        "{printed}"
    );
    assert!(printed.contains("experience recover"), "{printed}");
    assert_eq!(world.waiting_shards(), 2);
    world.server.set_faults([]);
    let staging = world.staging();
    let (code, recovered) = world.experience(&["recover", ADDRESS, "--staging", staging.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{recovered}");
    assert_eq!(world.episodes(), 4);
    assert_eq!(world.waiting_shards(), 0);
}

#[test]
fn a_server_that_is_killed_costs_nothing() {
    let mut world = World::new();
    let mut game = Game::spawn(world.recorder(ADDRESS, 1, 3, &["--pause", "--wait", "60"]));
    game.wait_for("flushed 1");
    world.server.kill();
    game.wait_for("paused");
    world.server.restart();
    let rest = game.finish();
    assert!(rest.contains("closed"), "{rest}");
    assert_eq!(world.episodes(), 6);
}

#[test]
fn a_store_that_is_away_fills_the_disk_to_the_limit_alone() {
    let mut world = World::new();
    // So that the address is known to be good when the game starts.
    world.record(1, 1, &[]);
    world.server.kill();
    let mut game = Game::spawn(world.recorder(ADDRESS, 2, 30, &["--limit", "20000", "--pause", "--wait", "60"]));
    let full = game.wait_for("full");
    assert!(full.contains("with_staging_bytes"), "{full}");
    assert!(world.waiting_shards() < 30);
    world.server.restart();
    game.wait_for("paused");
    let rest = game.finish();
    assert!(rest.contains("closed"), "{rest}");
    assert_eq!(world.episodes(), 2 + 60);
}

#[test]
fn a_bucket_that_does_not_exist_is_refused_at_the_start() {
    let world = World::new();
    let printed = printed(world.recorder("s3://missing/arena", 1, 1, &[]).output().unwrap());
    assert!(printed.contains("the bucket `missing` does not exist"), "{printed}");
    let (code, shown) = world.experience(&["info", "s3://missing/arena"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("the bucket `missing` does not exist"), "{shown}");
}

#[test]
fn wrong_credentials_are_refused_at_the_start_and_never_shown() {
    let world = World::new();
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "wr0ng-secret"),
        ("AWS_ACCESS_KEY_ID", "AKIAWRONGKEY"),
    ] {
        let output = world.recorder(ADDRESS, 1, 1, &[]).env(name, value).output().unwrap();
        let printed = printed(output);
        assert!(printed.contains("the store refuses the credentials"), "{printed}");
        assert!(!printed.contains(value), "{printed}");
        let output = world
            .command(&experience())
            .args(["info", ADDRESS])
            .env(name, value)
            .output()
            .unwrap();
        let printed = super::printed(output);
        assert!(
            printed.contains("AWS_SECRET_ACCESS_KEY") && !printed.contains(value),
            "{printed}"
        );
    }
}

#[test]
fn credentials_in_an_address_are_refused_and_not_shown() {
    let world = World::new();
    let address = "s3://AKIASOMEKEY:h1dden@games/arena";
    let printed = printed(world.recorder(address, 1, 1, &[]).output().unwrap());
    assert!(printed.contains("must not hold credentials"), "{printed}");
    let (_, shown) = world.experience(&["info", address]);
    for text in [printed, shown] {
        assert!(!text.contains("h1dden") && !text.contains("AKIASOMEKEY"), "{text}");
    }
}

#[test]
fn credentials_in_the_address_of_the_server_are_refused_and_not_shown() {
    let world = World::new();
    let endpoint = world.server.url().replace("http://", "http://someone:h1dden@");
    let mut game = world.recorder(ADDRESS, 1, 1, &[]);
    let mut command = world.command(&experience());
    command.args(["info", ADDRESS]);
    for process in [&mut game, &mut command] {
        let output = process.env("AWS_ENDPOINT_URL", &endpoint).output().unwrap();
        let printed = printed(output);
        assert!(
            printed.contains("`AWS_ENDPOINT_URL` must not hold credentials"),
            "{printed}"
        );
        assert!(!printed.contains("h1dden") && !printed.contains("someone"), "{printed}");
    }
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
}

#[test]
fn objects_with_odd_names_are_not_taken_for_shards() {
    let world = World::new();
    world.record(1, 1, &[]);
    let data = world.folder.path().join("buckets/games/arena/v1/player/data");
    for name in [
        ".hidden.parquet",
        "notes.txt",
        "a b;c&d+e%2F..json",
        "00000001-00000.parquet.tmp",
    ] {
        std::fs::write(data.join(name), "odd").unwrap();
    }
    std::fs::write(data.parent().unwrap().join("runs/..%2Fevil.txt"), "{}").unwrap();
    assert_eq!(world.episodes(), 2);
}

#[test]
fn a_dataset_whose_keys_have_odd_characters_is_written_and_read() {
    let world = World::new();
    let address = "s3://games/spiele & (tests)/größe+1=2";
    let printed = printed(world.recorder(address, 1, 2, &[]).output().unwrap());
    assert!(printed.contains("closed"), "{printed}");
    let (code, shown) = world.experience(&["validate", address, "--quiet"]);
    assert_eq!(code, Some(0), "{shown}");
}
