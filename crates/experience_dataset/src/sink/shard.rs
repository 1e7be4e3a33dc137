//! Writer of one shard: a Parquet file of whole episodes, visible to readers when it is complete.

use super::{
    encoding::ShardEncoding, files::io_error, layout, partial, shard_account::ShardAccount, shard_file::ShardFile,
};
use crate::summary::{SUMMARY_KEY, SummaryBuilder};
use arrow_array::RecordBatch;
use experience_arrow::{BatchEncoder, EpisodeSlice, columns::BatchColumns};
use experience_export::SinkError;
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The maximum size of a row group's columns before they are encoded, in bytes, unless one batch is larger.
///
/// Readers decode a whole row group to read its first row, and some hold it several times.
pub(crate) const ROW_GROUP_BYTES: usize = 32 << 20;

/// Encodes episodes into a shard.
pub(super) struct ShardEncoder {
    writer: ArrowWriter<ShardFile>,
    encoding: ShardEncoding,
    /// The size of the open row group's columns before they were encoded, in bytes.
    group_bytes: usize,
    summary: Option<SummaryBuilder>,
    opened: Instant,
    path: PathBuf,
    account: ShardAccount,
}

impl ShardEncoder {
    /// Begins the shard `name` of the folder `recording`, for batches of `encoder`.
    pub(super) fn create(
        recording: &Path,
        name: String,
        encoder: &BatchEncoder,
        encoding: ShardEncoding,
    ) -> Result<Self, SinkError> {
        let path = recording.join(layout::DATA).join(&name);
        let file = partial::create(recording, &name).map_err(io_error("create", &partial::path(recording, &name)))?;
        let writer = encoding
            .properties(encoder.arrow_schema())
            .and_then(|properties| {
                ArrowWriter::try_new(ShardFile::new(file), encoder.arrow_schema().clone(), Some(properties))
            })
            .map_err(|error| encoding_error(&path, &error))?;
        Ok(Self {
            writer,
            encoding,
            group_bytes: 0,
            summary: SummaryBuilder::for_footer(encoder.schema()),
            opened: Instant::now(),
            path,
            account: ShardAccount {
                file: name,
                episodes: 0,
                transitions: 0,
                checksum: None,
                committed: None,
            },
        })
    }

    /// Encodes `batch`, which holds `slices`. An episode is written from its first slice to its last before the next begins.
    pub(super) fn write(&mut self, batch: &RecordBatch, slices: &[EpisodeSlice<'_>]) -> Result<(), SinkError> {
        let first_slices = slices.iter().filter(|slice| slice.steps.start == 0);
        let episodes = first_slices.clone().count();
        let bytes = batch.get_array_memory_size();
        // Episodes are counted with all of their rows, so that a row group ends between two of them. One that is larger than
        // the limit is divided.
        let rows = first_slices.map(|slice| slice.episode.len()).sum();
        let whole = rows * bytes / batch.num_rows().max(1);
        self.close_full_row_group(rows, whole.max(bytes))?;
        self.writer
            .write(batch)
            .map_err(|error| encoding_error(&self.path, &error))?;
        if let Some(summary) = &mut self.summary {
            let schema = summary.schema().clone();
            summary.add(BatchColumns::new(&schema, batch));
        }
        self.group_bytes += bytes;
        self.account.episodes += episodes as u64;
        self.account.transitions += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the row group if `rows` more rows of new episodes, or `bytes` more bytes, would exceed its limits.
    fn close_full_row_group(&mut self, rows: usize, bytes: usize) -> Result<(), SinkError> {
        let before = self.writer.in_progress_rows();
        let is_full = (rows > 0 && before + rows > self.encoding.row_group_rows)
            || self.group_bytes.saturating_add(bytes) > ROW_GROUP_BYTES;
        if before > 0 && is_full {
            self.writer
                .flush()
                .map_err(|error| encoding_error(&self.path, &error))?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// Writes to the disk what is encoded so far. May be called again after an error.
    pub(super) fn drain(&mut self) -> Result<(), SinkError> {
        self.writer
            .inner_mut()
            .drain()
            .map_err(io_error("write to", &self.path))
    }

    /// Estimated size of the shard, in encoded bytes.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub(super) fn episodes(&self) -> u64 {
        self.account.episodes
    }

    pub(super) fn transitions(&self) -> u64 {
        self.account.transitions
    }

    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Encodes the footer.
    pub(super) fn finish(mut self) -> Result<FinishedShard, SinkError> {
        if let Some(summary) = self.summary.as_ref().and_then(SummaryBuilder::to_footer) {
            self.writer
                .append_key_value_metadata(KeyValue::new(SUMMARY_KEY.to_owned(), summary));
        }
        let file = self
            .writer
            .into_inner()
            .map_err(|error| encoding_error(&self.path, &error))?;
        Ok(FinishedShard {
            file,
            path: self.path,
            account: self.account,
        })
    }
}

/// A shard that is completely encoded and not yet committed.
pub(super) struct FinishedShard {
    file: ShardFile,
    path: PathBuf,
    account: ShardAccount,
}

impl FinishedShard {
    /// Makes the shard durable and visible to readers. May be called again after an error, but for [`SinkError::Lost`].
    pub(super) fn commit(&mut self) -> Result<ShardAccount, SinkError> {
        match self.file.commit() {
            Ok(()) => Ok(ShardAccount {
                checksum: Some(self.file.checksum()),
                ..self.account.clone()
            }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SinkError::Lost {
                path: self.path.clone(),
                reason: error.to_string(),
            }),
            Err(error) => Err(io_error("write", &self.path)(error)),
        }
    }

    pub(super) fn transitions(&self) -> u64 {
        self.account.transitions
    }

    pub(super) fn episodes(&self) -> u64 {
        self.account.episodes
    }
}

/// The encoder writes to memory, so its errors are none of the disk.
fn encoding_error(path: &Path, error: &ParquetError) -> SinkError {
    SinkError::Other(format!("cannot encode `{}`: {error}", path.display()))
}
