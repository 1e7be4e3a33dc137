//! Reads columns of a finished shard.

use experience_arrow::columns::{BatchColumns, ColumnError, ColumnId, check_columns, conform};
use experience_core::schema::Schema;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{fs::File, path::Path};

/// Calls `visit` with each batch of the columns `ids` of the shard at `path`, after it has checked their types.
pub(crate) fn for_each_batch(
    path: &Path,
    schema: &Schema,
    ids: &[ColumnId],
    mut visit: impl FnMut(BatchColumns<'_>),
) -> Result<(), Box<dyn core::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    check_columns(schema, ids, builder.schema())?;
    let names: Vec<String> = ids.iter().map(|id| id.name(schema)).collect();
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(String::as_str));
    for batch in builder.with_projection(mask).build()? {
        let batch = conform(schema, ids, &batch?).map_err(|error| match error {
            ColumnError::Schema(reason) | ColumnError::Null(reason) => reason,
        })?;
        visit(BatchColumns::new(schema, &batch));
    }
    Ok(())
}
