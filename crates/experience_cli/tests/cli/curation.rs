//! Commands that select episodes and pack shards: `filter`, `split`, `compact`.

use crate::{
    command::{dataset, documents, printed, text},
    episodes::{episodes, listing, recording, report, write},
};
use experience_core::{
    schema::{Column, Schema},
    transition::RunId,
};
use experience_dataset::DatasetSink;
use experience_export::Sink;
use tempfile::tempdir;

#[test]
fn filter_prints_what_was_selected_and_what_was_left_out() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let root = text(root.path());
    let path = |name: &str| format!("{}/{name}", text(to.path()));
    let output = printed(&["filter", root, "-r", "p", "--agent", "1,2", "-o", &path("a")], 0);
    assert!(
        output.contains("`p`: 40 transitions in 4 episodes selected by: agent 1 or 2")
            && output.contains("left out: 20 transitions in 2 episodes"),
        "{output}"
    );
    printed(&["validate", &path("a")], 0);
    let arguments = ["filter", root, "--return-quantile", "0.5..1", "--not", "-o", &path("b")];
    let document = &documents(&arguments, 0)[0];
    assert_eq!(document["filtered"]["episodes"], 3);
    assert_eq!(document["filtered"]["left_out_episodes"], 3);
    assert_eq!(
        document["filtered"]["selection"],
        "not (return between the quantiles 0.5 and 1)"
    );
    printed(&["validate", &path("b")], 0);
    let info = &documents(&["info", &path("b")], 0)[0];
    assert_eq!(info["overview"]["runs"][0]["filtered"]["transitions"], 30);
    let text = printed(&["info", &path("b")], 0);
    assert!(
        text.contains("30 transitions in 3 episodes were left out: filter: not (return"),
        "{text}"
    );
}

#[test]
fn filter_refuses_what_is_nowhere_and_what_no_return_can_meet() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let path = text(root.path());
    let out = format!("{}/x", text(to.path()));
    for (condition, expected) in [
        (["--agent", "7"], "agent 7 is not in it"),
        (
            ["--tag", "won"],
            "no episode in it has the tag `won`; the tags are: none",
        ),
        (
            ["--controller", "person"],
            "no transition in it was controlled by `person`",
        ),
        (["--end-reason", "goal"], "no episode in it ended for the reason `goal`"),
        (["--episode", "-3"], "episode -3 is not in it"),
        (["--run", "0000000a"], "run 0000000a has no episode"),
        (["--min-return", "1e9"], "no episode meets the conditions"),
    ] {
        let arguments = [&["filter", path, "-o", &out][..], &condition].concat();
        let output = printed(&arguments, 3);
        assert!(
            output.contains(expected) && output.contains("nothing was written"),
            "{output}"
        );
    }
    for condition in [
        &["--return-quantile", "0.5..1.5"][..],
        &["--return-quantile", "0.8..0.2"],
        &["--return-quantile", "-1..1"],
        &["--return-quantile", "half"],
        &["--min-return", "2", "--max-return", "1"],
        &["--terminated", "--truncated"],
        &["--run", "A"],
        &[],
        &["--not"],
    ] {
        printed(&[&["filter", path, "-o", &out][..], condition].concat(), 2);
    }
    let inside = format!("{path}/x");
    for (to, expected) in [
        (inside.as_str(), "outside of it"),
        (path, "outside of it"),
        (text(to.path()), ""),
    ] {
        let occupied = to != inside && to != path;
        if occupied {
            std::fs::write(format!("{to}/file"), "").expect("it can be written");
        }
        let output = printed(&["filter", path, "--agent", "1", "-o", to], 3);
        let expected = if occupied { "is not empty" } else { expected };
        assert!(output.contains(expected), "{output}");
    }
    let other = Schema::new("q").with_observation([Column::feature("x")]).into_shared();
    write(root.path(), &episodes(&other, RunId::from_bits(1), 2));
    let output = printed(&["filter", path, "--agent", "1", "-o", &out], 3);
    assert!(
        output.contains("choose one of them with `--recording`: p, q"),
        "{output}"
    );
}

