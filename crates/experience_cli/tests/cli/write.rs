//! Commands that change or write datasets: `erase`, `merge`, `convert`, `densify`, `recover`.

use crate::{
    command::{dataset, documents, printed, schema, text},
    episodes::{episodes, write},
};
use experience_core::{
    schema::{Column, Schema},
    transition::RunId,
};
use tempfile::tempdir;

#[test]
fn erase_prints_what_was_erased_and_what_was_not() {
    let root = dataset();
    let output = printed(&["erase", text(root.path()), "--agent", "1"], 0);
    assert!(
        output.contains("erased 20 transitions in 2 episodes of agent 1"),
        "{output}"
    );
    assert!(output.contains("in the observations of others"), "{output}");
    printed(&["validate", text(root.path())], 0);
    // An id that is nowhere is a mistake, or the agent is erased already.
    for agent in ["-1", "1"] {
        let output = printed(&["erase", text(root.path()), "--agent", agent], 3);
        assert!(
            output.contains(&format!("agent {agent} is not in")) && output.contains("nothing was erased"),
            "{output}"
        );
    }
    let document = &documents(&["erase", text(root.path()), "--agent", "2"], 0)[0];
    assert_eq!(document["erased"]["episodes"], 2);
    std::fs::write(root.path().join("p/data/00000009-00000.parquet.tmp"), "half").expect("it can be written");
    let output = printed(&["erase", text(root.path()), "--agent", "0"], 1);
    assert!(
        output.contains("NOT ERASED") && output.contains("00000009-00000.parquet.tmp"),
        "{output}"
    );
    for invalid in [
        &["erase", text(root.path())][..],
        &["erase", text(root.path()), "--agent", "../x"],
    ] {
        printed(invalid, 2);
    }
    printed(&["erase", "/no/such/folder", "--agent", "1"], 3);
    assert!(printed(&["erase", "--help"], 0).contains("models that were trained on it"));
}

#[test]
fn merge_writes_one_dataset() {
    let (a, to) = (dataset(), tempdir().expect("a folder can be made"));
    let b = tempdir().expect("a folder can be made");
    let wider = schema().with_observation([Column::feature("armour")]).into_shared();
    write(b.path(), &episodes(&wider, RunId::from_bits(2), 3));
    let (a, b) = (text(a.path()), text(b.path()));
    let path = |name: &str| {
        to.path()
            .join(name)
            .to_str()
            .expect("temporary folders have plain names")
            .to_owned()
    };
    let output = printed(&["merge", a, b, "-o", &path("c")], 3);
    assert!(output.contains("it has no `armour`"), "{output}");
    let output = printed(&["merge", a, b, "--fill", "-o", &path("c")], 0);
    assert!(
        output.contains("`p`: 90 transitions of 2 runs, from 2 folders") && output.contains("60 of them"),
        "{output}"
    );
    assert!(printed(&["validate", &path("c")], 0).contains("is valid"));
    let document = &documents(&["merge", a, b, "--fill=-1.5", "-o", &path("d")], 0)[0];
    assert_eq!(document["merged"][0]["aligned"], 60);
    let line = &documents(&["head", &path("d"), "-n", "1"], 0)[0];
    assert_eq!(line["observation"][9], -1.5);
    printed(&["merge", a, b, "--keep-apart", "-o", &path("e")], 0);
    assert_eq!(documents(&["info", &path("e")], 0).len(), 2);
    assert!(printed(&["merge", a, "-o", &path("e")], 3).contains("is not empty"));
    for invalid in [
        &["merge", "-o", "x"][..],
        &["merge", a],
        &["merge", a, "-o", "x", "--fill=much"],
    ] {
        printed(invalid, 2);
    }
}

