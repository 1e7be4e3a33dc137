//! Shutdown: each orderly end of an app writes all it recorded, within a deadline.

#[path = "support/player.rs"]
mod player;

use bevy_app::{PanicHandlerPlugin, ScheduleRunnerPlugin, TerminalCtrlCHandlerPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RunStatus},
    export::ExportSettings,
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    transition::Episode,
};
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;
use player::{Age, Player, grow};
use std::{
    borrow::Cow,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

/// Environment variables of the child process: how it ends, and where it writes.
const MODE: &str = "BEVY_EXPERIENCE_TEST_MODE";
const FOLDER: &str = "BEVY_EXPERIENCE_TEST_FOLDER";

/// The longest time that a shutdown may take, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A sink whose `open` does not return within the test.
struct Stuck;

impl Sink for Stuck {
    fn describe(&self) -> Cow<'_, str> {
        "stuck".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        std::thread::sleep(Duration::from_secs(3600));
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

fn game(folder: &Path, mode: &str) -> App {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        TimePlugin,
        PanicHandlerPlugin,
        ScheduleRunnerPlugin::run_loop(Duration::from_millis(1)),
        ExperiencePlugin {
            handle_sigterm: mode != "no handler",
            export: ExportSettings {
                close_timeout: Duration::from_secs(if mode.starts_with("stuck") { 1 } else { 20 }),
                ..Default::default()
            },
            ..Default::default()
        },
    ));
    if mode == "ctrl-c" {
        app.add_plugins(TerminalCtrlCHandlerPlugin);
    }
    let recording = Recording::<Player>::new("player").observe::<Age>();
    let recording = if mode.starts_with("stuck") {
        recording.sink(Stuck)
    } else {
        recording
    };
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(recording.sink(DatasetSink::new(folder.join("data"))))
        .add_systems(FixedUpdate, grow);
    for id in 0..3 {
        app.world_mut().spawn((Player, Age(0.0), AgentId(id)));
    }
    app
}

/// Not a test: the entry point of the child process.
#[test]
#[ignore = "started by the tests below"]
fn child_process() {
    let (Some(mode), Some(folder)) = (std::env::var_os(MODE), std::env::var_os(FOLDER)) else {
        return;
    };
    let mode = mode.into_string().unwrap();
    let folder = Path::new(&folder);
    let mut app = game(folder, &mode);
    let started = folder.join("started");
    let ends = mode.clone();
    app.add_systems(
        Update,
        move |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
            *frames += 1;
            if *frames < 50 {
                return;
            }
            if *frames == 50 {
                std::fs::write(&started, "").unwrap();
            }
            match ends.as_str() {
                "app exit" => {
                    exit.write(AppExit::Success);
                }
                "panic" => panic!("a bug in the game"),
                _ => {}
            }
        },
    );
    if mode == "window closed" {
        // As `bevy_window` does: in `Last`, possibly after systems of the game.
        app.add_systems(Last, |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
            *frames += 1;
            if *frames == 60 {
                exit.write(AppExit::Success);
            }
        });
    }
    if mode == "drop" || mode == "stuck, drop" {
        for _ in 0..60 {
            app.update();
        }
        drop(app);
        std::process::exit(0);
    }
    app.run();
    std::process::exit(0);
}

struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child process, and returns its exit status.
fn run_child(folder: &Path, mode: &str, signal: Option<&str>) -> ExitStatus {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--ignored"])
        .env(MODE, mode)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = ChildGuard(child.unwrap());
    let begun = Instant::now();
    if let Some(signal) = signal {
        while !folder.join("started").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the child did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = Command::new("kill").args([signal, &child.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
    let begun = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < DEADLINE, "{mode}: the child did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asserts that the dataset of a child is closed, valid and complete.
#[track_caller]
fn assert_complete(folder: &Path, mode: &str) {
    let dataset = Dataset::open(folder.join("data")).unwrap();
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{mode}: {validation:?}");
    let runs = player.runs().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status, RunStatus::Closed, "{mode}");
    let account = &runs[0].account;
    assert!(account.recorded >= 3 * 40, "{mode}: {account:?}");
    assert_eq!((account.exported, account.pending), (account.recorded, 0), "{mode}");
    let episodes: Vec<_> = player.episodes().map(Result::unwrap).collect();
    assert_eq!(episodes.len(), 3);
    for episode in episodes {
        assert_eq!(episode.reason(), &EndReason::SHUTDOWN, "{mode}");
    }
}

#[test]
fn every_orderly_shutdown_writes_all_episodes() {
    let modes = [
        ("app exit", true),
        ("window closed", true),
        ("drop", true),
        ("panic", false),
    ];
    for (mode, succeeds) in modes {
        let folder = tempfile::tempdir().unwrap();
        let status = run_child(folder.path(), mode, None);
        assert_eq!(status.success(), succeeds, "{mode}: {status}");
        assert_complete(folder.path(), mode);
    }
}

/// Whether this process ignores SIGINT, as background jobs of a shell do. A child inherits that, and installs no handler.
#[cfg(unix)]
fn ignores_interrupts() -> bool {
    const SIGINT: u32 = 2;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGINT - 1) & 1 == 1)
}

#[cfg(unix)]
#[test]
#[expect(clippy::print_stderr, reason = "a skipped case has to be visible in the output")]
fn sigterm_and_ctrl_c_are_orderly_shutdowns() {
    for (mode, signal) in [("sigterm", "-TERM"), ("ctrl-c", "-INT")] {
        if mode == "ctrl-c" && ignores_interrupts() {
            eprintln!("skipped: this process ignores SIGINT, as a background job of a shell does");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let status = run_child(folder.path(), mode, Some(signal));
        assert_eq!(status.code(), Some(0), "{mode}: {status}");
        assert_complete(folder.path(), mode);
    }
}

#[cfg(unix)]
#[test]
fn sigterm_without_a_handler_leaves_a_recoverable_run() {
    let folder = tempfile::tempdir().unwrap();
    let status = run_child(folder.path(), "no handler", Some("-TERM"));
    assert_eq!(status.code(), None, "{status}");
    // The dataset is valid, and the rows that are not in it are in the journal.
    let dataset = Dataset::open(folder.path().join("data")).unwrap();
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    assert_eq!(player.runs().unwrap()[0].status, RunStatus::Running);
    let recovered = dataset.recover(&RecoverSettings::default()).unwrap();
    assert_eq!(recovered[0].recovery.recovered.len(), 1, "{recovered:?}");
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    assert_eq!(player.runs().unwrap()[0].status, RunStatus::Recovered);
}

#[cfg(unix)]
#[test]
fn a_stuck_sink_does_not_delay_the_shutdown_and_the_other_is_complete() {
    for (mode, signal) in [("stuck, sigterm", Some("-TERM")), ("stuck, drop", None)] {
        let folder = tempfile::tempdir().unwrap();
        let status = run_child(folder.path(), mode, signal);
        assert_eq!(status.code(), Some(0), "{mode}: {status}");
        assert_complete(folder.path(), mode);
    }
}
