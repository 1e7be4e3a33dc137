//! The same with the address of a bucket of Google.

use super::*;
use stores::Dialect;

const GOOGLE: &str = "gs://games/arena/v1";

#[test]
fn a_bucket_of_google_is_written_recovered_read_and_compacted() {
    let world = World::of(Dialect::Google);
    let printed = printed(world.recorder(GOOGLE, 1, 3, &[]).output().unwrap());
    assert!(printed.contains("closed"), "{printed}");
    let mut killed = Game::spawn(world.recorder(GOOGLE, 2, 50, &[]));
    killed.wait_for("flushed 2");
    killed.kill();
    let (code, recovered) = world.experience(&["recover", GOOGLE, "--staging", world.staging().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{recovered}");
    assert!(recovered.contains("uploaded as a whole"), "{recovered}");
    let (code, info) = world.experience(&["info", GOOGLE]);
    assert_eq!(code, Some(0), "{info}");
    assert!(info.contains("0 runs alive, 0 dead, 2 over"), "{info}");
    for (arguments, expected) in [
        (vec!["validate", GOOGLE], "is valid"),
        (vec!["compact", GOOGLE, "--output", "gs://games/compacted"], "became 2"),
        (vec!["validate", "gs://games/compacted"], "is valid"),
        (
            vec!["info", "gs://missing/arena"],
            "the bucket `missing` does not exist",
        ),
    ] {
        let (_, printed) = world.experience(&arguments);
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    }
    // Every object has a generation there. That is no version which the bucket keeps.
    let (code, erased) = world.experience(&["erase", GOOGLE, "--agent", "1", "--quiet"]);
    assert_eq!(code, Some(0), "{erased}");
    assert!(
        !erased.contains("NOT ERASED") && erased.contains("A bucket may keep"),
        "{erased}"
    );
}

#[test]
#[ignore = "takes long in a debug build; the parts are those of S3"]
fn a_large_shard_is_uploaded_to_google_in_parts() {
    let world = World::of(Dialect::Google);
    let arguments = ["--columns", "450000", "--wait", "120"];
    let printed = printed(world.recorder(GOOGLE, 1, 1, &arguments).output().unwrap());
    assert!(printed.contains("closed"), "{printed}");
    let requests = world.server.take_requests();
    assert!(
        requests.iter().any(|request| request.contains("partNumber=2")),
        "{requests:?}"
    );
    let (code, printed) = world.experience(&["validate", GOOGLE, "--quiet"]);
    assert_eq!(code, Some(0), "{printed}");
}
