//! What a game feels of being recorded: whole updates of the arena, with and without.
//!
//! ```text
//! cargo bench -p arena --bench game                 # about four minutes
//! cargo bench -p arena --bench game -- lockstep     # the ratios alone: about one
//! ```
//!
//! `without` has no plugin, `disabled` has it with `enabled: false`, and `with` records what [`recording`] says into a
//! dataset in a temporary folder, the exporter's thread running beside the game. `copied` has no plugin, either: it copies
//! as many bytes as there would be rows of into buffers of the same size, once a tick. No recording can be faster. An update is one tick, in which every
//! schedule of the arena runs on this thread. They are played as fast as they can be, so the exporter has more to do, and
//! takes more of the caches from the game, than at 60 ticks a second.
//!
//! `lockstep` plays the same game four times over, a few ticks of each in turn: bullet for bullet the same ticks, under
//! the same weather. It says how much longer they took than without.
//!
//! Times are those for which this thread was on a processor, so that others who use the machine do not count. A game that
//! records so never waits.

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

/// Ticks that are played before it counts: buffers have gone round, and bullets fly.
const WARM_UP: usize = 600;

/// For how long each size is played in lockstep, and how many ticks at once.
const LOCKSTEP: Duration = Duration::from_secs(10);
const AT_ONCE: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    Without,
    Copied,
    Disabled,
    With,
}

impl Recorded {
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

/// A game under way, and where it is recorded to.
struct Game {
    app: App,
    _folder: TempDir,
}

impl Game {
    fn new(players: u32, recorded: Recorded) -> Self {
        let settings = ArenaSettings {
            players,
            ..ArenaSettings::default()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = headless(settings.clone());
        if recorded == Recorded::Copied {
            app.insert_resource(Copies::new(players as usize));
            app.add_systems(Last, copy);
        } else if recorded != Recorded::Without {
            app.add_plugins(ExperiencePlugin {
                enabled: recorded == Recorded::With,
                ..ExperiencePlugin::default()
            })
            .add_recording(recording(&settings).sink(DatasetSink::new(folder.path())));
        }
        app.finish();
        app.cleanup();
        let mut game = Self { app, _folder: folder };
        (0..WARM_UP).for_each(|_| game.app.update());
        game
    }

    /// How long so many updates take.
    fn play(&mut self, updates: u64) -> Duration {
        let start = on_processor();
        (0..updates).for_each(|_| self.app.update());
        on_processor() - start
    }
}

/// Words of a fighter's row, and rows of its buffer, as [`recording`] has them.
const ROW: usize = 264 / 8;
const ROWS: std::ops::RangeInclusive<usize> = 32..=512;

/// Everybody's row, and where rows are copied to.
#[derive(Resource)]
struct Copies {
    row: Vec<u64>,
    buffers: Vec<u64>,
    tick: usize,
}

impl Copies {
    fn new(players: usize) -> Self {
        let rows = ((1 << 20) / players)
            .clamp(*ROWS.start(), *ROWS.end())
            .next_power_of_two();
        let row = vec![1; players * ROW];
        Self {
            buffers: row.repeat(rows),
            row,
            tick: 0,
        }
    }
}

fn copy(mut copies: ResMut<Copies>) {
    let Copies { row, buffers, tick } = &mut *copies;
    let rows = buffers.len() / row.len();
    // As buffers of their own lie: each player's rows behind each other.
    let places = buffers.chunks_exact_mut(rows * ROW);
    for (place, row) in places.zip(row.chunks_exact(ROW)) {
        place[*tick % rows * ROW..][..ROW].copy_from_slice(black_box(row));
    }
    *tick += 1;
}

/// For how long this thread has been on a processor.
#[cfg(unix)]
fn on_processor() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.cast_unsigned(), spent.tv_nsec as u32)
}

/// The clock on the wall, where the system does not tell.
#[cfg(not(unix))]
fn on_processor() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

fn game(c: &mut Criterion) {
    let mut group = c.benchmark_group("game");
    group.sample_size(20);
    for players in PLAYERS {
        group.throughput(Throughput::Elements(players.into()));
        for recorded in Recorded::ALL {
            let mut game = None;
            group.bench_function(BenchmarkId::new(recorded.name(), players), |b| {
                let game = game.get_or_insert_with(|| Game::new(players, recorded));
                b.iter_custom(|updates| game.play(updates));
            });
        }
    }
    group.finish();
}

/// Plays the same ticks in all ways, and says how much longer they took.
#[expect(clippy::print_stdout, reason = "a benchmark says what it found")]
fn lockstep(players: u32) {
    let mut games = Recorded::ALL.map(|recorded| Game::new(players, recorded));
    let mut spent: [Vec<Duration>; 4] = Default::default();
    let start = Instant::now();
    // Who comes first finds the caches as the last left them: each does so as often.
    for first in (0..spent.len()).cycle() {
        for place in 0..spent.len() {
            let which = (first + place) % spent.len();
            spent[which].push(games[which].play(AT_ONCE.into()));
        }
        if start.elapsed() > LOCKSTEP && first + 1 == spent.len() {
            break;
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let without = seconds(&spent[0]);
    for (recorded, times) in Recorded::ALL.into_iter().zip(&spent) {
        let times = seconds(times);
        let ratios = times.iter().zip(&without).map(|(time, without)| time / without);
        println!(
            "lockstep/{}/{players}: {:.1} µs an update in {} ticks, {:.3} times as long as without (median {:.3})",
            recorded.name(),
            times.iter().sum::<f64>() * 1e6 / f64::from(AT_ONCE) / times.len() as f64,
            times.len() * AT_ONCE as usize,
            times.iter().sum::<f64>() / without.iter().sum::<f64>(),
            median(ratios.collect()),
        );
    }
}

fn main() {
    // Cargo adds `--bench`, and `--test` when it only wants to know whether this runs.
    let args: Vec<_> = std::env::args().skip(1).collect();
    let measures = args.iter().any(|arg| arg == "--bench");
    let wanted: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let asks_for_lockstep = |players: u32| {
        let name = format!("lockstep/{players}");
        wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
    };
    for players in PLAYERS {
        if measures && asks_for_lockstep(players) {
            lockstep(players);
        }
    }
    let mut criterion = Criterion::default().configure_from_args();
    game(&mut criterion);
    criterion.final_summary();
}
