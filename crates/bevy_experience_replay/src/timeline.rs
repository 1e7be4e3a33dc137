//! [`Timeline`]: when each row of an episode is shown.

use bevy_experience::transition::Episode;

/// Ticks per second of Bevy's fixed timestep, for episodes without usable timestamps.
const DEFAULT_TICK_RATE: f64 = 64.0;

/// The seconds from the first row of an episode to each of its T + 1 rows, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline(Box<[f64]>);

impl Timeline {
    /// From the timestamps of the rows; from their ticks, if a tick rate is given or the timestamps do not ascend.
    pub(crate) fn new(episode: &Episode, tick_rate: Option<f64>) -> Self {
        let rows = || (0..=episode.len()).map(|row| episode.row(row).header());
        if tick_rate.is_none() {
            let first = rows().next().map_or(0.0, |header| header.timestamp);
            let seconds: Box<[f64]> = rows().map(|header| header.timestamp - first).collect();
            let is_ascending = seconds.windows(2).all(|pair| pair[0] < pair[1]);
            if is_ascending && seconds.iter().all(|seconds| seconds.is_finite()) {
                return Self(seconds);
            }
        }
        let rate = tick_rate.unwrap_or(DEFAULT_TICK_RATE);
        let ticks = rows().skip(1).scan(0.0, |ticks, header| {
            *ticks += f64::from(header.ticks.max(1));
            Some(*ticks / rate)
        });
        Self(core::iter::once(0.0).chain(ticks).collect())
    }

    pub(crate) fn seconds(&self, row: usize) -> f64 {
        self.0[row.min(self.last())]
    }

    pub(crate) fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// The last row at `seconds` or before, not before row `from`.
    pub(crate) fn row_at(&self, seconds: f64, from: usize) -> usize {
        self.0
            .partition_point(|&shown| shown <= seconds)
            .saturating_sub(1)
            .max(from)
    }
}
