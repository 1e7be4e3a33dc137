//! Benchmarks of a capture, beside a plain copy of the same bytes.
//!
//! ```text
//! cargo bench --bench capture               # about six minutes
//! cargo bench --bench capture -- --quick    # about one
//! ```
//!
//! `floor` copies the bytes of each player's row from one array to the next slot of another, which wraps around and is as
//! large as all buffers together. `plugin` is one run of [`ExperienceCapture`], which encodes the components of each player
//! into a row of its buffer. Both wrap around once before they are measured. Throughput is in players.

use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{
    capture::{Neighbors, SpatialGrid},
    plugin::ExperienceCapture,
    prelude::*,
    test_app::TestApp,
};
use bevy_math::{Vec2, Vec3};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;
use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

#[derive(Component, Reflect)]
struct Player;

/// Four floats, as a position or a velocity would be.
macro_rules! components {
    ($($name:ident),*) => {
        $(#[derive(Component, Reflect)] struct $name([f32; 4]);)*
    };
}
components!(Place, Motion, Aim, Strength);

#[derive(Component, Reflect)]
struct Wide([f32; 256]);

/// An image of 84 × 84 pixels, on the heap: 21 KB on the stack of a bundle would be copied when players are spawned.
#[derive(Component)]
struct Canvas(Vec<u8>);

#[derive(Component, Reflect)]
struct Eye([[[u8; 3]; 84]; 84]);

/// Bytes of a row's header.
const HEADER: usize = 64;

/// The limit for the buffers of all players together, in bytes.
const MEMORY: usize = 256 << 20;

/// The rows of each player's buffer: the largest power of two that [`MEMORY`] allows, and at most the default of 512.
fn rows_each(players: usize, row_bytes: usize) -> usize {
    let rows = (MEMORY / (players * row_bytes)).clamp(1, 512);
    1 << rows.ilog2()
}

fn floor(b: &mut Bencher<'_>, players: usize, values: usize) {
    b.iter(floor_copy(players, values));
}

/// Copies the rows of one tick when it is called.
fn floor_copy(players: usize, values: usize) -> impl FnMut() {
    let words = (HEADER + values).div_ceil(8);
    let rows = rows_each(players, words * 8);
    let from: Vec<u64> = (0..(players * words) as u64).collect();
    let mut to = from.repeat(rows);
    let mut tick = 0;
    move || {
        let to = &mut to[(tick % rows) * from.len()..][..from.len()];
        for (to, from) in to.chunks_exact_mut(words).zip(black_box(&from).chunks_exact(words)) {
            to.copy_from_slice(from);
        }
        black_box(&*to);
        tick += 1;
    }
}

/// An app with `players` players, which have the components that `spawn` returns for their index.
/// Names captures that the benchmark runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Measured;

/// Captures until buffers have wrapped around.
fn captures(test: &mut TestApp) {
    for _ in 0..520 {
        test.world_mut().run_schedule(ExperienceCapture);
    }
}

fn app<B: Bundle>(recording: Recording<Player>, players: usize, spawn: impl Fn(f32) -> B) -> TestApp {
    let mut test = TestApp::new();
    test.add_recording(recording.capture_after(Measured));
    for player in 0..players {
        test.world_mut().spawn((Player, spawn(player as f32)));
    }
    test
}

fn plugin(b: &mut Bencher<'_>, mut test: TestApp) {
    captures(&mut test);
    b.iter(|| test.world_mut().run_schedule(ExperienceCapture));
}

fn holding(capacity: usize) -> BufferSettings {
    BufferSettings {
        capacity,
        ..Default::default()
    }
}

fn four_components(players: usize) -> TestApp {
    four_components_with(Recording::new("player"), PlayerScaling::default(), players)
}

fn four_components_with(recording: Recording<Player>, scaling: PlayerScaling, players: usize) -> TestApp {
    let recording = recording
        .observe::<Place>()
        .observe::<Motion>()
        .observe::<Aim>()
        .observe::<Strength>()
        .scaling(PlayerScaling {
            expected_players: players,
            ..scaling
        })
        .buffers(holding(rows_each(players, HEADER + 64)));
    app(recording, players, |player| {
        (
            Place([player; 4]),
            Motion([player + 0.25; 4]),
            Aim([player + 0.5; 4]),
            Strength([player + 0.75; 4]),
        )
    })
}

/// 16 floats from 4 components.
fn capture(c: &mut Criterion) {
    let mut group = c.benchmark_group("capture");
    for players in [1, 100, 1000, 10_000, 100_000] {
        group.throughput(Throughput::Elements(players as u64));
        group.bench_function(BenchmarkId::new("floor", players), |b| floor(b, players, 64));
        group.bench_function(BenchmarkId::new("plugin", players), |b| {
            plugin(b, four_components(players));
        });
    }
    group.finish();
}

/// The players of [`capture`] with buffers of their own. `plugin_own` is one capture after the other. Before a measured capture of
/// `plugin_cold`, and a measured copy of `floor_cold`, other memory is written, as a game would between two captures. In
/// `plugin_apart` the episodes of players end at different captures, so that their buffers are at different rows.
fn own(c: &mut Criterion) {
    let mut group = c.benchmark_group("capture");
    for players in [100, 1000, 4000] {
        group.throughput(Throughput::Elements(players as u64));
        let own = || {
            let scaling = PlayerScaling {
                pool_above: Some(usize::MAX),
                ..Default::default()
            };
            four_components_with(Recording::new("player"), scaling, players)
        };
        group.bench_function(BenchmarkId::new("floor_own", players), |b| floor(b, players, 64));
        group.bench_function(BenchmarkId::new("plugin_own", players), |b| plugin(b, own()));
        group.bench_function(BenchmarkId::new("plugin_apart", players), |b| {
            let mut test = own();
            end_apart(&mut test);
            plugin(b, test);
        });
        let mut caches = Caches::new();
        group.bench_function(BenchmarkId::new("floor_cold", players), |b| {
            let mut copy = floor_copy(players, 64);
            b.iter_custom(|ticks| caches.measure_cold(ticks, &mut copy));
        });
        group.bench_function(BenchmarkId::new("plugin_cold", players), |b| {
            let mut test = own();
            captures(&mut test);
            b.iter_custom(|ticks| {
                caches.measure_cold(ticks, || {
                    test.world_mut().run_schedule(ExperienceCapture);
                })
            });
        });
    }
    group.finish();
}

/// Ends the episodes of players, a seventh of them at each of some captures.
fn end_apart(test: &mut TestApp) {
    let mut players = test.world_mut().query_filtered::<Entity, With<Player>>();
    let players: Vec<_> = players.iter(test.world()).collect();
    for tick in 0..60 {
        for (index, &player) in players.iter().enumerate() {
            if tick > 0 && (index * 5 + tick).is_multiple_of(7) {
                test.world_mut().trigger(EndEpisode::truncated(player, "round"));
            }
        }
        test.world_mut().run_schedule(ExperienceCapture);
    }
}

/// Memory of the game, which takes the place of all else in the caches.
struct Caches(Vec<u64>);

impl Caches {
    fn new() -> Self {
        Self(vec![0; (64 << 20) / size_of::<u64>()])
    }

    fn measure_cold(&mut self, ticks: u64, mut measured: impl FnMut()) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..ticks {
            self.0
                .iter_mut()
                .step_by(8)
                .for_each(|word| *word = word.wrapping_add(1));
            black_box(&self.0);
            let start = Instant::now();
            measured();
            total += start.elapsed();
        }
        total
    }
}

