//! Cost of recording for a game: whole updates of the arena, with and without it.
//!
//! ```text
//! cargo bench -p arena --bench game                 # about four minutes
//! cargo bench -p arena --bench game -- lockstep     # the ratios alone: about one
//! ```
//!
//! `without` has no plugin, `disabled` has it with `enabled: false`, and `with` records [`recording`] into a dataset in
//! a temporary folder, with the exporter thread beside the game. `copied` has no plugin and copies one row per player
//! and tick into buffers of the same size, which is a lower bound of the cost of any recording. An update is one tick,
//! in which all schedules of the arena run on this thread. Ticks run without pause, so the exporter has more work, and
//! displaces more of the game's cache lines, than at 60 ticks per second.
//!
//! `lockstep` interleaves four instances of the same game, a few ticks of each in turn, so that all are measured on the
//! same ticks and under the same load of the machine. It prints the ratio of each to `without`.
//!
//! Times are CPU time of this thread, which excludes other processes. The game never waits for the exporter with these
//! settings.

use arena::{ArenaSettings, headless, record::recording};
use bevy_app::{App, Last};
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;
use criterion::{BenchmarkId, Criterion, Throughput};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PLAYERS: [u32; 3] = [100, 1000, 10_000];

/// Ticks before the measurement, after which buffers are full and bullets are in flight.
const WARM_UP_TICKS: usize = 600;

/// How long each size is measured in lockstep.
const LOCKSTEP_DURATION: Duration = Duration::from_secs(10);
/// Ticks of one game before the next takes its turn.
const LOCKSTEP_TICKS: u32 = 16;

/// The configurations that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordingMode {
    Without,
    Copied,
    Disabled,
    With,
}

impl RecordingMode {
    const ALL: [Self; 4] = [Self::Without, Self::Copied, Self::Disabled, Self::With];

    fn name(self) -> &'static str {
        match self {
            Self::Without => "without",
            Self::Copied => "copied",
            Self::Disabled => "disabled",
            Self::With => "with",
        }
    }
}

/// A running game, and the folder of its dataset.
struct Game {
    app: App,
    _folder: TempDir,
}

impl Game {
    fn new(players: u32, mode: RecordingMode) -> Self {
        let settings = ArenaSettings {
            players,
            ..ArenaSettings::default()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = headless(settings.clone());
        if mode == RecordingMode::Copied {
            app.insert_resource(RowCopies::new(players as usize));
            app.add_systems(Last, copy_rows);
        } else if mode != RecordingMode::Without {
            app.add_plugins(ExperiencePlugin {
                enabled: mode == RecordingMode::With,
                ..ExperiencePlugin::default()
            })
            .add_recording(recording(&settings).sink(DatasetSink::new(folder.path())));
        }
        app.finish();
        app.cleanup();
        let mut game = Self { app, _folder: folder };
        (0..WARM_UP_TICKS).for_each(|_| game.app.update());
        game
    }

    /// The CPU time of `updates` updates.
    fn play(&mut self, updates: u64) -> Duration {
        let start = thread_time();
        (0..updates).for_each(|_| self.app.update());
        thread_time() - start
    }
}

/// Words of a fighter's row in [`recording`].
const ROW_WORDS: usize = 264 / 8;
/// The smallest and largest capacity of its buffer, in rows.
const BUFFER_ROWS: std::ops::RangeInclusive<usize> = 32..=512;

/// One row of every player, and the buffers that it is copied to.
#[derive(Resource)]
struct RowCopies {
    row: Vec<u64>,
    buffers: Vec<u64>,
    tick: usize,
}

impl RowCopies {
    fn new(players: usize) -> Self {
        let rows = ((1 << 20) / players)
            .clamp(*BUFFER_ROWS.start(), *BUFFER_ROWS.end())
            .next_power_of_two();
        let row = vec![1; players * ROW_WORDS];
        Self {
            buffers: row.repeat(rows),
            row,
            tick: 0,
        }
    }
}

fn copy_rows(mut copies: ResMut<RowCopies>) {
    let RowCopies { row, buffers, tick } = &mut *copies;
    let rows = buffers.len() / row.len();
    // As in separate buffers, the rows of one player are contiguous.
    let player_buffers = buffers.chunks_exact_mut(rows * ROW_WORDS);
    for (buffer, row) in player_buffers.zip(row.chunks_exact(ROW_WORDS)) {
        buffer[*tick % rows * ROW_WORDS..][..ROW_WORDS].copy_from_slice(black_box(row));
    }
    *tick += 1;
}

/// The CPU time of this thread.
#[cfg(unix)]
fn thread_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.cast_unsigned(), spent.tv_nsec as u32)
}

/// Wall-clock time, on systems without CPU time of threads.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

fn game(c: &mut Criterion) {
    let mut group = c.benchmark_group("game");
    group.sample_size(20);
    for players in PLAYERS {
        group.throughput(Throughput::Elements(players.into()));
        for mode in RecordingMode::ALL {
            let mut game = None;
            group.bench_function(BenchmarkId::new(mode.name(), players), |b| {
                let game = game.get_or_insert_with(|| Game::new(players, mode));
                b.iter_custom(|updates| game.play(updates));
            });
        }
    }
    group.finish();
}

/// Plays the same ticks in all modes, and prints times and ratios.
#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn lockstep(players: u32) {
    let mut games = RecordingMode::ALL.map(|mode| Game::new(players, mode));
    let mut spent: [Vec<Duration>; 4] = Default::default();
    let start = Instant::now();
    // Rotating the order lets each mode start equally often with the caches of every other.
    for first in (0..spent.len()).cycle() {
        for offset in 0..spent.len() {
            let index = (first + offset) % spent.len();
            spent[index].push(games[index].play(LOCKSTEP_TICKS.into()));
        }
        if start.elapsed() > LOCKSTEP_DURATION && first + 1 == spent.len() {
            break;
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let without = seconds(&spent[0]);
    for (mode, times) in RecordingMode::ALL.into_iter().zip(&spent) {
        let times = seconds(times);
        let ratios = times.iter().zip(&without).map(|(time, without)| time / without);
        println!(
            "lockstep/{}/{players}: {:.1} µs per update in {} ticks, {:.3} times `without` (median {:.3})",
            mode.name(),
            times.iter().sum::<f64>() * 1e6 / f64::from(LOCKSTEP_TICKS) / times.len() as f64,
            times.len() * LOCKSTEP_TICKS as usize,
            times.iter().sum::<f64>() / without.iter().sum::<f64>(),
            median(ratios.collect()),
        );
    }
}

fn main() {
    // Cargo passes `--bench` to measure, and `--test` to check only that the benchmark runs.
    let args: Vec<_> = std::env::args().skip(1).collect();
    let is_measured = args.iter().any(|arg| arg == "--bench");
    let filters: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let includes_lockstep = |players: u32| {
        let name = format!("lockstep/{players}");
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    for players in PLAYERS {
        if is_measured && includes_lockstep(players) {
            lockstep(players);
        }
    }
    let mut criterion = Criterion::default().configure_from_args();
    game(&mut criterion);
    criterion.final_summary();
}
