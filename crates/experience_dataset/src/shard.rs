//! Reads a shard, a Parquet file of a recording, in small batches.

use super::{
    DatasetError,
    summary::{SUMMARY_KEY, ShardSummary},
};
use crate::{
    sink::{compaction::Compactions, encoding::is_own_writer, shard_name::ShardName},
    store::{shard_file::ShardFile, source},
};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use core::fmt::Display;
use experience_arrow::{
    SCHEMA_HASH_KEY,
    columns::{BatchColumns, ColumnError, ColumnId, check_columns, column_ids, conform},
};
use experience_core::schema::Schema;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
            RowSelection,
        },
    },
    file::statistics::Statistics,
};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Target size of a batch, in bytes of rows.
const BATCH_BYTES: usize = 4 << 20;
/// Maximum number of rows in a batch.
const BATCH_ROWS: usize = 8192;

/// An open shard whose schema was checked.
pub(super) struct ShardReader {
    schema: Arc<Schema>,
    path: PathBuf,
    file: ShardFile,
    metadata: ArrowReaderMetadata,
    /// The columns of the file, without its summary, which is not that of other rows.
    arrow: SchemaRef,
}

impl ShardReader {
    /// Opens the shard at `path`. Returns `None` if it was removed since its folder was listed, by retention or an erasure.
    ///
    /// # Errors
    /// If the shard was compacted since: its rows are in another one, which a reader of the old list would miss. If it cannot be
    /// read, is damaged or has another schema.
    pub(super) fn open(schema: &Arc<Schema>, path: &Path) -> Result<Option<Self>, DatasetError> {
        let file = match ShardFile::open(path) {
            // A link whose target is missing is an error.
            Err(_) if source::is_gone(path) => {
                return if is_compacted(path) {
                    Err(DatasetError::unsuitable(
                        path,
                        "another process has compacted it since the shards were listed; open the dataset again",
                    ))
                } else {
                    Ok(None)
                };
            }
            opened => opened.map_err(DatasetError::io("open", path))?,
        };
        let len = file.size().map_err(DatasetError::io("read", path))?;
        let metadata =
            catch_decoder_panic(path, || load_metadata(&file)).map_err(|error| store_error(&file, path, error))?;
        check_schema(schema, metadata.schema())
            .and_then(|()| check_list_lengths(schema, &metadata))
            .map_err(|reason| DatasetError::other_schema(path, reason))?;
        check_offsets(&metadata, len).map_err(|reason| DatasetError::damaged(path, reason))?;
        let arrow = without_summary(metadata.schema());
        Ok(Some(Self {
            schema: schema.clone(),
            path: path.to_owned(),
            file,
            metadata,
            arrow,
        }))
    }

