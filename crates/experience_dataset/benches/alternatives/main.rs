//! What the game's thread pays for a row, and what it costs until the row is in an Arrow batch: with this crate's rings and
//! exporter, and with what a Rust program could do in their place. A Markdown table.
//!
//! ```text
//! cargo bench -p experience_dataset --bench alternatives               # half a minute
//! cargo bench -p experience_dataset --bench alternatives -- --quick    # ten seconds
//! ```
//!
//! A thousand players of an arena push a row of 264 bytes each tick. As capture does, the game encodes the rows of 64 players,
//! and then pushes them; only the pushes are measured. Every [`TURN`] ticks a consumer takes what was pushed, assembles
//! episodes, and encodes those that have ended as Arrow batches.
//!
//! - `push`: the game's thread, while the consumer is idle; it takes the rows between two turns, on the same thread.
//! - `push, drained`: the game's thread, while the consumer takes rows on another core each millisecond.
//! - `to Arrow`: all of the first case: pushes, assembly and encoding, on one thread.
#![expect(clippy::print_stdout, reason = "the table is the output")]

#[path = "../export/arena.rs"]
mod arena;
mod consumers;
mod pipelines;
mod source;
#[path = "../export/streams.rs"]
mod streams;
#[expect(dead_code, reason = "used by the other benchmarks")]
#[path = "../export/workload.rs"]
mod workload;

use pipelines::{Arrays, Boxes, Channel, Copies, Locked, Rings};
use source::{BLOCK, Source};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const PLAYERS: usize = 1000;
/// Ticks of a measurement.
const TICKS: usize = 480;
/// Ticks between two turns of a consumer on the game's thread.
const TURN: usize = 8;

/// What the game's thread pushes to.
trait Recorder {
    /// Takes the rows of the players from `first` on.
    fn push(&mut self, first: usize, rows: &[u64]);
}

/// What takes the rows to Arrow.
trait Consumer: Send {
    /// Takes what was pushed. Returns the transitions in the Arrow batches that it made.
    fn take(&mut self) -> usize;

    /// As [`take`](Self::take), after the last push: no transition is left behind.
    fn finish(self) -> usize;
}

/// A pipeline from the game's thread to Arrow batches.
trait Pipeline {
    const NAME: &str;
    type Recorder: Recorder;
    type Consumer: Consumer;

    fn new(source: &Source) -> (Self::Recorder, Self::Consumer);
}

/// The time of the pushes and of everything, with the consumer on the same thread. Each is per row.
fn alternate<P: Pipeline>(source: &mut Source) -> [Duration; 2] {
    let (mut recorder, mut consumer) = P::new(source);
    let (mut pushes, mut takes, mut transitions) = (Duration::ZERO, Duration::ZERO, 0);
    for tick in 0..TICKS {
        pushes += push_tick(source, &mut recorder, tick);
        if (tick + 1).is_multiple_of(TURN) {
            let start = Instant::now();
            transitions += consumer.take();
            takes += start.elapsed();
        }
    }
    drop(recorder);
    let start = Instant::now();
    transitions += consumer.finish();
    takes += start.elapsed();
    assert_eq!(transitions, source.transitions(), "{}: nothing is lost", P::NAME);
    let rows = (TICKS * PLAYERS) as u32;
    [pushes / rows, (pushes + takes) / rows]
}

/// The time of a push, with a consumer on another core.
fn concurrent<P: Pipeline>(source: &mut Source) -> Duration {
    let (mut recorder, mut consumer) = P::new(source);
    let is_over = AtomicBool::new(false);
    let (mut pushes, mut transitions) = (Duration::ZERO, 0);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut transitions = 0;
            while !is_over.load(Ordering::Acquire) {
                transitions += consumer.take();
                thread::sleep(Duration::from_millis(1));
            }
            transitions + consumer.finish()
        });
        for tick in 0..TICKS {
            pushes += push_tick(source, &mut recorder, tick);
            // A part of the game's tick, in which the consumer can keep up.
            if (tick + 1).is_multiple_of(TURN) {
                thread::sleep(Duration::from_millis(8));
            }
        }
        drop(recorder);
        is_over.store(true, Ordering::Release);
        transitions = thread.join().expect("the consumer does not panic");
    });
    assert_eq!(transitions, source.transitions(), "{}: nothing is lost", P::NAME);
    pushes / (TICKS * PLAYERS) as u32
}

fn push_tick(source: &mut Source, recorder: &mut impl Recorder, tick: usize) -> Duration {
    let mut pushes = Duration::ZERO;
    for first in (0..PLAYERS).step_by(BLOCK) {
        let rows = source.encode(tick, first, BLOCK.min(PLAYERS - first));
        let start = Instant::now();
        recorder.push(first, rows);
        pushes += start.elapsed();
    }
    pushes
}

fn print_row<P: Pipeline>(source: &mut Source, runs: usize) {
    let mut times = [const { Vec::new() }; 3];
    // The first run warms the allocator and is not counted.
    for run in 0..=runs {
        let [push, whole] = alternate::<P>(source);
        let drained = concurrent::<P>(source);
        if run > 0 {
            for (times, time) in times.iter_mut().zip([push, drained, whole]) {
                times.push(time);
            }
        }
    }
    let cells = times.map(|mut times| {
        times.sort_unstable();
        let nanos = |time: &Duration| time.as_nanos();
        let (least, median, most) = (&times[0], &times[times.len() / 2], &times[times.len() - 1]);
        format!("{} ns ({} to {})", nanos(median), nanos(least), nanos(most))
    });
    println!("| {} | {} |", P::NAME, cells.join(" | "));
}

fn main() {
    let runs = if std::env::args().any(|argument| argument == "--quick") {
        3
    } else {
        9
    };
    let mut source = Source::new();
    println!(
        "| {PLAYERS} players, {} bytes a row | push | push, drained | to Arrow |\n|---|---|---|---|",
        source.row_bytes()
    );
    print_row::<Copies>(&mut source, runs);
    print_row::<Rings>(&mut source, runs);
    print_row::<Locked>(&mut source, runs);
    print_row::<Boxes>(&mut source, runs);
    print_row::<Channel>(&mut source, runs);
    print_row::<Arrays>(&mut source, runs);
}
