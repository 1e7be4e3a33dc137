//! The header of a ring's file. Its layout is described in [`memory`](super).

use super::{Label, PREAMBLE};
use crate::{
    BufferError,
    error::OpenError,
    shape::{Links, Shape},
};
use experience_core::transition::RunId;
use std::path::Path;

const MAGIC: [u8; 8] = *b"bevyring";
const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;
const VERSION: u64 = 2;
/// The byte of the checksum of all bytes before it.
const CHECKSUM: usize = PREAMBLE - 8;

/// The decoded header of a ring's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) shape: Shape,
    pub(crate) label: Label,
}

impl Preamble {
    pub(super) fn encode(&self) -> Result<[u8; PREAMBLE], BufferError> {
        let (shape, label) = (self.shape, self.label);
        let words = [
            u64::from_ne_bytes(MAGIC),
            BYTE_ORDER,
            VERSION,
            file_len(shape)? as u64,
            label.schema_hash,
            shape.row_words as u64,
            shape.capacity.next_power_of_two() as u64,
            shape.links.words() as u64,
            label.agent_id.cast_unsigned(),
            label.run.get().cast_unsigned(),
        ];
        let mut bytes = [0; PREAMBLE];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let checksum = u64::from(crc32c::crc32c(&bytes[..CHECKSUM]));
        bytes[CHECKSUM..].copy_from_slice(&checksum.to_ne_bytes());
        Ok(bytes)
    }

    /// Decodes the header of the file at `path`, which is `len` bytes long.
    pub(super) fn decode(bytes: &[u8], path: &Path, len: u64) -> Result<Self, OpenError> {
        let path = || path.to_owned();
        let word = |index: usize| {
            let word = bytes.get(index * 8..index * 8 + 8)?;
            Some(u64::from_ne_bytes(word.try_into().ok()?))
        };
        let wrong_size = || OpenError::Size {
            path: path(),
            found: len,
            expected: word(3).unwrap_or(PREAMBLE as u64),
        };
        if !bytes.starts_with(&MAGIC[..bytes.len().min(8)]) {
            return Err(OpenError::NotARing { path: path() });
        }
        let order = word(1).ok_or_else(wrong_size)?;
        if order != BYTE_ORDER {
            return Err(if order == BYTE_ORDER.swap_bytes() {
                OpenError::ByteOrder { path: path() }
            } else {
                OpenError::Damaged { path: path() }
            });
        }
        let version = word(2).ok_or_else(wrong_size)?;
        // All versions are alike up to here.
        if version != VERSION {
            return Err(OpenError::Version {
                path: path(),
                found: version,
                known: VERSION,
            });
        }
        if bytes.len() < PREAMBLE {
            return Err(wrong_size());
        }
        let sum = u64::from(crc32c::crc32c(&bytes[..CHECKSUM]));
        if word(CHECKSUM / 8) != Some(sum) {
            return Err(OpenError::Damaged { path: path() });
        }
        let field = |index| word(index).ok_or_else(wrong_size);
        let size = |index| field(index).map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let links = size(7)?;
        let preamble = Self {
            shape: Shape {
                row_words: size(5)?,
                capacity: size(6)?,
                links: Links::ALL
                    .into_iter()
                    .find(|kind| kind.words() == links)
                    .ok_or_else(|| OpenError::Damaged { path: path() })?,
            },
            label: Label {
                schema_hash: field(4)?,
                agent_id: field(8)?.cast_signed(),
                run: RunId::from_bits(field(9)? as u32),
            },
        };
        // The checksum does not rule out a faulty writer.
        let expected = file_len(preamble.shape).map_err(|_| OpenError::Damaged { path: path() })? as u64;
        if !preamble.shape.capacity.is_power_of_two() || field(3)? != expected {
            return Err(OpenError::Damaged { path: path() });
        }
        if len != expected {
            return Err(wrong_size());
        }
        Ok(preamble)
    }
}

/// Bytes of the file of a ring.
pub(super) fn file_len(shape: Shape) -> Result<usize, BufferError> {
    Ok(PREAMBLE + shape.words()? * size_of::<u64>())
}