/// The rows of [`capture`], on one thread and on all, in a shared pool and in own buffers.
fn threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("capture_threads");
    for players in [1000, 2000, 4000, 10_000, 20_000, 100_000] {
        group.throughput(Throughput::Elements(players as u64));
        let memory = |own| if own { usize::MAX } else { 0 };
        for (name, own, above) in [
            ("shared_one", false, usize::MAX),
            ("shared_all", false, 0),
            ("own_one", true, usize::MAX),
            ("own_all", true, 0),
        ] {
            let scaling = || PlayerScaling {
                pool_above: Some(memory(own)),
                parallel_above: Some(above),
                ..Default::default()
            };
            group.bench_function(BenchmarkId::new(name, players), |b| {
                plugin(b, four_components_with(Recording::new("player"), scaling(), players));
            });
        }
    }
    group.finish();
}

/// 256 floats from one component.
fn wide(c: &mut Criterion) {
    let players = 1000;
    let mut group = c.benchmark_group("capture_wide");
    group.throughput(Throughput::Elements(players as u64));
    group.bench_function(BenchmarkId::new("floor", players), |b| floor(b, players, 1024));
    group.bench_function(BenchmarkId::new("plugin", players), |b| {
        let recording = Recording::new("player")
            .observe::<Wide>()
            .buffers(holding(rows_each(players, HEADER + 1024)));
        plugin(b, app(recording, players, |player| Wide([player; 256])));
    });
    group.finish();
}

