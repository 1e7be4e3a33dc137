//! From arguments to a summary.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use arena::{
    Clock, headless,
    record::{FIGHTER, buffers, recording},
    world_hash,
};
use bevy_app::{App, AppExit, TerminalCtrlCHandlerPlugin};
use bevy_ecs::world::World;
use bevy_experience::{export::ExportSettings, prelude::*, sink::RunReport};

use crate::{cli::Args, progress::Progress, summary::Summary};

/// How long a game at full speed waits for a slow disk before it loses steps, and how long its end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ticks to play, unless told.
const TICKS: u64 = 36_000;

/// Bytes that the fighters' buffers take at most, when there are as many as there may be.
const MEMORY: usize = 3 << 30;

/// What came of a run.
pub struct Played {
    /// For the user.
    pub summary: Summary,
    /// For the shell: 0, or what the signal that ended the game says.
    pub exit_code: u8,
}

/// Plays what was asked for.
///
/// # Errors
/// When the dataset cannot go where it should, or there is no window to play in, in words for the user.
pub fn run(args: &Args) -> Result<Played, String> {
    if args.window {
        return in_window(args);
    }
    let mut app = headless(args.settings());
    app.add_plugins(TerminalCtrlCHandlerPlugin);
    if !args.no_record {
        record(&mut app, args)?;
    }
    app.finish();
    app.cleanup();
    app.update();
    let started = Instant::now();
    let exit = play(&mut app, args);
    Ok(Played {
        summary: conclude(app.world_mut(), args, started)?,
        exit_code: exit_code(&exit),
    })
}

#[cfg(feature = "window")]
use crate::windowed::run as in_window;

#[cfg(not(feature = "window"))]
fn in_window(_: &Args) -> Result<Played, String> {
    Err(
        "this arena was built without its window: run `cargo run --release -p arena --features window -- --window`"
            .to_owned(),
    )
}

/// What the shell is told.
pub fn exit_code(exit: &AppExit) -> u8 {
    match exit {
        AppExit::Success => 0,
        AppExit::Error(code) => code.get(),
    }
}

/// Finishes the dataset, and sums up.
///
/// # Errors
/// When the dataset could not be finished, in words for the user.
pub fn conclude(world: &mut World, args: &Args, started: Instant) -> Result<Summary, String> {
    let clock = *world.resource::<Clock>();
    let world_hash = format!("{:016x}", world_hash(world));
    let experience = world.get_resource_mut::<Experience>();
    if experience.is_some_and(|mut experience| !experience.close(PATIENCE)) {
        return Err(format!(
            "`{}` was not finished in time: is the disk full?",
            args.out.display()
        ));
    }
    let report = report(world);
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

/// Records into the folder that was named.
///
/// # Errors
/// When the dataset cannot go there, in words for the user.
pub fn record(app: &mut App, args: &Args) -> Result<(), String> {
    if args.out.is_file() {
        return Err(format!(
            "`{}` is a file: name a folder with `--out`",
            args.out.display()
        ));
    }
    let export = ExportSettings {
        patience: PATIENCE,
        close_timeout: PATIENCE,
        ..ExportSettings::default()
    };
    // A game that outruns the disk waits for it; one that people watch does not.
    let is_watched = args.realtime || (args.window && args.screenshot.is_none());
    let overflow = if is_watched {
        Overflow::DropOldest
    } else {
        Overflow::Block(PATIENCE)
    };
    let settings = args.settings();
    let recording = recording(&settings)
        .buffers(BufferSettings {
            overflow,
            ..buffers(&settings)
        })
        .sink(DatasetSink::new(&args.out).with_seed(args.seed));
    app.add_plugins(ExperiencePlugin {
        export,
        memory_budget: MEMORY,
        ..ExperiencePlugin::default()
    })
    .try_add_recording(recording)
    .map_err(|error| error.to_string())?;
    Ok(())
}

/// The account so far; all zero where nothing is recorded.
fn report(world: &World) -> RunReport {
    let experience = world.get_resource::<Experience>();
    let reports = experience.map(|experience| experience.reports(FIGHTER));
    reports
        .and_then(|reports| reports.into_iter().next())
        .unwrap_or_default()
}

/// Plays all ticks, or fewer if the app is told to exit.
fn play(app: &mut App, args: &Args) -> AppExit {
    let ticks = args.ticks.unwrap_or(TICKS);
    let mut progress = Progress::start(ticks);
    tracing::info!("`arena` is open: {} matches of {} players", args.matches, args.players);
    let mut pace = args.realtime.then(|| Pace::new(args.hz));
    let mut exit = AppExit::Success;
    for _ in 0..ticks {
        if let Some(pace) = &mut pace {
            pace.wait();
        }
        app.update();
        progress.show(*app.world().resource::<Clock>(), || report(app.world()).dropped);
        if let Some(told) = app.should_exit() {
            exit = told;
            break;
        }
    }
    progress.finish();
    exit
}

/// Keeps ticks to the clock on the wall.
struct Pace {
    tick: Duration,
    next: Instant,
}

impl Pace {
    /// More than this behind, lost time is given up: a machine that slept does not play the night in a rush.
    const PATIENCE: Duration = Duration::from_millis(250);

    fn new(hz: u32) -> Self {
        Self {
            tick: Duration::from_secs(1) / hz,
            next: Instant::now(),
        }
    }

    /// Waits for the time of the next tick.
    fn wait(&mut self) {
        let now = Instant::now();
        if let Some(early) = self.next.checked_duration_since(now) {
            sleep(early);
        } else if now - self.next > Self::PATIENCE {
            self.next = now;
        }
        self.next += self.tick;
    }
}
