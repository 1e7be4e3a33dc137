//! Decisions: masks, bounds, sampling and missing outputs, over random layouts.

use experience_core::schema::{Column, DType, Schema, Space};
use experience_policy::{ActionBatch, HeadKind, ObservationBatch, PolicyLayout, PolicyModel, RandomModel, Sampling};
use std::{collections::BTreeMap, sync::Arc};

/// A small generator of test cases.
struct Cases(u64);

impl Cases {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }

    fn schema(&mut self) -> Schema {
        let mut columns = Vec::new();
        let mut bits = 0;
        for index in 0..1 + self.below(4) {
            let elements = 1 + self.below(3) as usize;
            let n = 1 + self.below(5);
            let low = self.below(2) == 0;
            let (dtype, space) = match self.below(4) {
                0 => (
                    DType::Bool,
                    Space::Discrete {
                        n: 2,
                        labels: Vec::new(),
                    },
                ),
                1 => (DType::I64, Space::Discrete { n, labels: Vec::new() }),
                2 => (
                    DType::F32,
                    Space::Box {
                        low: low.then_some(-0.5),
                        high: low.then_some(0.25),
                    },
                ),
                _ => (DType::I8, Space::bounded(-3.0, 2.5)),
            };
            if let Space::Discrete { n, .. } = space {
                bits += elements * n as usize;
            }
            let shape = if elements == 1 { Vec::new() } else { vec![elements] };
            columns.push(Column {
                shape,
                ..Column::scalar(format!("a{index}"), dtype, space)
            });
        }
        Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action(columns)
            .with_action_mask(bits)
    }
}

fn batches(schema: &Schema, players: i64, tick: i64, mask: impl Fn(usize) -> bool) -> (ObservationBatch, ActionBatch) {
    let layout = Arc::new(PolicyLayout::of(schema));
    let mut observations = ObservationBatch::new(layout.clone());
    observations.set_tick(tick);
    let mut bytes = vec![0_u8; layout.mask_width().div_ceil(8)];
    for bit in 0..layout.mask_width() {
        bytes[bit / 8] |= u8::from(mask(bit)) << (bit % 8);
    }
    for player in 0..players {
        observations.push(player, &[0.0], &bytes);
    }
    let mut actions = ActionBatch::new(layout);
    actions.begin(observations.len());
    (observations, actions)
}

#[test]
fn masks_and_bounds_are_never_violated() {
    let mut cases = Cases(1);
    for case in 0..400 {
        let schema = cases.schema();
        let salt = cases.below(1 << 20) as usize;
        let mask = |bit: usize| (bit * 7 + salt).wrapping_mul(2_654_435_761) >> 5 & 1 == 1;
        let (observations, mut actions) = batches(&schema, 3, case, mask);
        for sampling in [Sampling::Greedy, Sampling::Stochastic { temperature: 0.7 }] {
            actions.begin(observations.len());
            RandomModel::new(5).act(&observations, &mut actions).unwrap();
            let counts = actions.decide(&observations, sampling, 9);
            assert_eq!((counts.decided, counts.undecided), (3, 0));
            let layout = actions.layout().clone();
            for player in 0..actions.len() {
                let mut bit = 0;
                for head in layout.heads() {
                    for element in 0..head.elements {
                        let value = actions.values(player)[head.first_value() + element];
                        match head.kind {
                            HeadKind::Discrete { n, .. } => {
                                let allowed: Vec<_> = (bit..bit + n).map(mask).collect();
                                assert!(value >= 0.0 && value < n as f64 && value.fract() == 0.0);
                                assert!(allowed[value as usize] || !allowed.contains(&true));
                                bit += n;
                            }
                            HeadKind::Continuous { low, high } => {
                                assert!(low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high));
                                assert!(head.dtype.is_float() || value.fract() == 0.0);
                            }
                        }
                    }
                }
                assert!(actions.log_prob(player).is_finite());
            }
        }
    }
}

fn choice(n: u64, mask: usize) -> Schema {
    Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([Column::scalar(
            "a",
            DType::I64,
            Space::Discrete { n, labels: Vec::new() },
        )])
        .with_action_mask(mask)
}

