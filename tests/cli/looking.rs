//! Verbs that only look.

use crate::{
    command::{dataset, documents, printed, text},
    episodes::{episodes, listing, write},
};
use bevy_experience::{
    schema::{Column, Schema},
    transition::RunId,
};
use std::fs;
use tempfile::tempdir;

const SHARD: &str = "p/data/00000001-00000.parquet";

#[test]
fn info_tells_what_there_is() {
    let root = dataset();
    let told = printed(&["info", text(root.path())], 0);
    for part in [
        "recording `p`",
        "60 transitions in 6 episodes of 3 agents, in 1 shards",
        "board",
        "[2, 4]",
        "stay, hop, leap",
        "coin",
        "00000001",
        "closed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let documents = documents(&["info", text(root.path())], 0);
    assert_eq!(documents[0]["recording"], "p");
    assert_eq!(documents[0]["overview"]["transitions"], 60);
    assert_eq!(documents[0]["overview"]["runs"][0]["account"]["exported"], 60);
}

#[test]
fn validate_exits_with_what_it_found() {
    let root = dataset();
    assert_eq!(
        printed(&["validate", text(root.path())], 0),
        "`p` is valid: 60 transitions in 6 episodes\n"
    );
    assert_eq!(documents(&["validate", text(root.path())], 0)[0]["valid"], true);
    fs::write(root.path().join(SHARD), "gone").expect("it can be written");
    let told = printed(&["validate", text(root.path())], 1);
    assert!(
        told.contains("NOT valid") && told.contains("00000001-00000.parquet"),
        "{told}"
    );
    let documents = documents(&["validate", text(root.path())], 1);
    assert_eq!(documents[0]["validation"]["violations"][0]["rule"], "file");
    let told = printed(&["info", text(root.path())], 1);
    assert!(told.contains("DAMAGED"), "{told}");
}

#[test]
fn nonsense_is_an_error_that_names_it() {
    let root = dataset();
    let file = root.path().join("README.md");
    let empty = tempdir().expect("a folder can be made");
    let other = tempdir().expect("a folder can be made");
    fs::write(other.path().join("data.csv"), "1,2").expect("it can be written");
    for verb in ["info", "validate"] {
        for (path, part) in [
            (text(&file), "README.md"),
            (text(empty.path()), "is not a dataset"),
            (text(other.path()), "is not a dataset"),
            ("/no/such/folder", "/no/such/folder"),
            ("../\u{1f980}", "\u{1f980}"),
        ] {
            let told = printed(&[verb, path], 3);
            assert!(told.contains(part), "{verb} {path}: {told}");
        }
        let told = printed(&[verb, text(root.path()), "--recording", "../p"], 3);
        assert!(told.contains("has no recording `../p`; it has p"), "{told}");
    }
    printed(&["frobnicate"], 2);
    printed(&[], 2);
    assert!(printed(&["help"], 0).contains("Exit codes"));
    assert_eq!(listing(root.path()).len(), 6, "nothing came to be by looking");
}

#[test]
fn a_recording_of_any_name_is_told_without_moving_the_cursor() {
    for name in ["../up", "a\0b", "\u{1f980}", &"x".repeat(10_000), "\u{1b}[2J"] {
        let root = tempdir().expect("a folder can be made");
        let schema = Schema::new(name)
            .with_observation([Column::feature(name)])
            .into_shared();
        write(root.path(), &episodes(&schema, RunId::from_bits(1), 2));
        for verb in ["info", "validate"] {
            let told = printed(&[verb, text(root.path())], 0);
            assert!(told.chars().all(|sign| !sign.is_control() || sign == '\n'), "{told:?}");
            assert!(told.len() < 10_000, "{}", told.len());
        }
    }
}
