//! How much memory the players of a recording need, and whether there is so much.

use super::error::{Mib, SetupError};
use crate::episode::PoolPolicy;
use core::fmt;
use experience_buffer::{BufferError, BufferSettings};

/// What the buffers of one recording need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    recording: String,
    players: usize,
    /// Steps that a buffer holds.
    steps: usize,
    /// Bytes of a step.
    step: usize,
    /// Bytes of a buffer besides its steps.
    fixed: usize,
    /// Bytes of the pool that further players share.
    pool: usize,
}

impl Need {
    /// What `players` players need, with rows of `row_words` words: those have buffers like this who do not share a pool.
    ///
    /// # Errors
    /// When a buffer cannot be like this at all.
    pub(crate) fn new(
        recording: &str,
        players: usize,
        settings: &BufferSettings,
        row_words: usize,
        crowd: &PoolPolicy,
    ) -> Result<Self, BufferError> {
        let bytes = |capacity| {
            BufferSettings {
                capacity,
                ..settings.clone()
            }
            .bytes(row_words)
        };
        settings.check(row_words)?;
        // Bytes grow evenly with steps, whatever the kind.
        let (one, two) = (bytes(1)?, bytes(2)?);
        Ok(Self {
            recording: recording.to_owned(),
            players: players.min(crowd.above),
            pool: if players > crowd.above { crowd.pool.bytes } else { 0 },
            steps: settings.capacity.next_power_of_two(),
            step: two - one,
            fixed: one - (two - one),
        })
    }

    /// Bytes in all; more than can be addressed is as much as can be.
    fn bytes(&self) -> usize {
        self.steps
            .saturating_mul(self.step)
            .saturating_add(self.fixed)
            .saturating_mul(self.players)
            .saturating_add(self.pool)
    }

    /// The largest capacity with which the players fit in so many bytes.
    fn capacity_within(&self, bytes: usize) -> Option<usize> {
        let bytes = bytes.checked_sub(self.pool)?;
        let steps = (bytes / self.players.max(1)).checked_sub(self.fixed)? / self.step;
        // The power of two that is not above it.
        Some(1 << steps.checked_ilog2()?)
    }

    /// Whether this fits a budget of so many bytes beside the needs of other recordings.
    ///
    /// # Errors
    /// When it does not: the arithmetic, and what would fit.
    pub(crate) fn check(&self, others: &[Self], budget: usize) -> Result<(), SetupError> {
        let taken = others
            .iter()
            .fold(0_usize, |sum, need| sum.saturating_add(need.bytes()));
        let together = taken.saturating_add(self.bytes());
        if together <= budget {
            return Ok(());
        }
        let lines = others.iter().chain([self]).map(|need| format!("\n  {need}"));
        let name = &self.recording;
        let smaller = budget.checked_sub(taken).and_then(|left| self.capacity_within(left));
        let remedy = match smaller {
            Some(capacity) => format!("give `{name}` a `.capacity({capacity})`, expect fewer `.players(..)`,"),
            None => format!("expect fewer `.players(..)` of `{name}`"),
        };
        Err(SetupError::OverBudget {
            recording: name.clone(),
            together,
            budget,
            arithmetic: lines.collect(),
            remedy,
        })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            recording,
            players,
            steps,
            step,
            fixed,
            pool,
        } = self;
        let mib = Mib(self.bytes());
        write!(
            f,
            "`{recording}`: {players} players × ({steps} steps × {step} bytes + {fixed} bytes)"
        )?;
        if *pool > 0 {
            write!(f, " + {} for those who share", Mib(*pool))?;
        }
        write!(f, " = {mib}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_buffer::{BufferKind, Memory, pool::PoolSettings};

    fn need(settings: &BufferSettings, players: usize) -> Need {
        let crowd = PoolPolicy {
            above: 1000,
            pool: PoolSettings::default(),
        };
        Need::new("fighter", players, settings, 21, &crowd).unwrap()
    }

    #[test]
    fn those_who_share_take_the_pool_and_nothing_else() {
        let settings = BufferSettings::default();
        let own = need(&settings, 1000).bytes();
        assert_eq!(own, 1000 * settings.bytes(21).unwrap());
        let many = need(&settings, 100_000);
        assert_eq!(many.bytes(), own + PoolSettings::default().bytes);
        assert!(
            many.to_string().contains("+ 256.0 MiB for those who share = "),
            "{many}"
        );
        assert_eq!(many.capacity_within(1 << 20), None);
    }

    #[test]
    fn the_arithmetic_is_that_of_the_buffers() {
        let kinds = [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex];
        for (kind, memory) in kinds
            .map(|kind| (kind, Memory::Heap))
            .into_iter()
            .chain([(BufferKind::Ring, Memory::File("rings".into()))])
        {
            for capacity in [1, 2, 5, 512, 1000] {
                let settings = BufferSettings {
                    kind,
                    capacity,
                    memory: memory.clone(),
                    ..BufferSettings::default()
                };
                assert_eq!(
                    need(&settings, 3).bytes(),
                    3 * settings.bytes(21).unwrap(),
                    "{settings:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_offered_fits_and_twice_as_much_does_not() {
        let settings = BufferSettings::default();
        let other = need(&settings, 2);
        for budget in [50_000, 300_000, 1_000_000, 5_000_000] {
            let wanted = need(
                &BufferSettings {
                    capacity: 1 << 20,
                    ..settings.clone()
                },
                7,
            );
            let capacity = wanted.capacity_within(budget).unwrap();
            let with = |capacity| {
                let settings = BufferSettings {
                    capacity,
                    ..settings.clone()
                };
                need(&settings, 7).check(core::slice::from_ref(&other), budget + other.bytes())
            };
            assert!(
                with(capacity).is_ok() && with(2 * capacity).is_err(),
                "{budget}: {capacity}"
            );
        }
        assert_eq!(other.capacity_within(500), None, "not even one step");
    }
}
