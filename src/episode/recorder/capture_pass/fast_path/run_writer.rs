//! Writers of runs: rows of neighbours that go to one shard of the pool in one copy.

use experience_buffer::pool::{PoolHandle, PoolPart, PoolWriter, Run};

/// Writes runs to the shards of a pool, or to some of them.
pub(in crate::episode::recorder::capture_pass) trait RunWriter {
    /// Whether the player's shard is one of this writer's.
    fn has_shard_of(&self, player: &PoolHandle) -> bool;

    /// Begins a run whose first row is in cell `cell` of the block. Only for a player for whom
    /// [`has_shard_of`](Self::has_shard_of) is true.
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run;

    fn push_run(&mut self, run: &Run, cells: &[u64]);
}

/// All shards: a capture by one thread.
impl RunWriter for PoolWriter {
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

/// The shards of one worker of a parallel capture.
impl RunWriter for PoolPart<'_> {
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
