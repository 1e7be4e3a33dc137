//! `Sampler`: uniform sampling of transitions from rings and pools, and pairing of consecutive rows.

use experience_buffer::{
    BufferError, BufferPool, Overflow, Sampler, TransitionBuffer, pool::PoolSettings, ring::Ring, sample::Actions,
};
use experience_core::{
    schema::{Column, DType, ImageShape, Schema, Space},
    transition::{Outcome, StepHeader, StepKind},
};
use rand::{SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;

mod support;
mod uniformity;

use support::*;

/// Images of the sizes 15, 4 and 9, of which none begins or ends with a word: all bytes are the step.
#[test]
fn images_are_those_of_the_sampled_observations() {
    let image = |name, [height, width, channels]: [usize; 3]| {
        Column::image(
            name,
            ImageShape {
                height,
                width,
                channels,
            },
        )
    };
    let shapes = [("eye", [5, 1, 3]), ("map", [2, 2, 1]), ("ear", [1, 9, 1])];
    let schema = Schema::new("walker")
        .with_observation([Column::feature("step")])
        .with_images(shapes.map(|(name, shape)| image(name, shape)))
        .with_action([Column::scalar("a", DType::U8, Space::unbounded())]);
    let layout = schema.layout();
    let (mut writer, ring) = Ring::new(layout.row_words(), 64).unwrap();
    for step in 0..40_u8 {
        let mut row = vec![0; layout.row_words()];
        // What surrounds the images must not get into them.
        bytemuck::cast_slice_mut::<_, u8>(&mut row)[64..].fill(255);
        let kind = if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        *StepHeader::of_mut(&mut row) = StepHeader::new(kind);
        StepHeader::of_mut(&mut row).ordinal = step.into();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
        bytes[layout.observation()].copy_from_slice(&f32::from(step).to_ne_bytes());
        for (index, offset) in layout.image_offsets().iter().enumerate() {
            let pixels = &mut bytes[*offset..][..schema.images()[index].width()];
            pixels.iter_mut().zip(0..).for_each(|(pixel, at)| *pixel = step + at);
        }
        writer.push(&row).unwrap();
    }
    let mut sampler = Sampler::new(&schema);
    sampler.watch([ring.reader()]).unwrap();
    let batch = sampler.sample(200, &mut StdRng::seed_from_u64(3));
    assert_eq!(batch.len(), 200);
    for index in 0..batch.len() {
        for (image, bytes) in [15, 4, 9].into_iter().enumerate() {
            let of = |images: &[Vec<u8>]| images[image][index * bytes..][..bytes].to_vec();
            let expected = |step: f32| (0..bytes as u8).map(|at| step as u8 + at).collect::<Vec<_>>();
            assert_eq!(of(&batch.images), expected(batch.observation[index]));
            assert_eq!(of(&batch.next_images), expected(batch.next_observation[index]));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_batch() {
    let players = players(64, Overflow::DropOldest);
    let mut writers = Vec::new();
    for agent in [9, 3, 5] {
        let (mut writer, _) = players.open(agent).unwrap();
        for row in PlayerRows::new(agent as u8).episode(20, Outcome::Truncated) {
            writer.push(&row).unwrap();
        }
        writers.push(writer);
    }
    let draw = |seed| {
        sampler(players.readers())
            .sample(50, &mut StdRng::seed_from_u64(seed))
            .clone()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn samples_have_the_outcome_and_reward_of_their_transition() {
    let (mut writer, ring) = Ring::new(schema().layout().row_words(), 64).unwrap();
    let mut player_rows = PlayerRows::new(1);
    for row in player_rows.episode(3, Outcome::Terminated) {
        writer.push(&row).unwrap();
    }
    // An episode that ends with an `End` row, whose reward is added to that of the last transition.
    for row in player_rows.episode(3, Outcome::Truncated).iter_mut() {
        StepHeader::of_mut(row).set_outcome(None, 0);
        writer.push(row).unwrap();
    }
    writer
        .push(&player_rows.row(StepKind::End, Some(Outcome::Truncated), 10.0))
        .unwrap();
    assert_outcomes_and_rewards(&mut sampler([ring.reader()]));

    let (mut writer, pool) = BufferPool::new(
        &PoolSettings {
            bytes: 1 << 15,
            shards: 1,
            ..PoolSettings::default()
        },
        ring.row_words(),
    )
    .unwrap();
    let (mut player, mut other_player, mut other_rows) = (pool.handle(1), pool.handle(2), PlayerRows::new(2));
    ring.peek_all(&mut |row| {
        writer.push(&mut player, row).unwrap();
        writer
            .push(&mut other_player, &other_rows.row(StepKind::Begin, None, 0.0))
            .unwrap();
    });
    assert_outcomes_and_rewards(&mut sampler(pool.readers()));
}

fn assert_outcomes_and_rewards(sampler: &mut Sampler) {
    let batch = sampler.sample(200, &mut StdRng::seed_from_u64(5));
    let mut seen = BTreeMap::new();
    for index in 0..batch.len() {
        let step = batch.observation[2 * index + 1] as u16;
        let found = (batch.reward[index], batch.terminated[index], batch.truncated[index]);
        assert_eq!(*seen.entry(step).or_insert(found), found);
    }
    let expected = [
        (1, (1.0, false, false)),
        (2, (2.0, false, false)),
        (3, (3.0, true, false)),
        (5, (1.0, false, false)),
        (6, (2.0, false, false)),
        (7, (13.0, false, true)),
    ];
    assert_eq!(seen, BTreeMap::from(expected));
}

#[test]
fn hidden_rows_are_not_sampled() {
    let (mut writer, ring) = Ring::new(schema().layout().row_words(), 64).unwrap();
    let mut player_rows = PlayerRows::new(1);
    for row in player_rows.episode(5, Outcome::Truncated) {
        writer.push(&row).unwrap();
    }
    writer.hide();
    let mut sampler = sampler([ring.reader()]);
    assert!(sampler.sample(10, &mut StdRng::seed_from_u64(6)).is_empty());
    writer.push(&player_rows.row(StepKind::Transition, None, 0.0)).unwrap();
    assert!(
        sampler.sample(10, &mut StdRng::seed_from_u64(6)).is_empty(),
        "the row of its observation is hidden"
    );
    writer.push(&player_rows.row(StepKind::Transition, None, 0.0)).unwrap();
    assert_eq!(sampler.sample(10, &mut StdRng::seed_from_u64(6)).len(), 10);
}

#[test]
fn rows_of_a_discarded_pool_episode_are_drained_but_neither_sampled_nor_read() {
    let settings = PoolSettings {
        bytes: 1 << 15,
        shards: 1,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema().layout().row_words()).unwrap();
    let (mut discarding, mut other) = (pool.handle(1), pool.handle(2));
    let (mut discarding_rows, mut other_rows) = (PlayerRows::new(1), PlayerRows::new(2));
    let kept = discarding_rows.episode(2, Outcome::Truncated);
    let discarded = discarding_rows.episode(4, Outcome::Truncated);
    for row in kept.iter().chain(&discarded) {
        writer.push(&mut discarding, row).unwrap();
    }
    for row in other_rows.episode(4, Outcome::Truncated) {
        writer.push(&mut other, &row).unwrap();
    }
    writer
        .push(&mut discarding, &discarding_rows.row(StepKind::Discard, None, 0.0))
        .unwrap();

    let steps: Vec<_> = counts(&mut sampler(pool.readers()), 500, 7).into_keys().collect();
    assert_eq!(steps, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 4)]);
    let shard = &pool.shards()[0];
    let (mut peeked, mut read, mut drained) = (0, 0, 0);
    shard.peek_all(&mut |_| peeked += 1);
    shard.reader().read(99, |_| read += 1);
    shard.drain(99, &mut |_| drained += 1);
    assert_eq!((peeked, read, drained), (8, 8, 14));
}

#[test]
fn rows_on_both_sides_of_a_gap_are_not_paired() {
    let players = players(4, Overflow::DropNewest);
    let (mut writer, buffer) = players.open(1).unwrap();
    let mut player_rows = PlayerRows::new(1);
    let rows = player_rows.episode(8, Outcome::Truncated);
    for row in &rows[..6] {
        writer.push(row).unwrap();
    }
    buffer.drain(2, &mut |_| ());
    // Rows 4 and 5 were discarded, because the ring was full. Row 6 follows row 3.
    writer.push(&rows[6]).unwrap();
    writer.push(&rows[7]).unwrap();
    let steps: Vec<_> = counts(&mut sampler(players.readers()), 100, 8).into_keys().collect();
    assert_eq!(steps, [(1, 3), (1, 7)]);
}

#[test]
fn without_transitions_the_batch_is_empty() {
    let (mut writer, ring) = Ring::new(schema().layout().row_words(), 64).unwrap();
    let mut sampler = sampler([ring.reader()]);
    assert!(sampler.sample(10, &mut StdRng::seed_from_u64(9)).is_empty());
    let mut player_rows = PlayerRows::new(1);
    for _ in 0..20 {
        writer.push(&player_rows.row(StepKind::Begin, None, 0.0)).unwrap();
    }
    assert!(sampler.sample(10, &mut StdRng::seed_from_u64(9)).is_empty());
}

#[test]
fn a_reader_of_another_row_width_is_rejected() {
    let (_writer, ring) = Ring::new(30, 64).unwrap();
    let mut sampler = Sampler::new(&schema());
    let wanted = schema().layout().row_words();
    assert_eq!(
        sampler.watch([ring.reader()]),
        Err(BufferError::OtherRows { wanted, found: 30 })
    );
    assert!(sampler.sample(1, &mut StdRng::seed_from_u64(1)).is_empty());
}

#[test]
fn actions_of_every_type_keep_their_values() {
    let mixed = Schema::new("mixed")
        .with_observation([Column::feature("x")])
        .with_action([
            Column::scalar("turn", DType::I8, Space::unbounded()),
            Column::scalar("speed", DType::F64, Space::unbounded()),
            Column::scalar("jump", DType::Bool, Space::Discrete { n: 2, labels: vec![] }),
        ]);
    let single = Schema::new("single")
        .with_observation([Column::feature("x")])
        .with_action([Column::scalar(
            "a",
            DType::U16,
            Space::Discrete { n: 900, labels: vec![] },
        )]);
    for (schema, expected) in [
        (mixed, Actions::Values(vec![-3.0, 0.5, 1.0])),
        (single, Actions::Discrete(vec![777])),
    ] {
        let layout = schema.layout();
        let (mut writer, ring) = Ring::new(layout.row_words(), 4).unwrap();
        let mut row = vec![0; layout.row_words()];
        writer.push(&row).unwrap();
        *StepHeader::of_mut(&mut row) = StepHeader::new(StepKind::Transition);
        StepHeader::of_mut(&mut row).ordinal = 1;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
        for (column, &at) in schema.action().iter().zip(layout.action_offsets()) {
            match column.name.as_str() {
                "turn" => bytes[at] = (-3_i8).cast_unsigned(),
                "speed" => bytes[at..at + 8].copy_from_slice(&0.5_f64.to_ne_bytes()),
                "jump" => bytes[at] = 1,
                _ => bytes[at..at + 2].copy_from_slice(&777_u16.to_ne_bytes()),
            }
        }
        writer.push(&row).unwrap();
        let mut sampler = Sampler::new(&schema);
        sampler.watch([ring.reader()]).unwrap();
        assert_eq!(sampler.sample(1, &mut StdRng::seed_from_u64(1)).action, expected);
    }
}

#[test]
fn samples_during_concurrent_pushes_are_whole_transitions() {
    let (mut writer, ring) = Ring::new(schema().layout().row_words(), 32).unwrap();
    let mut player_rows = PlayerRows::new(1);
    let rows = player_rows.episode(20_000, Outcome::Truncated);
    for row in &rows[..32] {
        writer.push(row).unwrap();
    }
    let mut sampler = sampler([ring.reader()]);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for row in &rows[32..] {
                writer.push(row).unwrap();
                std::thread::yield_now();
            }
        });
        for seed in 0..200 {
            counts(&mut sampler, 64, seed);
        }
    });
}