/// An image of 84 × 84 RGB pixels from one component.
fn image(c: &mut Criterion) {
    const SHAPE: ImageShape = ImageShape {
        height: 84,
        width: 84,
        channels: 3,
    };
    let players = 16;
    let mut group = c.benchmark_group("capture_image");
    group.throughput(Throughput::Elements(players as u64));
    let buffers = || holding(rows_each(players, HEADER + SHAPE.bytes()));
    group.bench_function(BenchmarkId::new("floor", players), |b| floor(b, players, SHAPE.bytes()));
    group.bench_function(BenchmarkId::new("observe_image", players), |b| {
        let recording = Recording::new("player").observe_image::<Eye>().buffers(buffers());
        plugin(b, app(recording, players, |player| Eye([[[player as u8; 3]; 84]; 84])));
    });
    group.bench_function(BenchmarkId::new("observe_image_with", players), |b| {
        let recording = Recording::new("player")
            .observe_image_with::<Canvas>("canvas", SHAPE, |canvas, pixels| pixels.copy_from_slice(&canvas.0))
            .buffers(buffers());
        plugin(
            b,
            app(recording, players, |player| Canvas(vec![player as u8; SHAPE.bytes()])),
        );
    });
    group.finish();
}

/// On-change recording of players that do not change, so no row is written.
fn still(c: &mut Criterion) {
    let players = 10_000;
    let mut group = c.benchmark_group("capture_still");
    group.throughput(Throughput::Elements(players as u64));
    let recording = || Recording::new("player").mode(RecordMode::OnChange);
    group.bench_function(BenchmarkId::new("plugin", players), |b| {
        plugin(b, four_components_with(recording(), PlayerScaling::default(), players));
    });
    group.bench_function(BenchmarkId::new("trusting", players), |b| {
        plugin(
            b,
            four_components_with(recording().trust_change_ticks(), PlayerScaling::default(), players),
        );
    });
    group.finish();
}

/// 9 planes of a board of 20 × 20.
#[derive(Component, Reflect)]
struct Board([[[f32; 20]; 20]; 9]);

/// Which of 1,600 moves are allowed.
#[derive(Component, Reflect)]
struct Allowed([[bool; 40]; 40]);

/// The move that was chosen.
#[derive(Component)]
struct Move(i64);

