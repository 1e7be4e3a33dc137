//! A sample of observations, whose size does not depend on the length of the recording.

/// Features beyond this number are not sampled.
const MAX_FEATURES: usize = 64;
/// At this number of rows, every second one is removed.
const MAX_ROWS: usize = 2048;

/// Evenly spaced observations of a recording, for histograms of its features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSample {
    width: usize,
    rows: Vec<f32>,
    /// Every `stride`-th observation is kept.
    stride: u64,
    /// The number of observations so far.
    seen: u64,
}

impl Default for FeatureSample {
    fn default() -> Self {
        Self::new(0)
    }
}

impl FeatureSample {
    pub(super) fn new(features: usize) -> Self {
        Self {
            width: features.min(MAX_FEATURES),
            rows: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }

    pub(super) fn add(&mut self, observation: &[f32]) {
        let is_kept = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !is_kept || self.width == 0 {
            return;
        }
        self.rows.extend_from_slice(&observation[..self.width]);
        if self.rows.len() >= MAX_ROWS * self.width {
            let halved = self.rows.chunks_exact(self.width).step_by(2).flatten().copied();
            self.rows = halved.collect();
            self.stride *= 2;
        }
    }

    /// The number of features of which there is a sample: the first ones of the observation.
    #[must_use]
    pub fn features(&self) -> usize {
        self.width
    }

    /// The sampled values of a feature, in the order of the transitions.
    pub fn values(&self, feature: usize) -> impl Iterator<Item = f32> + '_ {
        let rows = self.rows.chunks_exact(self.width.max(1));
        rows.filter_map(move |row| row.get(feature).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_evenly_spaced() {
        let mut sample = FeatureSample::new(100);
        let count = 50_000_u16;
        for number in 0..count {
            sample.add(&[f32::from(number); 100]);
        }
        assert_eq!(sample.features(), MAX_FEATURES);
        let values: Vec<_> = sample.values(63).collect();
        assert!((MAX_ROWS / 2..=MAX_ROWS).contains(&values.len()), "{}", values.len());
        let stride = values[1] - values[0];
        assert!(values.windows(2).all(|pair| pair[1] - pair[0] == stride));
        assert!(values[0] == 0.0 && f32::from(count) - values[values.len() - 1] <= stride);
        assert_eq!(sample.values(64).count(), 0);
        let mut none = FeatureSample::default();
        none.add(&[]);
        assert_eq!(none.values(0).count(), 0);
    }
}
