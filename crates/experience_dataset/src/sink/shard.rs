//! One Parquet file: whole episodes, visible to readers when it is finished and not before.

use super::{encoding::Encoding, files::failed, spool::Spool};
use crate::arrow::Part;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use experience_export::{SinkError, disk};
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A row group is closed early when it holds more than this many encoded bytes, so that rows of images stay bounded.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// A finished shard, as the account of its run names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardAccount {
    /// The name of the file in the recording's `data` folder.
    pub file: String,
    /// Whole episodes in it.
    pub episodes: u64,
    /// Their transitions, one row each.
    pub transitions: u64,
}

/// A shard that takes episodes.
pub(super) struct OpenShard {
    writer: ArrowWriter<Spool>,
    encoding: Encoding,
    opened: Instant,
    unfinished: PathBuf,
    path: PathBuf,
    account: ShardAccount,
}

impl OpenShard {
    /// Begins the shard `name` in `folder`, beside where it will stand.
    pub(super) fn create(
        folder: &Path,
        name: String,
        schema: &SchemaRef,
        encoding: Encoding,
    ) -> Result<Self, SinkError> {
        let path = folder.join(&name);
        let unfinished = folder.join(format!("{name}.tmp"));
        let spool = Spool::create(&unfinished).map_err(failed("create", &unfinished))?;
        let begun = encoding
            .properties(schema)
            .and_then(|properties| ArrowWriter::try_new(spool, schema.clone(), Some(properties)));
        Ok(Self {
            writer: begun.map_err(|error| {
                disk::remove_unfinished(&unfinished);
                encoder_failed(&path, &error)
            })?,
            encoding,
            opened: Instant::now(),
            unfinished,
            path,
            account: ShardAccount {
                file: name,
                episodes: 0,
                transitions: 0,
            },
        })
    }

    /// Takes the batch of these parts of episodes. Whoever begins an episode goes on until its end.
    pub(super) fn write(&mut self, batch: &RecordBatch, parts: &[Part<'_>]) -> Result<(), SinkError> {
        let begun = parts.iter().filter(|part| part.steps.start == 0);
        let episodes = begun.clone().count();
        if episodes > 0 {
            // Whole episodes, however long: none is divided between two row groups.
            self.make_room(begun.map(|part| part.episode.len()).sum())?;
        }
        self.writer
            .write(batch)
            .map_err(|error| encoder_failed(&self.path, &error))?;
        self.account.episodes += episodes as u64;
        self.account.transitions += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the row group where so many more rows are too many for it.
    fn make_room(&mut self, more: usize) -> Result<(), SinkError> {
        let rows = self.writer.in_progress_rows();
        let full = rows + more > self.encoding.row_group_rows;
        if rows > 0 && (full || self.writer.in_progress_size() > ROW_GROUP_BYTES) {
            self.writer
                .flush()
                .map_err(|error| encoder_failed(&self.path, &error))?;
        }
        Ok(())
    }

    /// Brings to the disk what is encoded so far.
    pub(super) fn drain(&mut self) -> Result<(), SinkError> {
        self.writer
            .inner_mut()
            .drain()
            .map_err(failed("write to", &self.unfinished))
    }

    /// Encoded bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub(super) fn episodes(&self) -> u64 {
        self.account.episodes
    }

    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Takes no more episodes.
    pub(super) fn finish(self) -> Result<FinishedShard, SinkError> {
        let spool = self
            .writer
            .into_inner()
            .map_err(|error| encoder_failed(&self.path, &error))?;
        Ok(FinishedShard {
            spool,
            unfinished: self.unfinished,
            path: self.path,
            account: self.account,
        })
    }
}

/// A shard that is whole, and still on its way to its place.
pub(super) struct FinishedShard {
    spool: Spool,
    unfinished: PathBuf,
    path: PathBuf,
    account: ShardAccount,
}

impl FinishedShard {
    /// Brings the shard to its place, where readers see it. It can be tried again.
    pub(super) fn land(&mut self) -> Result<ShardAccount, SinkError> {
        self.spool.sync().map_err(failed("write to", &self.unfinished))?;
        disk::rename(&self.unfinished, &self.path).map_err(failed("rename", &self.unfinished))?;
        if let Some(folder) = self.path.parent() {
            disk::sync_folder(folder);
        }
        Ok(self.account.clone())
    }

    pub(super) fn transitions(&self) -> u64 {
        self.account.transitions
    }
}

/// The encoder writes to memory, so what it says is no trouble with the disk.
fn encoder_failed(path: &Path, error: &ParquetError) -> SinkError {
    SinkError::Other(format!("cannot encode `{}`: {error}", path.display()))
}