#[test]
fn convert_writes_other_formats() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let root = text(root.path());
    let path = |name: &str| {
        to.path()
            .join(name)
            .to_str()
            .expect("temporary folders have plain names")
            .to_owned()
    };
    for (format, made) in [
        ("minari", "minari/cards/p-v3/data/main_data.hdf5"),
        ("lerobot", "lerobot/meta/info.json"),
        ("jsonl", "jsonl"),
    ] {
        let output = printed(
            &[
                "convert",
                root,
                "--to",
                format,
                "-o",
                &path(format),
                "--id",
                "cards/p-v3",
            ],
            0,
        );
        assert!(output.starts_with("`p` was written to "), "{output}");
        assert!(to.path().join(made).is_file(), "{made}");
    }
    assert!(printed(&["convert", root, "--to", "lerobot", "-o", &path("lerobot")], 3).contains("is not empty"));
    assert!(
        printed(
            &["convert", root, "--to", "minari", "-o", &path("m"), "--id", "../x-v0"],
            3
        )
        .contains("is not a valid Minari id")
    );
    printed(&["convert", root, "--to", "csv", "-o", &path("x")], 2);
    let other = Schema::new("q").with_observation([Column::feature("x")]).into_shared();
    write(std::path::Path::new(root), &episodes(&other, RunId::from_bits(1), 2));
    let output = printed(&["convert", root, "--to", "jsonl", "-o", &path("y")], 3);
    assert!(
        output.contains("has 2 recordings; choose one of them with `--recording`: p, q"),
        "{output}"
    );
    printed(&["convert", root, "-r", "q", "--to", "jsonl", "-o", &path("y")], 0);
}

#[test]
fn densify_writes_transitions_of_one_tick() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let to = text(to.path());
    let output = printed(&["densify", text(root.path()), "-o", to], 0);
    assert!(output.contains("`p`: 60 transitions became 60"), "{output}");
    printed(&["validate", to], 0);
    assert!(printed(&["densify", text(root.path()), "-o", to], 3).contains("is not empty"));
    let output = printed(
        &[
            "densify",
            text(root.path()),
            "-o",
            &format!("{to}/x"),
            "--max-steps",
            "5",
        ],
        3,
    );
    assert!(
        output.contains("would have 10 transitions, more than the maximum of 5"),
        "{output}"
    );
}

