//! A block of encoded rows.

use crate::player::Reward;
use bevy_ecs::{archetype::ArchetypeEntity, entity::Entity};

/// Words in front of each row of a [`Block`], which a pool fills with its links.
pub(crate) const LEAD: usize = 2;

/// One player's part of a [`Block`].
pub(crate) struct Captured<'a> {
    pub(crate) entity: Entity,
    pub(crate) row: &'a mut [u64],
    pub(crate) reward: Option<&'a Reward>,
}

/// The encoded rows and the rewards of players in neighbouring rows of a table, a few dozen of them.
pub(crate) struct Block<'a> {
    pub(super) players: &'a [ArchetypeEntity],
    /// A cell for each player: [`LEAD`] words, the row, and a word of padding, which is 0, where that makes them even.
    pub(super) cells: &'a mut [u64],
    /// Words of a cell.
    pub(super) stride: usize,
    pub(super) row_words: usize,
    /// One for each player; `None` where they lack the component.
    pub(super) rewards: Option<&'a [Reward]>,
}

impl<'a> Block<'a> {
    /// The reward of player `index`.
    #[inline(always)]
    pub(crate) fn reward(&self, index: usize) -> Option<&'a Reward> {
        self.rewards.map(|rewards| &rewards[index])
    }

    /// Whether any of the players was ever given a reward.
    #[inline]
    pub(crate) fn has_rewards(&self) -> bool {
        let mut rewards = self.rewards.into_iter().flatten();
        rewards.any(|reward| !reward.is_untouched())
    }

    /// The cells of all players: [`LEAD`] words, the row, and padding.
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

    /// All cells, one behind the other.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells[..self.players.len() * self.stride]
    }

    /// Sets the words in front of row `index`.
    #[inline(always)]
    pub(crate) fn put_lead(&mut self, index: usize, lead: [u64; LEAD]) {
        self.cells[index * self.stride..][..LEAD].copy_from_slice(&lead);
    }

    /// Player `index`, in the order of the table.
    #[inline(always)]
    pub(crate) fn entity(&self, index: usize) -> Entity {
        self.players[index].id()
    }

    /// All players in the order of the table.
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

    /// Player `index`.
    pub(crate) fn player_mut(&mut self, index: usize) -> Captured<'_> {
        Captured {
            entity: self.players[index].id(),
            reward: self.reward(index),
            row: self.row_mut(index),
        }
    }

    /// The row of player `index`.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [u64] {
        &mut self.cells[index * self.stride + LEAD..][..self.row_words]
    }
}