#[test]
fn split_writes_a_dataset_for_each_part() {
    let (root, to) = (
        tempdir().expect("a folder can be made"),
        tempdir().expect("a folder can be made"),
    );
    let schema = crate::command::schema().into_shared();
    write(root.path(), &episodes(&schema, RunId::from_bits(1), 40));
    let root = text(root.path());
    let path = |name: &str| format!("{}/{name}", text(to.path()));
    let output = printed(&["split", root, "-o", &path("a")], 0);
    assert!(
        output.contains("train") && output.contains("320") && output.contains("validation"),
        "{output}"
    );
    for part in ["train", "validation", "test"] {
        printed(&["validate", &path(&format!("a/{part}"))], 0);
    }
    let arguments = [
        "split",
        root,
        "--parts",
        "fit=0.5,check=0.5",
        "--by",
        "agent",
        "--seed",
        "3",
        "-o",
        &path("b"),
    ];
    let document = &documents(&arguments, 0)[0];
    assert_eq!((&document["by"], &document["seed"]), (&"agent".into(), &3.into()));
    let parts = document["parts"].as_array().expect("it is a list");
    let episodes: u64 = parts
        .iter()
        .map(|part| part["episodes"].as_u64().expect("it is a count"))
        .sum();
    assert_eq!((parts.len(), episodes), (2, 40));
    let groups: u64 = parts
        .iter()
        .map(|part| part["groups"].as_u64().expect("it is a count"))
        .sum();
    assert_eq!(groups, 3);
    for invalid in [
        "train=0.8,test=0.3",
        "train=0.8",
        "train",
        "a=1,b=0",
        "../x=1",
        "a=0.5,a=0.5",
    ] {
        printed(&["split", root, "--parts", invalid, "-o", &path("c")], 2);
    }
    let output = printed(&["split", root, "--by", "run", "-o", &path("c")], 3);
    assert!(
        output.contains("1 group by run cannot be divided into 3 parts"),
        "{output}"
    );
    assert!(printed(&["split", root, "-o", &path("a")], 3).contains("is not empty"));
    assert!(printed(&["split", root, "-o", &format!("{root}/x")], 3).contains("outside of it"));
}

#[test]
fn compact_prints_the_shards_and_the_runs_that_were_left() {
    let (root, to) = (
        tempdir().expect("a folder can be made"),
        tempdir().expect("a folder can be made"),
    );
    let schema = crate::command::schema().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 12);
    let open = |run| {
        let mut sink = DatasetSink::new(root.path()).with_shard_episodes(2);
        sink.open(&recording(&schema, run)).expect("it can be opened");
        sink
    };
    let mut sink = open(run);
    for some in all.chunks(2) {
        sink.write(some).expect("it can be written");
    }
    sink.close(&report(&all)).expect("it can be closed");
    let path = text(root.path());
    let copy = format!("{}/copy", text(to.path()));
    let output = printed(&["compact", path, "-o", &copy], 0);
    assert!(
        output.contains("`p`: 6 shards became 1") && output.contains("written to"),
        "{output}"
    );
    printed(&["validate", &copy], 0);
    let document = &documents(&["compact", path], 0)[0];
    assert_eq!(
        (&document["compacted"][0]["before"], &document["compacted"][0]["after"]),
        (&6.into(), &1.into())
    );
    assert_eq!(listing(&root.path().join("p/data")), ["00000001-00006.parquet"]);
    printed(&["validate", path], 0);
    let mut live = open(RunId::from_bits(2));
    let output = printed(&["compact", path], 1);
    assert!(
        output.contains("NOT COMPACTED: run 00000002 is being recorded"),
        "{output}"
    );
    let output = printed(&["compact", path, "-o", &format!("{copy}2")], 3);
    assert!(output.contains("run 00000002 is being recorded"), "{output}");
    live.close(&report(&[])).expect("it can be closed");
    assert!(printed(&["compact", path, "-o", &format!("{path}/x")], 3).contains("outside of it"));
    printed(&["compact", "/no/such/folder"], 3);
}
