//! What can be wrong with a buffer.

use super::BufferKind;
use std::path::PathBuf;

/// The buffer is closed: nothing more can be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is closed: its player left, or recording ended")]
pub struct Closed;

/// Why a buffer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// No rows.
    #[error("a buffer of 0 rows holds nothing: give it a capacity of at least 1")]
    ZeroCapacity,
    /// Rows without words.
    #[error("rows of 0 words hold nothing")]
    ZeroWidth,
    /// More than can be addressed.
    #[error("a buffer of {rows} rows of {words} words is larger than the address space: give it a smaller capacity")]
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Words of each.
        words: usize,
    },
    /// Several writers cannot agree on what is the newest.
    #[error("a ring that several push to cannot refuse the newest row: choose `Overflow::DropOldest`")]
    SharedDropNewest,
    /// A pool's rows have headers, by which players are told apart.
    #[error("a pool's rows begin with a `StepHeader` of 8 words, and these have {words} words in all")]
    NoHeader {
        /// Words of a row.
        words: usize,
    },
    /// A pool with no room for a row in each shard.
    #[error("a pool of {bytes} bytes has no room for a row in each shard: give it {needed}, or fewer shards")]
    SmallPool {
        /// Bytes that the pool was to take.
        bytes: usize,
        /// Bytes that it takes at least.
        needed: usize,
    },
    /// Players share one pool.
    #[error("there is a pool already: players who share share one")]
    SecondPool,
    /// The rows are another schema's.
    #[error("the schema's rows are {wanted} words wide and the buffer's {found}: they are of different recordings")]
    OtherRows {
        /// Words of a row, by the schema.
        wanted: usize,
        /// Words of a row of the buffer.
        found: usize,
    },
    /// This kind cannot lie there.
    #[error(
        "a buffer of the kind `{kind:?}` cannot have {wish}: rings can lie anywhere, queues anywhere but in files, all on the \
         heap, and huge pages are for rings and queues outside of files"
    )]
    Unplaceable {
        /// The kind.
        kind: BufferKind,
        /// What it cannot have.
        wish: &'static str,
    },
    /// The system refuses a file for it.
    #[error("no buffer can be made in the folder `{}`: {reason}; name another, or make room there", folder.display())]
    File {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// More than the buffers may take together.
    #[error(
        "a buffer of {bytes} bytes does not fit the memory budget, of which {left} of {limit} bytes are left: give it more \
         (`ExperiencePlugin::memory_budget`), or each buffer a smaller capacity"
    )]
    OverBudget {
        /// Bytes that the buffer takes.
        bytes: usize,
        /// Bytes of the budget that are left.
        left: usize,
        /// Bytes of the budget.
        limit: usize,
    },
    /// More than there is.
    #[error("there is no memory for a buffer of {bytes} bytes: give it a smaller capacity")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}

/// Why a file cannot be opened as a ring.
#[cfg(not(loom))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("`{}` is not a ring's file: open those that end in `.ring`", path.display())]
    NotARing {
        /// The file.
        path: PathBuf,
    },
    /// Its numbers are the other way round.
    #[error("`{}` is from a machine of the other byte order: open it on one like that", path.display())]
    ByteOrder {
        /// The file.
        path: PathBuf,
    },
    /// It has another layout.
    #[error(
        "`{}` has layout {found}, and this library knows {known}: open it with the version that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
        /// The layout that this library knows.
        known: u64,
    },
    /// It is cut, or longer than it says.
    #[error("`{}` has {found} bytes instead of {expected}: it was cut or copied in part; copy it again, or remove it", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// The bytes that it should have.
        expected: u64,
    },
    /// What it says of itself cannot be.
    #[error("`{}` is damaged: what it says of itself cannot be; remove it, there is nothing to be had from it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Its rows are of another schema.
    #[error(
        "`{}` holds rows of the schema {found:016x}, not of {wanted:016x}: open it with the schema of the recording that wrote it",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema's hash.
        found: u64,
        /// The hash that was asked for.
        wanted: u64,
    },
    /// Its rows have another width.
    #[error("`{}` holds rows of {found} words, not of {wanted}: open it with the schema of the recording that wrote it", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// Words of its rows.
        found: usize,
        /// Words that were asked for.
        wanted: usize,
    },
}