/// A board game for four: 3,600 floats, a mask of 1,600, a choice and a reward.
fn board(c: &mut Criterion) {
    let players = 4;
    let mut group = c.benchmark_group("board");
    group.throughput(Throughput::Elements(players as u64));
    let bytes = 3600 * 4 + 1600 / 8 + 8;
    group.bench_function(BenchmarkId::new("floor", players), |b| floor(b, players, bytes));
    group.bench_function(BenchmarkId::new("plugin", players), |b| {
        let recording = Recording::new("player")
            .observe::<Board>()
            .action_mask::<Allowed>()
            .act_discrete_with::<Move>("move", 1600, |chosen| chosen.0);
        let mut test = app(recording, players, |player| {
            (Board([[[player; 20]; 20]; 9]), Allowed([[true; 40]; 40]), Move(7))
        });
        captures(&mut test);
        let mut rewards = test.world_mut().query::<&mut Reward>();
        b.iter(|| {
            let world = test.world_mut();
            for mut reward in rewards.iter_mut(world) {
                reward.add("score", 1.0);
            }
            world.run_schedule(ExperienceCapture);
        });
    });
    group.finish();
}

/// Positions in a square with 25 of them within 20 units of each, which move between two rounds: if they stood still, the
/// branch predictor would learn the result of each comparison.
struct Crowd {
    side: f32,
    rng: StdRng,
}

impl Crowd {
    fn new(count: usize) -> Self {
        Self {
            side: (count as f32 * 50.0).sqrt(),
            rng: StdRng::seed_from_u64(9),
        }
    }

    fn place(&mut self) -> Vec3 {
        let mut along = || self.rng.random_range(0.0..self.side);
        Vec3::new(along(), along(), 0.0)
    }

    fn step(&self, index: usize, place: Vec3) -> Vec3 {
        let to = Vec2::from_angle(index as f32).extend(0.0);
        (place + to).map(|along| along.rem_euclid(self.side))
    }
}

/// What else a game does between two captures, as far as it concerns caches: writes as much memory as the second-level cache
/// holds twice.
struct OtherWork(Vec<u8>);

impl OtherWork {
    const BYTES: usize = 2 << 20;

    fn new(is_cold: bool) -> Self {
        Self(vec![0; if is_cold { Self::BYTES } else { 0 }])
    }

    fn run(&mut self) {
        for byte in self.0.iter_mut().step_by(64) {
            *byte = byte.wrapping_add(1);
        }
        black_box(&mut self.0);
    }
}

/// The three nearest neighbours of each player, on one thread, and a list of all within sight. `grid` builds the grid and searches
/// it without a recording. In `cold` captures, the caches hold other memory.
fn nearest(c: &mut Criterion) {
    let mut group = c.benchmark_group("capture_nearest");
    for players in [100, 1000, 10_000] {
        group.throughput(Throughput::Elements(players as u64));
        group.bench_function(BenchmarkId::new("grid", players), |b| grid(b, players));
        let nearest = || Recording::new("player").observe_nearest_with(Nearest::<Player>::new(3, 20.0).xy());
        let list = |order| {
            let list = EntityList::new("others", 32).kind::<Player>("player");
            Recording::new("player").observe_entities(list.within(20.0).xy().order(order))
        };
        for (name, is_cold) in [("plugin", false), ("cold", true)] {
            let id = BenchmarkId::new(name, players);
            group.bench_function(id, |b| moving(b, players, 36, is_cold, nearest()));
        }
        for (name, order) in [("list", EntityOrder::Distance), ("list_by_id", EntityOrder::Id)] {
            let id = BenchmarkId::new(name, players);
            group.bench_function(id, |b| moving(b, players, 32 * 12 + 4, false, list(order)));
        }
    }
    group.finish();
}

/// Measures building a grid and finding the three points nearest to each, besides itself.
fn grid(b: &mut Bencher<'_>, points: usize) {
    let mut crowd = Crowd::new(points);
    let mut places: Vec<_> = (0..points).map(|_| crowd.place()).collect();
    let mut grid = SpatialGrid::new(20.0);
    let mut neighbors = Neighbors::new(4, 20.0);
    b.iter_custom(|rounds| {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            for (index, place) in places.iter_mut().enumerate() {
                *place = crowd.step(index, *place);
            }
            let start = Instant::now();
            grid.clear();
            for (id, &place) in (0..).zip(&places) {
                grid.insert(id, place);
            }
            grid.build();
            for &place in &places {
                neighbors.clear();
                grid.nearest(place, &mut neighbors);
                black_box(&neighbors);
            }
            spent += start.elapsed();
        }
        spent
    });
}

