//! Memory estimate of a recording's buffers, which is checked against the memory budget at set-up.

use super::error::{Mib, SetupError};
use crate::episode::PoolPolicy;
use core::fmt;
use experience_buffer::{BufferError, BufferSettings};

/// Bytes of the buffers of one recording for its expected players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryEstimate {
    recording: String,
    players: usize,
    /// Steps per buffer.
    steps: usize,
    /// Bytes per step.
    step: usize,
    /// Bytes per buffer in addition to its steps.
    fixed: usize,
    /// Bytes of the shared pool; 0 if the expected players do not need one.
    pool: usize,
}

impl MemoryEstimate {
    /// The estimate for `players` players with rows of `row_words` words. Players beyond `pool_policy.above` share the
    /// pool.
    ///
    /// # Errors
    /// When a buffer with these settings cannot be created.
    pub(crate) fn new(
        recording: &str,
        players: usize,
        settings: &BufferSettings,
        row_words: usize,
        pool_policy: &PoolPolicy,
    ) -> Result<Self, BufferError> {
        let bytes = |capacity| {
            BufferSettings {
                capacity,
                ..settings.clone()
            }
            .bytes(row_words)
        };
        settings.check(row_words)?;
        // The size of a buffer is linear in its capacity for every kind.
        let (one, two) = (bytes(1)?, bytes(2)?);
        Ok(Self {
            recording: recording.to_owned(),
            players: players.min(pool_policy.above),
            pool: if players > pool_policy.above {
                pool_policy.pool.bytes
            } else {
                0
            },
            steps: settings.capacity.next_power_of_two(),
            step: two - one,
            fixed: one - (two - one),
        })
    }

    /// Bytes in total, saturating.
    fn bytes(&self) -> usize {
        self.steps
            .saturating_mul(self.step)
            .saturating_add(self.fixed)
            .saturating_mul(self.players)
            .saturating_add(self.pool)
    }

    /// The largest capacity with which the expected players fit into `bytes`.
    fn capacity_within(&self, bytes: usize) -> Option<usize> {
        let bytes = bytes.checked_sub(self.pool)?;
        let steps = (bytes / self.players.max(1)).checked_sub(self.fixed)? / self.step;
        // Capacities are powers of two: round down.
        Some(1 << steps.checked_ilog2()?)
    }

    /// Checks that this estimate and those of `others` fit into a budget of `budget` bytes.
    ///
    /// # Errors
    /// [`SetupError::OverBudget`], with each estimate and settings that would fit.
    pub(crate) fn check(&self, others: &[Self], budget: usize) -> Result<(), SetupError> {
        let taken = others
            .iter()
            .fold(0_usize, |sum, other| sum.saturating_add(other.bytes()));
        let together = taken.saturating_add(self.bytes());
        if together <= budget {
            return Ok(());
        }
        let lines = others.iter().chain([self]).map(|estimate| format!("\n  {estimate}"));
        let name = &self.recording;
        let smaller = budget.checked_sub(taken).and_then(|left| self.capacity_within(left));
        let remedy = match smaller {
            Some(capacity) => {
                format!(
                    "give `{name}` `BufferSettings {{ capacity: {capacity}, .. }}`, lower its `PlayerScaling::expected_players`,"
                )
            }
            None => format!("lower `PlayerScaling::expected_players` of `{name}`"),
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

impl fmt::Display for MemoryEstimate {
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
            write!(f, " + {} for the shared pool", Mib(*pool))?;
        }
        write!(f, " = {mib}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_buffer::{BufferKind, Memory, pool::PoolSettings};

    fn estimate(settings: &BufferSettings, players: usize) -> MemoryEstimate {
        let pool_policy = PoolPolicy {
            above: 1000,
            pool: PoolSettings::default(),
        };
        MemoryEstimate::new("fighter", players, settings, 21, &pool_policy).unwrap()
    }

    #[test]
    fn players_of_the_pool_take_no_memory_beyond_it() {
        let settings = BufferSettings::default();
        let own = estimate(&settings, 1000).bytes();
        assert_eq!(own, 1000 * settings.bytes(21).unwrap());
        let many = estimate(&settings, 100_000);
        assert_eq!(many.bytes(), own + PoolSettings::default().bytes);
        assert!(
            many.to_string().contains("+ 256.0 MiB for the shared pool = "),
            "{many}"
        );
        assert_eq!(many.capacity_within(1 << 20), None);
    }

    #[test]
    fn estimate_equals_size_of_buffers() {
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
                    estimate(&settings, 3).bytes(),
                    3 * settings.bytes(21).unwrap(),
                    "{settings:?}"
                );
            }
        }
    }

    #[test]
    fn suggested_capacity_fits_and_twice_as_much_does_not() {
        let settings = BufferSettings::default();
        let other = estimate(&settings, 2);
        for budget in [50_000, 300_000, 1_000_000, 5_000_000] {
            let wanted = estimate(
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
                estimate(&settings, 7).check(core::slice::from_ref(&other), budget + other.bytes())
            };
            assert!(
                with(capacity).is_ok() && with(2 * capacity).is_err(),
                "{budget}: {capacity}"
            );
        }
        assert_eq!(other.capacity_within(500), None, "not even one step");
    }
}
