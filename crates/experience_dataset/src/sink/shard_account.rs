//! [`ShardAccount`]: a finished shard in the account of its run.

use super::{checksum::FileChecksum, shard_name::ShardName};
use experience_core::transition::RunId;
use serde::{Deserialize, Serialize};

/// A finished shard, as the account of its run lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardAccount {
    /// The name of the file in the recording's `data` folder.
    pub file: String,
    /// Whole episodes in it.
    pub episodes: u64,
    /// Their transitions, one row each.
    pub transitions: u64,
    /// The checksum of the file; `None` in accounts that version 0.1.0 wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<FileChecksum>,
    /// When it was committed, in milliseconds since 1970 (UTC), by a clock that never goes back: not before another shard of
    /// the recording that its run knew of. `None` in accounts that version 0.1.0 wrote, and for shards that a tool wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<u64>,
}

impl ShardAccount {
    /// The name of the shard. `None` if [`file`](Self::file), which any program may have written, is not that of a shard of
    /// `run`.
    pub(crate) fn name(&self, run: RunId) -> Option<ShardName> {
        ShardName::parse(&self.file).filter(|name| name.run() == run)
    }
}
