//! `Sampler`: uniform sampling of transitions from rings and pools, and pairing of consecutive rows.

use experience_buffer::{
    BufferError, BufferPool, BufferSettings, Overflow, PlayerBuffers, Sampler, TransitionBuffer, pool::PoolSettings,
    ring::Ring, sample::Actions,
};
use experience_core::{
    schema::{Column, DType, ImageShape, Schema, Space},
    transition::{Outcome, StepHeader, StepKind},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;

/// Two features, the player and the step, and an action, the step of the observation that it was taken in.
fn schema() -> Schema {
    Schema::new("walker")
        .with_observation([Column::feature("player"), Column::feature("step")])
        .with_action([Column::scalar("a", DType::F32, Space::unbounded())])
}

/// Generates the rows of one player.
struct PlayerRows {
    schema: Schema,
    agent: u8,
    step: u16,
    episode: u32,
    ordinal: u32,
}

impl PlayerRows {
    fn new(agent: u8) -> Self {
        Self {
            schema: schema(),
            agent,
            step: 0,
            episode: u32::from(agent) << 16,
            ordinal: 0,
        }
    }

    fn row(&mut self, kind: StepKind, outcome: Option<Outcome>, reward: f64) -> Vec<u64> {
        let layout = self.schema.layout();
        let mut row = vec![0; layout.row_words()];
        if kind == StepKind::Begin {
            self.episode += 1;
        }
        if kind == StepKind::Transition {
            self.ordinal += 1;
        }
        let mut header = StepHeader::new(kind);
        header.agent_id = i64::from(self.agent);
        header.episode = self.episode;
        header.ordinal = self.ordinal;
        header.reward = reward;
        header.set_outcome(outcome, 0);
        *StepHeader::of_mut(&mut row) = header;
        if matches!(kind, StepKind::Begin | StepKind::Transition) {
            self.step += 1;
            let floats: &mut [f32] = bytemuck::cast_slice_mut(&mut row);
            floats[layout.observation().start / 4] = f32::from(self.agent);
            floats[layout.observation().start / 4 + 1] = f32::from(self.step);
            floats[layout.action_offsets()[0] / 4] = f32::from(self.step) - 1.0;
        }
        row
    }

    /// The rows of a whole episode.
    fn episode(&mut self, transitions: u16, outcome: Outcome) -> Vec<Vec<u64>> {
        let mut rows = vec![self.row(StepKind::Begin, None, 0.0)];
        for step in 1..=transitions {
            let ends = (step == transitions).then_some(outcome);
            rows.push(self.row(StepKind::Transition, ends, f64::from(step)));
        }
        rows
    }
}

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

fn sampler(readers: impl IntoIterator<Item = experience_buffer::ring::Reader>) -> Sampler {
    let mut sampler = Sampler::new(&schema());
    sampler.watch(readers).unwrap();
    sampler
}

/// How often each (player, step) was drawn. Asserts that every sample is one transition, not halves of two.
fn counts(sampler: &mut Sampler, draws: usize, seed: u64) -> BTreeMap<(u8, u16), u64> {
    let mut counts = BTreeMap::new();
    let batch = sampler.sample(draws, &mut StdRng::seed_from_u64(seed));
    let Actions::Values(actions) = &batch.action else {
        panic!("an action of one float is not discrete");
    };
    assert_eq!(batch.len(), actions.len());
    let pairs = batch
        .observation
        .chunks_exact(2)
        .zip(batch.next_observation.chunks_exact(2));
    for ((observation, next), action) in pairs.zip(actions) {
        let [player, step] = *observation else { unreachable!() };
        assert_eq!(next, [player, step + 1.0], "next observation of the same player");
        assert_eq!(*action, step, "action of the observation");
        *counts.entry((player as u8, step as u16)).or_default() += 1;
    }
    counts
}

/// Pearson's chi-square statistic of draws against the uniform distribution.
fn chi_square(counts: &BTreeMap<(u8, u16), u64>, transitions: usize) -> f64 {
    assert_eq!(counts.len(), transitions, "every transition is drawn");
    let expected = counts.values().sum::<u64>() as f64 / transitions as f64;
    counts
        .values()
        .map(|&seen| (seen as f64 - expected).powi(2) / expected)
        .sum()
}

/// The 99.9 % quantile of the chi-square distribution, after Wilson and Hilferty (1931).
fn chi_square_quantile(degrees: usize) -> f64 {
    let k = degrees as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 3.09 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

/// Asserts that draws are uniform over `transitions` transitions: chi-square test at a significance level of 0.1 %.
#[track_caller]
fn assert_uniform(counts: &BTreeMap<(u8, u16), u64>, transitions: usize) {
    let (statistic, degrees) = (chi_square(counts, transitions), transitions - 1);
    assert!(statistic < chi_square_quantile(degrees), "{statistic} of {degrees}");
}

fn players(capacity: usize, overflow: Overflow) -> PlayerBuffers {
    let settings = BufferSettings {
        capacity,
        overflow,
        ..BufferSettings::default()
    };
    PlayerBuffers::new(settings, schema().layout().row_words()).unwrap()
}

#[test]
fn transitions_of_rings_are_sampled_uniformly() {
    let players = players(64, Overflow::DropOldest);
    let mut transitions = 0;
    let mut writers = Vec::new();
    // Rings of very different content: many short episodes, a long one, one transition, and a wrapped ring.
    for (agent, episodes, steps) in [(1, 12, 2), (2, 1, 30), (3, 1, 1), (4, 5, 40)] {
        let (mut writer, buffer) = players.open(agent).unwrap();
        let mut player_rows = PlayerRows::new(agent as u8);
        for _ in 0..episodes {
            for row in player_rows.episode(steps, Outcome::Terminated) {
                writer.push(&row).unwrap();
            }
        }
        let mut rows = Vec::new();
        buffer.peek_all(&mut |row| rows.push(StepHeader::of(row).kind()));
        transitions += rows.windows(2).filter(|pair| pair[1] == StepKind::Transition).count();
        writers.push(writer);
    }
    let counts = counts(&mut sampler(players.readers()), 40_000, 1);
    assert_uniform(&counts, transitions);
}

#[test]
fn sampling_is_uniform_over_two_hundred_rings() {
    let players = players(16, Overflow::DropOldest);
    let mut random = StdRng::seed_from_u64(10);
    let (mut transitions, mut writers) = (0, Vec::new());
    for agent in 0..200 {
        let (mut writer, _) = players.open(agent).unwrap();
        // A quarter of the rings have no transition, most have up to three, and one in twenty is full.
        let steps = match random.random_range(0..20) {
            0..5 => 0,
            5 => 15,
            _ => random.random_range(1..4),
        };
        for row in PlayerRows::new(agent as u8).episode(steps, Outcome::Terminated) {
            writer.push(&row).unwrap();
        }
        transitions += usize::from(steps);
        writers.push(writer);
    }
    let counts = counts(&mut sampler(players.readers()), 200_000, 11);
    assert_uniform(&counts, transitions);
}

#[test]
fn transitions_of_a_pool_are_sampled_uniformly() {
    let settings = PoolSettings {
        bytes: 1 << 16,
        shards: 3,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema().layout().row_words()).unwrap();
    let mut players: Vec<_> = (0..20)
        .map(|agent| (pool.handle(agent), PlayerRows::new(agent as u8)))
        .collect();
    // The players' rows are interleaved.
    let mut transitions = 0;
    for _ in 0..2 {
        let mut episodes: Vec<_> = players
            .iter_mut()
            .map(|(handle, player_rows)| (handle, player_rows.episode(4, Outcome::Truncated).into_iter()))
            .collect();
        for _ in 0..5 {
            for (handle, rows) in &mut episodes {
                writer.push(handle, &rows.next().unwrap()).unwrap();
            }
        }
        transitions += 20 * 4;
    }
    assert_eq!(pool.stats().dropped, 0);
    let counts = counts(&mut sampler(pool.readers()), 40_000, 2);
    assert_uniform(&counts, transitions);
}

#[test]
fn a_wrapped_pool_pairs_the_remaining_rows() {
    let settings = PoolSettings {
        bytes: 8 << 10,
        shards: 1,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema().layout().row_words()).unwrap();
    let mut players: Vec<_> = (0..5)
        .map(|agent| (pool.handle(agent), PlayerRows::new(agent as u8)))
        .collect();
    let mut random = StdRng::seed_from_u64(3);
    let mut open = [false; 5];
    for _ in 0..3000 {
        let index = random.random_range(0..5);
        let (handle, player_rows) = &mut players[index];
        let kind = if open[index] {
            StepKind::Transition
        } else {
            StepKind::Begin
        };
        let ends = (open[index] && random.random_range(0..10) == 0).then_some(Outcome::Terminated);
        open[index] = ends.is_none();
        let row = player_rows.row(kind, ends, 1.0);
        writer.push(handle, &row).unwrap();
    }
    assert!(pool.stats().dropped > 2000);
    let drawn = counts(&mut sampler(pool.readers()), 5_000, 4);
    assert!(drawn.len() > 20, "{}", drawn.len());
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
