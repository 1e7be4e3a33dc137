//! The `arena` command, as a child process.

use std::process::{Command, Output};

use serde_json::Value;

fn arena(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    command.args(args).env_remove("RUST_LOG");
    command
}

fn output(args: &[&str]) -> Output {
    arena(args).output().expect("the command starts")
}

/// The JSON summary on standard output.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Plays 300 ticks and returns the JSON summary.
fn play(args: &[&str]) -> Value {
    let output = output(&[args, &["--ticks", "300", "--summary", "json"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    json(&output)
}

#[test]
fn equal_seeds_print_equal_hashes() {
    let first = play(&["--no-record", "--seed", "3"]);
    assert_eq!(first["world_hash"], play(&["--no-record", "--seed", "3"])["world_hash"]);
    assert_ne!(first["world_hash"], play(&["--no-record", "--seed", "4"])["world_hash"]);
    assert_eq!((&first["recorded"], &first["out"]), (&Value::from(0), &Value::Null));
}

#[test]
fn recording_writes_a_dataset_and_does_not_change_the_game() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("data");
    let recorded = play(&["--out", &out.display().to_string(), "--churn", "--matches", "2"]);
    let count = |name: &str| recorded[name].as_u64().expect("a count");
    assert_eq!(count("recorded"), count("exported"));
    assert_eq!((count("dropped"), count("discarded"), count("pending")), (0, 0, 0));
    assert!(count("episodes") >= 32 && count("exported") > 32 * 200, "{recorded}");
    assert_eq!(recorded["out"], Value::from(out.display().to_string()));
    let plain = play(&["--no-record", "--churn", "--matches", "2"]);
    assert_eq!(recorded["world_hash"], plain["world_hash"]);

    let fighter = out.join("fighter");
    let shards = std::fs::read_dir(fighter.join("data"))
        .expect("the folder of shards exists")
        .count();
    assert!(shards > 0 && fighter.join("experience.json").is_file());
}

#[test]
fn realtime_plays_the_same_game_in_wall_clock_time() {
    let fast = play(&["--no-record", "--hz", "1000"]);
    let realtime = play(&["--no-record", "--hz", "1000", "--realtime"]);
    assert_eq!(fast["world_hash"], realtime["world_hash"]);
    let speed = realtime["steps_per_second"].as_f64().expect("a number");
    assert!(speed < 16.0 * 1000.0 * 1.1, "{speed}");
}

#[test]
#[cfg(not(feature = "window"))]
fn a_build_without_a_window_names_the_feature() {
    let output = output(&["--window"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.starts_with("error: ") && message.contains("--features window"),
        "{message}"
    );
}

#[test]
fn invalid_arguments_exit_with_code_2() {
    for args in [
        ["--players", "0"].as_slice(),
        &["--hz", "0"],
        &["--hz", "1000000"],
        &["--ticks", "99999999999999999999"],
        &["--players", "100000", "--matches", "10000"],
        &["--colour"],
    ] {
        let output = output(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains("error: ") && !message.contains("panicked"),
            "{message}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_as_output_folder_exits_with_code_1() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = output(&["--ticks", "10", "--out", &file.path().display().to_string()]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("is a file") && !message.contains("panicked"),
        "{message}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_closes_the_dataset() {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };

    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().display().to_string();
    // A test runner in the background may ignore SIGINT, which child processes inherit.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_arena"), "--out", &out])
        .args(["--realtime", "--ticks", "100000", "--summary", "json"])
        .env("RUST_LOG", "arena=info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut log = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    assert!(
        log.any(|line| line.is_ok_and(|line| line.contains("is open"))),
        "the command logged no start"
    );
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("`kill` runs").success());
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let summary = json(&output);
    assert_eq!(
        (&summary["recorded"], &summary["pending"]),
        (&summary["exported"], &Value::from(0))
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_removed_output_exits_with_code_1_and_states_what_was_dropped() {
    use std::{
        process::Stdio,
        thread::sleep,
        time::{Duration, Instant},
    };

    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("data");
    let child = arena(&["--realtime", "--hz", "500", "--ticks", "1500"])
        .arg("--out")
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let begun = Instant::now();
    while !out.join("fighter/journal").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the command records nothing");
        sleep(Duration::from_millis(10));
    }
    // The command may create a file while its folder is removed.
    while let Err(error) = std::fs::remove_dir_all(&out) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the output stays: {error}");
    }
    let output = child.wait_with_output().expect("the command ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("is incomplete: of ") && message.contains(" 0 are stored"),
        "{message}"
    );
}
