//! The rows of players, and tests of what is drawn from them.

use experience_buffer::{BufferSettings, Overflow, PlayerBuffers, Sampler, sample::Actions};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Outcome, StepHeader, StepKind},
};
use rand::{SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;

/// Two features, the player and the step, and an action, the step of the observation that it was taken in.
pub fn schema() -> Schema {
    Schema::new("walker")
        .with_observation([Column::feature("player"), Column::feature("step")])
        .with_action([Column::scalar("a", DType::F32, Space::unbounded())])
}

/// Generates the rows of one player.
pub struct PlayerRows {
    schema: Schema,
    agent: u8,
    step: u16,
    episode: u32,
    ordinal: u32,
}

impl PlayerRows {
    pub fn new(agent: u8) -> Self {
        Self {
            schema: schema(),
            agent,
            step: 0,
            episode: u32::from(agent) << 16,
            ordinal: 0,
        }
    }

    pub fn row(&mut self, kind: StepKind, outcome: Option<Outcome>, reward: f64) -> Vec<u64> {
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
    pub fn episode(&mut self, transitions: u16, outcome: Outcome) -> Vec<Vec<u64>> {
        let mut rows = vec![self.row(StepKind::Begin, None, 0.0)];
        for step in 1..=transitions {
            let ends = (step == transitions).then_some(outcome);
            rows.push(self.row(StepKind::Transition, ends, f64::from(step)));
        }
        rows
    }
}

pub fn sampler(readers: impl IntoIterator<Item = experience_buffer::ring::Reader>) -> Sampler {
    let mut sampler = Sampler::new(&schema());
    sampler.watch(readers).unwrap();
    sampler
}

/// How often each (player, step) was drawn. Asserts that every sample is one transition, not halves of two.
pub fn counts(sampler: &mut Sampler, draws: usize, seed: u64) -> BTreeMap<(u8, u16), u64> {
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
pub fn chi_square(counts: &BTreeMap<(u8, u16), u64>, transitions: usize) -> f64 {
    assert_eq!(counts.len(), transitions, "every transition is drawn");
    let expected = counts.values().sum::<u64>() as f64 / transitions as f64;
    counts
        .values()
        .map(|&seen| (seen as f64 - expected).powi(2) / expected)
        .sum()
}

/// The 99.9 % quantile of the chi-square distribution, after Wilson and Hilferty (1931).
pub fn chi_square_quantile(degrees: usize) -> f64 {
    let k = degrees as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 3.09 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

/// Asserts that draws are uniform over `transitions` transitions: chi-square test at a significance level of 0.1 %.
#[track_caller]
pub fn assert_uniform(counts: &BTreeMap<(u8, u16), u64>, transitions: usize) {
    let (statistic, degrees) = (chi_square(counts, transitions), transitions - 1);
    assert!(statistic < chi_square_quantile(degrees), "{statistic} of {degrees}");
}

pub fn players(capacity: usize, overflow: Overflow) -> PlayerBuffers {
    let settings = BufferSettings {
        capacity,
        overflow,
        ..BufferSettings::default()
    };
    PlayerBuffers::new(settings, schema().layout().row_words()).unwrap()
}
