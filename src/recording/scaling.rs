//! [`PlayerScaling`]: memory reservation, the shared pool and parallel capture for large numbers of players.

use super::error::SetupError;
use crate::episode::PoolPolicy;
use experience_buffer::{BufferKind, BufferSettings, Memory, Overflow, pool::PoolSettings};

/// Default of [`PlayerScaling::pool_above`].
///
/// With dedicated buffers, no player overwrites the newest steps of another. A pool is faster, because rows of
/// neighbours are adjacent, and its memory is independent of the number of players.
const POOL_ABOVE: usize = 4096;

/// Default of [`PlayerScaling::parallel_above`]: the number of players at which two threads were faster than one by
/// more than the spread of the measurement. See `docs/src/performance.md`.
const PARALLEL_ABOVE: usize = 20_000;

/// As [`PARALLEL_ABOVE`], for recordings with `observe_nearest` or `observe_entities`, whose cost per player is much higher.
const PARALLEL_ABOVE_WITH_NEAREST: usize = 600;

/// How a recording scales with its number of players.
///
/// Given to [`Recording::scaling`](super::Recording::scaling). The settings of one buffer are in
/// [`BufferSettings`](experience_buffer::BufferSettings).
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_experience::prelude::*;
/// # #[derive(Component)] struct Unit;
/// let recording = Recording::<Unit>::new("unit").scaling(PlayerScaling {
///     expected_players: 50_000,
///     ..Default::default()
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerScaling {
    /// The number of players expected at the same time; at least 1, and 16 by default.
    ///
    /// The buffers of the expected players of all recordings must fit
    /// [`memory_budget`](crate::plugin::ExperiencePlugin::memory_budget), or the recording is rejected at set-up. More
    /// players may join. A player for which the budget has no memory left is not recorded, and is counted in
    /// [`unbuffered_agents`](experience_core::account::RunReport::unbuffered_agents).
    ///
    /// If it exceeds 16 and not [`pool_above`](Self::pool_above), the memory of that many buffers on the heap is reserved at set-up:
    /// side by side, with all of it mapped, and on huge pages if the system has them. Captures of these players are faster, and
    /// none of them waits for the first write to a page.
    ///
    /// If it exceeds [`pool_above`](Self::pool_above), the pool is created at set-up, with all of its memory mapped,
    /// and on huge pages if the system has them. A pool that is created later, during play, is on ordinary pages, and
    /// the first write to each page stalls the capture.
    pub expected_players: usize,
    /// The number of players with dedicated buffers; `None` means 4,096. A player that joins while this many players
    /// have buffers writes to the shared [pool](experience_buffer::pool) instead. With 0 every player writes to the
    /// pool.
    ///
    /// The pool is created for the first player that needs it. Its memory does not depend on the number of players: it
    /// keeps the newest steps of all of them together, and overwrites the oldest. So only recordings with
    /// [`BufferKind::Ring`] and [`Overflow::DropOldest`] can have one.
    pub pool_above: Option<usize>,
    /// Size and memory of the pool; `None` means 256 MiB in the same kind of memory as the buffers.
    pub pool: Option<PoolSettings>,
    /// The number of players above which the threads of the [`ComputeTaskPool`](bevy_tasks::ComputeTaskPool) share a
    /// capture; `None` means 20,000, or 600 with [`observe_nearest`](super::Recording::observe_nearest) or
    /// [`observe_entities`](super::Recording::observe_entities), the most expensive observations. The recorded rows are the same. `usize::MAX` keeps captures on one thread.
    ///
    /// A capture stays on one thread
    /// - if there is no `ComputeTaskPool`, or one processor;
    /// - if not every player writes a row at every tick: with
    ///   [`decision_interval`](super::Recording::decision_interval), [`mode`](super::Recording::mode) or
    ///   [`read_actions_after`](super::Recording::read_actions_after), or while the recording is paused;
    /// - for one tick, when many players join, leave or change archetype at once.
    ///
    /// A parallel capture allocates a fixed number of times per thread. It calls the functions given to
    /// [`observe_with`](super::Recording::observe_with) and similar methods from several threads at once.
    pub parallel_above: Option<usize>,
}

impl Default for PlayerScaling {
    /// 16 expected players, and the measured thresholds.
    fn default() -> Self {
        Self {
            expected_players: 16,
            pool_above: None,
            pool: None,
            parallel_above: None,
        }
    }
}

impl PlayerScaling {
    /// The number of players above which captures are parallel.
    pub(super) fn parallel_threshold(&self, has_lists: bool) -> usize {
        self.parallel_above.unwrap_or(if has_lists {
            PARALLEL_ABOVE_WITH_NEAREST
        } else {
            PARALLEL_ABOVE
        })
    }

    /// The pool, and the number of players above which it is used: `usize::MAX` if the buffer settings do not allow a
    /// pool.
    ///
    /// # Errors
    /// When a pool is requested and the buffer settings do not allow one, or it is too small for a row.
    pub(super) fn shared_pool(
        &self,
        recording: &str,
        buffers: &BufferSettings,
        row_words: usize,
    ) -> Result<PoolPolicy, SetupError> {
        let can_share = buffers.kind == BufferKind::Ring && buffers.overflow == Overflow::DropOldest;
        let is_explicit = self.pool_above.is_some() || self.pool.is_some();
        if is_explicit && !can_share {
            return Err(SetupError::Pool(recording.to_owned()));
        }
        let above = self.pool_above.unwrap_or(POOL_ABOVE);
        let is_expected = self.expected_players > above;
        let pool = self.pool.clone().unwrap_or_else(|| PoolSettings {
            memory: buffers.memory.clone(),
            // A pool that is created during play must not stall the capture while huge pages are allocated.
            huge_pages: buffers.huge_pages || (is_expected && !matches!(buffers.memory, Memory::File(_))),
            ..PoolSettings::default()
        });
        let above = match pool.check(row_words) {
            Ok(()) if can_share => above,
            Err(source) if is_explicit => {
                return Err(SetupError::Buffer {
                    recording: recording.to_owned(),
                    source,
                });
            }
            _ => usize::MAX,
        };
        Ok(PoolPolicy { above, pool })
    }
}
