//! [`ShardFile`]: reads ranges of a shard, on the disk or in an object store.

use super::address;
use bytes::Bytes;
use parquet::{
    errors::Result,
    file::reader::{ChunkReader, Length},
};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// An open shard.
#[derive(Debug)]
pub(crate) enum ShardFile {
    Disk(File),
    #[cfg(feature = "object_store")]
    Store(super::object_file::ObjectFile),
}

impl ShardFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(feature = "object_store")]
        if address::is_store(path) {
            return super::object_file::ObjectFile::open(path).map(Self::Store);
        }
        debug_assert!(!address::is_store(path), "the feature `object_store` is not enabled");
        File::open(path).map(Self::Disk)
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Disk(file) => Ok(file.metadata()?.len()),
            #[cfg(feature = "object_store")]
            Self::Store(file) => Ok(file.len()),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Disk(file) => Self::Disk(file.try_clone()?),
            #[cfg(feature = "object_store")]
            Self::Store(file) => Self::Store(file.clone()),
        })
    }

    /// The error of a store that was the reason of an error of a decoder, which turns errors to text.
    pub(crate) fn take_store_error(&self) -> Option<io::Error> {
        match self {
            Self::Disk(_) => None,
            #[cfg(feature = "object_store")]
            Self::Store(file) => file.take_error(),
        }
    }

    /// Reads all of the file.
    pub(crate) fn reader(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Disk(file) => Box::new(file.try_clone()?),
            #[cfg(feature = "object_store")]
            Self::Store(file) => Box::new(file.reader(0)),
        })
    }
}

impl Length for ShardFile {
    fn len(&self) -> u64 {
        match self {
            Self::Disk(file) => Length::len(file),
            #[cfg(feature = "object_store")]
            Self::Store(file) => file.len(),
        }
    }
}

impl ChunkReader for ShardFile {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(match self {
            Self::Disk(file) => Box::new(ChunkReader::get_read(file, start)?),
            #[cfg(feature = "object_store")]
            Self::Store(file) => Box::new(file.reader(start)),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::Disk(file) => ChunkReader::get_bytes(file, start, length),
            #[cfg(feature = "object_store")]
            Self::Store(file) => Ok(file.range(start, length)?),
        }
    }
}
