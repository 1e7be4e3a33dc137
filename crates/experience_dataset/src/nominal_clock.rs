//! Compares the timestamps of an episode with its ticks and the tick rate of its run.

use experience_core::transition::Episode;

/// The relative difference of a tick's duration from the tick rate from which on it is reported.
const TOLERANCE: f64 = 0.01;

/// The clock of a run with a fixed number of ticks per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct NominalClock {
    seconds_per_tick: f64,
}

/// The first transition of an episode whose timestamps do not follow the tick rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockDeviation {
    pub(super) step: usize,
    pub(super) seconds_per_tick: f64,
}

impl NominalClock {
    /// The clock of `tick_rate` ticks per second.
    pub(super) fn new(tick_rate: f64) -> Self {
        Self {
            seconds_per_tick: 1.0 / tick_rate,
        }
    }

    /// The first deviation of an episode. The duration of its last transition is not in the data, and is not checked.
    pub(super) fn deviation(self, episode: &Episode) -> Option<ClockDeviation> {
        let transitions = episode.transitions();
        let pairs = transitions.zip(episode.transitions().skip(1));
        pairs
            .filter(|(now, _)| now.ticks() > 0)
            .map(|(now, next)| ClockDeviation {
                step: now.step(),
                seconds_per_tick: (next.timestamp() - now.timestamp()) / f64::from(now.ticks()),
            })
            .find(|found| {
                let difference = (found.seconds_per_tick - self.seconds_per_tick).abs();
                difference.is_nan() || difference > TOLERANCE * self.seconds_per_tick
            })
    }
}
