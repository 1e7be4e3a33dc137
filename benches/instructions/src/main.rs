//! Scenarios whose instructions are counted. Unlike times, counts do not depend on the load of the machine.
//!
//! `benches/instructions/run` runs this under callgrind, scenario by scenario, and compares with `counts.txt`.
//! Run directly, it executes the scenarios without counting.
#![expect(
    clippy::print_stdout,
    reason = "prints the names of the scenarios for `benches/instructions/run`"
)]

use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{
    buffer::{
        BufferKind, BufferPool, BufferSettings, Sampler, TransitionBuffer, Writer, create,
        pool::{PoolHandle, PoolSettings, PoolWriter},
    },
    plugin::ExperienceCapture,
    prelude::*,
    schema::{Column, Schema},
    test_app::TestApp,
    transition::{StepHeader, StepKind},
};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;
use core::cell::Cell;
use rand::{SeedableRng, rngs::StdRng};
use std::hint::black_box;

/// Callgrind collects in this function only.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Operations of each scenario: pushes, captures of one player, or transitions.
const OPERATIONS: usize = 4096;

#[derive(Component, Reflect)]
struct Player;

#[derive(Component, Reflect)]
struct Match(u8);

#[derive(Component, Reflect)]
struct Place([f32; 4]);

#[derive(Component, Reflect)]
struct Motion([f32; 4]);

#[derive(Component, Reflect)]
struct Aim([f32; 4]);

#[derive(Component, Reflect)]
struct Ball;

#[derive(Resource, Reflect)]
struct Weather([f32; 4]);

#[derive(Component, Reflect)]
struct Intent {
    turn: f32,
    shoots: bool,
}

#[derive(Component, Reflect)]
struct Wide([f32; 256]);

/// 9 planes of a board of 20 × 20.
#[derive(Component, Reflect)]
struct Board([[[f32; 20]; 20]; 9]);

/// Which of 1,600 moves are allowed.
#[derive(Component, Reflect)]
struct Allowed([[bool; 40]; 40]);

/// Names captures that the benchmark runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Measured;

/// [`OPERATIONS`] captures of one player, as captures of `players` players. Each player gets a reward before each capture.
fn captures<B: Bundle>(recording: Recording<Player>, players: usize, spawn: impl Fn() -> B) {
    run(app(recording, players, spawn), players);
}

/// An app with `players` players, which have the components that `spawn` returns.
fn app<B: Bundle>(recording: Recording<Player>, players: usize, spawn: impl Fn() -> B) -> TestApp {
    let mut test = TestApp::new();
    let recording = recording.capture_after(Measured);
    test.add_recording(recording.buffers(BufferSettings {
        capacity: 16,
        ..Default::default()
    }));
    for _ in 0..players {
        test.world_mut().spawn((Player, spawn()));
    }
    test
}

/// [`OPERATIONS`] captures of one player, in an app with `players` players.
fn run(mut test: TestApp, players: usize) {
    for _ in 0..20 {
        test.world_mut().run_schedule(ExperienceCapture);
    }
    let mut rewards = test.world_mut().query::<&mut Reward>();
    for _ in 0..OPERATIONS / players {
        for mut reward in rewards.iter_mut(test.world_mut()) {
            reward.add("alive", 0.01);
        }
        measured(&mut || test.world_mut().run_schedule(ExperienceCapture));
    }
}

/// Players with 12 features, two values of an action and a reward.
fn capture(recording: Recording<Player>, players: usize) {
    let recording = recording
        .observe::<Place>()
        .observe::<Motion>()
        .observe::<Aim>()
        .act::<Intent>()
        .reward_terms(["alive"]);
    captures(recording, players, || {
        let intent = Intent {
            turn: 0.5,
            shoots: true,
        };
        (Place([1.0; 4]), Motion([2.0; 4]), Aim([3.0; 4]), intent)
    });
}

/// Players that were announced, so that the memory of their buffers is reserved, with 12 features.
fn reserved() {
    let recording = Recording::new("player")
        .observe::<Place>()
        .observe::<Motion>()
        .observe::<Aim>()
        .scaling(PlayerScaling {
            expected_players: 1024,
            ..Default::default()
        });
    captures(recording, 1024, || (Place([1.0; 4]), Motion([2.0; 4]), Aim([3.0; 4])));
}

/// On-change recording of the same features, none of which changes, so no row is written.
fn still() {
    let recording = Recording::new("player")
        .observe::<Place>()
        .observe::<Motion>()
        .observe::<Aim>()
        .mode(RecordMode::OnChange);
    captures(recording, 1024, || (Place([1.0; 4]), Motion([2.0; 4]), Aim([3.0; 4])));
}

/// 256 floats of one component.
fn wide() {
    captures(Recording::new("player").observe::<Wide>(), 256, || Wide([1.0; 256]));
}

/// A board game for four: 3,600 floats, a mask of 1,600 and a choice.
fn board() {
    let recording = Recording::new("player")
        .observe::<Board>()
        .action_mask::<Allowed>()
        .act_discrete_with::<Place>("move", 1600, |place| place.0[0] as i64);
    captures(recording, 4, || {
        (Board([[[1.0; 20]; 20]; 9]), Allowed([[true; 40]; 40]), Place([7.0; 4]))
    });
}

