//! Arguments, outputs and exit codes that are alike for all commands.

use crate::{
    command::{dataset, experience, printed, text},
    episodes::listing,
};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
};
use tempfile::tempdir;

const READERS: [&str; 5] = ["info", "validate", "head", "stats", "doctor"];

/// The exit code of a command whose output nothing reads.
fn exit_code_unread(arguments: &[&str]) -> Option<i32> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_experience"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command can be started");
    drop(child.stdout.take());
    child.wait().expect("it ends").code()
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let root = dataset();
    let path = text(root.path());
    for verb in READERS {
        assert_eq!(exit_code_unread(&[verb, path]), Some(0), "{verb}");
    }
    fs::write(root.path().join("p/data/00000001-00000.parquet"), "damaged").expect("it can be written");
    for (verb, code) in READERS.into_iter().zip([1, 1, 3, 3, 3]) {
        for json in [&["--json"][..], &[]] {
            assert_eq!(exit_code_unread(&[&[verb, path], json].concat()), Some(code), "{verb}");
        }
    }
}

#[test]
fn errors_are_json_on_request() {
    let root = dataset();
    let path = text(root.path());
    let error = |arguments: &[&str], code: i32| -> (String, String) {
        let output = experience(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let printed = String::from_utf8(output.stdout).expect("it prints text");
        let last = printed.lines().last().expect("it prints a document");
        let document: Value = serde_json::from_str(last).expect("each line is JSON");
        let part = |name: &str| document["error"][name].as_str().expect("it is text").to_owned();
        let message = String::from_utf8(output.stderr).expect("it prints text");
        assert!(message.starts_with("error: "), "{message}");
        (part("kind"), part("message"))
    };
    let file = root.path().join("README.md");
    for verb in READERS {
        assert_eq!(error(&[verb, "/no/such/folder"], 3).0, "io", "{verb}");
        assert_eq!(error(&[verb, text(&file)], 3).0, "not_a_dataset", "{verb}");
        assert_eq!(error(&[verb, path, "-r", "x"], 3).0, "no_such_recording", "{verb}");
        assert_eq!(error(&[verb], 2).0, "arguments", "{verb}");
    }
    assert_eq!(error(&["erase", path, "--agent", "7"], 3).0, "not_done");
    assert_eq!(error(&["merge", path, "-o", path], 3).0, "refused");
    assert_eq!(error(&["stats", path, "--plot", "x.svg"], 2).0, "arguments");
}

#[test]
fn a_path_within_a_dataset_is_answered_with_the_dataset() {
    let root = dataset();
    let path = text(root.path());
    for within in [
        "p",
        "p/",
        "p/data",
        "p/data/00000001-00000.parquet",
        "p/experience.json",
    ] {
        let within = format!("{path}/{within}");
        let advice = format!("`{path} --recording p`");
        for verb in READERS {
            let output = printed(&[verb, &within], 3);
            assert!(output.contains(&advice), "{verb} {within}: {output}");
        }
        let to = format!("{path}-merged");
        let without_option: [&[&str]; 4] = [
            &["erase", &within, "--agent", "1"],
            &["recover", &within],
            &["merge", &within, "-o", &to],
            &["densify", &within, "-o", &to],
        ];
        for command in without_option {
            let output = printed(command, 3);
            assert!(output.contains(&format!("all its recordings: `{path}`")), "{output}");
            assert!(!output.contains("choose the recording"), "{output}");
        }
    }
    // The advice is good.
    printed(&["info", path, "--recording", "p"], 0);
    let outer = tempdir().expect("a folder can be made");
    let above = outer.path();
    let inner = above.join("arena");
    fs::rename(root.path(), &inner).expect("it can be moved");
    let output = printed(&["info", text(above)], 3);
    assert!(
        output.contains(&format!("open one of them: `{}`", inner.display())),
        "{output}"
    );
    printed(&["info", text(&inner)], 0);
    let here = Command::new(env!("CARGO_BIN_EXE_experience"))
        .args(["info", "."])
        .current_dir(inner.join("p"))
        .output()
        .expect("the command can be started");
    let message = String::from_utf8_lossy(&here.stderr).into_owned();
    let resolved = inner.canonicalize().expect("it exists");
    assert!(
        message.contains(&format!("`{} --recording p`", resolved.display())),
        "{message}"
    );
}

#[test]
fn the_ending_of_an_output_is_that_of_its_format() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let path = text(root.path());
    let output = |name: &str| format!("{}/{name}", text(to.path()));
    for name in ["x.svg", "x.jpg", "x", "x.png.txt"] {
        let refused = printed_error(&["stats", path, "--plot", &output(name)]);
        assert!(refused.contains(".png"), "{refused}");
    }
    for name in ["x.csv", "x.json", "x.parquet", "x.jsonl.gz", "-"] {
        let name = if name == "-" { name.to_owned() } else { output(name) };
        let refused = printed_error(&["convert", path, "--to", "jsonl", "-o", &name]);
        assert!(refused.contains("output") || refused.contains(".jsonl"), "{refused}");
    }
    for name in ["x.csv", "x.hdf5", "x.PARQUET", "x.zip"] {
        for format in ["minari", "lerobot", "bincode"] {
            let refused = printed_error(&["convert", path, "--to", format, "-o", &output(name)]);
            assert!(refused.contains("is a folder"), "{refused}");
        }
        printed_error(&["merge", path, "-o", &output(name)]);
        printed_error(&["densify", path, "-o", &output(name)]);
    }
    assert_eq!(listing(to.path()), [""; 0]);
    fs::write(output("afile"), "").expect("it can be written");
    for command in [
        &["convert", path, "--to", "minari", "-o", &output("afile")][..],
        &["densify", path, "-o", &output("afile/x")],
    ] {
        let refused = printed(command, 3);
        assert!(
            refused.contains(&format!("`{}`: it is a file", output("afile"))),
            "{refused}"
        );
    }
    printed(&["stats", path, "--plot", &output("x.PNG")], 0);
    for name in ["x.ndjson", "x.jsonl", "x"] {
        printed(&["convert", path, "--to", "jsonl", "-o", &output(name)], 0);
    }
    let refused = printed(&["convert", path, "--to", "jsonl", "-o", text(to.path())], 3);
    assert!(refused.contains("is no file"), "{refused}");
}

