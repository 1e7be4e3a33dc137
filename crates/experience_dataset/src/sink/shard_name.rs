//! [`ShardName`]: the file name of a shard, `<run>-<index>.parquet`, parsed from text that a file or a folder holds.

use super::layout;
use core::fmt;
use experience_core::transition::RunId;
use std::path::{Path, PathBuf};

/// The file name of a shard.
///
/// Accounts and folders may hold any text: paths with `..`, absolute paths, drive letters, NUL. A path to a shard is made of
/// this type only, so text that is not the name of a shard never becomes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShardName {
    run: RunId,
    index: u32,
}

impl ShardName {
    pub(crate) fn new(run: RunId, index: u32) -> Self {
        Self { run, index }
    }

    /// Parses a file name. `None` unless it is exactly what [`Display`](fmt::Display) writes for a run and an index.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (run, index) = text.strip_suffix(layout::SHARD)?.split_once('-')?;
        let name = Self::new(layout::run(run)?, index.parse().ok()?);
        (name.to_string() == text).then_some(name)
    }

    /// The run that the shard belongs to.
    pub(crate) fn run(self) -> RunId {
        self.run
    }

    /// The number of the shard within its run.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// The file in the folder `recording`.
    pub(crate) fn path(self, recording: &Path) -> PathBuf {
        recording.join(layout::DATA).join(self.to_string())
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}{}", self.run, self.index, layout::SHARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_from_what_it_displays() {
        for (bits, index) in [(0, 0), (0x2a, 7), (u32::MAX, 99_999), (1, 100_000), (1, u32::MAX)] {
            let name = ShardName::new(RunId::from_bits(bits), index);
            assert_eq!(ShardName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn text_that_is_not_a_shard_name_is_refused() {
        let hostile = [
            "",
            ".",
            "..",
            "/",
            "../00000001-00000.parquet",
            "../../../victim.txt",
            "/etc/passwd",
            "/00000001-00000.parquet",
            "00000001-00000.parquet/",
            "00000001-00000.parquet/../x",
            "00000001/../../../precious.parquet",
            "00000001-../../x.parquet",
            "..\\00000001-00000.parquet",
            "C:00000001-00000.parquet",
            "C:\\00000001-00000.parquet",
            "\\\\host\\00000001-00000.parquet",
            "00000001-00000.parquet\0",
            "00000001-00000\0.parquet",
            "00000001-00000.parquet:stream",
            "00000001-00000.PARQUET",
            "0000000A-00000.parquet",
            "00000001-+0000.parquet",
            "00000001--0001.parquet",
            "00000001-0000.parquet",
            "00000001-000000.parquet",
            "00000001-99999999999.parquet",
            "+0000001-00000.parquet",
            "ffffffff-00000.parquet",
            " 00000001-00000.parquet",
            "00000001-00000.parquet ",
            "00000001-00000.parquet.",
            "00000001-00000.parquet.tmp",
            "000000\u{661}1-00000.parquet",
            "CON-00000.parquet",
        ];
        for text in hostile {
            assert_eq!(ShardName::parse(text), None, "{text:?}");
        }
    }
}
