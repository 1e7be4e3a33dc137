//! Writes a shard of another writer again, so that all shards of a merged recording have one Arrow schema.

use crate::{
    DatasetError,
    shard::{ShardReader, column_error},
    sink::{ROW_GROUP_BYTES, encoding::ShardEncoding, partial},
};
use arrow_array::RecordBatch;
use arrow_schema::{Fields, Schema as ArrowSchema, SchemaRef};
use experience_arrow::BatchEncoder;
use experience_export::disk::atomic::AtomicFile;
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use std::{path::Path, sync::Arc};

/// Whether the first columns of the shard are those that `encoder` writes, in type and order.
pub(super) fn is_current(shard: &ShardReader, encoder: &BatchEncoder) -> bool {
    let (found, written) = (shard.arrow_schema().fields(), encoder.arrow_schema().fields());
    found.len() >= written.len() && found.iter().zip(written).all(|(found, written)| found == written)
}

/// Writes the rows of `shard` as `encoder` writes them to the shard `name` of the folder `recording`, which is not committed.
/// Columns that this crate does not know follow those that it knows.
pub(super) fn recode(
    shard: &ShardReader,
    encoder: &BatchEncoder,
    recording: &Path,
    name: &str,
) -> Result<AtomicFile, DatasetError> {
    let encode = |error: ParquetError| DatasetError::write(shard.path(), error);
    let schema = schema(shard, encoder);
    let properties = ShardEncoding::default().properties(&schema).map_err(encode)?;
    let partial = partial::path(recording, name);
    let file = partial::create(recording, name).map_err(DatasetError::io("create", &partial))?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(encode)?;
    for group in 0..shard.row_groups() {
        let mut bytes = 0;
        for batch in shard.row_group(group)? {
            let batch = recode_batch(shard, encoder, &schema, &batch?)?;
            bytes += batch.get_array_memory_size();
            if bytes > ROW_GROUP_BYTES {
                writer.flush().map_err(encode)?;
                bytes = batch.get_array_memory_size();
            }
            writer.write(&batch).map_err(encode)?;
        }
        writer.flush().map_err(encode)?;
    }
    let mut file = writer.into_inner().map_err(encode)?;
    file.close().map_err(DatasetError::io("write", &partial))?;
    Ok(file)
}

/// The columns of `encoder`, and then the others of the shard.
fn schema(shard: &ShardReader, encoder: &BatchEncoder) -> SchemaRef {
    let written = encoder.arrow_schema();
    let others = shard
        .arrow_schema()
        .fields()
        .iter()
        .filter(|field| written.index_of(field.name()).is_err());
    let fields: Fields = written.fields().iter().chain(others).cloned().collect();
    Arc::new(ArrowSchema::new_with_metadata(fields, written.metadata().clone()))
}

fn recode_batch(
    shard: &ShardReader,
    encoder: &BatchEncoder,
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, DatasetError> {
    let known = encoder
        .recode(batch)
        .map_err(|error| column_error(shard.path(), error))?;
    let others = schema.fields()[known.num_columns()..]
        .iter()
        .filter_map(|field| batch.column_by_name(field.name()));
    let columns = known.columns().iter().chain(others).cloned().collect();
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| DatasetError::write(shard.path(), error))
}
