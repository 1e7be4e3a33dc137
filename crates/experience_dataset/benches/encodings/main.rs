//! Comparison of Parquet encodings and compressions: bytes and nanoseconds per transition, as two Markdown tables for each
//! workload.
//!
//! ```text
//! cargo bench -p experience_dataset --bench encodings    # about a minute
//! ```
//!
//! Compressions that the crate is built without are enabled by features of `parquet`:
//!
//! ```text
//! cargo bench -p experience_dataset --features parquet/lz4 --bench encodings
//! ```
//!
//! With `EXPERIENCE_DATASET=data/arena` the workload `arena` has the episodes of a recorded arena instead of generated ones.
//! Files are written to memory, and times are CPU time.
#![expect(clippy::print_stdout, reason = "the tables are the output")]

#[path = "../export/arena.rs"]
mod arena;
#[path = "../export/board.rs"]
mod board;
#[path = "../export/cpu_time.rs"]
mod cpu_time;
#[path = "../export/workload.rs"]
mod workload;

use arrow_array::RecordBatch;
use cpu_time::thread_cpu_time;
use experience_arrow::BatchEncoder;
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter},
    basic::{Compression, Encoding, Type, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnDescriptor,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// CPU time after which a measurement ends.
const MIN_TIME: Duration = Duration::from_millis(200);

/// Encodings of one column, with the same compression. `None` if the column's type does not support it.
const ENCODINGS: [(
    &str,
    fn(&ColumnDescriptor, WriterPropertiesBuilder) -> Option<WriterPropertiesBuilder>,
); 5] = [
    ("dictionary, statistics", |_, properties| Some(properties)),
    ("dictionary", |_, properties| Some(without_statistics(properties))),
    ("plain", |_, properties| {
        Some(without_statistics(properties).set_dictionary_enabled(false))
    }),
    ("byte stream split", |column, properties| {
        let splits = matches!(
            column.physical_type(),
            Type::FLOAT | Type::DOUBLE | Type::INT32 | Type::INT64
        );
        splits.then(|| encoded(properties, Encoding::BYTE_STREAM_SPLIT))
    }),
    ("delta", |column, properties| {
        let counts = matches!(column.physical_type(), Type::INT32 | Type::INT64);
        counts.then(|| encoded(properties, Encoding::DELTA_BINARY_PACKED))
    }),
];

fn without_statistics(properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    properties.set_statistics_enabled(EnabledStatistics::None)
}

fn encoded(properties: WriterPropertiesBuilder, encoding: Encoding) -> WriterPropertiesBuilder {
    without_statistics(properties)
        .set_dictionary_enabled(false)
        .set_encoding(encoding)
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("a valid level"))
}

/// Bytes of a shard of `batches`, and the mean CPU time of writing it.
fn write(batches: &[RecordBatch], properties: &WriterProperties) -> Result<(usize, Duration), ParquetError> {
    let start = thread_cpu_time();
    let mut times = 0;
    loop {
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties.clone()))?;
        for batch in batches {
            writer.write(batch)?;
        }
        let bytes = writer.into_inner()?.len();
        times += 1;
        let spent = thread_cpu_time() - start;
        if spent >= MIN_TIME {
            return Ok((bytes, spent / times));
        }
    }
}

fn cell(written: Result<(usize, Duration), ParquetError>, steps: usize) -> String {
    let steps = steps as f64;
    written.map_or_else(
        |_| "-".to_owned(),
        |(bytes, time)| {
            format!(
                "{:.2} B, {:.0} ns",
                bytes as f64 / steps,
                time.as_nanos() as f64 / steps
            )
        },
    )
}

fn print_columns(batches: &[RecordBatch], steps: usize) {
    let names: Vec<_> = ENCODINGS.iter().map(|(name, _)| *name).collect();
    println!(
        "| column | {} |\n|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (index, field) in batches[0].schema().fields().iter().enumerate() {
        let alone: Vec<_> = batches
            .iter()
            .map(|batch| batch.project(&[index]).expect("the column exists"))
            .collect();
        let parquet = ArrowSchemaConverter::new()
            .convert(&alone[0].schema())
            .expect("supported columns");
        let cells = ENCODINGS.map(|(_, encoding)| {
            let builder = WriterProperties::builder().set_compression(zstd(1));
            encoding(&parquet.column(0), builder).map_or_else(
                || "-".to_owned(),
                |builder| cell(write(&alone, &builder.build()), steps),
            )
        });
        println!("| `{}` | {} |", field.name(), cells.join(" | "));
    }
}

fn print_compressions(batches: &[RecordBatch], steps: usize) {
    let all = [
        ("none", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("lz4", Compression::LZ4_RAW),
        ("zstd 1", zstd(1)),
        ("zstd 2", zstd(2)),
        ("zstd 3", zstd(3)),
        ("zstd 6", zstd(6)),
        ("zstd 9", zstd(9)),
    ];
    println!("| compression | plain lists | plain everything |\n|---|---|---|");
    for (name, compression) in all {
        let properties = WriterProperties::builder().set_compression(compression).build();
        // The writer panics if a compression is not built in.
        let attempt = AssertUnwindSafe(|| write(&batches[..1], &properties).is_ok());
        if !catch_unwind(attempt).unwrap_or(false) {
            continue;
        }
        let lists = ArrowSchemaConverter::new()
            .convert(&batches[0].schema())
            .expect("supported columns");
        let builder = || without_statistics(WriterProperties::builder().set_compression(compression));
        let plain = lists.columns().iter().filter(|leaf| leaf.max_rep_level() > 0);
        let lists = plain.fold(builder(), |properties, leaf| {
            properties.set_column_dictionary_enabled(leaf.path().clone(), false)
        });
        let lists = cell(write(batches, &lists.build()), steps);
        let plain = cell(write(batches, &builder().set_dictionary_enabled(false).build()), steps);
        println!("| {name} | {lists} | {plain} |");
    }
}

fn main() {
    let arena = workload::Workload::of_dataset("fighter").unwrap_or_else(|| arena::play(7200));
    for (name, workload) in [("arena", arena), ("board", board::play(1000))] {
        let encoder = BatchEncoder::new(workload.schema.clone()).expect("a valid schema");
        let batches: Vec<_> = workload
            .episodes
            .chunks(16)
            .map(|episodes| encoder.encode(episodes).expect("episodes of the schema"))
            .collect();
        let steps = workload.len();
        println!(
            "\n## {name}: {steps} transitions, {} bytes of rows each\n",
            workload.bytes() / steps
        );
        print_columns(&batches, steps);
        println!();
        print_compressions(&batches, steps);
    }
}
