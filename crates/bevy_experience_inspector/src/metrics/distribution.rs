//! Value ranges of features, and sliding sample windows with histograms.

use std::collections::VecDeque;

/// The value range of one observation feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeatureRange {
    /// The smallest finite value; infinite before the first.
    pub(crate) min: f32,
    /// The largest finite value; negatively infinite before the first.
    pub(crate) max: f32,
    /// Count of finite values.
    pub(crate) finite: u64,
    /// Count of NaN and infinite values.
    pub(crate) non_finite: u64,
}

impl Default for FeatureRange {
    fn default() -> Self {
        Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            finite: 0,
            non_finite: 0,
        }
    }
}

impl FeatureRange {
    pub(crate) fn add(&mut self, value: f32) {
        if value.is_finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.finite += 1;
        } else {
            self.non_finite += 1;
        }
    }

    /// Whether there were at least two finite values, all equal.
    pub(crate) fn is_constant(&self) -> bool {
        self.finite > 1 && self.min == self.max
    }
}

/// A sliding window over the last [`WINDOW_LEN`] values.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleWindow(VecDeque<f64>);

/// Values that a [`SampleWindow`] keeps.
pub(crate) const WINDOW_LEN: usize = 4096;

impl SampleWindow {
    /// Appends a value. The oldest value is dropped when the window is full.
    pub(crate) fn push(&mut self, value: f64) {
        if self.0.len() == WINDOW_LEN {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest and the largest finite value.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let mut finite = self.0.iter().copied().filter(|value| value.is_finite());
        let first = finite.next()?;
        Some(finite.fold((first, first), |(min, max), value| (min.min(value), max.max(value))))
    }

    /// The mean of the finite values.
    pub(crate) fn mean(&self) -> Option<f64> {
        let finite = self.0.iter().filter(|value| value.is_finite());
        let (count, sum) = finite.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// A histogram of the finite values with at most `max_bins` bins of equal width: that width, and the centre and
    /// count of each bin. If all values are integers within a range of `max_bins`, there is one bin per integer.
    pub(crate) fn histogram(&self, max_bins: usize) -> (f64, Vec<(f64, usize)>) {
        let Some((min, max)) = self.range() else {
            return (1.0, Vec::new());
        };
        let all_integers = self.0.iter().all(|value| value.fract() == 0.0);
        let (start, width, bins) = if all_integers && max - min < max_bins as f64 {
            (min - 0.5, 1.0, (max - min) as usize + 1)
        } else if max > min {
            (min, (max - min) / max_bins as f64, max_bins)
        } else {
            (min - 0.5, 1.0, 1)
        };
        let mut counts = vec![0; bins];
        for value in self.0.iter().filter(|value| value.is_finite()) {
            let bin = ((value - start) / width) as usize;
            counts[bin.min(bins - 1)] += 1;
        }
        let center = |bin: usize| start + (bin as f64 + 0.5) * width;
        let counts = counts.into_iter().enumerate();
        (width, counts.map(|(bin, count)| (center(bin), count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_value_is_in_one_bin() {
        for values in [
            vec![0.0, 1.0, 1.0, 3.0],
            vec![0.5, 0.25, f64::NAN, 9.0],
            vec![2.5],
            vec![-1e30, 1e30, f64::INFINITY],
        ] {
            let mut window = SampleWindow::default();
            values.iter().for_each(|&value| window.push(value));
            let (width, bins) = window.histogram(20);
            let finite = values.iter().filter(|value| value.is_finite()).count();
            assert_eq!(
                bins.iter().map(|&(_, count)| count).sum::<usize>(),
                finite,
                "{values:?}"
            );
            assert!(width > 0.0 && bins.len() <= 20);
        }
        let mut integers = SampleWindow::default();
        [0.0, 1.0, 1.0, 3.0].into_iter().for_each(|value| integers.push(value));
        assert_eq!(integers.histogram(20).1, [(0.0, 1), (1.0, 2), (2.0, 0), (3.0, 1)]);
    }

    #[test]
    fn a_full_window_drops_its_oldest_values() {
        let mut window = SampleWindow::default();
        (0..WINDOW_LEN + 10).for_each(|value| window.push(value as f64));
        assert_eq!(
            (window.len(), window.range().map(|(min, _)| min)),
            (WINDOW_LEN, Some(10.0))
        );
        assert!(window.mean().is_some_and(|mean| mean > 10.0));
    }
}
