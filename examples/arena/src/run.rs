//! Headless run of the `arena` command: plays, records, and summarizes.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use arena::{
    Clock,
    fighter::Fighter,
    headless,
    record::{FIGHTER, buffers, recording},
    world_hash,
};
use bevy_app::{App, AppExit, TerminalCtrlCHandlerPlugin};
use bevy_ecs::world::World;
use bevy_experience::{export::ExportSettings, prelude::*, sink::RunReport};

use crate::{cli::Args, policies, progress::RunProgress, summary::Summary};

/// How long a full buffer blocks the game before it drops rows, and how long closing may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Ticks to play by default.
const DEFAULT_TICKS: u64 = 36_000;

/// Memory budget of the buffers in bytes, enough for the largest number of fighters.
const MEMORY_BUDGET: usize = 3 << 30;

/// A run that has ended.
pub struct CompletedRun {
    /// The summary to print.
    pub summary: Summary,
    /// The exit code of the process: 0, or that of the signal that ended the run.
    pub exit_code: u8,
}

/// Plays the arena, records it and closes the dataset.
///
/// # Errors
/// A message for the user when the dataset cannot be created or finished, or no window can be opened.
pub fn run(args: &Args) -> Result<CompletedRun, String> {
    if args.window {
        return run_in_window(args);
    }
    let mut app = headless(args.settings());
    app.add_plugins(TerminalCtrlCHandlerPlugin);
    if args.no_record {
        policies::add_unrecorded(&mut app, args)?;
    } else {
        add_recording(&mut app, args)?;
    }
    app.finish();
    app.cleanup();
    app.update();
    let started = Instant::now();
    let exit = play(&mut app, args, args.ticks.unwrap_or(DEFAULT_TICKS));
    Ok(CompletedRun {
        summary: finish(app.world_mut(), args, started)?,
        exit_code: exit_code(&exit),
    })
}

#[cfg(feature = "window")]
use crate::windowed::run as run_in_window;

#[cfg(not(feature = "window"))]
fn run_in_window(_: &Args) -> Result<CompletedRun, String> {
    Err(
        "the arena was built without its window: run `cargo run --release -p arena --features window -- --window`"
            .to_owned(),
    )
}

/// The exit code of the process.
pub fn exit_code(exit: &AppExit) -> u8 {
    match exit {
        AppExit::Success => 0,
        AppExit::Error(code) => code.get(),
    }
}

/// Closes the recording and summarizes the run.
///
/// # Errors
/// A message for the user when the dataset could not be finished.
pub fn finish(world: &mut World, args: &Args, started: Instant) -> Result<Summary, String> {
    let clock = *world.resource::<Clock>();
    let world_hash = format!("{:016x}", world_hash(world));
    let experience = world.get_resource_mut::<Experience>();
    let is_closed = experience.is_none_or(|mut experience| experience.close(EXPORT_TIMEOUT));
    let report = report(world);
    if !is_closed {
        return Err(format!(
            "`{}` is incomplete: of {} transitions, {} are stored, {} were dropped and {} are pending; check whether its disk \
             is full, or whether another process has removed files",
            args.out.display(),
            report.recorded,
            report.exported,
            report.dropped,
            report.pending
        ));
    }
    Ok(Summary {
        recorded: report.recorded,
        exported: report.exported,
        dropped: report.dropped,
        discarded: report.discarded,
        pending: report.pending,
        episodes: report.episodes,
        steps_per_second: clock.player_ticks as f64 / started.elapsed().as_secs_f64(),
        world_hash,
        out: (!args.no_record).then(|| args.out.clone()),
    })
}