/// The three nearest neighbours, with some of the players in another match.
fn nearest() {
    let recording = Recording::new("player")
        .observe_nearest_with(Nearest::<Player>::new(3, 20.0).xy())
        .match_id::<Match>()
        .scaling(PlayerScaling {
            parallel_above: Some(usize::MAX),
            ..Default::default()
        });
    let spawned = Cell::new(0);
    captures(recording, 1024, || {
        let player = spawned.replace(spawned.get() + 1);
        // The R2 low-discrepancy sequence: evenly spread, without a pattern.
        let along = |section: f32| (player as f32 * section).fract() * 226.0;
        let place = Transform::from_xyz(along(0.754_877_7), along(0.569_840_3), 0.0);
        (place, Match(u8::from(player % 16 == 0)))
    });
}

/// Four floats of a component, a resource, a unique entity, a weapon of each player, a component that every other player has,
/// and a system.
fn sources() {
    let recording = Recording::new("player")
        .observe::<Place>()
        .observe_resource::<Weather>()
        .observe_single::<Ball, Motion>()
        .observe_related::<Children, Aim>()
        .observe_optional::<Motion>()
        .observe_count::<Aim>()
        .observe_system(["x"], |players: PlayerValues, places: Query<&Place>| {
            for (player, values) in players {
                values[0] = places.get(player).map_or(0.0, |place| place.0[0]);
            }
        });
    let mut test = app(recording, 1024, || Place([1.0; 4]));
    test.insert_resource(Weather([1.0; 4]));
    let world = test.world_mut();
    world.spawn((Ball, Motion([1.0; 4])));
    let mut players = world.query_filtered::<Entity, With<Player>>();
    for (index, player) in players.iter(world).collect::<Vec<_>>().into_iter().enumerate() {
        world.spawn((Aim([2.0; 4]), ChildOf(player)));
        if index % 2 == 0 {
            world.entity_mut(player).insert(Motion([3.0; 4]));
        }
    }
    run(test, 1024);
}

/// A row of 256 bytes.
fn row() -> Vec<u64> {
    let mut row = vec![1; 32];
    *StepHeader::of_mut(&mut row) = StepHeader::new(StepKind::Transition);
    row
}

fn buffer(kind: BufferKind) -> (Writer, std::sync::Arc<dyn TransitionBuffer>) {
    let settings = BufferSettings {
        kind,
        capacity: 512,
        ..BufferSettings::default()
    };
    create(&settings, 32).expect("the buffer fits in memory")
}

fn push(kind: BufferKind) {
    let (mut writer, _buffer) = buffer(kind);
    let row = row();
    let mut push = || (0..OPERATIONS).for_each(|_| writer.push(black_box(&row)).expect("the buffer is open"));
    push();
    measured(&mut push);
}

fn drain(kind: BufferKind) {
    let (mut writer, buffer) = buffer(kind);
    let row = row();
    for _ in 0..OPERATIONS / 512 {
        (0..512).for_each(|_| writer.push(&row).expect("the buffer is open"));
        measured(&mut || {
            let drained = buffer.drain(512, &mut |row| {
                black_box(row);
            });
            assert_eq!(drained.steps, 512);
        });
    }
}

fn pool() -> (PoolWriter, Vec<PoolHandle>) {
    let settings = PoolSettings {
        bytes: 4 << 20,
        shards: 4,
        ..PoolSettings::default()
    };
    let (writer, pool) = BufferPool::new(&settings, 32).expect("the buffer fits in memory");
    (writer, (0..64).map(|agent| pool.handle(agent)).collect())
}

fn pool_push() {
    let (mut writer, mut players) = pool();
    let row = row();
    measured(&mut || {
        for _ in 0..OPERATIONS / players.len() {
            for player in &mut players {
                writer.push(player, black_box(&row)).expect("the buffer is open");
            }
        }
    });
}

fn sample() {
    let schema = Schema::new("walker").with_observation((0..16).map(|n| Column::feature(format!("x{n}"))));
    let words = schema.layout().row_words();
    let (mut writer, buffer) = create(&BufferSettings::default(), words).expect("the buffer fits in memory");
    for step in 0..512_u32 {
        let mut row = vec![0; words];
        let kind = if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        *StepHeader::of_mut(&mut row) = StepHeader::new(kind);
        StepHeader::of_mut(&mut row).ordinal = step;
        writer.push(&row).expect("the buffer is open");
    }
    let mut sampler = Sampler::new(&schema);
    sampler
        .watch(buffer.reader())
        .expect("the rows have the layout of the schema");
    let mut rng = StdRng::seed_from_u64(7);
    sampler.sample(OPERATIONS, &mut rng);
    measured(&mut || assert_eq!(sampler.sample(OPERATIONS, &mut rng).len(), OPERATIONS));
}

const SCENARIOS: [(&str, fn()); 15] = [
    ("capture_one", || capture(Recording::new("player"), 1)),
    ("capture_own", || capture(Recording::new("player"), 1024)),
    ("capture_reserved", reserved),
    ("capture_shared", || {
        let scaling = PlayerScaling {
            pool_above: Some(0),
            ..Default::default()
        };
        capture(Recording::new("player").scaling(scaling), 1024);
    }),
    ("capture_wide", wide),
    ("capture_still", still),
    ("capture_board", board),
    ("capture_nearest", nearest),
    ("capture_sources", sources),
    ("ring_push", || push(BufferKind::Ring)),
    ("queue_push", || push(BufferKind::Queue)),
    ("mutex_push", || push(BufferKind::Mutex)),
    ("ring_drain", || drain(BufferKind::Ring)),
    ("pool_push", pool_push),
    ("sample", sample),
];

fn main() {
    // Cargo passes `--bench`, or `--test` when it only checks that this runs.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, run) in SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("{name}");
            run();
        }
    }
}
