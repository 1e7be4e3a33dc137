//! The normal distribution: logarithms of densities, and of probabilities of intervals.

use core::f64::consts::{FRAC_1_SQRT_2, TAU};

/// The logarithm of the density of the standard normal distribution at `x`.
pub(crate) fn ln_density(x: f64) -> f64 {
    -0.5 * (x * x + TAU.ln())
}

/// The logarithm of the probability that a standard normal variable is between `low` and `high`, which may be infinite.
pub(crate) fn ln_probability(low: f64, high: f64) -> f64 {
    // Above the mean both tails are small, so that their difference keeps its digits.
    let (low, high) = if low > 0.0 { (low, high) } else { (-high, -low) };
    (upper_tail(low) - upper_tail(high)).ln()
}

/// The probability that a standard normal variable is above `x`.
fn upper_tail(x: f64) -> f64 {
    0.5 * libm::erfc(x * FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_tables() {
        for (low, high, expected) in [
            (f64::NEG_INFINITY, f64::INFINITY, 1.0),
            (f64::NEG_INFINITY, 0.0, 0.5),
            (-1.0, 1.0, 0.682_689_492_137_086),
            (-1.96, f64::INFINITY, 0.975_002_104_851_780),
            (8.0, f64::INFINITY, 6.220_960_574_271_78e-16),
            (f64::NEG_INFINITY, -8.0, 6.220_960_574_271_78e-16),
            (2.0, 3.0, 0.021_400_233_916_549),
        ] {
            let found = ln_probability(low, high);
            assert!((found - f64::ln(expected)).abs() < 1e-9, "{low} to {high}: {found}");
        }
        assert!((ln_density(1.0).exp() - 0.241_970_724_519_143).abs() < 1e-12);
    }
}
