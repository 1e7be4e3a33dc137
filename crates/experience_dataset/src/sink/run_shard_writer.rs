//! Writer of one run's episodes into shards of bounded size.

use super::{
    batches::batches, encoding::ShardEncoding, shard::ShardEncoder, shard_account::ShardAccount, shard_name::ShardName,
};
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::SinkError;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A shard is committed when it has about this many bytes. Data loaders are fastest with few large files.
pub(crate) const SHARD_BYTES: usize = 128 << 20;

/// Writes episodes of one run into shards, and stops at the first error.
pub(crate) struct RunShardWriter {
    /// The folder of the recording.
    recording: PathBuf,
    run: RunId,
    encoder: BatchEncoder,
    next_index: u32,
    open: Option<ShardEncoder>,
    committed: Vec<ShardAccount>,
}

impl RunShardWriter {
    /// A writer into the folder `recording`, whose first shard has the index `next_index`.
    pub(crate) fn new(recording: &Path, schema: &Arc<Schema>, run: RunId, next_index: u32) -> Result<Self, SinkError> {
        Ok(Self {
            recording: recording.to_owned(),
            run,
            encoder: BatchEncoder::new(schema.clone())?,
            next_index,
            open: None,
            committed: Vec::new(),
        })
    }

    /// Appends `episodes`, and commits the shard if it is full.
    pub(crate) fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.encoder.accepts(episodes)?;
        for slices in batches(episodes) {
            let batch = self.encoder.encode_slices(&slices)?;
            let shard = match &mut self.open {
                Some(shard) => shard,
                None => {
                    let name = ShardName::new(self.run, self.next_index).to_string();
                    self.next_index = self.next_index.saturating_add(1);
                    self.open.insert(ShardEncoder::create(
                        &self.recording,
                        name,
                        &self.encoder,
                        ShardEncoding::default(),
                    )?)
                }
            };
            shard.write(&batch, &slices)?;
            shard.drain()?;
        }
        if self.open.as_ref().is_some_and(|shard| shard.bytes() >= SHARD_BYTES) {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        if let Some(shard) = self.open.take() {
            self.committed.push(shard.finish()?.commit()?);
        }
        Ok(())
    }

    /// Commits the last shard. Returns all shards that were committed.
    pub(crate) fn finish(mut self) -> Result<Vec<ShardAccount>, SinkError> {
        self.commit()?;
        Ok(self.committed)
    }
}
