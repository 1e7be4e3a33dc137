//! Helper that writes a shard as another tool does.

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::{fs::File, path::Path};

/// Replaces a shard by one with the rows of `batch`.
pub fn overwrite(shard: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(shard).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}
