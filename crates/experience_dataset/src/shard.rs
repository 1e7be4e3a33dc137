//! One Parquet file, read in small batches.

use super::DatasetError;
use crate::arrow::{Content, SCHEMA_HASH_KEY, content};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema as ArrowSchema, SchemaRef};
use core::fmt::Display;
use experience_core::schema::Schema;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection},
    },
    file::statistics::Statistics,
};
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// About how many bytes of rows are decoded at a time.
const BATCH_BYTES: usize = 4 << 20;
/// How many rows are decoded at a time at most.
const BATCH_ROWS: usize = 8192;

/// A shard whose columns are what they should be.
pub(super) struct Shard {
    schema: Arc<Schema>,
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl Shard {
    pub(super) fn open(schema: &Arc<Schema>, path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("open", path))?;
        let len = file.metadata().map_err(DatasetError::io("read", path))?.len();
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, Default::default()))?;
        check_columns(schema, metadata.schema()).map_err(|reason| DatasetError::damaged(path, reason))?;
        check_places(&metadata, len).map_err(|reason| DatasetError::damaged(path, reason))?;
        Ok(Self {
            schema: schema.clone(),
            path: path.to_owned(),
            file,
            metadata,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// How many transitions the shard holds.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The columns as they stand in the file, those that this crate does not know included.
    pub(super) fn arrow_schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The rows of a row group with every column of the file.
    pub(super) fn whole_group(&self, group: usize) -> Result<Batches, DatasetError> {
        let file = self.file.try_clone().map_err(DatasetError::io("open", &self.path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size((BATCH_BYTES / self.schema.layout().row_bytes()).clamp(1, BATCH_ROWS));
        Ok(Batches {
            path: self.path.clone(),
            reader: Some(guarded(&self.path, || builder.build())?),
        })
    }

    /// The rows of the shard, or those of `selection`, with the columns that hold `columns`.
    pub(super) fn batches(
        &self,
        columns: &[Content],
        selection: Option<RowSelection>,
    ) -> Result<Batches, DatasetError> {
        let file = self.file.try_clone().map_err(DatasetError::io("open", &self.path))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(ProjectionMask::roots(
                self.metadata.parquet_schema(),
                columns.iter().filter_map(|column| self.root(*column)),
            ))
            .with_batch_size((BATCH_BYTES / self.schema.layout().row_bytes()).clamp(1, BATCH_ROWS));
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        Ok(Batches {
            path: self.path.clone(),
            reader: Some(guarded(&self.path, || builder.build())?),
        })
    }

    /// All columns that an episode is made of.
    pub(super) fn all(&self) -> Vec<Content> {
        // What changed follows from the observations.
        content(&self.schema)
            .into_iter()
            .filter(|column| *column != Content::Changed)
            .collect()
    }

    /// The least and the greatest value of a column of 64-bit integers, where the file says so.
    pub(super) fn bounds(&self, column: Content) -> Option<(i64, i64)> {
        let root = self.root(column)?;
        let descriptor = self.metadata.parquet_schema();
        let leaf = (0..descriptor.num_columns()).find(|leaf| descriptor.get_column_root_idx(*leaf) == root)?;
        let groups = self.metadata.metadata().row_groups().iter();
        let of_group = groups.map(|group| match group.columns().get(leaf)?.statistics()? {
            Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
            _ => None,
        });
        of_group.reduce(|a, b| {
            let (a, b) = (a?, b?);
            Some((a.0.min(b.0), a.1.max(b.1)))
        })?
    }

    fn root(&self, column: Content) -> Option<usize> {
        self.metadata.schema().index_of(&column.name(&self.schema)).ok()
    }
}

/// The rows of a shard, a few thousand at a time.
pub(super) struct Batches {
    path: PathBuf,
    /// Gone once it has failed.
    reader: Option<ParquetRecordBatchReader>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let (reader, batch) = match guarded(&self.path, move || {
            reader.next().transpose().map(|batch| (reader, batch))
        }) {
            Ok((reader, batch)) => (reader, batch?),
            Err(error) => return Some(Err(error)),
        };
        self.reader = Some(reader);
        Some(Ok(batch))
    }
}

/// Calls the decoder, which panics over some kinds of damage where it should return an error.
///
/// What it was working on is moved into it, and lost with it: nothing half done is seen afterwards.
fn guarded<T, E: Display>(path: &Path, decode: impl FnOnce() -> Result<T, E>) -> Result<T, DatasetError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| DatasetError::damaged(path, error.to_string())),
        Err(_) => Err(DatasetError::damaged(path, "its encoding makes no sense")),
    }
}

/// Checks that every part of a shard lies inside the file.
fn check_places(metadata: &ArrowReaderMetadata, len: u64) -> Result<(), String> {
    for group in metadata.metadata().row_groups() {
        let chunks = group.columns().iter();
        let inside = chunks.map(|chunk| {
            let start = chunk
                .dictionary_page_offset()
                .unwrap_or(i64::MAX)
                .min(chunk.data_page_offset());
            let (start, size) = (u64::try_from(start).ok()?, u64::try_from(chunk.compressed_size()).ok()?);
            (start.checked_add(size)? <= len && chunk.num_values() >= 0).then_some(())
        });
        if group.num_rows() < 0 || inside.collect::<Option<()>>().is_none() {
            return Err("it names parts that lie outside the file".to_owned());
        }
    }
    Ok(())
}

/// Checks that a shard has the columns of `schema`. More columns do no harm.
fn check_columns(schema: &Schema, found: &ArrowSchema) -> Result<(), String> {
    let hash = format!("{:016x}", schema.hash());
    if let Some(other) = found.metadata().get(SCHEMA_HASH_KEY)
        && *other != hash
    {
        return Err(format!(
            "it was written with the schema {other}, and the recording has {hash}"
        ));
    }
    for column in content(schema) {
        let (name, expected) = (column.name(schema), column.data_type(schema));
        let field = found
            .field_with_name(&name)
            .map_err(|_| format!("it has no column `{name}`"))?;
        let same = same_type(field.data_type(), &expected)
            || (column == Content::EndReason && *field.data_type() == DataType::Utf8);
        if !same {
            return Err(format!(
                "column `{name}` is {} and should be {expected}",
                field.data_type()
            ));
        }
    }
    Ok(())
}

/// Whether two types are the same but for what items are called and whether they may be null.
fn same_type(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::FixedSizeList(a, n), DataType::FixedSizeList(b, m)) => {
            n == m && same_type(a.data_type(), b.data_type())
        }
        _ => a == b,
    }
}
