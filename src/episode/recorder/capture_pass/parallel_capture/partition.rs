//! Work partition of a parallel capture: assigns groups of players and their slots to workers.

use super::WorkerTask;
use crate::{
    capture::{PlayerGroup, RowEncoder},
    episode::{
        player_slot::{PlayerSlot, RowOutput},
        player_table::PlayerTable,
    },
};
use bevy_ecs::world::World;

/// Number of players in a group of archetype neighbours, which is captured by one worker. Players that join together
/// share a shard of the pool in groups of the same size.
pub(in crate::episode::recorder) const GROUP_PLAYERS: usize = 64;

/// All groups, in the order of a serial capture. Reused to avoid allocation.
#[derive(Default)]
pub(super) struct Partition {
    groups: Vec<PlannedGroup>,
}

struct PlannedGroup {
    group: PlayerGroup,
    /// Index of the first player in the order of a serial capture.
    first_visit: usize,
    /// The position of the first player's slot, if the slots are in capture order.
    first_slot: usize,
    worker: usize,
}

/// A group of players with their slots.
pub(super) struct Chunk<'a> {
    pub(super) group: &'a PlayerGroup,
    pub(super) first_visit: usize,
    pub(super) slots: &'a mut [PlayerSlot],
}

impl Partition {
    /// Divides all players into groups, and chooses the worker of each.
    pub(super) fn plan(
        &mut self,
        encoder: &RowEncoder,
        world: &World,
        players: &PlayerTable,
        tasks: &[WorkerTask<'_>],
    ) {
        let groups = &mut self.groups;
        groups.clear();
        let (mut first_visit, mut first_slot) = (0, 0);
        for group in encoder.groups(world, GROUP_PLAYERS) {
            let members = group.players(world);
            // Players without a slot shift the positions of all slots after them. The position of the first player's
            // slot corrects that if it is close to the expected one. Slots are assigned in ascending order.
            let expected = first_slot.max(members.len()) - members.len()..first_slot + GROUP_PLAYERS;
            if let Some(found) = members.first().and_then(|player| players.position(player.id()))
                && expected.contains(&found)
            {
                first_slot = found.max(groups.last().map_or(0, |before| before.first_slot));
            }
            // The worker that has the shard, so that rows need not be deferred. Players with dedicated buffers are
            // divided evenly.
            let shard_worker = match players.slots().get(first_slot).and_then(PlayerSlot::output) {
                Some(RowOutput::Pooled { handle, .. }) => tasks.iter().position(|task| task.shards.has(handle)),
                Some(RowOutput::Dedicated(_)) | None => None,
            };
            let even_worker = (first_visit * tasks.len() / players.len().max(1)).min(tasks.len() - 1);
            let members = members.len();
            groups.push(PlannedGroup {
                group,
                first_visit,
                first_slot,
                worker: shard_worker.unwrap_or(even_worker),
            });
            first_visit += members;
            first_slot += members;
        }
    }

    /// Assigns the groups to the workers, each with the slots from its first slot up to that of the next group.
    pub(super) fn assign<'a>(&'a self, players: &'a mut PlayerTable, tasks: &mut [WorkerTask<'a>]) {
        for task in tasks.iter_mut() {
            task.chunks.reserve_exact(self.groups.len());
        }
        let mut rest = players.slots_mut();
        let mut position = 0;
        for (index, planned) in self.groups.iter().enumerate() {
            let skipped = planned.first_slot.saturating_sub(position).min(rest.len());
            rest = &mut rest[skipped..];
            position += skipped;
            let end = self.groups.get(index + 1).map_or(usize::MAX, |next| next.first_slot);
            let (slots, after) = rest.split_at_mut(end.saturating_sub(position).min(rest.len()));
            position += slots.len();
            rest = after;
            tasks[planned.worker].chunks.push(Chunk {
                group: &planned.group,
                first_visit: planned.first_visit,
                slots,
            });
        }
    }
}
