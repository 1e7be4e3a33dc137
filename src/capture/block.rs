//! A block of encoded rows, in the cell layout of a buffer pool.

use crate::player::Reward;
use bevy_ecs::{archetype::ArchetypeEntity, entity::Entity};

/// Words in front of each row of an [`EncodedBlock`], which a pool fills with its links.
pub(crate) const PREFIX_WORDS: usize = 2;

/// A player of an [`EncodedBlock`], with its row and reward.
pub(crate) struct CapturedPlayer<'a> {
    pub(crate) entity: Entity,
    pub(crate) row: &'a mut [u64],
    pub(crate) reward: Option<&'a Reward>,
}

/// The encoded rows and the rewards of up to 64 players in neighbouring rows of a table.
pub(crate) struct EncodedBlock<'a> {
    pub(super) players: &'a [ArchetypeEntity],
    /// One cell per player: [`PREFIX_WORDS`] words, the row, and a zero word of padding if the length would be odd.
    pub(super) cells: &'a mut [u64],
    /// Words of a cell.
    pub(super) stride: usize,
    pub(super) row_words: usize,
    /// One per player; `None` if the players lack the component.
    pub(super) rewards: Option<&'a [Reward]>,
}

impl<'a> EncodedBlock<'a> {
    /// The reward of player `index`.
    #[inline(always)]
    pub(crate) fn reward(&self, index: usize) -> Option<&'a Reward> {
        self.rewards.map(|rewards| &rewards[index])
    }

    /// Whether any of the players has ever been given a reward.
    #[inline]
    pub(crate) fn has_rewards(&self) -> bool {
        let mut rewards = self.rewards.into_iter().flatten();
        rewards.any(|reward| !reward.has_no_terms())
    }

    /// The cells of all players: [`PREFIX_WORDS`] words, the row, and padding.
    #[inline]
    pub(crate) fn cells_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.cells.chunks_exact_mut(self.stride).take(self.players.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.players.len()
    }

    /// All rows, [`stride`](Self::stride) words apart.
    pub(crate) fn rows(&self) -> &[u64] {
        &self.cells[PREFIX_WORDS..]
    }

    pub(crate) fn row_words(&self) -> usize {
        self.row_words
    }

    /// Words from one row to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// All cells, contiguous.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells[..self.players.len() * self.stride]
    }

    /// Sets the words in front of row `index`.
    #[inline(always)]
    pub(crate) fn set_prefix(&mut self, index: usize, prefix: [u64; PREFIX_WORDS]) {
        self.cells[index * self.stride..][..PREFIX_WORDS].copy_from_slice(&prefix);
    }

    /// Player `index`, in the order of the table.
    #[inline(always)]
    pub(crate) fn entity(&self, index: usize) -> Entity {
        self.players[index].id()
    }

    /// All players in the order of the table.
    #[inline(always)]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = CapturedPlayer<'_>> {
        let (rewards, row_words) = (self.rewards, self.row_words);
        self.players
            .iter()
            .zip(self.cells[PREFIX_WORDS..].chunks_exact_mut(self.stride))
            .enumerate()
            .map(move |(index, (player, row))| CapturedPlayer {
                entity: player.id(),
                row: &mut row[..row_words],
                reward: rewards.map(|rewards| &rewards[index]),
            })
    }

    /// Player `index`.
    pub(crate) fn player_mut(&mut self, index: usize) -> CapturedPlayer<'_> {
        CapturedPlayer {
            entity: self.players[index].id(),
            reward: self.reward(index),
            row: self.row_mut(index),
        }
    }

    /// The row of player `index`.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [u64] {
        &mut self.cells[index * self.stride + PREFIX_WORDS..][..self.row_words]
    }
}
