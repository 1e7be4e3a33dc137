//! Many values in a few numbers.

use std::collections::VecDeque;

/// What a feature was like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeatureSum {
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) finite: u64,
    pub(crate) non_finite: u64,
}

impl Default for FeatureSum {
    fn default() -> Self {
        Self {
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
            finite: 0,
            non_finite: 0,
        }
    }
}

impl FeatureSum {
    pub(crate) fn add(&mut self, value: f32) {
        if value.is_finite() {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
            self.finite += 1;
        } else {
            self.non_finite += 1;
        }
    }

    /// Whether it had the same value every time, and there was more than one time.
    pub(crate) fn is_constant(&self) -> bool {
        self.finite > 1 && self.low == self.high
    }
}

/// The last few thousand values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(VecDeque<f64>);

/// So many values are kept.
const KEPT: usize = 4096;

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The lowest and the highest of the finite ones.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let mut finite = self.0.iter().copied().filter(|value| value.is_finite());
        let first = finite.next()?;
        Some(finite.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
    }

    /// The mean of the finite ones.
    pub(crate) fn mean(&self) -> Option<f64> {
        let finite = self.0.iter().filter(|value| value.is_finite());
        let (count, sum) = finite.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// How many of the finite ones lie in each of `bins` parts of equal width: the middle of each part, and how many. One part for
    /// each whole number where there are only whole numbers, and no more of these than `bins`.
    pub(crate) fn histogram(&self, bins: usize) -> (f64, Vec<(f64, usize)>) {
        let Some((low, high)) = self.range() else {
            return (1.0, Vec::new());
        };
        let whole = self.0.iter().all(|value| value.fract() == 0.0);
        let (start, width, bins) = if whole && high - low < bins as f64 {
            (low - 0.5, 1.0, (high - low) as usize + 1)
        } else if high > low {
            (low, (high - low) / bins as f64, bins)
        } else {
            (low - 0.5, 1.0, 1)
        };
        let mut counts = vec![0; bins];
        for value in self.0.iter().filter(|value| value.is_finite()) {
            let place = ((value - start) / width) as usize;
            counts[place.min(bins - 1)] += 1;
        }
        let middle = |place: usize| start + (place as f64 + 0.5) * width;
        let counts = counts.into_iter().enumerate();
        (width, counts.map(|(place, count)| (middle(place), count)).collect())
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
            let mut samples = Samples::default();
            values.iter().for_each(|&value| samples.add(value));
            let (width, bins) = samples.histogram(20);
            let finite = values.iter().filter(|value| value.is_finite()).count();
            assert_eq!(
                bins.iter().map(|&(_, count)| count).sum::<usize>(),
                finite,
                "{values:?}"
            );
            assert!(width > 0.0 && bins.len() <= 20);
        }
        let mut whole = Samples::default();
        [0.0, 1.0, 1.0, 3.0].into_iter().for_each(|value| whole.add(value));
        assert_eq!(whole.histogram(20).1, [(0.0, 1), (1.0, 2), (2.0, 0), (3.0, 1)]);
    }

    #[test]
    fn old_values_make_room() {
        let mut samples = Samples::default();
        (0..KEPT + 10).for_each(|value| samples.add(value as f64));
        assert_eq!((samples.len(), samples.range().map(|(low, _)| low)), (KEPT, Some(10.0)));
        assert!(samples.mean().is_some_and(|mean| mean > 10.0));
    }
}
