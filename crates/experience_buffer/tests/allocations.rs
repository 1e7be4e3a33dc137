//! Heap allocations of buffers, pools and samplers after warm-up: none.

#[path = "../../../tests/support/allocations.rs"]
mod allocations;

use allocations::allocations;
use core::time::Duration;
use experience_buffer::{
    BufferKind, BufferPool, BufferSettings, Overflow, PlayerBuffers, Sampler, TransitionBuffer, create,
    pool::PoolSettings,
};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{StepHeader, StepKind},
};
use rand::{SeedableRng, rngs::StdRng};

/// Heap allocations of the second of two runs of `work`. The first run is the warm-up.
fn warm_allocations(mut work: impl FnMut()) -> u64 {
    work();
    let before = allocations();
    work();
    allocations() - before
}

#[test]
fn the_counting_allocator_counts_allocations() {
    assert_eq!(warm_allocations(|| drop(core::hint::black_box(vec![0_u8; 64]))), 1);
}

#[test]
fn buffers_of_every_kind_and_overflow_policy_allocate_nothing() {
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        for overflow in [
            &Overflow::DropOldest,
            &Overflow::DropNewest,
            &Overflow::Block(Duration::ZERO),
        ] {
            let settings = BufferSettings {
                kind,
                capacity: 64,
                overflow: overflow.clone(),
                ..BufferSettings::default()
            };
            let (mut writer, buffer) = create(&settings, 16).unwrap();
            let mut reader = buffer.reader();
            let allocations = warm_allocations(|| {
                let mut row = [0; 16];
                for _ in 0..10 {
                    (0..100).for_each(|_| writer.push(&row).unwrap());
                    assert!(buffer.pop(&mut row));
                    if let Some(reader) = &mut reader {
                        reader.read(50, |row| assert_eq!(row, [0; 16]));
                    }
                    assert!(buffer.drain(30, &mut |row| assert_eq!(row, [0; 16])).steps > 0);
                    assert!(buffer.stats().dropped > 0);
                }
                while buffer.drain(1000, &mut |_| ()).steps > 0 {}
            });
            assert_eq!(allocations, 0, "{kind:?} {overflow:?}");
            assert!(buffer.stats().dropped > 0, "{kind:?} {overflow:?}");
        }
    }
}

fn schema(action: &[(DType, Space)]) -> Schema {
    Schema::new("walker")
        .with_observation((0..16).map(|n| Column::feature(format!("o{n}"))))
        .with_action(
            (0..)
                .zip(action)
                .map(|(n, (dtype, space))| Column::scalar(format!("a{n}"), *dtype, space.clone())),
        )
}

/// A row of one open episode. Ordinal 0 is its `Begin` row.
fn row(schema: &Schema, ordinal: u32) -> Vec<u64> {
    let mut row = vec![0; schema.layout().row_words()];
    let kind = if ordinal == 0 {
        StepKind::Begin
    } else {
        StepKind::Transition
    };
    *StepHeader::of_mut(&mut row) = StepHeader::new(kind);
    StepHeader::of_mut(&mut row).ordinal = ordinal;
    row
}

#[test]
fn a_sampler_allocates_nothing_for_any_action_type() {
    let choice = Space::Discrete { n: 3, labels: vec![] };
    for action in [
        &[(DType::F32, Space::unbounded()), (DType::F32, Space::unbounded())][..],
        &[(DType::U8, choice.clone())],
        &[
            (DType::F64, Space::unbounded()),
            (DType::I16, Space::unbounded()),
            (DType::Bool, choice),
        ],
    ] {
        let schema = schema(action);
        let players = PlayerBuffers::new(BufferSettings::default(), schema.layout().row_words()).unwrap();
        let writers: Vec<_> = (0..10)
            .map(|agent| {
                let (mut writer, _) = players.open(agent).unwrap();
                (0..600).for_each(|n| writer.push(&row(&schema, n)).unwrap());
                writer
            })
            .collect();
        let mut sampler = Sampler::new(&schema);
        sampler.watch(players.readers()).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let allocations = warm_allocations(|| {
            for count in [1, 256, 100] {
                assert_eq!(sampler.sample(count, &mut rng).len(), count);
            }
        });
        assert_eq!(allocations, 0, "{action:?}");
        drop(writers);
    }
}

#[test]
fn a_pool_and_its_sampler_allocate_nothing() {
    let schema = schema(&[]);
    let settings = PoolSettings {
        bytes: 1 << 16,
        shards: 2,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema.layout().row_words()).unwrap();
    let mut players: Vec<_> = (0..20).map(|agent| pool.handle(agent)).collect();
    let mut sampler = Sampler::new(&schema);
    sampler.watch(pool.readers()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let rows: Vec<_> = (0..50).map(|n| row(&schema, n)).collect();
    let mut discard = row(&schema, 50);
    *StepHeader::of_mut(&mut discard) = StepHeader::new(StepKind::Discard);
    let allocations = warm_allocations(|| {
        for row in &rows {
            for player in &mut players {
                writer.push(player, row).unwrap();
            }
        }
        writer.push(&mut players[0], &discard).unwrap();
        assert_eq!(sampler.sample(100, &mut rng).len(), 100);
        for shard in pool.shards() {
            assert!(shard.drain(1000, &mut |_| ()).steps > 0);
        }
    });
    assert_eq!(allocations, 0);
}
