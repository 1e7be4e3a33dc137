//! The sinks that write datasets, and the files of a dataset.
//!
//! [`DatasetSink`] writes the shards of a run with a [`writer`], and [`JournalSink`] its segments with a [`segment_writer`].
//! [`recovery`] finishes the runs of dead processes, and writes shards from segments. [`layout`] names the files. The
//! documentation of the crate describes them.

mod account;
#[cfg(feature = "parquet")]
mod batches;
pub(crate) mod card;
pub(crate) mod checksum;
#[cfg(feature = "parquet")]
pub(crate) mod compaction;
#[cfg(feature = "parquet")]
mod dataset_sink;
#[cfg(feature = "parquet")]
pub(crate) mod encoding;
pub(crate) mod experience;
pub(crate) mod files;
mod folder_claim;
mod journal_sink;
pub(crate) mod layout;
mod liveness;
pub(crate) mod lock;
#[cfg(feature = "parquet")]
pub(crate) mod partial;
#[cfg(feature = "parquet")]
pub(crate) mod read;
pub(crate) mod recording_folder;
#[cfg(feature = "parquet")]
pub(crate) mod recovery;
mod retention;
mod retired_episodes;
mod run_id;
#[cfg(feature = "parquet")]
pub(crate) mod run_shard_writer;
mod run_start;
mod segment_account;
pub(crate) mod segment_episodes;
mod segment_ranges;
mod segment_writer;
#[cfg(feature = "parquet")]
mod shard;
mod shard_account;
#[cfg(feature = "parquet")]
mod shard_file;
pub(crate) mod shard_name;
pub(crate) mod tag_file;
#[cfg(feature = "parquet")]
mod writer;

pub use account::{AgentCounts, Filtered, Retired, RunAccount, RunStatus};
pub use checksum::FileChecksum;
#[cfg(feature = "parquet")]
pub use dataset_sink::DatasetSink;
#[cfg(feature = "parquet")]
pub(crate) use encoding::ROW_GROUP_ROWS;
pub use journal_sink::JournalSink;
#[cfg(feature = "parquet")]
pub use recovery::{RecoveredRun, Recovery};
pub use segment_account::SegmentAccount;
#[cfg(feature = "parquet")]
pub(crate) use shard::ROW_GROUP_BYTES;
pub use shard_account::ShardAccount;

/// What to do if the recording's folder holds another schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemaMismatch {
    /// Write to a sibling folder with the schema's hash in its name.
    Sibling,
    /// Return an error.
    Refuse,
}
