//! From arguments to a summary.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use arena::{Clock, headless, world_hash};
use bevy_app::{App, AppExit, TerminalCtrlCHandlerPlugin};

use crate::{cli::Args, progress::Progress, summary::Summary};

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
/// When the dataset cannot go where it should, in words for the user.
pub fn run(args: &Args) -> Result<Played, String> {
    if !args.no_record && args.out.is_file() {
        return Err(format!(
            "`{}` is a file: name a folder with `--out`",
            args.out.display()
        ));
    }
    let mut app = headless(args.settings());
    app.add_plugins(TerminalCtrlCHandlerPlugin);
    app.finish();
    app.cleanup();
    app.update();
    let started = Instant::now();
    let exit = play(&mut app, args);
    let clock = *app.world().resource::<Clock>();
    let world_hash = format!("{:016x}", world_hash(app.world_mut()));
    let summary = Summary {
        steps_per_second: clock.player_ticks as f64 / started.elapsed().as_secs_f64(),
        world_hash,
        out: None,
        ..Summary::default()
    };
    let exit_code = match exit {
        AppExit::Success => 0,
        AppExit::Error(code) => code.get(),
    };
    Ok(Played { summary, exit_code })
}

/// Plays all ticks, or fewer if the app is told to exit.
fn play(app: &mut App, args: &Args) -> AppExit {
    let mut progress = Progress::start(args.ticks);
    tracing::info!("`arena` is open: {} matches of {} players", args.matches, args.players);
    let mut pace = args.realtime.then(|| Pace::new(args.hz));
    let mut exit = AppExit::Success;
    for _ in 0..args.ticks {
        if let Some(pace) = &mut pace {
            pace.wait();
        }
        app.update();
        progress.show(*app.world().resource::<Clock>(), || 0);
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
