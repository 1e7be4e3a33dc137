//! The commands of `experience` with addresses.

use super::*;

#[test]
fn every_command_reads_an_address_as_it_reads_a_folder() {
    let world = World::new();
    world.record(1, 3, &[]);
    world.record(2, 2, &[]);
    let copy = world.folder.path().join("copy");
    let copied = copy.to_str().unwrap();
    let (code, merged) = world.experience(&["merge", ADDRESS, "--output", copied, "--quiet"]);
    assert_eq!(code, Some(0), "{merged}");
    for command in [
        &["head", "-n", "3"][..],
        &["stats"],
        &["validate"],
        &["doctor"],
        &["head", "--json"],
        &["stats", "--json"],
    ] {
        let run = |dataset: &str| {
            let mut arguments = command.to_vec();
            arguments.insert(1, dataset);
            arguments.push("--quiet");
            let (code, printed) = world.experience(&arguments);
            (code, printed.replace(dataset, "DATASET"))
        };
        assert_eq!(run(ADDRESS), run(copied), "{command:?}");
    }
}

#[test]
fn outputs_go_to_an_address_as_a_whole() {
    let world = World::new();
    world.record(1, 3, &[]);
    for (name, arguments) in [
        ("merged", vec!["merge", ADDRESS]),
        ("filtered", vec!["filter", ADDRESS, "--agent", "1"]),
        ("compacted", vec!["compact", ADDRESS]),
        ("dense", vec!["densify", ADDRESS]),
    ] {
        let to = format!("s3://games/out/{name}");
        let mut arguments = arguments;
        arguments.extend(["--output", to.as_str(), "--quiet"]);
        let (code, printed) = world.experience(&arguments);
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains(&to), "{printed}");
        let (code, checked) = world.experience(&["validate", &to, "--quiet"]);
        assert_eq!(code, Some(0), "{checked}");
        // A second output is not mixed with the first.
        let (code, printed) = world.experience(&arguments);
        assert_eq!(code, Some(3), "{printed}");
        assert!(printed.contains("name a new address"), "{printed}");
    }
    let lines = "s3://games/out/rows.jsonl";
    let (code, printed) = world.experience(&["convert", ADDRESS, "--to", "jsonl", "--output", lines, "--quiet"]);
    assert_eq!(code, Some(0), "{printed}");
    let written = std::fs::read_to_string(world.folder.path().join("buckets/games/out/rows.jsonl")).unwrap();
    assert_eq!(written.lines().count(), 30);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let world = World::new();
    world.record(1, 3, &[]);
    for (to, reason) in [
        ("s3://missing/out", "the bucket `missing` does not exist"),
        (ADDRESS, "name a new address"),
        ("s3://AKIAKEY:h1dden@games/out", "must not hold credentials"),
        ("s3://games/a//b", "no empty part"),
        ("gopher://games/out", "s3://bucket/prefix"),
        ("file:///tmp/out", "not the address of an object store"),
    ] {
        for command in ["merge", "compact", "filter", "split", "densify", "convert"] {
            let mut arguments = vec![command, ADDRESS, "--output", to, "--quiet"];
            arguments.extend(match command {
                "filter" => &["--agent", "1"][..],
                "convert" => &["--to", "bincode"],
                _ => &[],
            });
            let _ = world.server.take_requests();
            let (code, printed) = world.experience(&arguments);
            assert_eq!(code, Some(3), "{command} {to}: {printed}");
            assert!(
                printed.contains(reason) && !printed.contains("h1dden"),
                "{command}: {printed}"
            );
            let requests = world.server.take_requests();
            let has_read = requests
                .iter()
                .any(|request| request.starts_with("GET") && request.contains(".parquet"));
            assert!(!has_read, "{command} {to}: {requests:?}");
        }
    }
}

#[test]
fn an_agent_is_erased_from_a_store() {
    let world = World::new();
    world.record(1, 3, &[]);
    let (code, erased) = world.experience(&["erase", ADDRESS, "--agent", "1", "--quiet"]);
    assert_eq!(code, Some(0), "{erased}");
    assert!(erased.contains("erased 10 transitions in 2 episodes"), "{erased}");
    // Whether the bucket has versions cannot be asked for.
    assert!(erased.contains("A bucket may keep the old content"), "{erased}");
    assert_eq!(world.episodes(), 4);
    let (_, info) = world.experience(&["info", ADDRESS, "--json", "--quiet"]);
    assert!(!info.contains("\"1\":{"), "{info}");
    let (code, again) = world.experience(&["erase", ADDRESS, "--agent", "1", "--quiet"]);
    assert_eq!(code, Some(3), "{again}");
}

#[test]
fn what_cannot_be_done_in_a_store_is_refused_with_a_remedy() {
    let world = World::new();
    world.record(1, 1, &[]);
    let (code, printed) = world.experience(&["compact", ADDRESS]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("compact to a new address"), "{printed}");
    let (code, printed) = world.experience(&["info", "s3://games/nothing"]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("experience.json"), "{printed}");
    let (code, printed) = world.experience(&["info", "s3://games/arena/v1/player"]);
    assert_ne!(code, Some(0));
    assert!(printed.contains("belongs to"), "{printed}");
    let (code, printed) = world.experience(&["info", "http://games/arena"]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("s3://bucket/prefix"), "{printed}");
}
