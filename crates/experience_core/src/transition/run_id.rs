//! The id of a run, and the ids of its episodes.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The id of one run, the lifetime of a process: 31 random bits.
///
/// Combined with a counter it yields episode ids that are unique across runs, so that datasets can be merged without
/// renumbering. It displays as eight hexadecimal digits, which is how files of a run are named.
///
/// ```
/// use experience_core::transition::RunId;
///
/// let run = RunId::from_bits(0x2a);
/// assert_eq!(run.to_string(), "0000002a");
/// assert_eq!(run.episode_id(3), (0x2a << 32) | 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(u32);

impl RunId {
    /// A new random id.
    #[must_use]
    #[inline]
    pub fn random() -> Self {
        Self::from_bits(rand::random())
    }

    /// The id with the lowest 31 of these bits.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 0x7fff_ffff)
    }

    /// The value of the dataset column `run`.
    #[must_use]
    #[inline]
    pub const fn get(self) -> i64 {
        self.0 as i64
    }

    /// The value of the dataset column `episode_id` for the run's episode number `counter`.
    #[must_use]
    #[inline]
    pub const fn episode_id(self, counter: u32) -> i64 {
        ((self.0 as i64) << 32) | counter as i64
    }
}

impl fmt::Display for RunId {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episode_ids_are_positive_and_distinct() {
        let run = RunId::from_bits(u32::MAX);
        assert!(run.episode_id(0) > 0);
        assert_ne!(run.episode_id(0), run.episode_id(1));
        assert_ne!(run.episode_id(0), RunId::from_bits(1).episode_id(0));
    }
}