#[test]
fn a_last_write_that_was_cut_short_is_no_problem() {
    let (root, other) = (dataset(), tempdir().expect("a folder can be made"));
    let path = text(root.path());
    let killed = RunId::from_bits(2);
    write(other.path(), &episodes(&schema().into_shared(), killed, 3));
    let frames = other.path().join("frames");
    printed(
        &["convert", text(other.path()), "--to", "bincode", "-o", text(&frames)],
        0,
    );
    // The journal of a process that was killed while it wrote a frame.
    let journal = root.path().join("p/journal/00000002");
    let kill = |damage: bool| {
        std::fs::create_dir_all(&journal).expect("it can be created");
        let mut bytes = std::fs::read(frames.join("00000002/00000.journal")).expect("it can be read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= u8::from(damage);
        bytes.extend_from_within(bytes.len() - 40..);
        std::fs::write(journal.join("00000.journal"), bytes).expect("it can be written");
        std::fs::write(root.path().join("p/runs/.00000002.lock"), "").expect("it can be written");
    };
    kill(false);
    let info = printed(&["info", path], 0);
    assert!(info.contains("its run is alive or died"), "{info}");
    let output = printed(&["recover", path], 0);
    assert!(
        output.contains("recovered 30 transitions in 3 episodes") && output.contains("died in the middle of a write"),
        "{output}"
    );
    assert!(!output.contains("NOT READ"), "{output}");
    printed(&["validate", path], 0);
    std::fs::remove_file(root.path().join("p/runs/00000002.json")).expect("it can be removed");
    std::fs::remove_file(root.path().join("p/data/00000002-00000.parquet")).expect("it can be removed");
    kill(true);
    let output = printed(&["recover", path], 1);
    assert!(output.contains("NOT READ") && output.contains("is damaged"), "{output}");
}

#[test]
fn a_missing_frame_is_a_problem() {
    let (root, other) = (dataset(), tempdir().expect("a folder can be made"));
    let killed = RunId::from_bits(2);
    write(other.path(), &episodes(&schema().into_shared(), killed, 3));
    let frames = other.path().join("frames");
    printed(
        &["convert", text(other.path()), "--to", "bincode", "-o", text(&frames)],
        0,
    );
    let mut bytes = std::fs::read(frames.join("00000002/00000.journal")).expect("it can be read");
    // The first frame, after 16 bytes, describes the segment. Each of the others has an episode.
    let mut ends = vec![16];
    while let Some((length, _)) = bytes[ends[ends.len() - 1]..].split_first_chunk::<4>() {
        ends.push(ends[ends.len() - 1] + 8 + u32::from_le_bytes(*length) as usize);
    }
    bytes.drain(ends[2]..ends[3]);
    let journal = root.path().join("p/journal/00000002");
    std::fs::create_dir_all(&journal).expect("it can be created");
    std::fs::write(journal.join("00000.journal"), bytes).expect("it can be written");
    std::fs::write(root.path().join("p/runs/.00000002.lock"), "").expect("it can be written");
    let output = printed(&["recover", text(root.path())], 1);
    assert!(
        output.contains("recovered 20 transitions in 2 episodes") && output.contains("1 frames are missing"),
        "{output}"
    );
    printed(&["validate", text(root.path())], 0);
}

#[test]
fn recover_prints_recovered_runs_and_those_that_may_be_alive() {
    let root = dataset();
    let path = text(root.path());
    assert!(printed(&["recover", path], 0).contains("there is nothing to recover"));
    // A run without a journal whose process died: its account is not closed, and its lock is free.
    let runs = root.path().join("p/runs");
    let closed = std::fs::read_dir(&runs)
        .expect("it can be listed")
        .map(|entry| entry.expect("it can be listed").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .expect("there is an account");
    let account = std::fs::read_to_string(&closed).expect("it can be read");
    let running = account.replace("\"closed\"", "\"running\"");
    assert_ne!(account, running);
    std::fs::write(&closed, &running).expect("it can be written");
    let output = printed(&["recover", path], 1);
    assert!(
        output.contains("may be alive") && output.contains("--include-unclear"),
        "{output}"
    );
    let name = closed.file_stem().and_then(|name| name.to_str()).expect("a plain name");
    std::fs::write(runs.join(format!(".{name}.lock")), "").expect("it can be written");
    let output = printed(&["recover", path], 0);
    assert!(output.contains("recovered 0 transitions in 0 episodes"), "{output}");
    printed(&["validate", path], 0);
    assert_eq!(documents(&["recover", path], 0)[0]["recordings"], serde_json::json!([]));
    std::fs::write(&closed, &running).expect("it can be written");
    let document = &documents(&["recover", path, "--include-unclear"], 0)[0];
    assert_eq!(document["recordings"][0]["recovered"][0]["episodes"], 0, "{document}");
    assert_eq!(document["recordings"][0]["recording"], "p");
    printed(&["recover", "/no/such/folder"], 3);
    let frames = root.path().with_extension("frames");
    printed(&["convert", path, "--to", "bincode", "-o", text(&frames)], 0);
    assert!(frames.is_dir());
    std::fs::remove_dir_all(frames).expect("it can be removed");
}

#[test]
fn recover_keeps_what_it_could_not_read_until_it_is_discarded() {
    let root = dataset();
    let path = text(root.path());
    let name = std::fs::read_dir(root.path().join("p/runs"))
        .expect("it can be listed")
        .map(|entry| entry.expect("it can be listed").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .and_then(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .expect("there is an account");
    let journal = root.path().join("p/journal").join(&name);
    std::fs::create_dir_all(&journal).expect("it can be created");
    std::fs::write(journal.join("00000.journal"), "no segment").expect("it can be written");
    // An unfinished shard of a run that is over.
    let shard = root.path().join(format!("p/data/{name}-00009.parquet.tmp"));
    std::fs::write(&shard, "half").expect("it can be written");
    let output = printed(&["recover", path], 1);
    assert!(
        output.contains("NOT READ") && output.contains("--discard-damaged"),
        "{output}"
    );
    assert!(!shard.exists() && !root.path().join("p/journal").exists());
    assert!(printed(&["info", path], 0).contains(&format!("damaged/{name}")));
    printed(&["recover", path], 0);
    let output = printed(&["recover", path, "--discard-damaged"], 0);
    assert!(output.contains("removed") && output.contains(&name), "{output}");
    assert!(!root.path().join("p/damaged").exists());
    printed(&["validate", path], 0);
}