/// Adds the recording, with a dataset in the output folder.
///
/// # Errors
/// A message for the user when the dataset cannot be created there.
pub fn add_recording(app: &mut App, args: &Args) -> Result<(), String> {
    if args.out.is_file() {
        return Err(format!(
            "`{}` is a file: name a folder with `--out`",
            args.out.display()
        ));
    }
    let export = ExportSettings {
        patience: EXPORT_TIMEOUT,
        close_timeout: EXPORT_TIMEOUT,
        ..ExportSettings::default()
    };
    // At full speed the game waits for a slow disk. In real time it drops rows and does not stutter.
    let is_realtime = args.realtime || (args.window && args.screenshot.is_none());
    let overflow = if is_realtime {
        Overflow::DropOldest
    } else {
        Overflow::Block(EXPORT_TIMEOUT)
    };
    let settings = args.settings();
    let mut dataset = DatasetSink::new(&args.out).with_seed(args.seed);
    if let Some(seconds) = args.shard_age {
        dataset = dataset.with_shard_age(Duration::from_secs(seconds));
    }
    let recording = recording(&settings)
        .buffers(BufferSettings {
            overflow,
            ..buffers(&settings)
        })
        .sink(dataset);
    let recording = match &args.stream {
        Some(address) => stream(recording, address)?,
        None => recording,
    };
    app.add_plugins(ExperiencePlugin {
        export,
        memory_budget: MEMORY_BUDGET,
        ..ExperiencePlugin::default()
    })
    .try_add_recording(recording)
    .map_err(|error| error.to_string())?;
    policies::add_policies(app, args)
}

/// Also serves the recording to trainers at `address`.
#[cfg(feature = "stream")]
fn stream(recording: Recording<Fighter>, address: &str) -> Result<Recording<Fighter>, String> {
    let mut sink = bevy_experience::sink::StreamSink::new(address);
    // A token from the environment is in no list of processes.
    if let Ok(token) = std::env::var("ARENA_STREAM_TOKEN") {
        sink = sink.with_token(token);
    }
    if let Some(certificate) = std::env::var_os("ARENA_STREAM_CERTIFICATE") {
        let key = std::env::var_os("ARENA_STREAM_KEY").ok_or("`ARENA_STREAM_CERTIFICATE` needs `ARENA_STREAM_KEY`")?;
        let read = |path: &std::ffi::OsStr| {
            std::fs::read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
        };
        sink = sink.with_tls(read(&certificate)?, read(&key)?);
    }
    Ok(recording.sink(sink))
}

#[cfg(not(feature = "stream"))]
fn stream(_: Recording<Fighter>, _: &str) -> Result<Recording<Fighter>, String> {
    Err("the arena was built without its stream: run `cargo run --release -p arena --features stream -- --stream 127.0.0.1:7711`".to_owned())
}

/// The counts of the recording so far; all zero without a recording.
fn report(world: &World) -> RunReport {
    let experience = world.get_resource::<Experience>();
    let reports = experience.map(|experience| experience.reports(FIGHTER));
    reports
        .and_then(|reports| reports.into_iter().next())
        .unwrap_or_default()
}

/// Transitions that were dropped so far; 0 without a recording.
fn dropped(world: &World) -> u64 {
    let experience = world.get_resource::<Experience>();
    let progress = experience.and_then(|experience| experience.progress(FIGHTER));
    progress.map_or(0, |progress| progress.dropped)
}

/// Plays `ticks`, or until the app exits.
pub fn play(app: &mut App, args: &Args, ticks: u64) -> AppExit {
    let mut progress = RunProgress::start(ticks);
    tracing::info!("arena is open: {} matches of {} players", args.matches, args.players);
    let mut pacer = args.realtime.then(|| TickPacer::new(args.hz));
    let mut exit = AppExit::Success;
    for _ in 0..ticks {
        if let Some(pacer) = &mut pacer {
            pacer.wait();
        }
        app.update();
        progress.update(*app.world().resource::<Clock>(), || dropped(app.world()));
        if let Some(requested) = app.should_exit() {
            exit = requested;
            break;
        }
    }
    progress.finish();
    exit
}

/// Sleeps between ticks, so that they follow wall-clock time.
struct TickPacer {
    tick: Duration,
    next: Instant,
}

impl TickPacer {
    /// When ticks are later than this, the schedule restarts from now, so that a machine that was suspended does not
    /// catch up.
    const MAX_DELAY: Duration = Duration::from_millis(250);

    fn new(hz: u32) -> Self {
        Self {
            tick: Duration::from_secs(1) / hz,
            next: Instant::now(),
        }
    }

    /// Sleeps until the next tick is due.
    fn wait(&mut self) {
        let now = Instant::now();
        if let Some(early) = self.next.checked_duration_since(now) {
            sleep(early);
        } else if now - self.next > Self::MAX_DELAY {
            self.next = now;
        }
        self.next += self.tick;
    }
}