#[test]
fn samples_have_the_probabilities_of_the_logits() {
    let logits = [0.0_f32, 1.0, 2.0, -1.0];
    for (temperature, allowed) in [(1.0_f32, [true; 4]), (0.5, [true, true, false, true])] {
        let weights: Vec<f64> = (0..4)
            .map(|index| {
                if allowed[index] {
                    f64::from(logits[index] / temperature).exp()
                } else {
                    0.0
                }
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let mut counts = [0_u32; 4];
        let draws = 20_000;
        let (mut observations, mut actions) = batches(&choice(4, 4), 1, 0, |bit| allowed[bit]);
        for tick in 0..draws {
            observations.set_tick(tick);
            actions.begin(1);
            actions.logits_mut(0).copy_from_slice(&logits);
            actions.decide(&observations, Sampling::Stochastic { temperature }, 3);
            let chosen = actions.values(0)[0] as usize;
            counts[chosen] += 1;
            assert!((actions.log_prob(0) - (weights[chosen] / total).ln()).abs() < 1e-12);
        }
        for index in 0..4 {
            let share = f64::from(counts[index]) / draws as f64;
            assert!((share - weights[index] / total).abs() < 0.012, "{share} of {index}");
        }
    }
}

#[test]
fn a_gaussian_has_its_mean_and_deviation_and_density() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([Column::feature("a")]);
    let (mut observations, mut actions) = batches(&schema, 1, 0, |_| true);
    let (mut sum, mut squares) = (0.0, 0.0);
    for tick in 0..20_000 {
        observations.set_tick(tick);
        actions.begin(1);
        actions.set(0, 0, 0, 3.0);
        actions.log_stds_mut(0)[0] = 0.5_f32.ln();
        actions.decide(&observations, Sampling::Stochastic { temperature: 1.0 }, 1);
        let deviation = (actions.values(0)[0] - 3.0) / 0.5;
        sum += deviation;
        squares += deviation * deviation;
        let density = (-0.5 * deviation * deviation).exp() / (0.5 * core::f64::consts::TAU.sqrt());
        assert!((actions.log_prob(0) - density.ln()).abs() < 1e-6);
    }
    assert!((sum / 20_000.0).abs() < 0.03 && (squares / 20_000.0 - 1.0).abs() < 0.05);
    // Without a deviation, and where nothing is sampled, the mean is the action.
    actions.begin(1);
    actions.set(0, 0, 0, 3.0);
    actions.decide(&observations, Sampling::Stochastic { temperature: 1.0 }, 1);
    assert_eq!((actions.values(0), actions.log_prob(0)), (&[3.0][..], 0.0));
}

#[test]
fn a_clamped_or_rounded_sample_has_the_probability_of_its_value() {
    let bounded = |low, high| Space::Box {
        low: Some(low),
        high: Some(high),
    };
    for (dtype, space, mean) in [
        // A float is at one of its bounds, or between them.
        (DType::F32, bounded(-1.0, 1.0), 0.8),
        (DType::F32, bounded(-1.0, 1.0), -3.0),
        (DType::I32, bounded(-1.5, 2.5), 0.3),
        (DType::U8, Space::unbounded(), 0.2),
    ] {
        let schema = Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([Column::scalar("a", dtype, space)]);
        let (mut observations, mut actions) = batches(&schema, 1, 0, |_| true);
        let mut found = BTreeMap::new();
        const SAMPLES: i64 = 20_000;
        for tick in 0..SAMPLES {
            observations.set_tick(tick);
            actions.begin(1);
            actions.set(0, 0, 0, mean);
            actions.log_stds_mut(0)[0] = 0.7_f32.ln();
            actions.decide(&observations, Sampling::Stochastic { temperature: 1.0 }, 1);
            let value = actions.values(0)[0];
            if dtype.is_float() && value.abs() < 1.0 {
                continue;
            }
            let (count, log_prob) = found.entry(value as i64).or_insert((0, actions.log_prob(0)));
            *count += 1;
            assert_eq!(*log_prob, actions.log_prob(0), "one value has one probability");
        }
        assert!(found.len() > 1 || mean < -1.0);
        for (value, (count, log_prob)) in found {
            let (share, probability) = (f64::from(count) / SAMPLES as f64, log_prob.exp());
            let deviation = (probability * (1.0 - probability) / SAMPLES as f64).sqrt();
            assert!(
                (share - probability).abs() < 5.0 * deviation,
                "{value}: {share}, {probability}"
            );
        }
    }
}

#[test]
fn a_sample_depends_on_seed_agent_and_tick_alone() {
    let decide = |seed, tick, order: [i64; 3]| {
        let layout = Arc::new(PolicyLayout::of(&choice(1000, 0)));
        let mut observations = ObservationBatch::new(layout.clone());
        observations.set_tick(tick);
        for agent in order {
            observations.push(agent, &[0.0], &[]);
        }
        let mut actions = ActionBatch::new(layout);
        actions.begin(3);
        actions.logits_mut(0).fill(0.0);
        actions.decide(&observations, Sampling::Stochastic { temperature: 1.0 }, seed);
        let mut chosen: Vec<_> = (0..3)
            .map(|player| (order[player], actions.values(player)[0] as u32))
            .collect();
        chosen.sort_unstable();
        chosen
    };
    assert_eq!(decide(1, 5, [3, 4, -1]), decide(1, 5, [-1, 3, 4]));
    assert_ne!(decide(1, 5, [3, 4, -1]), decide(1, 6, [3, 4, -1]));
    assert_ne!(decide(1, 5, [3, 4, -1]), decide(2, 5, [3, 4, -1]));
}

#[test]
fn a_player_without_all_outputs_keeps_its_action() {
    let (observations, mut actions) = batches(&choice(3, 0), 3, 0, |_| true);
    actions.choose(0, 0, 0, 2);
    actions.logits_mut(0)[6..].copy_from_slice(&[0.0, f32::NAN, 1.0]);
    let counts = actions.decide(&observations, Sampling::Greedy, 0);
    assert_eq!((counts.decided, counts.undecided), (1, 2));
    let decided: Vec<_> = (0..3).map(|player| actions.is_decided(player)).collect();
    assert_eq!(decided, [true, false, false]);
    assert_eq!(actions.values(0), [2.0]);
}

#[test]
fn a_forbidden_choice_becomes_an_allowed_one_and_is_counted() {
    let (observations, mut actions) = batches(&choice(3, 3), 1, 0, |bit| bit == 1);
    actions.choose(0, 0, 0, 2);
    let counts = actions.decide(&observations, Sampling::Greedy, 0);
    assert_eq!((actions.values(0)[0], counts.forbidden), (1.0, 1));
    // A mask that allows nothing is not applied.
    let (observations, mut actions) = batches(&choice(3, 3), 1, 0, |_| false);
    actions.choose(0, 0, 0, 2);
    let counts = actions.decide(&observations, Sampling::Greedy, 0);
    assert_eq!((actions.values(0)[0], counts.unmasked), (2.0, 1));
}

#[test]
fn numbers_are_rounded_and_clamped_to_type_and_bounds() {
    let column = |dtype, space| Column::scalar("a", dtype, space);
    for (dtype, space, mean, expected, clamped) in [
        (DType::I8, Space::unbounded(), 3.4, 3.0, 0),
        (DType::I8, Space::unbounded(), 300.0, 127.0, 1),
        (DType::U16, Space::unbounded(), -2.0, 0.0, 1),
        (DType::I32, Space::bounded(-2.5, 2.5), 9.0, 2.0, 1),
        (DType::F32, Space::bounded(-1.0, 1.0), 1.5, 1.0, 1),
        (
            DType::F64,
            Space::Box {
                low: Some(0.0),
                high: None,
            },
            1e300,
            1e300,
            0,
        ),
        (DType::F32, Space::unbounded(), f64::INFINITY, f64::from(f32::MAX), 1),
    ] {
        let schema = Schema::new("p")
            .with_observation([Column::feature("x")])
            .with_action([column(dtype, space)]);
        let (observations, mut actions) = batches(&schema, 1, 0, |_| true);
        actions.set(0, 0, 0, mean);
        let counts = actions.decide(&observations, Sampling::Greedy, 0);
        assert_eq!(
            (actions.values(0)[0], counts.clamped),
            (expected, clamped),
            "{dtype:?} {mean}"
        );
    }
}
