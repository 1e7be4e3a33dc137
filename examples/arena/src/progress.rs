//! A progress bar on standard error, hidden if that is not a terminal.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use arena::Clock;
use env_logger::{Builder, Env, Target};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// The time between two updates of the bar.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// The progress bar of a run.
pub struct RunProgress {
    bar: ProgressBar,
    started: Instant,
    drawn: Instant,
}

impl RunProgress {
    /// Shows the bar, and initializes a logger that prints above it.
    pub fn start(ticks: u64) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {human_pos}/{human_len} ticks  {msg}");
        let bar = ProgressBar::new(ticks).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        // Fails if a logger was initialized before, which then stays.
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

    /// Updates the bar, at most once per [`UPDATE_INTERVAL`]. `dropped` is called only for an update.
    pub fn update(&mut self, clock: Clock, dropped: impl FnOnce() -> u64) {
        let now = Instant::now();
        if now - self.drawn < UPDATE_INTERVAL {
            return;
        }
        self.drawn = now;
        let rate = clock.player_ticks as f64 / (now - self.started).as_secs_f64();
        self.bar.set_position(clock.tick);
        let (rate, dropped) = (HumanCount(rate as u64), HumanCount(dropped()));
        self.bar.set_message(format!("{rate} steps/s  {dropped} dropped"));
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Writes to standard error, above the bar.
struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
