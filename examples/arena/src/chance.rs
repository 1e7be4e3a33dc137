//! Chance that does not depend on who asks first.
//!
//! Every draw comes from a stream of its own, named by what it is for and whom it concerns. No stream is shared, so the
//! order in which systems visit entities, and everything that disturbs that order, leaves the game unchanged.

use bevy_math::Vec2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Where a fighter stands up.
    Spawn = 1,
    /// Where a coin appears.
    Coin = 2,
    /// How long a fighter stays, and stays away.
    Churn = 3,
    /// A bot's whims.
    Bot = 4,
}

/// The stream for one purpose, one `subject` (an agent, or a coin of a match) and one `occasion` of it.
pub(crate) fn stream(seed: u64, purpose: Purpose, subject: u64, occasion: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, subject, occasion]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A point on the floor, away from the walls by a tenth of it.
pub(crate) fn place(rng: &mut ChaCha8Rng, half: f32) -> Vec2 {
    let reach = 0.9 * half;
    Vec2::new(rng.random_range(-reach..=reach), rng.random_range(-reach..=reach))
}

/// A direction turned a little aside: exact with `spread` 0, by up to about 45 degrees with 1.
pub(crate) fn astray(direction: Vec2, spread: f32, rng: &mut ChaCha8Rng) -> Vec2 {
    let aside: f32 = rng.random_range(-1.0..=1.0) + rng.random_range(-1.0..=1.0);
    (direction + direction.perp() * (0.5 * spread * aside)).normalize_or(direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_name_makes_another_stream() {
        let first = |seed, purpose, subject, occasion| stream(seed, purpose, subject, occasion).random::<u64>();
        let base = first(1, Purpose::Coin, 2, 3);
        assert_eq!(base, first(1, Purpose::Coin, 2, 3));
        for other in [
            first(2, Purpose::Coin, 2, 3),
            first(1, Purpose::Spawn, 2, 3),
            first(1, Purpose::Coin, 3, 3),
            first(1, Purpose::Coin, 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn astray_is_exact_without_spread_and_keeps_length() {
        let mut rng = stream(1, Purpose::Bot, 0, 0);
        assert_eq!(astray(Vec2::X, 0.0, &mut rng), Vec2::X);
        for _ in 0..100 {
            let turned = astray(Vec2::X, 1.0, &mut rng);
            assert!((turned.length() - 1.0).abs() < 1e-6 && turned.x >= 0.7, "{turned}");
        }
    }
}
