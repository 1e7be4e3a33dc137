//! Linear regressions with cross-validation, from sums of products.

/// The share of a variable's variance below which it counts as a linear function of the others.
const DEPENDENT: f64 = 1e-6;
/// The number of consecutive samples that are in one part.
const BLOCK: u64 = 128;

/// The sums of products of some variables, in two parts of the samples. A regression is fitted on each part, and its errors are
/// those on the other, so a variable that is related to another by chance explains nothing.
///
/// The first variable is the intercept, 1 in every sample.
pub(super) struct Regression {
    variables: usize,
    samples: u64,
    /// The first sample, which is subtracted from all, so that sums of large values keep their digits.
    origin: Vec<f64>,
    /// For each part, the sums of products of variables, row by row; only the upper triangle is kept.
    products: [Vec<f64>; 2],
}

impl Regression {
    pub(super) fn new(variables: usize) -> Self {
        Self {
            variables,
            samples: 0,
            origin: Vec::new(),
            products: [vec![0.0; variables * variables], vec![0.0; variables * variables]],
        }
    }

    /// The number of samples.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Adds the values of all variables, which must be finite. Changes `values`.
    pub(super) fn add(&mut self, values: &mut [f64]) {
        if self.origin.is_empty() {
            self.origin = values.to_vec();
            self.origin[0] = 0.0;
        }
        for (value, origin) in values.iter_mut().zip(&self.origin) {
            *value -= origin;
        }
        let part = usize::from(self.samples / BLOCK % 2 == 1);
        for (row, value) in values.iter().enumerate() {
            if *value != 0.0 {
                let sums = &mut self.products[part][row * self.variables..][row..self.variables];
                for (sum, other) in sums.iter_mut().zip(&values[row..]) {
                    *sum += value * other;
                }
            }
        }
        self.samples += 1;
    }

    /// The sum of squared errors of each of `targets`, regressed on `regressors`, which must begin with the intercept. Both are
    /// sorted.
    pub(super) fn errors(&self, regressors: &[usize], targets: &[usize]) -> Vec<f64> {
        let [even, odd] = &self.products;
        let mut errors = vec![0.0; targets.len()];
        for (fitted, tested) in [(even, odd), (odd, even)] {
            let factors = self.fit(fitted, regressors, targets);
            let product = |a: usize, b: usize| tested[a.min(b) * self.variables + a.max(b)];
            for (index, target) in targets.iter().enumerate() {
                let factors = &factors[index * regressors.len()..][..regressors.len()];
                let mut error = product(*target, *target);
                for (factor, a) in factors.iter().zip(regressors).filter(|(factor, _)| **factor != 0.0) {
                    let explained: f64 = factors
                        .iter()
                        .zip(regressors)
                        .map(|(other, b)| other * product(*a, *b))
                        .sum();
                    error += factor * (explained - 2.0 * product(*a, *target));
                }
                errors[index] += error.max(0.0);
            }
        }
        errors
    }

    /// The factors of the regressors for each target, by Gaussian elimination of the normal equations.
    fn fit(&self, products: &[f64], regressors: &[usize], targets: &[usize]) -> Vec<f64> {
        let (count, width) = (regressors.len(), regressors.len() + targets.len());
        let product = |a: usize, b: usize| products[a.min(b) * self.variables + a.max(b)];
        let mut rows: Vec<f64> = regressors
            .iter()
            .flat_map(|a| regressors.iter().chain(targets).map(|b| product(*a, *b)))
            .collect();
        let scales: Vec<f64> = (0..count)
            .map(|pivot| {
                // The variance of a variable, not the size of its mean, decides whether it depends on others.
                let intercept = product(regressors[0], regressors[0]).max(1.0);
                let mean = product(regressors[0], regressors[pivot]) / intercept;
                let variance = product(regressors[pivot], regressors[pivot]) - mean * mean * intercept;
                if pivot == 0 { intercept } else { variance.max(0.0) }
            })
            .collect();
        let mut used = vec![false; count];
        for pivot in 0..count {
            let (before, after) = rows.split_at_mut((pivot + 1) * width);
            let source = &before[pivot * width..];
            let divisor = source[pivot];
            if divisor <= DEPENDENT * scales[pivot] || divisor <= f64::MIN_POSITIVE {
                continue;
            }
            used[pivot] = true;
            for row in after.chunks_exact_mut(width) {
                let factor = row[pivot] / divisor;
                if factor != 0.0 {
                    for (value, from) in row[pivot..].iter_mut().zip(&source[pivot..]) {
                        *value -= factor * from;
                    }
                }
            }
        }
        let mut factors = vec![0.0; targets.len() * count];
        for (index, factors) in factors.chunks_exact_mut(count).enumerate() {
            for pivot in (0..count).rev().filter(|pivot| used[*pivot]) {
                let row = &rows[pivot * width..][..width];
                let known: f64 = (pivot + 1..count).map(|later| row[later] * factors[later]).sum();
                factors[pivot] = (row[count + index] - known) / row[pivot];
            }
        }
        factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers from -1 to 1.
    fn noise(state: &mut u64) -> f64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    #[test]
    fn errors_are_those_of_samples_that_were_not_fitted() {
        let mut state = 1;
        // The intercept, two regressors far from 0, a copy of the first, one without relation, and a target.
        let mut regression = Regression::new(6);
        for _ in 0..4000 {
            let (a, b) = (1e6 + noise(&mut state), noise(&mut state));
            let target = 7.0 + 2.0 * (a - 1e6) - 3.0 * b + 0.1 * noise(&mut state);
            regression.add(&mut [1.0, a, b, 2.0 * a, noise(&mut state), target]);
        }
        let share = |regressors: &[usize]| regression.errors(regressors, &[5])[0] / regression.errors(&[0], &[5])[0];
        // The variances are 4/3 and 9/3, and that of the noise 0.01/3.
        assert!((share(&[0, 1]) - 9.0 / 13.0).abs() < 0.03, "{}", share(&[0, 1]));
        let all = share(&[0, 1, 2]);
        assert!((all - 0.01 / 13.0).abs() < 2e-4, "{all}");
        assert!((share(&[0, 1, 2, 3]) - all).abs() < 1e-6, "a copy changes nothing");
        assert!(
            share(&[0, 1, 2, 4]) >= 0.999 * all,
            "a variable without relation explains nothing"
        );
    }
}