    /// The program that wrote the file, and its version; empty if the file does not state it.
    pub(super) fn created_by(&self) -> &str {
        self.metadata
            .metadata()
            .file_metadata()
            .created_by()
            .unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The number of transitions in the shard.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The Arrow schema of the file, with columns that this crate does not know.
    pub(super) fn arrow_schema(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The summary in the footer. `None` if there is none, or if another program wrote the file: pyarrow keeps the metadata of a
    /// table whose rows were changed.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(super) fn summary(&self) -> Option<Result<ShardSummary, String>> {
        if !is_own_writer(self.created_by()) {
            return None;
        }
        let metadata = self.metadata.metadata().file_metadata().key_value_metadata()?;
        let text = metadata.iter().find(|entry| entry.key == SUMMARY_KEY)?.value.as_deref();
        ShardSummary::from_footer(&self.schema, self.rows(), text.unwrap_or_default()).transpose()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Reads a row group with every column of the file, in the types of the file.
    pub(super) fn row_group(&self, group: usize) -> Result<RawBatches, DatasetError> {
        let file = self.open_again()?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size((BATCH_BYTES / self.schema.layout().row_bytes()).clamp(1, BATCH_ROWS));
        RawBatches::new(&self.path, builder, self.open_again()?)
    }

    /// Reads `columns` of all rows, or of the rows in `selection`.
    pub(super) fn batches(
        &self,
        columns: &[ColumnId],
        selection: Option<RowSelection>,
    ) -> Result<ShardBatches, DatasetError> {
        let file = self.open_again()?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(ProjectionMask::roots(
                self.metadata.parquet_schema(),
                columns.iter().filter_map(|column| self.root(*column)),
            ))
            .with_batch_size((BATCH_BYTES / self.schema.layout().row_bytes()).clamp(1, BATCH_ROWS));
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        Ok(ShardBatches {
            schema: self.schema.clone(),
            columns: columns.to_vec(),
            batches: RawBatches::new(&self.path, builder, self.open_again()?)?,
        })
    }

    /// The columns `ids` of a batch, with the types of the schema.
    pub(super) fn conform(&self, ids: &[ColumnId], batch: &RecordBatch) -> Result<RecordBatch, DatasetError> {
        conform_batch(&self.path, &self.schema, ids, batch)
    }

    /// A typed view of a batch of [`batches`](Self::batches) or [`conform`](Self::conform).
    pub(super) fn columns<'a>(&'a self, batch: &'a RecordBatch) -> BatchColumns<'a> {
        BatchColumns::new(&self.schema, batch)
    }

    /// The columns that episodes are made of: all but `changed`, which follows from the observations.
    pub(super) fn episode_columns(&self) -> Vec<ColumnId> {
        column_ids(&self.schema)
            .into_iter()
            .filter(|column| *column != ColumnId::Changed)
            .collect()
    }

    /// The minimum and the maximum of a column of 64-bit integers, if the file has statistics of it.
    pub(super) fn bounds(&self, column: ColumnId) -> Option<(i64, i64)> {
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

    fn open_again(&self) -> Result<ShardFile, DatasetError> {
        self.file.try_clone().map_err(DatasetError::io("open", &self.path))
    }

    fn root(&self, column: ColumnId) -> Option<usize> {
        self.metadata.schema().index_of(&column.name(&self.schema)).ok()
    }
}

fn without_summary(schema: &SchemaRef) -> SchemaRef {
    if !schema.metadata().contains_key(SUMMARY_KEY) {
        return schema.clone();
    }
    let mut metadata = schema.metadata().clone();
    metadata.remove(SUMMARY_KEY);
    Arc::new(ArrowSchema::new_with_metadata(schema.fields().clone(), metadata))
}

/// Reads the footer of a file.
///
/// A column of categories in which each value is missing, as pandas writes it, is a dictionary of nulls, which the decoder cannot
/// read. It is read as a column of nulls.
fn load_metadata(file: &ShardFile) -> parquet::errors::Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(file, Default::default())?;
    let is_empty_dictionary = |field: &Field| match field.data_type() {
        DataType::Dictionary(_, values) => **values == DataType::Null,
        _ => false,
    };
    let schema = metadata.schema();
    if !schema.fields().iter().any(|field| is_empty_dictionary(field)) {
        return Ok(metadata);
    }
    let fields = schema.fields().iter().map(|field| match is_empty_dictionary(field) {
        true => Arc::new(field.as_ref().clone().with_data_type(DataType::Null)),
        false => field.clone(),
    });
    let schema = ArrowSchema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
}

/// Whether a shard that is not there was compacted.
fn is_compacted(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| ShardName::parse(name.to_str()?));
    let recording = path.parent().and_then(Path::parent);
    name.zip(recording).is_some_and(|(name, recording)| {
        Compactions::read(recording).is_ok_and(|compactions| compactions.has_replaced(name))
    })
}

/// Iterates over record batches of a shard, with the types of its schema.
pub(super) struct ShardBatches {
    schema: Arc<Schema>,
    columns: Vec<ColumnId>,
    batches: RawBatches,
}

impl Iterator for ShardBatches {
    type Item = Result<RecordBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(batch.and_then(|batch| conform_batch(&self.batches.path, &self.schema, &self.columns, &batch)))
    }
}

fn conform_batch(
    path: &Path,
    schema: &Schema,
    ids: &[ColumnId],
    batch: &RecordBatch,
) -> Result<RecordBatch, DatasetError> {
    conform(schema, ids, batch).map_err(|error| column_error(path, error))
}

pub(super) fn column_error(path: &Path, error: ColumnError) -> DatasetError {
    match error {
        ColumnError::Schema(reason) => DatasetError::other_schema(path, reason),
        ColumnError::Null(reason) => DatasetError::damaged(path, reason),
    }
}

/// Iterates over record batches of a shard, with the types of the file.
pub(super) struct RawBatches {
    path: PathBuf,
    file: ShardFile,
    /// `None` after an error or a panic.
    reader: Option<ParquetRecordBatchReader>,
}