/// The message of a command that exits with 2.
fn printed_error(arguments: &[&str]) -> String {
    let output = experience(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("it prints text")
}

#[test]
fn options_without_effect_are_remarked() {
    let (root, to) = (dataset(), tempdir().expect("a folder can be made"));
    let to = to.path().join("x.jsonl");
    let output = experience(&[
        "convert",
        text(root.path()),
        "--to",
        "jsonl",
        "-o",
        text(&to),
        "--fps",
        "30",
    ]);
    let message = String::from_utf8(output.stderr).expect("it prints text");
    assert!(message.contains("note: `--fps` has no effect"), "{message}");
}

#[test]
fn a_recording_without_transitions_is_no_failure() {
    let root = dataset();
    let path = text(root.path());
    fs::remove_dir_all(root.path().join("p/data")).expect("it can be removed");
    for verb in ["head", "stats"] {
        let output = printed(&[verb, path], 0);
        assert!(output.contains("`experience info` shows"), "{verb}: {output}");
    }
    let output = printed(&["info", path], 0);
    assert!(output.contains("0 transitions in 0 shards"), "{output}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_without_free_files_fails_and_finds_no_damage() {
    let root = dataset();
    // The command itself, its libraries and the standard streams need a few.
    for limit in 3..24 {
        for verb in READERS {
            let output = Command::new("sh")
                .args(["-c", "ulimit -n \"$1\" && exec \"$0\" \"$2\" \"$3\""])
                .args([
                    env!("CARGO_BIN_EXE_experience"),
                    &limit.to_string(),
                    verb,
                    text(root.path()),
                ])
                .output()
                .expect("a shell can be started");
            let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            // The loader of the system exits with 127 when it cannot open a library.
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 3 | 127)), "{verb} {limit}: {code:?} {printed}");
            assert!(
                !printed.contains("damaged") && !printed.contains("DAMAGED"),
                "{verb} {limit}: {printed}"
            );
        }
    }
}
