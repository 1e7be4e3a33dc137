//! Dataset.
/// Placeholder.
#[derive(Debug)]
pub struct DatasetSink;
