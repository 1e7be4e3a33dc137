//! The arena as its users start it.

use std::process::{Command, Output};

use serde_json::Value;

fn arena(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    command.args(args).env_remove("RUST_LOG");
    command
}

fn output(args: &[&str]) -> Output {
    arena(args).output().expect("the arena starts")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn play(args: &[&str]) -> Value {
    let output = output(&[args, &["--ticks", "300", "--summary", "json"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    json(&output)
}

#[test]
fn the_same_seed_prints_the_same_hash() {
    let first = play(&["--no-record", "--seed", "3"]);
    assert_eq!(first["world_hash"], play(&["--no-record", "--seed", "3"])["world_hash"]);
    assert_ne!(first["world_hash"], play(&["--no-record", "--seed", "4"])["world_hash"]);
    assert_eq!((&first["recorded"], &first["out"]), (&Value::from(0), &Value::Null));
}

#[test]
fn realtime_plays_the_same_game_at_the_speed_of_the_wall_clock() {
    let fast = play(&["--no-record", "--hz", "1000"]);
    let realtime = play(&["--no-record", "--hz", "1000", "--realtime"]);
    assert_eq!(fast["world_hash"], realtime["world_hash"]);
    let speed = realtime["steps_per_second"].as_f64().expect("a number");
    assert!(speed < 16.0 * 1000.0 * 1.1, "{speed}");
}

#[test]
fn nonsense_gets_a_message_and_exit_code_2() {
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
fn a_file_in_place_of_the_folder_gets_a_message_and_exit_code_1() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = output(&["--ticks", "10", "--out", &file.path().display().to_string()]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("is a file") && !message.contains("panicked"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_game_in_order() {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };

    let mut child = arena(&["--no-record", "--realtime", "--ticks", "100000", "--summary", "json"])
        .env("RUST_LOG", "arena=info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the arena starts");
    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    assert!(
        log.any(|line| line.is_ok_and(|line| line.contains("is open"))),
        "the log says when the game begins"
    );
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("`kill` is there").success());
    let output = child.wait_with_output().expect("the arena ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(json(&output)["steps_per_second"].is_number());
}
