//! Writes a shard of another writer again, so that all shards of a merged recording have one Arrow schema.

use crate::{
    DatasetError,
    shard::ShardReader,
    shard_rewriter::{Recoder, ShardRewriter},
    sink::{FileChecksum, partial},
};
use experience_export::disk::atomic::AtomicFile;
use std::path::Path;

/// Writes the rows of `shard` as `recoder` converts them to the shard `name` of the folder `recording`, which is not committed.
pub(super) fn recode(
    shard: &ShardReader,
    recoder: &Recoder,
    recording: &Path,
    name: &str,
) -> Result<(AtomicFile, FileChecksum), DatasetError> {
    let partial = partial::path(recording, name);
    let file = partial::create(recording, name).map_err(DatasetError::io("create", &partial))?;
    let mut writer = ShardRewriter::new(shard.path(), file, shard.schema(), recoder.schema())?;
    for group in 0..shard.row_groups() {
        for batch in shard.row_group(group)? {
            let batch = recoder.recode(batch?)?;
            let bytes = batch.get_array_memory_size();
            if writer.would_exceed_row_group(batch.num_rows(), bytes) {
                writer.end_row_group()?;
            }
            writer.write(&batch, bytes)?;
        }
        writer.end_row_group()?;
    }
    writer.finish()
}
