//! The Parquet encoding and compression of a shard's columns.
//!
//! The cost of each choice was measured on an arena of 16 fighters (72,807 transitions, 39 features, rows of 264 bytes) and on
//! a board game (rows of 14.7 KB), on one of two shared x86-64 cores:
//!
//! ```text
//! EXPERIENCE_DATASET=data/arena cargo bench -p experience_dataset --features parquet/lz4,parquet/snap --bench encodings
//! ```
//!
//! Single columns of the arena, compressed with Zstandard's level 1, in bytes and nanoseconds per transition. The chosen
//! encoding is bold.
//!
//! | column | dictionary | plain | byte stream split | delta |
//! |---|---|---|---|---|
//! | `observation` | 93.80 B, 1048 ns | **84.73 B, 614 ns** | 90.76 B, 666 ns | |
//! | `action`, 5 values | 21.86 B, 211 ns | **13.28 B, 88 ns** | 13.80 B, 66 ns | |
//! | `action.intent.steer.x` | 4.30 B, 25 ns | **2.81 B, 10 ns** | 1.96 B, 8 ns | |
//! | `reward` | 0.05 B, 8 ns | **0.08 B, 4 ns** | 0.29 B, 10 ns | |
//! | `timestamp` | 1.24 B, 11 ns | **0.91 B, 5 ns** | 0.45 B, 10 ns | |
//! | `changed` | 1.23 B, 60 ns | **0.79 B, 39 ns** | 0.63 B, 42 ns | 2.34 B, 54 ns |
//! | `agent_id` | 0.02 B, 7 ns | 0.68 B, 20 ns | 0.02 B, 6 ns | **0.03 B, 5 ns** |
//! | `tick` | 0.77 B, 12 ns | 1.15 B, 20 ns | 0.05 B, 7 ns | **0.05 B, 6 ns** |
//! | `step` | 0.40 B, 13 ns | 0.20 B, 3 ns | 0.05 B, 4 ns | **0.05 B, 6 ns** |
//!
//! Byte stream split saves 1 % of a shard at best, and old readers do not support it. A dictionary of a board's planes takes
//! 46 bytes per step instead of 107, of 14.7 KB, and a third more time, which counts for more.
//!
//! Whole shards, all values plain:
//!
//! | compression | arena | board |
//! |---|---|---|
//! | none | 462 B, 0.93 µs | 16,723 B, 84 µs |
//! | Snappy | 258 B, 1.09 µs | 1,049 B, 59 µs |
//! | LZ4 | 248 B, 0.97 µs | 443 B, 58 µs |
//! | **Zstandard 1** | 199 B, 1.46 µs | 105 B, 48 µs |
//! | Zstandard 2 | 197 B, 2.20 µs | 104 B, 61 µs |
//! | Zstandard 3 | 196 B, 2.72 µs | 118 B, 45 µs |
//! | Zstandard 6 | 193 B, 5.16 µs | 99 B, 59 µs |
//! | Zstandard 9 | 192 B, 8.13 µs | 87 B, 61 µs |
//!
//! Pages of 64 KiB to 4 MiB and mini-batches of 1,024 to 65,536 values made no measurable difference.
//!
//! Images of RGB, as a share of their pixels, and the time per image of 84 × 84 to write and to read it from Python. The scenes
//! are those of a flat 2D game, of a textured and shaded ground that moves, and noise:
//!
//! | | flat | textured | noise | write | read |
//! |---|---|---|---|---|---|
//! | **binary, Zstandard 1** | 2.3 % | 70 % | 100 % | 0.4 ms | 0.4 ms |
//! | binary, Zstandard 3 | 2.3 % | 59 % | 100 % | 1.3 ms | 0.5 ms |
//! | fixed-size binary, Zstandard 1 | 2.3 % | 70 % | 100 % | 0.4 ms | 0.2 ms |
//! | list of `u8`, Zstandard 1 | 3.3 % | 89 % | 136 % | 5 ms | 5 ms |
//! | PNG, level 1 | 5.5 % | 57 % | 101 % | 10 ms | 4 ms |
//! | PNG, level 6 | 4.6 % | 56 % | 101 % | 11 ms | 3 ms |
//!
//! Zstandard sees what consecutive images have in common, and PNG does not. A binary can be null, which the image after a
//! transition is in all rows but the last of an episode.
//!
//! One thread encodes and compresses. With these choices it writes more steps per second than capture produces, and the other
//! cores are left to the game.

