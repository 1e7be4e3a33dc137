//! What each way to encode a shard costs: bytes and nanoseconds a transition, as two Markdown tables for each workload.
//!
//! ```text
//! cargo bench --bench encodings    # about a minute
//! ```
//!
//! Compressions that the crate is not built with come with features of the Parquet writer:
//!
//! ```text
//! cargo bench -p bevy_experience --no-default-features --features dataset,parquet/lz4,parquet/snap --bench encodings
//! ```
//!
//! `EXPERIENCE_DATASET=data/arena` takes the episodes of a recorded arena in place of made up ones. Nothing is written to
//! a disk, and only the time on a processor counts.
#![expect(clippy::print_stdout, reason = "tables are what this is for")]

#[path = "../export/arena.rs"]
mod arena;
#[path = "../export/board.rs"]
mod board;
#[path = "../export/clock.rs"]
mod clock;
#[path = "../export/lives.rs"]
mod lives;

use arrow_array::RecordBatch;
use clock::clock;
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

/// How long each is tried.
const ENOUGH: Duration = Duration::from_millis(200);

/// The ways to encode one column, the compression being the same.
const WAYS: [(
    &str,
    fn(&ColumnDescriptor, WriterPropertiesBuilder) -> Option<WriterPropertiesBuilder>,
); 5] = [
    ("dictionary, statistics", |_, properties| Some(properties)),
    ("dictionary", |_, properties| Some(bare(properties))),
    ("plain", |_, properties| {
        Some(bare(properties).set_dictionary_enabled(false))
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

fn bare(properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    properties.set_statistics_enabled(EnabledStatistics::None)
}

fn encoded(properties: WriterPropertiesBuilder, encoding: Encoding) -> WriterPropertiesBuilder {
    bare(properties).set_dictionary_enabled(false).set_encoding(encoding)
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("there is such a level"))
}

/// Bytes of a shard of these batches, and the time that it took.
fn write(batches: &[RecordBatch], properties: &WriterProperties) -> Result<(usize, Duration), ParquetError> {
    let start = clock();
    let mut times = 0;
    loop {
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties.clone()))?;
        for batch in batches {
            writer.write(batch)?;
        }
        let bytes = writer.into_inner()?.len();
        times += 1;
        let spent = clock() - start;
        if spent >= ENOUGH {
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

fn columns(batches: &[RecordBatch], steps: usize) {
    let names: Vec<_> = WAYS.iter().map(|(name, _)| *name).collect();
    println!(
        "| column | {} |\n|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (index, field) in batches[0].schema().fields().iter().enumerate() {
        let alone: Vec<_> = batches
            .iter()
            .map(|batch| batch.project(&[index]).expect("it has this column"))
            .collect();
        let parquet = ArrowSchemaConverter::new()
            .convert(&alone[0].schema())
            .expect("columns that it knows");
        let cells = WAYS.map(|(_, way)| {
            let builder = WriterProperties::builder().set_compression(zstd(1));
            way(&parquet.column(0), builder).map_or_else(
                || "-".to_owned(),
                |builder| cell(write(&alone, &builder.build()), steps),
            )
        });
        println!("| `{}` | {} |", field.name(), cells.join(" | "));
    }
}

fn compressions(batches: &[RecordBatch], steps: usize) {
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
        // The writer panics where a compression is not built in.
        let known = AssertUnwindSafe(|| write(&batches[..1], &properties).is_ok());
        if !catch_unwind(known).unwrap_or(false) {
            continue;
        }
        let lists = ArrowSchemaConverter::new()
            .convert(&batches[0].schema())
            .expect("columns that it knows");
        let builder = || bare(WriterProperties::builder().set_compression(compression));
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
    let arena = lives::Lives::of_dataset("fighter").unwrap_or_else(|| arena::play(7200));
    for (name, lives) in [("arena", arena), ("board", board::play(1000))] {
        let encoder = BatchEncoder::new(lives.schema.clone()).expect("it has columns");
        let batches: Vec<_> = lives
            .episodes
            .chunks(16)
            .map(|episodes| encoder.encode(episodes).expect("its own episodes"))
            .collect();
        let steps = lives.len();
        println!(
            "\n## {name}: {steps} transitions, {} bytes of rows each\n",
            lives.bytes() / steps
        );
        columns(&batches, steps);
        println!();
        compressions(&batches, steps);
    }
}
