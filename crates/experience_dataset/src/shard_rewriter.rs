//! Writes rows of shards to new shards, batch by batch, with all columns.
//!
//! Erasing, merging, filtering and compacting write shards with a [`ShardRewriter`]. Memory holds one batch and one row group.

use super::{
    DatasetError,
    shard::{ShardReader, column_error},
    summary::{SUMMARY_KEY, SummaryBuilder},
};
use crate::sink::{FileChecksum, ROW_GROUP_BYTES, ROW_GROUP_ROWS, encoding::ShardEncoding};
use arrow_array::RecordBatch;
use arrow_schema::{Fields, Schema as ArrowSchema, SchemaRef};
use experience_arrow::{
    BatchEncoder,
    columns::{BatchColumns, conform},
};
use experience_core::schema::Schema;
use experience_export::disk::atomic::AtomicFile;
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Writes batches to a shard.
pub(super) struct ShardRewriter {
    /// The path of the new shard, or of the one that it replaces, for errors.
    path: PathBuf,
    writer: ArrowWriter<AtomicFile>,
    /// The size of the open row group's columns before they were encoded, in bytes.
    group_bytes: usize,
    summary: Option<SummaryBuilder>,
    rows: u64,
}

impl ShardRewriter {
    /// A writer of transitions of `schema`, with the columns of `arrow`, to `file`. Errors name `path`.
    pub(super) fn new(
        path: &Path,
        file: AtomicFile,
        schema: &Arc<Schema>,
        arrow: &SchemaRef,
    ) -> Result<Self, DatasetError> {
        let properties = ShardEncoding::default().properties(arrow);
        let writer = properties
            .and_then(|properties| ArrowWriter::try_new(file, arrow.clone(), Some(properties)))
            .map_err(encoding_error(path))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            group_bytes: 0,
            summary: SummaryBuilder::for_footer(schema),
            rows: 0,
        })
    }

    /// The number of rows that were written.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Estimated size of the shard, in encoded bytes.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Whether `rows` more rows of `bytes` bytes would exceed the limits of the open row group.
    pub(super) fn would_exceed_row_group(&self, rows: usize, bytes: usize) -> bool {
        let before = self.writer.in_progress_rows();
        before + rows > ROW_GROUP_ROWS || self.group_bytes.saturating_add(bytes) > ROW_GROUP_BYTES
    }

    /// Appends a batch of `bytes` bytes to the open row group.
    pub(super) fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), DatasetError> {
        if let Some(summary) = &mut self.summary {
            let schema = summary.schema().clone();
            let read = conform(&schema, summary.columns(), batch).map_err(|error| column_error(&self.path, error))?;
            summary.add(BatchColumns::new(&schema, &read));
        }
        self.writer.write(batch).map_err(encoding_error(&self.path))?;
        self.group_bytes += bytes;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the row group, if it has rows.
    pub(super) fn end_row_group(&mut self) -> Result<(), DatasetError> {
        self.group_bytes = 0;
        if self.writer.in_progress_rows() == 0 {
            return Ok(());
        }
        self.writer.flush().map_err(encoding_error(&self.path))
    }

    /// Writes the footer, and syncs and closes the file, which is not committed. A recording may have more shards than a
    /// process may have open files.
    pub(super) fn finish(mut self) -> Result<(AtomicFile, FileChecksum), DatasetError> {
        if let Some(summary) = self.summary.as_ref().and_then(SummaryBuilder::to_footer) {
            self.writer
                .append_key_value_metadata(KeyValue::new(SUMMARY_KEY.to_owned(), summary));
        }
        let path = self.path;
        let mut file = self.writer.into_inner().map_err(encoding_error(&path))?;
        file.close().map_err(DatasetError::io("write", &path))?;
        let checksum = FileChecksum::of(&file);
        Ok((file, checksum))
    }
}

fn encoding_error(path: &Path) -> impl FnOnce(ParquetError) -> DatasetError {
    move |error| DatasetError::write(path, error)
}

/// Gives batches of shards that other tools or earlier versions have written the columns of a [`BatchEncoder`], because loaders
/// fail if the Arrow schema differs between two shards.
pub(super) struct Recoder<'a> {
    encoder: &'a BatchEncoder,
    shard: &'a ShardReader,
    schema: SchemaRef,
    is_current: bool,
}

impl<'a> Recoder<'a> {
    pub(super) fn new(shard: &'a ShardReader, encoder: &'a BatchEncoder) -> Self {
        let (found, written) = (shard.arrow_schema(), encoder.arrow_schema());
        let is_current = found.fields().len() >= written.fields().len()
            && found.fields().iter().zip(written.fields()).all(|(a, b)| a == b);
        // The columns of the encoder, and then the others of the shard.
        let others = found
            .fields()
            .iter()
            .filter(|field| written.index_of(field.name()).is_err());
        let fields: Fields = written.fields().iter().chain(others).cloned().collect();
        Self {
            encoder,
            shard,
            schema: Arc::new(ArrowSchema::new_with_metadata(fields, written.metadata().clone())),
            is_current,
        }
    }

    /// Whether the first columns of the shard are those that the encoder writes, in type and order.
    pub(super) fn is_current(&self) -> bool {
        self.is_current
    }

    /// The columns that [`recode`](Self::recode) returns. Columns that this crate does not know follow those that it knows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Converts a batch of [`ShardReader::row_group`].
    pub(super) fn recode(&self, batch: RecordBatch) -> Result<RecordBatch, DatasetError> {
        let path = self.shard.path();
        let columns = if self.is_current {
            batch.columns().to_vec()
        } else {
            let known = self.encoder.recode(&batch).map_err(|error| column_error(path, error))?;
            let others = self.schema.fields()[known.num_columns()..]
                .iter()
                .filter_map(|field| batch.column_by_name(field.name()));
            known.columns().iter().chain(others).cloned().collect()
        };
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| DatasetError::write(path, error))
    }
}
