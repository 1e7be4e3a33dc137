//! Sources whose values all players share: encoded once per capture, and copied into each row.

mod count;
mod resource;
mod single;

pub(crate) use count::CountValue;
pub(crate) use resource::ResourceValue;
pub(crate) use single::SingleValue;

use super::world_source::{Players, TableRun, WorldSource};
use crate::restore::Unrestored;
use bevy_ecs::{change_detection::Tick, component::ComponentId, entity::Entity, world::World};
use core::ops::Range;
use experience_core::schema::Column;

/// A value that does not depend on the player.
pub(crate) trait SharedValue: Send + Sync + 'static {
    /// Encodes the value into `row`, at the offsets that [`SharedBytes::place`] returns. Returns false if it does not exist,
    /// and players cannot be recorded without it.
    fn encode(&mut self, world: &World, row: &mut [u8]) -> bool;

    /// Why the value cannot be written back to a player.
    fn unrestored(&self) -> Unrestored;

    /// The id and the name of each component type that it reads.
    fn components(&self) -> Vec<(ComponentId, &'static str)>;

    /// Whether the value was written after the change tick `since`. `None` if that cannot be known.
    fn is_written(&self, _world: &World, _since: Tick) -> Option<bool> {
        None
    }

    /// Why players are not recorded while the value does not exist, and the remedy.
    fn unavailable(&self) -> String {
        String::new()
    }

    /// A warning about what was read since the last call.
    fn take_warning(&mut self) -> Option<String> {
        None
    }

    /// What was never found, and the remedy. `None` if something was found.
    fn never_found(&self) -> Option<String> {
        None
    }
}

/// The source of a [`SharedValue`].
pub(crate) struct SharedSource<V> {
    value: V,
    bytes: SharedBytes,
    /// In words, so that it is aligned as a row is.
    encoded: Box<[u64]>,
    /// `encoded` as of the last call of [`may_have_changed`](WorldSource::may_have_changed); empty before the first.
    last_encoded: Vec<u64>,
    is_available: bool,
}

impl<V: SharedValue> SharedSource<V> {
    pub(crate) fn new(bytes: SharedBytes, value: V) -> Self {
        let words = (bytes.range.end - bytes.base()).div_ceil(size_of::<u64>());
        Self {
            value,
            bytes,
            encoded: vec![0; words].into(),
            last_encoded: Vec::with_capacity(words),
            is_available: true,
        }
    }
}

impl<V: SharedValue> WorldSource for SharedSource<V> {
    fn prepare(&mut self, world: &World, _: Players<'_>) -> bool {
        self.is_available = self.value.encode(world, bytemuck::cast_slice_mut(&mut self.encoded));
        self.is_available
    }

    fn encode(&self, _: TableRun<'_>, rows: &mut [u8], stride: usize) {
        let SharedBytes { range } = &self.bytes;
        let encoded = &bytemuck::cast_slice(&self.encoded)[range.start - self.bytes.base()..][..range.len()];
        for row in rows.chunks_exact_mut(stride) {
            row[range.clone()].copy_from_slice(encoded);
        }
    }

    fn may_have_changed(&mut self) -> bool {
        let changed = *self.encoded != *self.last_encoded;
        self.last_encoded.clear();
        self.last_encoded.extend_from_slice(&self.encoded);
        changed
    }

    fn is_written(&self, world: &World, _: Entity, since: Tick) -> Option<bool> {
        self.value.is_written(world, since)
    }

    fn unrestored(&self) -> Unrestored {
        self.value.unrestored()
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        self.value.components()
    }

    fn unavailable(&self) -> Option<String> {
        (!self.is_available).then(|| self.value.unavailable())
    }

    fn take_warning(&mut self) -> Option<String> {
        self.value.take_warning()
    }

    fn never_found(&self) -> Option<String> {
        self.value.never_found()
    }
}

/// The bytes of a row that a shared source fills, and their place in the copy that it keeps.
#[derive(Clone, Debug)]
pub(crate) struct SharedBytes {
    range: Range<usize>,
}

impl SharedBytes {
    /// The bytes of `columns`, which are at `offsets` in a row, and the offset of each column in the copy.
    pub(crate) fn place(columns: &[Column], offsets: &[usize]) -> (Self, Vec<usize>) {
        let start = offsets.first().copied().unwrap_or(0);
        let ends = columns.iter().zip(offsets);
        let mut end = ends.map(|(column, offset)| offset + column.width() * column.dtype.size());
        let bytes = Self {
            range: start..end.next_back().unwrap_or(start),
        };
        let local = offsets.iter().map(|offset| offset - bytes.base()).collect();
        (bytes, local)
    }

    /// The byte of a row that is the first of the copy, which is aligned as the row.
    fn base(&self) -> usize {
        self.range.start / size_of::<u64>() * size_of::<u64>()
    }
}
