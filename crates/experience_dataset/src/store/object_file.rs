//! [`ObjectFile`]: reads ranges of a file in an object store, with read-ahead.

use super::{
    client::{FileTail, StoreClient},
    error::StoreError,
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Files are read in blocks of this size.
const BLOCK: u64 = 1 << 20;
/// The most blocks of one request. A reader that goes on where it stopped gets twice as many each time.
const MAX_AHEAD: u64 = 8;
/// Blocks that are kept for each open file.
const MAX_BLOCKS: usize = 24;

/// A file in an object store. Copies share what was read.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFile {
    client: Arc<StoreClient>,
    key: String,
    tail: FileTail,
    blocks: Arc<Mutex<Blocks>>,
}

#[derive(Debug, Default)]
struct Blocks {
    kept: BTreeMap<u64, Bytes>,
    /// From the one that was read first.
    order: VecDeque<u64>,
    /// The block behind the last request.
    next: u64,
    ahead: u64,
    /// The first error of the store, which a decoder turns to text.
    error: Option<StoreError>,
}

impl ObjectFile {
    /// Opens the file at `path`, and reads its end.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (client, key) = StoreClient::of_file(path)?;
        let tail = client.tail(&key)?;
        Ok(Self {
            client,
            key,
            tail,
            blocks: Arc::default(),
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.tail.size
    }

    /// The error of the store that was the reason of an error of a decoder.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.blocks().error.take().map(io::Error::from)
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the file from `start`, as far as they are in one place; empty at its end.
    fn read_at(&self, start: u64) -> io::Result<Bytes> {
        if start >= self.tail.size {
            return Ok(Bytes::new());
        }
        let tail_start = self.tail.size - self.tail.bytes.len() as u64;
        if start >= tail_start {
            return Ok(self.tail.bytes.slice((start - tail_start) as usize..));
        }
        let index = start / BLOCK;
        let block = self.block(index, tail_start)?;
        let offset = (start - index * BLOCK) as usize;
        match offset < block.len() {
            true => Ok(block.slice(offset..)),
            false => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the store has sent less than it has announced",
            )),
        }
    }

    fn block(&self, index: u64, end: u64) -> io::Result<Bytes> {
        let mut blocks = self.blocks();
        if let Some(block) = blocks.kept.get(&index) {
            return Ok(block.clone());
        }
        blocks.ahead = match blocks.next == index {
            true => (blocks.ahead * 2).clamp(1, MAX_AHEAD),
            false => 1,
        };
        let last = index + blocks.ahead;
        let last = blocks.kept.range(index..last).next().map_or(last, |(kept, _)| *kept);
        let range = index * BLOCK..(last * BLOCK).min(end);
        let read = self.client.get_range(&self.key, range.clone(), self.tail.e_tag.clone());
        let read = read.inspect_err(|error| blocks.error = Some(error.clone()))?;
        if read.len() as u64 != range.end - range.start {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the store has sent less than was asked for",
            ));
        }
        blocks.next = last;
        for (number, start) in (index..last).zip((0..read.len()).step_by(BLOCK as usize)) {
            let block = read.slice(start..(start + BLOCK as usize).min(read.len()));
            blocks.kept.insert(number, block);
            blocks.order.push_back(number);
        }
        let block = blocks.kept[&index].clone();
        while blocks.order.len() > MAX_BLOCKS {
            if let Some(oldest) = blocks.order.pop_front() {
                blocks.kept.remove(&oldest);
            }
        }
        Ok(block)
    }

    /// The bytes of a range.
    pub(crate) fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let first = self.read_at(start)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        // A file may state any length of a range.
        if start.saturating_add(length as u64) > self.tail.size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a range ends behind the end of the file",
            ));
        }
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(&first);
        while bytes.len() < length {
            let next = self.read_at(start + bytes.len() as u64)?;
            let missing = length - bytes.len();
            bytes.extend_from_slice(&next[..missing.min(next.len())]);
        }
        Ok(bytes.freeze())
    }

    /// A reader from `start`.
    pub(crate) fn reader(&self, start: u64) -> ObjectReader {
        ObjectReader {
            file: self.clone(),
            position: start,
        }
    }
}

/// Reads an [`ObjectFile`] from a position on.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    file: ObjectFile,
    position: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(self.position)?;
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        self.position += read as u64;
        Ok(read)
    }
}