use arrow_schema::SchemaRef;
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{Compression, ConvertedType, Encoding as ValueEncoding, Type, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};

/// The program that writes shards, without its version.
const WRITER: &str = "bevy_experience ";

/// Whether this crate wrote a file.
pub(crate) fn is_own_writer(created_by: &str) -> bool {
    created_by.starts_with(WRITER)
}

/// The maximum number of rows of a row group, unless one episode has more.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 16;

/// The encoding of shards.
#[derive(Clone, Debug)]
pub(crate) struct ShardEncoding {
    pub(super) level: ZstdLevel,
    pub(super) row_group_rows: usize,
}

impl Default for ShardEncoding {
    fn default() -> Self {
        Self {
            level: ZstdLevel::default(),
            row_group_rows: ROW_GROUP_ROWS,
        }
    }
}

impl ShardEncoding {
    pub(crate) fn properties(&self, schema: &SchemaRef) -> Result<WriterProperties, ParquetError> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(self.level))
            .set_created_by(format!("{WRITER}{}", env!("CARGO_PKG_VERSION")))
            // `ShardEncoder` closes row groups.
            .set_max_row_group_row_count(None);
        for leaf in ArrowSchemaConverter::new().convert(schema)?.columns() {
            let path = leaf.path();
            // Images, whose bytes are no text. Equal ones are found by the compression.
            let is_image = leaf.physical_type() == Type::BYTE_ARRAY && leaf.converted_type() == ConvertedType::NONE;
            if leaf.physical_type() != Type::BYTE_ARRAY || is_image {
                properties = properties.set_column_dictionary_enabled(path.clone(), false);
            }
            if leaf.max_rep_level() > 0 || is_image {
                // No query filters by the minimum over all features or pixels of all rows.
                properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            } else if matches!(leaf.physical_type(), Type::INT32 | Type::INT64) {
                properties = properties.set_column_encoding(path.clone(), ValueEncoding::DELTA_BINARY_PACKED);
            }
        }
        Ok(properties.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_arrow::BatchEncoder;
    use experience_core::schema::{Column, ImageShape, Schema};

    #[test]
    fn each_kind_of_column_has_its_encoding() {
        let shape = ImageShape {
            height: 2,
            width: 2,
            channels: 3,
        };
        let schema = Schema::new("p")
            .with_observation(["x", "y"].map(Column::feature))
            .with_images([Column::image("eye", shape)])
            .with_reward_terms(["a"]);
        let encoder = BatchEncoder::new(schema.into_shared()).unwrap();
        let encoding = ShardEncoding {
            level: ZstdLevel::default(),
            row_group_rows: 1,
        };
        let properties = encoding.properties(encoder.arrow_schema()).unwrap();
        let parquet = ArrowSchemaConverter::new().convert(encoder.arrow_schema()).unwrap();
        let of = |name: &str| {
            let leaf = parquet.columns().iter().find(|leaf| leaf.path().parts()[0] == name);
            let path = leaf.unwrap().path();
            (
                properties.dictionary_enabled(path),
                properties.encoding(path),
                properties.statistics_enabled(path) != EnabledStatistics::None,
            )
        };
        for list in ["observation", "next_observation", "changed"] {
            assert_eq!(of(list), (false, None, false), "{list}");
        }
        for count in ["episode_id", "agent_id", "match_id", "tick", "step"] {
            assert_eq!(
                of(count),
                (false, Some(ValueEncoding::DELTA_BINARY_PACKED), true),
                "{count}"
            );
        }
        for fraction in ["timestamp", "reward", "reward.a"] {
            assert_eq!(of(fraction), (false, None, true), "{fraction}");
        }
        for image in ["observation.eye", "next_observation.eye"] {
            assert_eq!(of(image), (false, None, false), "{image}");
        }
        assert_eq!(of("end_reason"), (true, None, true));
    }
}
