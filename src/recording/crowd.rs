//! Many players: from how many on they share a pool, and are captured by several threads.

use super::error::SetupError;
use crate::episode::PoolPolicy;
use experience_buffer::{BufferKind, BufferSettings, Memory, Overflow, pool::PoolSettings};

/// Players who have buffers of their own, unless `pool_above` says otherwise. A buffer for each keeps every player's newest
/// steps, whatever the others do; a pool is faster, because neighbours are written side by side, and takes the same memory
/// for any number.
const OWN_BUFFERS: usize = 4096;

/// Players who are captured one after the other, unless `parallel_above` says otherwise: where two threads are faster than one
/// by more than the measurement's spread. See `docs/performance.md`.
const PARALLEL_ABOVE: usize = 20_000;

/// The same where players see the nearest others, which takes each so many times as long.
const PARALLEL_ABOVE_IF_SEARCHING: usize = 600;

/// How many players are captured one after the other, who look for the nearest others or do not.
pub(super) fn parallel_above(searches: bool) -> usize {
    if searches {
        PARALLEL_ABOVE_IF_SEARCHING
    } else {
        PARALLEL_ABOVE
    }
}

/// When players share a pool, where it can take the place of their own buffers.
pub(super) fn crowd(
    recording: &str,
    (above, players): (Option<usize>, usize),
    pool: Option<PoolSettings>,
    buffers: &BufferSettings,
    row_words: usize,
) -> Result<PoolPolicy, SetupError> {
    let can_share = buffers.kind == BufferKind::Ring && buffers.overflow == Overflow::DropOldest;
    let asked = above.is_some() || pool.is_some();
    let expected = players > above.unwrap_or(OWN_BUFFERS);
    if asked && !can_share {
        return Err(SetupError::Pool(recording.to_owned()));
    }
    let pool = pool.unwrap_or_else(|| PoolSettings {
        memory: buffers.memory.clone(),
        // Those of a pool that is made when there are so many already, the game would wait for.
        huge_pages: buffers.huge_pages || (expected && !matches!(buffers.memory, Memory::File(_))),
        ..PoolSettings::default()
    });
    let above = match pool.check(row_words) {
        Ok(()) if can_share => above.unwrap_or(OWN_BUFFERS),
        Err(source) if asked => {
            let recording = recording.to_owned();
            return Err(SetupError::Buffer { recording, source });
        }
        _ => usize::MAX,
    };
    Ok(PoolPolicy { above, pool })
}
