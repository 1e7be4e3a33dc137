//! Cursors over player slots in capture order.

use crate::episode::{player_slot::PlayerSlot, player_table::PlayerTable};
use bevy_ecs::entity::Entity;
use experience_buffer::prefetch;

/// Distance from the cursor to the slot that is prefetched. The slots of many players do not fit the processor's
/// caches.
const PREFETCH_DISTANCE: usize = 16;

/// A position among player slots.
///
/// Slots are usually in capture order, so the slot of the next player is usually at the cursor.
pub(in crate::episode::recorder::capture_pass) trait SlotCursor {
    /// Prefetches a slot that will be visited soon.
    fn prefetch(&self);

    /// Finds the slot of `entity`, and moves behind it. Returns the slot with its position. `None` if the entity has no
    /// slot, or this cursor cannot reach it.
    fn advance_to(&mut self, entity: Entity) -> Option<(usize, &mut PlayerSlot)>;

    /// All slots, which are at the positions that [`advance_to`](Self::advance_to) returns.
    fn slots_mut(&mut self) -> &mut [PlayerSlot];

    /// The next `len` slots, or as many as are left, and the slots after them. Does not move the cursor.
    fn peek(&mut self, len: usize) -> (&mut [PlayerSlot], &[PlayerSlot]);

    /// Moves behind the next `len` slots.
    fn skip(&mut self, len: usize);
}

/// A cursor over the whole table. A slot at a later position is moved to the cursor.
pub(in crate::episode::recorder::capture_pass) struct TableCursor<'a> {
    pub(in crate::episode::recorder::capture_pass) players: &'a mut PlayerTable,
    position: usize,
}

impl<'a> TableCursor<'a> {
    pub(in crate::episode::recorder::capture_pass) fn new(players: &'a mut PlayerTable) -> Self {
        Self { players, position: 0 }
    }
}

impl SlotCursor for TableCursor<'_> {
    #[inline(always)]
    fn prefetch(&self) {
        self.players.prefetch(self.position + PREFETCH_DISTANCE);
    }

    #[inline(always)]
    fn advance_to(&mut self, entity: Entity) -> Option<(usize, &mut PlayerSlot)> {
        let position = self.position;
        let slot = self.players.get_at(position, entity)?;
        self.position = position + 1;
        Some((position, slot))
    }

    #[inline(always)]
    fn slots_mut(&mut self) -> &mut [PlayerSlot] {
        self.players.slots_mut()
    }

    #[inline(always)]
    fn peek(&mut self, len: usize) -> (&mut [PlayerSlot], &[PlayerSlot]) {
        let rest = &mut self.players.slots_mut()[self.position..];
        let (next, after) = rest.split_at_mut(len.min(rest.len()));
        (next, after)
    }

    #[inline(always)]
    fn skip(&mut self, len: usize) {
        self.position += len;
    }
}

/// A cursor over the slots of one group of players in a parallel capture. Slots cannot be moved.
pub(in crate::episode::recorder::capture_pass) struct ChunkCursor<'a> {
    slots: &'a mut [PlayerSlot],
    position: usize,
    /// The slots of the worker's next group.
    next_chunk: &'a [PlayerSlot],
}

impl<'a> ChunkCursor<'a> {
    pub(in crate::episode::recorder::capture_pass) fn new(
        slots: &'a mut [PlayerSlot],
        next_chunk: &'a [PlayerSlot],
    ) -> Self {
        Self {
            slots,
            position: 0,
            next_chunk,
        }
    }

    /// Searches a few slots after the cursor. The players of the slots in between left, or moved to other rows.
    #[cold]
    fn search(&self, entity: Entity) -> Option<usize> {
        /// How many slots are searched.
        const SEARCH_DISTANCE: usize = 8;
        let mut ahead = self.slots[self.position.min(self.slots.len())..]
            .iter()
            .take(SEARCH_DISTANCE);
        Some(self.position + ahead.position(|slot| slot.entity == entity)?)
    }
}

impl SlotCursor for ChunkCursor<'_> {
    #[inline(always)]
    fn prefetch(&self) {
        // Not beyond the chunk: those cache lines belong to another worker.
        if let Some(slot) = self.slots.get(self.position + PREFETCH_DISTANCE) {
            prefetch::line(core::ptr::from_ref(slot).cast());
        }
    }

    #[inline(always)]
    fn advance_to(&mut self, entity: Entity) -> Option<(usize, &mut PlayerSlot)> {
        let position = match self.slots.get(self.position) {
            Some(slot) if slot.entity == entity => self.position,
            _ => self.search(entity)?,
        };
        self.position = position + 1;
        Some((position, &mut self.slots[position]))
    }

    #[inline(always)]
    fn slots_mut(&mut self) -> &mut [PlayerSlot] {
        self.slots
    }

    #[inline(always)]
    fn peek(&mut self, len: usize) -> (&mut [PlayerSlot], &[PlayerSlot]) {
        let position = self.position.min(self.slots.len());
        let rest = &mut self.slots[position..];
        let (next, after) = rest.split_at_mut(len.min(rest.len()));
        (next, if after.is_empty() { self.next_chunk } else { after })
    }

    #[inline(always)]
    fn skip(&mut self, len: usize) {
        self.position += len;
    }
}
