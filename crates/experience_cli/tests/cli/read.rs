//! Commands that only read: `info`, `validate`, `head`, `stats`, `doctor`.

use crate::{
    command::{dataset, documents, printed, schema, text},
    episodes::{episodes, listing, write},
};
use experience_core::{
    schema::{Column, Schema},
    transition::{Episode, RunId, StepHeader},
};
use std::fs;
use tempfile::tempdir;

const SHARD: &str = "p/data/00000001-00000.parquet";

#[test]
fn info_prints_counts_columns_and_runs() {
    let root = dataset();
    let output = printed(&["info", text(root.path())], 0);
    for part in [
        "recording `p`",
        "60 transitions in 6 episodes of 3 agents, in 1 shard",
        "board",
        "[2, 4]",
        "stay, hop, leap",
        "coin",
        "00000001",
        "closed",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let documents = documents(&["info", text(root.path())], 0);
    assert_eq!(documents[0]["recording"], "p");
    assert_eq!(documents[0]["overview"]["transitions"], 60);
    assert_eq!(documents[0]["overview"]["runs"][0]["account"]["exported"], 60);
}

#[test]
fn validate_exits_with_1_if_it_finds_violations() {
    let root = dataset();
    assert_eq!(
        printed(&["validate", text(root.path())], 0),
        "`p` is valid: 60 transitions in 6 episodes\n"
    );
    assert_eq!(documents(&["validate", text(root.path())], 0)[0]["valid"], true);
    fs::write(root.path().join(SHARD), "damaged").expect("it can be written");
    let output = printed(&["validate", text(root.path())], 1);
    assert!(
        output.contains("NOT valid") && output.contains("00000001-00000.parquet"),
        "{output}"
    );
    let documents = documents(&["validate", text(root.path())], 1);
    assert_eq!(documents[0]["validation"]["violations"][0]["rule"], "file");
    let output = printed(&["info", text(root.path())], 1);
    assert!(output.contains("UNREADABLE"), "{output}");
}

#[test]
fn head_shows_the_first_transitions() {
    let root = dataset();
    let output = printed(&["head", text(root.path()), "-n", "12"], 0);
    for part in ["board[1][3]", "health", "→ jump", "reward", "10 transitions"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let lines = documents(&["head", text(root.path()), "-n", "12"], 0);
    assert_eq!(lines.len(), 12);
    assert_eq!((&lines[9]["step"], &lines[10]["step"]), (&9.into(), &0.into()));
    assert_eq!(lines[0]["next_observation"], lines[1]["observation"]);
    assert!(lines[9]["end_reason"].is_string() && lines[8]["end_reason"].is_null());
    assert!(lines[0]["action"].is_u64());
    assert!(documents(&["head", text(root.path()), "-n", "0"], 0).is_empty());
}

#[test]
fn stats_print_every_column() {
    let root = dataset();
    let output = printed(&["stats", text(root.path())], 0);
    for part in [
        "60 transitions in 6 episodes",
        "return",
        "length",
        "board[0][0]",
        "jump",
        "coin",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let document = &documents(&["stats", text(root.path())], 0)[0];
    assert_eq!(document["stats"]["episodes"], 6);
    assert_eq!(document["profile"]["observation"][8]["count"], 60);
    assert_eq!(document["profile"]["final_observation"][8]["count"], 6);
    assert_eq!(document["profile"]["lengths"][5], 10);
}

#[test]
fn stats_print_who_acted_and_how_often_each_class() {
    let root = tempdir().expect("a folder can be made");
    let all = episodes(&schema().into_shared(), RunId::from_bits(1), 6);
    let labelled = all.iter().enumerate().map(|(number, episode)| {
        let mut rows = episode.rows().to_vec();
        let words = episode.schema().layout().row_words();
        for (step, row) in rows.chunks_exact_mut(words).skip(1).enumerate() {
            // A person takes over in the last episode.
            StepHeader::of_mut(row).set_controller(if number < 5 || step < 4 { 1 } else { 2 });
        }
        let (outcome, reason) = (episode.outcome(), episode.reason().clone());
        let episode = Episode::new(episode.schema().clone(), *episode.info(), rows, outcome, reason);
        episode.with_controllers([(1, "script:hunter".into()), (2, "person".into())])
    });
    write(root.path(), &labelled.collect::<Vec<_>>());
    // Without a row being read.
    let output = printed(&["info", text(root.path())], 0);
    for part in [
        "most frequent",
        "controller",
        "script:hunter",
        "90.00 %",
        "person",
        "10.00 %",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let overview = &documents(&["info", text(root.path())], 0)[0]["overview"];
    let stats = &documents(&["stats", text(root.path())], 0)[0]["profile"];
    assert_eq!(overview["summary"]["action_classes"], stats["action_classes"]);
    assert_eq!(overview["summary"]["controllers"][0]["transitions"], 54);
    let output = printed(&["stats", text(root.path())], 0);
    for part in [
        "controller",
        "script:hunter",
        "person",
        "1 episode by several controllers",
        "hop",
        "share",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let document = &documents(&["stats", text(root.path())], 0)[0];
    let controllers = &document["profile"]["controllers"];
    assert_eq!(
        (&controllers[0]["transitions"], &controllers[0]["episodes"]),
        (&54.into(), &5.into())
    );
    assert_eq!(
        (&controllers[1]["transitions"], &controllers[1]["episodes"]),
        (&6.into(), &0.into())
    );
    assert_eq!(document["profile"]["action_classes"][0]["classes"][2]["label"], "leap");
    let found = printed(&["doctor", text(root.path())], 0);
    assert!(
        !found.contains("controllers are mixed"),
        "60 transitions are too few: {found}"
    );
}

#[test]
fn stats_write_a_plot_for_each_recording() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let path = to.path().join("out.png");
    printed(&["stats", text(root.path()), "--plot", text(&path)], 0);
    let decoder = png::Decoder::new(std::io::BufReader::new(
        fs::File::open(&path).expect("there is a picture"),
    ));
    let info = decoder.read_info().expect("it is a picture");
    // Nine features vary, six of them in a row.
    assert_eq!((info.info().width, info.info().height), (1200, 840 + 840 + 2 * 170));
    let other = Schema::new("../q")
        .with_observation([Column::feature("x")])
        .into_shared();
    write(root.path(), &episodes(&other, RunId::from_bits(1), 2));
    printed(&["stats", text(root.path()), "--plot", text(&path)], 0);
    assert_eq!(listing(to.path()), ["out-%2E%2E%2Fq.png", "out-p.png", "out.png"]);
    let output = printed(
        &["stats", text(root.path()), "-r", "p", "--plot", "/no/such/folder/x.png"],
        3,
    );
    assert!(output.contains("cannot plot to `/no/such/folder/x.png`"), "{output}");
}

#[test]
fn doctor_prints_its_findings() {
    let root = dataset();
    let shard = root.path().join(SHARD);
    fs::copy(&shard, shard.with_file_name("00000001-00001.parquet")).expect("it can be copied");
    let output = printed(&["doctor", text(root.path())], 0);
    assert!(
        output.contains("no problem found"),
        "duplicate episode ids are found by `validate`, not `doctor`: {output}"
    );
    fs::remove_dir_all(root.path().join("p/data")).expect("it can be removed");
    let output = printed(&["doctor", text(root.path())], 1);
    assert!(
        output.contains("WARNING the recording has no episode") && output.contains("Likely cause: "),
        "{output}"
    );
    let document = &documents(&["doctor", text(root.path())], 1)[0];
    assert_eq!(document["diagnosis"]["findings"][0]["symptom"], "empty");
}

#[test]
fn invalid_arguments_are_errors_that_name_them() {
    let root = dataset();
    let file = root.path().join("README.md");
    let empty = tempdir().expect("a folder can be made");
    let other = tempdir().expect("a folder can be made");
    fs::write(other.path().join("data.csv"), "1,2").expect("it can be written");
    for verb in ["info", "validate", "head", "stats", "doctor"] {
        for (path, part) in [
            (text(&file), "README.md"),
            (text(empty.path()), "is not a dataset"),
            (text(other.path()), "is not a dataset"),
            ("/no/such/folder", "/no/such/folder"),
            ("../\u{1f980}", "\u{1f980}"),
        ] {
            let output = printed(&[verb, path], 3);
            assert!(output.contains(part), "{verb} {path}: {output}");
        }
        let output = printed(&[verb, text(root.path()), "--recording", "../p"], 3);
        assert!(output.contains("has no recording `../p`; it has p"), "{output}");
    }
    printed(&["frobnicate"], 2);
    printed(&[], 2);
    assert!(printed(&["help"], 0).contains("Exit codes"));
    assert_eq!(listing(root.path()).len(), 6, "reading created no file");
}

#[test]
fn control_characters_in_names_are_escaped() {
    for name in ["../up", "a\0b", "\u{1f980}", &"x".repeat(10_000), "\u{1b}[2J"] {
        let root = tempdir().expect("a folder can be made");
        let schema = Schema::new(name)
            .with_observation([Column::feature(name)])
            .into_shared();
        write(root.path(), &episodes(&schema, RunId::from_bits(1), 2));
        for verb in ["info", "validate", "head", "stats", "doctor"] {
            let output = printed(&[verb, text(root.path())], 0);
            assert!(
                output
                    .chars()
                    .all(|character| !character.is_control() || character == '\n'),
                "{output:?}"
            );
            assert!(output.len() < 20_000, "{}", output.len());
        }
    }
}
