//! The progress bar, on standard error; hidden where that is no terminal.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use arena::Clock;
use env_logger::{Builder, Env, Target};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// How often the bar is drawn anew.
const EVERY: Duration = Duration::from_millis(100);

/// Shows how far the game has come.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    drawn: Instant,
}

impl Progress {
    /// Shows the bar, and lets log messages appear above it from now on.
    pub fn start(ticks: u64) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {human_pos}/{human_len} ticks  {msg}");
        let bar = ProgressBar::new(ticks).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        // A logger that is there already keeps its place.
        let _ = Builder::from_env(Env::default().default_filter_or("warn"))
            .target(Target::Pipe(Box::new(AboveBar(bar.clone()))))
            .try_init();
        let now = Instant::now();
        Self {
            bar,
            started: now,
            drawn: now,
        }
    }

    /// Shows how far it is, if it is time to. `dropped` is asked only then.
    pub fn show(&mut self, clock: Clock, dropped: impl FnOnce() -> u64) {
        let now = Instant::now();
        if now - self.drawn < EVERY {
            return;
        }
        self.drawn = now;
        let rate = clock.player_ticks as f64 / (now - self.started).as_secs_f64();
        self.bar.set_position(clock.tick);
        let (rate, dropped) = (HumanCount(rate as u64), HumanCount(dropped()));
        self.bar.set_message(format!("{rate} steps/s  {dropped} dropped"));
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Writes to standard error without tearing the bar.
struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