/// Measures a capture of players that move between captures. An observation takes `bytes`.
fn moving(b: &mut Bencher<'_>, players: usize, bytes: usize, is_cold: bool, recording: Recording<Player>) {
    let recording = recording
        .scaling(PlayerScaling {
            parallel_above: Some(usize::MAX),
            ..Default::default()
        })
        .buffers(holding(rows_each(players, HEADER + bytes)));
    let mut crowd = Crowd::new(players);
    let mut test = app(recording, players, |_| Transform::default());
    let mut places = test.world_mut().query::<&mut Transform>();
    for mut place in places.iter_mut(test.world_mut()) {
        place.translation = crowd.place();
    }
    captures(&mut test);
    let mut other_work = OtherWork::new(is_cold);
    b.iter_custom(|captures| {
        let mut spent = Duration::ZERO;
        for _ in 0..captures {
            let world = test.world_mut();
            for (player, mut place) in places.iter_mut(world).enumerate() {
                place.translation = crowd.step(player, place.translation);
            }
            other_work.run();
            let start = Instant::now();
            world.run_schedule(ExperienceCapture);
            spent += start.elapsed();
        }
        spent
    });
}

#[derive(Component, Reflect)]
struct Weapon([f32; 4]);

#[derive(Resource, Reflect)]
struct Weather([f32; 4]);

/// Four floats from each source that reads more than the players' own tables, beside four from a component. Every other player
/// has a `Motion`, and each has a weapon as a child.
fn sources(c: &mut Criterion) {
    let players = 1000;
    let mut group = c.benchmark_group("capture_sources");
    group.throughput(Throughput::Elements(players as u64));
    let cases: [(&str, fn(Recording<Player>) -> Recording<Player>); 8] = [
        ("component", Recording::observe::<Aim>),
        ("resource", Recording::observe_resource::<Weather>),
        ("single", Recording::observe_single::<Strength, Strength>),
        ("count", Recording::observe_count::<Weapon>),
        ("optional", Recording::observe_optional::<Motion>),
        ("related", Recording::observe_related::<Children, Weapon>),
        ("world_position", Recording::observe_world_position),
        ("system", |recording| {
            recording.observe_system(["a", "b", "c", "d"], |players: PlayerValues, aims: Query<&Aim>| {
                for (player, values) in players {
                    if let Ok(aim) = aims.get(player) {
                        values.copy_from_slice(&aim.0);
                    }
                }
            })
        }),
    ];
    for (name, observe) in cases {
        group.bench_function(BenchmarkId::new(name, players), |b| {
            let recording = observe(Recording::new("player").observe::<Place>());
            let recording = recording.buffers(holding(rows_each(players, HEADER + 40)));
            let mut test = app(recording, players, |player| {
                (Place([player; 4]), Aim([player; 4]), Transform::default())
            });
            test.insert_resource(Weather([1.0; 4]));
            let world = test.world_mut();
            world.spawn(Strength([1.0; 4]));
            let mut found = world.query_filtered::<Entity, With<Player>>();
            for (index, player) in found.iter(world).collect::<Vec<_>>().into_iter().enumerate() {
                world.spawn((Weapon([2.0; 4]), ChildOf(player)));
                if index % 2 == 0 {
                    world.entity_mut(player).insert(Motion([3.0; 4]));
                }
            }
            plugin(b, test);
        });
    }
    group.finish();
}

criterion_group!(
    benches, capture, own, threads, wide, image, still, board, nearest, sources
);
criterion_main!(benches);
