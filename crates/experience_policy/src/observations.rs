//! [`ObservationBatch`]: the observations of all players that a policy acts for at one decision.

use crate::{OutcomeBatch, PolicyLayout, Progress};
use std::sync::Arc;

/// Observations of several players, as they are recorded: `[players, features]`.
#[derive(Clone, Debug)]
pub struct ObservationBatch {
    layout: Arc<PolicyLayout>,
    tick: i64,
    agent_ids: Vec<i64>,
    features: Vec<f32>,
    mask: Vec<bool>,
    images: Vec<Vec<u8>>,
    /// Empty for a model that does not need it.
    progress: Vec<Progress>,
    /// `[players, terms]`.
    reward_terms: Vec<f32>,
    outcomes: OutcomeBatch,
}

impl ObservationBatch {
    /// A batch without players.
    #[must_use]
    pub fn new(layout: Arc<PolicyLayout>) -> Self {
        Self {
            tick: 0,
            agent_ids: Vec::new(),
            features: Vec::new(),
            mask: Vec::new(),
            images: layout.images().iter().map(|_| Vec::new()).collect(),
            progress: Vec::new(),
            reward_terms: Vec::new(),
            outcomes: OutcomeBatch::new(layout.clone()),
            layout,
        }
    }

    /// Removes all players, and keeps the memory. The [outcomes](Self::outcomes) stay.
    pub fn clear(&mut self) {
        self.agent_ids.clear();
        self.features.clear();
        self.mask.clear();
        self.progress.clear();
        self.reward_terms.clear();
        self.images.iter_mut().for_each(Vec::clear);
    }

    /// Sets the tick whose actions are decided.
    pub fn set_tick(&mut self, tick: i64) {
        self.tick = tick;
    }

    /// Appends a player: its features, and its mask as bits, least significant first.
    ///
    /// # Panics
    /// When the number of features or of bits is not that of the layout.
    pub fn push(&mut self, agent_id: i64, features: &[f32], mask: &[u8]) {
        let width = self.layout.mask_width();
        assert_eq!(
            features.len(),
            self.layout.features().len(),
            "a player has one value for each feature"
        );
        assert_eq!(mask.len(), width.div_ceil(8), "a player has one bit for each choice");
        self.agent_ids.push(agent_id);
        self.features.extend_from_slice(features);
        self.mask
            .extend((0..width).map(|bit| mask[bit / 8] >> (bit % 8) & 1 == 1));
    }

    /// Appends the pixels of an image of the player that was pushed last.
    ///
    /// # Panics
    /// When there is no such image, or the number of bytes is not that of its shape.
    pub fn push_image(&mut self, image: usize, pixels: &[u8]) {
        assert_eq!(
            pixels.len(),
            self.layout.images()[image].width(),
            "an image has one byte for each channel of each pixel"
        );
        self.images[image].extend_from_slice(pixels);
    }

    /// Appends what the player that was pushed last has got since its last decision, with the sum of each reward term.
    ///
    /// # Panics
    /// When the number of terms is not that of the layout.
    pub fn push_progress(&mut self, progress: Progress, terms: &[f32]) {
        assert_eq!(
            terms.len(),
            self.layout.reward_terms().len(),
            "a player has one sum for each reward term"
        );
        self.progress.push(progress);
        self.reward_terms.extend_from_slice(terms);
    }

    /// The number of players.
    #[must_use]
    pub fn len(&self) -> usize {
        self.agent_ids.len()
    }

    /// Whether there is no player.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agent_ids.is_empty()
    }

    /// What the policy sees and decides.
    #[must_use]
    pub fn layout(&self) -> &Arc<PolicyLayout> {
        &self.layout
    }

    /// The tick whose actions are decided.
    #[must_use]
    pub fn tick(&self) -> i64 {
        self.tick
    }

    /// The agent id of each player.
    #[must_use]
    pub fn agent_ids(&self) -> &[i64] {
        &self.agent_ids
    }

    /// The features of all players, `[players, features]` in C order.
    #[must_use]
    pub fn all_features(&self) -> &[f32] {
        &self.features
    }

    /// The features of a player.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn features(&self, player: usize) -> &[f32] {
        row(&self.features, self.layout.features().len(), player)
    }

    /// The mask of a player: whether each alternative is allowed. Empty where there is no mask.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn mask(&self, player: usize) -> &[bool] {
        row(&self.mask, self.layout.mask_width(), player)
    }

    /// The masks of all players, `[players, bits]` in C order.
    #[must_use]
    pub fn all_masks(&self) -> &[bool] {
        &self.mask
    }

    /// What each player has got since its last decision. Empty unless the model [needs it](crate::PolicyModel::needs_outcomes).
    #[must_use]
    pub fn progress(&self) -> &[Progress] {
        &self.progress
    }

    /// The sums of the reward terms of all players, `[players, terms]` in C order, as [`progress`](Self::progress).
    #[must_use]
    pub fn all_reward_terms(&self) -> &[f32] {
        &self.reward_terms
    }

    /// The episodes that ended since the last decision, as [`progress`](Self::progress).
    #[must_use]
    pub fn outcomes(&self) -> &OutcomeBatch {
        &self.outcomes
    }

    /// The episodes that ended since the last decision, for the one who collects them.
    pub fn outcomes_mut(&mut self) -> &mut OutcomeBatch {
        &mut self.outcomes
    }

    /// The pixels of an image for all players, `[players, height, width, channels]`.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn image(&self, image: usize) -> &[u8] {
        &self.images[image]
    }
}

fn row<T>(values: &[T], width: usize, player: usize) -> &[T] {
    &values[player * width..][..width]
}
