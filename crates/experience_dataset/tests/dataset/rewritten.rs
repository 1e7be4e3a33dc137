//! Helpers for shards that were written again.

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use std::{fs::File, path::Path};

/// Replaces a shard by one with the rows of `batch`.
pub fn overwrite(shard: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(shard).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The schema of a shard as it is in its columns: the summary of its rows, in the metadata of the footer, is left out.
pub fn without_summary(schema: &Schema) -> Schema {
    let mut metadata = schema.metadata().clone();
    assert!(metadata.remove("bevy_experience.summary").is_some());
    schema.clone().with_metadata(metadata)
}
