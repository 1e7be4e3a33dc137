//! Writers of pool runs: rows of neighbouring players that are copied to one shard of the pool at once.

use experience_buffer::pool::{PoolHandle, PoolPart, PoolWriter, Run};

/// Writes runs to all shards of a pool, or to a subset of them.
pub(in crate::episode::recorder::capture_pass) trait PoolRunWriter {
    /// Whether this writer has the player's shard.
    fn has_shard_of(&self, player: &PoolHandle) -> bool;

    /// Begins a run whose first row is in cell `cell` of the block. Requires that
    /// [`has_shard_of`](Self::has_shard_of) is true for the player.
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run;

    fn push_run(&mut self, run: &Run, cells: &[u64]);
}

/// All shards, for a serial capture.
impl PoolRunWriter for PoolWriter {
    #[inline(always)]
    fn has_shard_of(&self, _: &PoolHandle) -> bool {
        true
    }

    #[inline(always)]
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.begin_run(player, cell)
    }

    #[inline(always)]
    fn push_run(&mut self, run: &Run, cells: &[u64]) {
        // An error means that the pool is closed, which only the drop of the recorder does.
        let _ = self.push_run(run, cells);
    }
}

/// The shards of one worker, for a parallel capture.
impl PoolRunWriter for PoolPart<'_> {
    #[inline(always)]
    fn has_shard_of(&self, player: &PoolHandle) -> bool {
        self.has(player)
    }

    #[inline(always)]
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.begin_run(player, cell)
    }

    #[inline(always)]
    fn push_run(&mut self, run: &Run, cells: &[u64]) {
        // As above.
        let _ = self.push_run(run, cells);
    }
}
