//! [`BufferError`]: settings that cannot be met, memory that cannot be allocated, and files that cannot be created.

use super::BufferKind;
use std::path::PathBuf;

/// What to do where no file can be created.
const FILE_REMEDY: &str = if cfg!(target_family = "wasm") {
    "there are no files here, so use `Memory::Heap`"
} else {
    "choose another folder, or free disk space"
};

/// The buffer is closed, and refuses pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is closed: its player left, or recording ended")]
pub struct Closed;

/// Error of creating a buffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// The capacity is 0.
    #[error("a buffer of 0 rows holds nothing: give it a capacity of at least 1")]
    ZeroCapacity,
    /// The width of a row is 0.
    #[error("rows of 0 words hold nothing: give the schema at least one column")]
    ZeroWidth,
    /// The buffer does not fit in the address space.
    #[error("a buffer of {rows} rows of {words} words is larger than the address space: give it a smaller capacity")]
    TooLarge {
        /// The capacity in rows.
        rows: usize,
        /// Words of a row.
        words: usize,
    },
    /// The rows have no header, by which a pool identifies players.
    #[error("a pool's rows begin with a `StepHeader` of 8 words, and these have {words} words in all")]
    NoHeader {
        /// Words of a row.
        words: usize,
    },
    /// The shards of a pool are too small for a row.
    #[error(
        "a pool of {bytes} bytes is too small for a row in each shard: give it at least {needed} bytes, or fewer shards"
    )]
    SmallPool {
        /// Bytes of the pool.
        bytes: usize,
        /// The minimum.
        needed: usize,
    },
    /// The map of players already has a pool.
    #[error("the players already share a pool: create one pool for each recording")]
    SecondPool,
    /// The rows are of another schema.
    #[error(
        "the schema's rows are {wanted} words wide and the buffer's {found}: use the schema and the buffers of one recording"
    )]
    OtherRows {
        /// Words of a row of the schema.
        wanted: usize,
        /// Words of a row of the buffer.
        found: usize,
    },
    /// The kind of buffer does not support the kind of memory.
    #[error(
        "a buffer of the kind `{kind:?}` does not support {memory}: rings support all memory, queues all but files, every kind the \
         heap, and huge pages are for rings and queues outside of files"
    )]
    UnsupportedMemory {
        /// The kind of buffer.
        kind: BufferKind,
        /// The memory that it does not support.
        memory: &'static str,
    },
    /// The file of the buffer cannot be created.
    #[error("no buffer can be created in the folder `{}`: {reason}; {FILE_REMEDY}", folder.display())]
    File {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        reason: String,
    },
    /// The memory budget is exhausted.
    #[error(
        "a buffer of {bytes} bytes does not fit the memory budget, of which {left} of {limit} bytes are left: give it more \
         (`ExperiencePlugin::memory_budget`), or each buffer a smaller capacity"
    )]
    OverBudget {
        /// Bytes of the buffer.
        bytes: usize,
        /// Bytes left in the budget.
        left: usize,
        /// The budget's limit in bytes.
        limit: usize,
    },
    /// The allocation failed.
    #[error("a buffer of {bytes} bytes cannot be allocated: give it a smaller capacity")]
    OutOfMemory {
        /// Bytes of the buffer.
        bytes: usize,
    },
}

/// Error of opening a file as a ring.
#[cfg(not(loom))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not a ring's.
    #[error("`{}` is not a ring's file: open those that end in `.ring`", path.display())]
    NotARing {
        /// The file.
        path: PathBuf,
    },
    /// The file was written on a machine of the other byte order.
    #[error("`{}` is from a machine of the other byte order: open it on a machine of that byte order", path.display())]
    ByteOrder {
        /// The file.
        path: PathBuf,
    },
    /// The file has another version of the layout.
    #[error(
        "`{}` has layout {found}, and this library knows {known}: open it with the version that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u64,
        /// The version that this crate reads.
        known: u64,
    },
    /// The file's length differs from the one in its header.
    #[error("`{}` has {found} bytes instead of {expected}: it was truncated or not completely copied; copy it again, or remove it", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The file's length in bytes.
        found: u64,
        /// The length in its header.
        expected: u64,
    },
    /// The file's header or counters are inconsistent.
    #[error("`{}` is damaged: its header or its counters are inconsistent; remove it, its rows cannot be recovered", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file's rows are of another schema.
    #[error(
        "`{}` holds rows of the schema {found:016x}, not of {wanted:016x}: open it with the schema of the recording that wrote it",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema hash in the file.
        found: u64,
        /// The expected schema hash.
        wanted: u64,
    },
    /// The file's rows have another width.
    #[error("`{}` holds rows of {found} words, not of {wanted}: open it with the schema of the recording that wrote it", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// Words of a row in the file.
        found: usize,
        /// The expected words of a row.
        wanted: usize,
    },
}
