//! Decisions: the outputs of a model become values of an action, under a mask and within bounds.

use crate::{
    ActionBatch, Head, HeadKind, ObservationBatch,
    actions::HeadOutput,
    normal::{ln_density, ln_probability},
    rng::DecisionRng,
};
use experience_core::schema::DType;

/// How values are chosen from the outputs of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sampling {
    /// The most probable alternative, the first of several, and the mean.
    #[default]
    Greedy,
    /// Samples: of the softmax of the logits divided by the temperature, and of a Gaussian, whose deviation is multiplied by it.
    /// The same seed, agent and tick give the same sample.
    Stochastic {
        /// Above 0; 1 for the probabilities that the model has learned.
        temperature: f32,
    },
}

/// What happened at a decision, in players and elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounts {
    /// Players with an action.
    pub decided: usize,
    /// Players for which an output is missing or NaN.
    pub undecided: usize,
    /// Elements for which the model gave all of its probability to alternatives that the mask forbids.
    pub forbidden: usize,
    /// Elements for which the mask allows no alternative, so that it was not applied.
    pub unmasked: usize,
    /// Elements whose value was outside of the bounds.
    pub clamped: usize,
}

impl ActionBatch {
    /// Decides the values of all players. `observations` are those that the model was called with.
    ///
    /// # Panics
    /// When the number of players is not that of `observations`.
    pub fn decide(&mut self, observations: &ObservationBatch, sampling: Sampling, seed: u64) -> DecisionCounts {
        assert_eq!(self.len(), observations.len(), "the batches have the same players");
        let layout = self.layout().clone();
        let mut counts = DecisionCounts::default();
        for player in 0..self.len() {
            if self.is_kept[player] {
                continue;
            }
            let mut rng = DecisionRng::new(seed, observations.agent_ids()[player], observations.tick(), 0);
            let mask = observations.mask(player);
            let values = &mut self.values[player * layout.value_count()..][..layout.value_count()];
            let mut log_prob = self.log_probs[player];
            let mut is_decided = true;
            for (head, output) in layout.heads().iter().zip(&self.outputs) {
                for element in 0..head.elements {
                    let index = player * head.elements + element;
                    let chosen = match head.kind {
                        HeadKind::Discrete { n, .. } => {
                            let logits = &output.logits[index * n..][..n];
                            let mask = head.first_mask_bit.map(|first| &mask[first + element * n..][..n]);
                            choose(logits, mask, sampling, &mut rng, &mut self.scratch, &mut counts)
                        }
                        HeadKind::Continuous { .. } => number(head, output, index, sampling, &mut rng, &mut counts),
                    };
                    match chosen {
                        Some((value, log)) => {
                            values[head.first_value + element] = value;
                            log_prob += log;
                        }
                        None => is_decided = false,
                    }
                }
            }
            self.log_probs[player] = log_prob;
            self.is_decided[player] = is_decided;
            if is_decided {
                counts.decided += 1;
            } else {
                counts.undecided += 1;
            }
        }
        counts
    }

    /// Appends the probability of each alternative of each element of a discrete head to `out`, `[elements, n]`: those that
    /// [`decide`](Self::decide) samples from with this temperature. They are NaN where a logit is NaN, or missing.
    ///
    /// `mask` is that of the player, [`ObservationBatch::mask`]. Where it is not empty, what it forbids has a probability of 0.
    ///
    /// # Panics
    /// When there is no such player or head, or `mask` has another width than the layout.
    pub fn probabilities(&self, player: usize, head: usize, mask: &[bool], temperature: f32, out: &mut Vec<f64>) {
        let described = &self.layout().heads()[head];
        let n = described.alternatives().unwrap_or(0).max(1);
        for (element, logits) in self.logits(player, head).chunks_exact(n).enumerate() {
            let mask = described.first_mask_bit.map(|first| &mask[first + element * n..][..n]);
            let mask = mask.filter(|mask| mask.contains(&true));
            let is_allowed = |index: usize| mask.is_none_or(|mask| mask[index]);
            let allowed = logits.iter().enumerate().filter(|(index, _)| is_allowed(*index));
            let highest = allowed.map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max);
            let first = out.len();
            if logits.iter().any(|logit| logit.is_nan()) {
                out.extend(logits.iter().map(|_| f64::NAN));
            } else if highest == f32::NEG_INFINITY {
                // The first that is allowed is chosen.
                out.extend(logits.iter().map(|_| 0.0));
                if let Some(chosen) = (0..n).find(|&index| is_allowed(index)) {
                    out[first + chosen] = 1.0;
                }
            } else {
                let total = fill_weights(logits, mask, f64::from(highest), temperature, out);
                out[first..].iter_mut().for_each(|weight| *weight /= total);
            }
        }
    }
}

