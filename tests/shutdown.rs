//! However an app ends, what it recorded is written, within a deadline.

use bevy_app::{PanicHandlerPlugin, ScheduleRunnerPlugin, TerminalCtrlCHandlerPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RunStatus},
    export::ExportSettings,
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    transition::Episode,
};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;
use std::{
    borrow::Cow,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

/// How the child of a test ends, and where it writes.
const WAY: &str = "BEVY_EXPERIENCE_TEST_WAY";
const FOLDER: &str = "BEVY_EXPERIENCE_TEST_FOLDER";

/// Longer than an end may take, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

/// A sink that takes hours for what takes no time.
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

fn game(folder: &Path, way: &str) -> App {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        TimePlugin,
        PanicHandlerPlugin,
        ScheduleRunnerPlugin::run_loop(Duration::from_millis(1)),
        ExperiencePlugin {
            handle_sigterm: way != "no handler",
            export: ExportSettings {
                close_timeout: Duration::from_secs(if way.starts_with("stuck") { 1 } else { 20 }),
                ..Default::default()
            },
            ..Default::default()
        },
    ));
    if way == "ctrl-c" {
        app.add_plugins(TerminalCtrlCHandlerPlugin);
    }
    let recording = Recording::<Player>::new("player").observe::<Age>();
    let recording = if way.starts_with("stuck") {
        recording.sink(Stuck)
    } else {
        recording
    };
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(recording.sink(DatasetSink::new(folder.join("data"))))
        .add_systems(FixedUpdate, |mut players: Query<&mut Age>| {
            for mut age in &mut players {
                age.0 += 1.0;
            }
        });
    for id in 0..3 {
        app.world_mut().spawn((Player, Age(0.0), AgentId(id)));
    }
    app
}

/// Not a test, but the life of a process, which ends in the way that it is told.
#[test]
#[ignore = "is started by the tests below"]
fn the_life_of_a_child() {
    let (Some(way), Some(folder)) = (std::env::var_os(WAY), std::env::var_os(FOLDER)) else {
        return;
    };
    let way = way.into_string().unwrap();
    let folder = Path::new(&folder);
    let mut app = game(folder, &way);
    let plays = folder.join("plays");
    let ends = way.clone();
    app.add_systems(
        Update,
        move |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
            *frames += 1;
            if *frames < 50 {
                return;
            }
            if *frames == 50 {
                std::fs::write(&plays, "").unwrap();
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
    if way == "window closed" {
        // As `bevy_window` does it, where systems of the game in `Last` may have run already.
        app.add_systems(Last, |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
            *frames += 1;
            if *frames == 60 {
                exit.write(AppExit::Success);
            }
        });
    }
    if way == "drop" || way == "stuck, drop" {
        for _ in 0..60 {
            app.update();
        }
        drop(app);
        std::process::exit(0);
    }
    app.run();
    std::process::exit(0);
}

struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lives the life of a child, and says how it ended.
fn live(folder: &Path, way: &str, signal: Option<&str>) -> ExitStatus {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_life_of_a_child", "--ignored"])
        .env(WAY, way)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Doomed(child.unwrap());
    let begun = Instant::now();
    if let Some(signal) = signal {
        while !folder.join("plays").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never played");
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
        assert!(begun.elapsed() < DEADLINE, "{way}: it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The recording that a child left, with everything in it.
#[track_caller]
fn assert_whole(folder: &Path, way: &str) {
    let dataset = Dataset::open(folder.join("data")).unwrap();
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{way}: {validation:?}");
    let runs = player.runs().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status, RunStatus::Closed, "{way}");
    let account = &runs[0].account;
    assert!(account.recorded >= 3 * 40, "{way}: {account:?}");
    assert_eq!((account.exported, account.pending), (account.recorded, 0), "{way}");
    let episodes: Vec<_> = player.episodes().map(Result::unwrap).collect();
    assert_eq!(episodes.len(), 3);
    for episode in episodes {
        assert_eq!(episode.reason(), &EndReason::SHUTDOWN, "{way}");
    }
}

#[test]
fn every_orderly_end_writes_everything() {
    let ways = [
        ("app exit", true),
        ("window closed", true),
        ("drop", true),
        ("panic", false),
    ];
    for (way, succeeds) in ways {
        let folder = tempfile::tempdir().unwrap();
        let status = live(folder.path(), way, None);
        assert_eq!(status.success(), succeeds, "{way}: {status}");
        assert_whole(folder.path(), way);
    }
}

/// Whether whoever started this has it ignore Ctrl-C, as shells do with what runs in the background: then no handler is installed,
/// in a game neither.
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
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output must learn that something was not tested"
)]
fn signals_that_ask_for_an_end_are_orderly_ends() {
    for (way, signal) in [("sigterm", "-TERM"), ("ctrl-c", "-INT")] {
        if way == "ctrl-c" && ignores_interrupts() {
            eprintln!("skipped: Ctrl-C is ignored here; it is not in the foreground of a shell");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let status = live(folder.path(), way, Some(signal));
        assert_eq!(status.code(), Some(0), "{way}: {status}");
        assert_whole(folder.path(), way);
    }
}

#[cfg(unix)]
#[test]
fn sigterm_kills_where_nobody_asked_for_a_handler() {
    let folder = tempfile::tempdir().unwrap();
    let status = live(folder.path(), "no handler", Some("-TERM"));
    assert_eq!(status.code(), None, "{status}");
    // What was not written is in the journal, and what is there is whole.
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
fn a_sink_that_is_stuck_keeps_no_end_waiting_and_the_other_is_whole() {
    for (way, signal) in [("stuck, sigterm", Some("-TERM")), ("stuck, drop", None)] {
        let folder = tempfile::tempdir().unwrap();
        let status = live(folder.path(), way, signal);
        assert_eq!(status.code(), Some(0), "{way}: {status}");
        assert_whole(folder.path(), way);
    }
}