impl RawBatches {
    fn new(
        path: &Path,
        builder: ParquetRecordBatchReaderBuilder<ShardFile>,
        file: ShardFile,
    ) -> Result<Self, DatasetError> {
        let built = catch_decoder_panic(path, || builder.build()).map_err(|error| store_error(&file, path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            reader: Some(built),
        })
    }
}

impl Iterator for RawBatches {
    type Item = Result<RecordBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let (reader, batch) = match catch_decoder_panic(&self.path, move || {
            reader.next().transpose().map(|batch| (reader, batch))
        }) {
            Ok((reader, batch)) => (reader, batch?),
            Err(error) => return Some(Err(store_error(&self.file, &self.path, error))),
        };
        self.reader = Some(reader);
        Some(Ok(batch))
    }
}

/// Calls the Parquet decoder, which panics on some damaged files instead of returning an error.
///
/// State of the decoder is unspecified after a panic, so the closure owns it and drops it.
fn catch_decoder_panic<T, E: Display>(path: &Path, decode: impl FnOnce() -> Result<T, E>) -> Result<T, DatasetError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| decode_error(path, error.to_string())),
        Err(_) => Err(DatasetError::damaged(path, "the decoder panicked")),
    }
}

/// The error of the store that was the reason of an error of a decoder, or that error.
fn store_error(file: &ShardFile, path: &Path, error: DatasetError) -> DatasetError {
    file.take_store_error().map_or(error, DatasetError::io("read", path))
}

/// The error of a decoder. An error of the system, such as too many open files, says nothing about the file.
///
/// The decoder converts errors of its reader to text, in which [`io::Error`] puts the number of the error last.
fn decode_error(path: &Path, reason: String) -> DatasetError {
    let number = reason
        .rsplit_once("(os error ")
        .and_then(|(_, number)| number.strip_suffix(')')?.parse().ok());
    match number.map(io::Error::from_raw_os_error) {
        Some(source) if source.kind() != io::ErrorKind::IsADirectory => DatasetError::io("read", path)(source),
        _ => DatasetError::damaged(path, reason),
    }
}

/// Checks that all column chunks lie within the file.
fn check_offsets(metadata: &ArrowReaderMetadata, len: u64) -> Result<(), String> {
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
            return Err("a column chunk lies outside the file".to_owned());
        }
    }
    Ok(())
}

/// Checks the length of the lists in columns whose type does not fix it, from the counts in the footer.
///
/// So a shard confirms the width of the schema's rows before a row is allocated.
fn check_list_lengths(schema: &Schema, metadata: &ArrowReaderMetadata) -> Result<(), String> {
    let descriptor = metadata.parquet_schema();
    for id in column_ids(schema) {
        let (name, expected) = (id.name(schema), id.read_type(schema));
        let (DataType::FixedSizeList(_, width), Ok(root)) = (&expected, metadata.schema().index_of(&name)) else {
            continue;
        };
        if matches!(metadata.schema().field(root).data_type(), DataType::FixedSizeList(..)) {
            continue;
        }
        let leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root);
        let chunks = leaves.flat_map(|leaf| {
            metadata
                .metadata()
                .row_groups()
                .iter()
                .map(move |group| group.columns().get(leaf))
        });
        let values = chunks
            .flatten()
            .fold(0_i64, |sum, chunk| sum.saturating_add(chunk.num_values()));
        let rows = metadata.metadata().file_metadata().num_rows();
        let most = rows.saturating_mul(i64::from(*width));
        // A row without a list counts as one value.
        if values > most || (values < most && id != ColumnId::NextObservation) {
            return Err(format!(
                "column `{name}` has {values} values in {rows} rows and should be {expected}"
            ));
        }
    }
    Ok(())
}

/// Checks that a shard has the columns of `schema`, and no other schema hash.
fn check_schema(schema: &Schema, found: &ArrowSchema) -> Result<(), String> {
    let hash = format!("{:016x}", schema.hash());
    if let Some(other) = found.metadata().get(SCHEMA_HASH_KEY)
        && *other != hash
    {
        return Err(format!(
            "it was written with the schema {other}, and the recording has {hash}"
        ));
    }
    check_columns(schema, &column_ids(schema), found)
}