/// Chooses an alternative: its index, and the logarithm of its probability. `None` if a logit is NaN.
fn choose(
    logits: &[f32],
    mask: Option<&[bool]>,
    sampling: Sampling,
    rng: &mut DecisionRng,
    weights: &mut Vec<f64>,
    counts: &mut DecisionCounts,
) -> Option<(f64, f64)> {
    if logits.is_empty() || logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let mask = mask.filter(|mask| {
        let allows_any = mask.contains(&true);
        counts.unmasked += usize::from(!allows_any);
        allows_any
    });
    let is_allowed = |index: usize| mask.is_none_or(|mask| mask[index]);
    let mut best: Option<usize> = None;
    for (index, &logit) in logits.iter().enumerate() {
        if is_allowed(index) && best.is_none_or(|best| logit > logits[best]) {
            best = Some(index);
        }
    }
    let best = best?;
    if logits[best] == f32::NEG_INFINITY {
        counts.forbidden += 1;
        return Some((best as f64, 0.0));
    }
    let Sampling::Stochastic { temperature } = sampling else {
        return Some((best as f64, 0.0));
    };
    weights.clear();
    let total = fill_weights(logits, mask, f64::from(logits[best]), temperature, weights);
    let mut rest = rng.uniform() * total;
    let mut chosen = best;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            chosen = index;
            if rest < weight {
                break;
            }
            rest -= weight;
        }
    }
    Some((chosen as f64, (weights[chosen] / total).ln()))
}

/// Fills `weights` with the softmax of the logits under a mask, times a factor, which is returned. `highest` is the greatest allowed
/// logit, and not negative infinity.
fn fill_weights(logits: &[f32], mask: Option<&[bool]>, highest: f64, temperature: f32, weights: &mut Vec<f64>) -> f64 {
    let first = weights.len();
    weights.extend(logits.iter().enumerate().map(|(index, &logit)| {
        if mask.is_some_and(|mask| !mask[index]) {
            return 0.0;
        }
        // Equal infinities have a difference that is NaN.
        if f64::from(logit) == highest {
            return 1.0;
        }
        ((f64::from(logit) - highest) / f64::from(temperature)).exp()
    }));
    weights[first..].iter().sum()
}

/// Chooses a number, and the logarithm of its probability or density. `None` if an output is NaN.
fn number(
    head: &Head,
    output: &HeadOutput,
    index: usize,
    sampling: Sampling,
    rng: &mut DecisionRng,
    counts: &mut DecisionCounts,
) -> Option<(f64, f64)> {
    let (mean, log_std) = (output.means[index], f64::from(output.log_stds[index]));
    if mean.is_nan() {
        return None;
    }
    let mut value = mean;
    let mut random = None;
    if let Sampling::Stochastic { temperature } = sampling
        && log_std.is_finite()
    {
        let deviation = log_std.exp() * f64::from(temperature);
        value += deviation * rng.normal();
        random = Some(deviation).filter(|deviation| *deviation > 0.0);
    }
    let bounded = within(head, value);
    // Rounding an integer is no violation of bounds.
    counts.clamped += usize::from((bounded - value).abs() > if head.dtype.is_float() { 0.0 } else { 0.5 });
    let log = random.map_or(0.0, |deviation| log_prob(head, bounded, mean, deviation));
    Some((bounded, log))
}

/// The logarithm of the probability of a value that was sampled, rounded and clamped; of its density where it is a float between the
/// bounds. A value at a bound has the probability of all that lies beyond.
fn log_prob(head: &Head, value: f64, mean: f64, deviation: f64) -> f64 {
    let (low, high) = bounds(head);
    let standard = |value: f64| (value - mean) / deviation;
    let is_float = head.dtype.is_float();
    if is_float && low < value && value < high {
        return ln_density(standard(value)) - deviation.ln();
    }
    let half = if is_float { 0.0 } else { 0.5 };
    let from = if value <= low {
        f64::NEG_INFINITY
    } else {
        standard(value - half)
    };
    let to = if value >= high {
        f64::INFINITY
    } else {
        standard(value + half)
    };
    ln_probability(from, to)
}

/// The nearest value of the head's type within its bounds.
fn within(head: &Head, value: f64) -> f64 {
    let value = if head.dtype.is_float() { value } else { value.round() };
    let (low, high) = bounds(head);
    // `clamp` panics for bounds that are not ordered, such as an integer between 0.2 and 0.8.
    if low <= high { value.clamp(low, high) } else { low }
}

/// The lowest and the highest value of the head's type within its bounds.
fn bounds(head: &Head) -> (f64, f64) {
    let (lowest, highest) = limits(head.dtype);
    let HeadKind::Continuous { low, high } = head.kind else {
        return (lowest, highest);
    };
    let low = low.unwrap_or(lowest).max(lowest);
    let high = high.unwrap_or(highest).min(highest);
    // Bounds of an integer need not be integers.
    if head.dtype.is_float() {
        (low, high)
    } else {
        (low.ceil(), high.floor())
    }
}

/// The range of a type.
fn limits(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        DType::F64 => (f64::MIN, f64::MAX),
        DType::I8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
        DType::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::I64 => (i64::MIN as f64, i64::MAX as f64),
        DType::U8 => (0.0, f64::from(u8::MAX)),
        DType::U16 => (0.0, f64::from(u16::MAX)),
        DType::U32 => (0.0, f64::from(u32::MAX)),
        DType::U64 => (0.0, u64::MAX as f64),
        DType::Bool => (0.0, 1.0),
    }
}
