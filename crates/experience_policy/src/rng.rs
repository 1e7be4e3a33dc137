//! Random numbers of a decision, which depend on the seed, the agent and the tick alone.

/// A sequence of random numbers (`SplitMix64`), the same for the same seed, agent, tick and stream.
pub(crate) struct DecisionRng {
    state: u64,
}

/// The increment of `SplitMix64`: 2⁶⁴ divided by the golden ratio.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

impl DecisionRng {
    pub(crate) fn new(seed: u64, agent_id: i64, tick: i64, stream: u64) -> Self {
        let words = [agent_id.cast_unsigned(), tick.cast_unsigned(), stream];
        // Each word is mixed before the next is added, so that agents and ticks with equal sums differ.
        let state = words.into_iter().fold(mix(seed ^ INCREMENT), |state, word| {
            mix(state.wrapping_add(INCREMENT) ^ word)
        });
        Self { state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// A number above 0 and below 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A number with mean 0 and standard deviation 1 (Box–Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (core::f64::consts::TAU * angle).cos()
    }
}

fn mix(mut state: u64) -> u64 {
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_agent_tick_and_stream_has_its_own_numbers() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..4 {
            for agent in -3..4 {
                for tick in 0..16 {
                    for stream in 0..2 {
                        assert!(seen.insert(DecisionRng::new(seed, agent, tick, stream).next()));
                    }
                }
            }
        }
        let numbers = |seed| DecisionRng::new(seed, 1, 2, 3).next();
        assert_eq!(numbers(9), numbers(9));
    }

    #[test]
    fn the_distributions_have_their_moments() {
        let mut rng = DecisionRng::new(1, 2, 3, 4);
        let n = 20_000;
        let (mut sum, mut normal, mut squares) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            sum += rng.uniform();
            let value = rng.normal();
            normal += value;
            squares += value * value;
        }
        let n = f64::from(n);
        assert!((sum / n - 0.5).abs() < 0.01);
        assert!((normal / n).abs() < 0.03 && (squares / n - 1.0).abs() < 0.04);
    }
}
