//! What a capture finds, block by block.

use crate::player::Reward;
use bevy_ecs::{archetype::ArchetypeEntity, entity::Entity};

/// Words in front of each row of a [`Block`], for whoever writes rows behind words of its own.
pub(crate) const LEAD: usize = 2;

/// What one capture finds of one player.
pub(crate) struct Captured<'a> {
    pub(crate) entity: Entity,
    pub(crate) row: &'a mut [u64],
    pub(crate) reward: Option<&'a Reward>,
}

/// What one capture finds of neighbours in a table, a few dozen of them.
pub(crate) struct Block<'a> {
    pub(super) players: &'a [ArchetypeEntity],
    /// A cell for each: [`LEAD`] words, the row, and perhaps one word more, which is 0, so that they are even.
    pub(super) cells: &'a mut [u64],
    /// Words of a cell.
    pub(super) stride: usize,
    pub(super) row_words: usize,
    /// One for each player; `None` where they have none.
    pub(super) rewards: Option<&'a [Reward]>,
}

impl<'a> Block<'a> {
    /// The reward of the player at place `index`.
    #[inline(always)]
    pub(crate) fn reward(&self, index: usize) -> Option<&'a Reward> {
        self.rewards.map(|rewards| &rewards[index])
    }

    /// Whether anybody was ever given a reward.
    #[inline]
    pub(crate) fn has_rewards(&self) -> bool {
        let mut rewards = self.rewards.into_iter().flatten();
        rewards.any(|reward| !reward.is_untouched())
    }

    /// The cells, to be put together: [`LEAD`] words, the row, and perhaps a word more.
    #[inline]
    pub(crate) fn cells_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.cells.chunks_exact_mut(self.stride).take(self.players.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.players.len()
    }

    /// All rows, [`stride`](Self::stride) words apart.
    pub(crate) fn rows(&self) -> &[u64] {
        &self.cells[LEAD..]
    }

    pub(crate) fn row_words(&self) -> usize {
        self.row_words
    }

    /// Words from one row to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, each with the words in front of it.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells[..self.players.len() * self.stride]
    }

    /// Fills in the words in front of the row at place `index`.
    #[inline(always)]
    pub(crate) fn put_lead(&mut self, index: usize, lead: [u64; LEAD]) {
        self.cells[index * self.stride..][..LEAD].copy_from_slice(&lead);
    }

    /// The player at place `index`, in the order of the table.
    #[inline(always)]
    pub(crate) fn entity(&self, index: usize) -> Entity {
        self.players[index].id()
    }

    /// What was found of each player, in the order of the table.
    #[inline(always)]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = Captured<'_>> {
        let (rewards, row_words) = (self.rewards, self.row_words);
        self.players
            .iter()
            .zip(self.cells[LEAD..].chunks_exact_mut(self.stride))
            .enumerate()
            .map(move |(index, (player, row))| Captured {
                entity: player.id(),
                row: &mut row[..row_words],
                reward: rewards.map(|rewards| &rewards[index]),
            })
    }

    /// What was found of the player at place `index`.
    pub(crate) fn player_mut(&mut self, index: usize) -> Captured<'_> {
        Captured {
            entity: self.players[index].id(),
            reward: self.reward(index),
            row: self.row_mut(index),
        }
    }

    /// The row of the player at place `index`.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [u64] {
        &mut self.cells[index * self.stride + LEAD..][..self.row_words]
    }
}
