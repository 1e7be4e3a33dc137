//! Deterministic random numbers, independent of iteration order.
//!
//! Each decision draws from a separate stream, whose key is the seed, a purpose, a subject and an occasion. No two
//! decisions share a stream, so the order in which systems visit entities does not change the game.

use bevy_math::Vec2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The kind of decision that a stream is drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamPurpose {
    /// Where a fighter spawns.
    Spawn = 1,
    /// Where a coin appears.
    Coin = 2,
    /// How long a fighter stays in the match, and how long it is absent.
    Churn = 3,
    /// The decisions of a bot.
    Bot = 4,
}

/// The stream for one purpose, one `subject` (an agent, or a coin of a match) and one `occasion`, which counts the
/// subject's earlier decisions of this kind.
pub(crate) fn stream(seed: u64, purpose: StreamPurpose, subject: u64, occasion: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, subject, occasion]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A uniformly random position, at least a tenth of the half-extent away from the walls.
pub(crate) fn random_position(rng: &mut ChaCha8Rng, half_extent: f32) -> Vec2 {
    let limit = 0.9 * half_extent;
    Vec2::new(rng.random_range(-limit..=limit), rng.random_range(-limit..=limit))
}

/// Rotates a unit vector by a random angle, biased towards small angles: up to 45 degrees with `spread` 1, 0 with
/// `spread` 0.
pub(crate) fn perturb(direction: Vec2, spread: f32, rng: &mut ChaCha8Rng) -> Vec2 {
    let offset: f32 = rng.random_range(-1.0..=1.0) + rng.random_range(-1.0..=1.0);
    (direction + direction.perp() * (0.5 * spread * offset)).normalize_or(direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_selects_another_stream() {
        let first = |seed, purpose, subject, occasion| stream(seed, purpose, subject, occasion).random::<u64>();
        let base = first(1, StreamPurpose::Coin, 2, 3);
        assert_eq!(base, first(1, StreamPurpose::Coin, 2, 3));
        for other in [
            first(2, StreamPurpose::Coin, 2, 3),
            first(1, StreamPurpose::Spawn, 2, 3),
            first(1, StreamPurpose::Coin, 3, 3),
            first(1, StreamPurpose::Coin, 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn perturb_is_exact_without_spread_and_keeps_length() {
        let mut rng = stream(1, StreamPurpose::Bot, 0, 0);
        assert_eq!(perturb(Vec2::X, 0.0, &mut rng), Vec2::X);
        for _ in 0..100 {
            let turned = perturb(Vec2::X, 1.0, &mut rng);
            assert!((turned.length() - 1.0).abs() < 1e-6 && turned.x >= 0.7, "{turned}");
        }
    }
}
