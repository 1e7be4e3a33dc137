//! [`OutcomeBatch`]: the episodes that ended since the last decision, and [`Progress`]: what a player has got since then.

use crate::PolicyLayout;
use experience_core::{schema::Column, transition::Outcome};
use std::{borrow::Cow, sync::Arc};

/// What the recording has of a player since its last decision: sums over the transitions that were closed since then.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// The id of the episode, as in the column `episode_id`. `None` between two episodes, and where nothing is recorded.
    pub episode: Option<i64>,
    /// The number of transitions of the episode so far.
    pub step: u32,
    /// The number of transitions since the last decision. It is 1 where each decision is one transition.
    pub transitions: u32,
    /// Their ticks.
    pub ticks: u32,
    /// Their rewards.
    pub reward: f64,
}

/// The end of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeOutcome {
    /// The agent.
    pub agent_id: i64,
    /// The transitions since the last decision, with the last one of the episode.
    pub progress: Progress,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as in the column `end_reason`.
    pub reason: Cow<'static, str>,
    /// Whether the batch has the final observation. Where it has not, the observation of the last decision is the final one.
    pub has_observation: bool,
}

/// Ends of episodes, with the final observation of each.
///
/// It holds at most [`MAX_ENDS`](Self::MAX_ENDS), and fewer if they would take more than [`MAX_BYTES`](Self::MAX_BYTES). More are
/// counted in [`missed`](Self::missed).
#[derive(Clone, Debug)]
pub struct OutcomeBatch {
    layout: Arc<PolicyLayout>,
    ends: Vec<EpisodeOutcome>,
    terms: Vec<f32>,
    features: Vec<f32>,
    mask: Vec<bool>,
    images: Vec<Vec<u8>>,
    missed: u64,
    /// The most ends, which depends on the size of an observation.
    max_ends: usize,
}

impl OutcomeBatch {
    /// The most ends that a batch holds.
    pub const MAX_ENDS: usize = 65_536;
    /// The most memory that the ends of a batch take, in bytes. One end is held in any case.
    pub const MAX_BYTES: usize = 64 << 20;

    /// A batch without ends.
    #[must_use]
    pub fn new(layout: Arc<PolicyLayout>) -> Self {
        Self {
            ends: Vec::new(),
            terms: Vec::new(),
            features: Vec::new(),
            mask: Vec::new(),
            images: layout.images().iter().map(|_| Vec::new()).collect(),
            missed: 0,
            max_ends: Self::MAX_ENDS.min(Self::MAX_BYTES / end_bytes(&layout)).max(1),
            layout,
        }
    }

    /// Removes all ends and the count of missed ones, and keeps the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.terms.clear();
        self.features.clear();
        self.mask.clear();
        self.images.iter_mut().for_each(Vec::clear);
        self.missed = 0;
    }

    /// Appends an end: the sum of each reward term, and the features and the mask of its final observation, which are empty where
    /// it has none. Returns false if the batch is full, in which case the end is counted as missed.
    ///
    /// # Panics
    /// When the number of terms, features or bits is not that of the layout.
    pub fn push(&mut self, mut end: EpisodeOutcome, terms: &[f32], features: &[f32], mask: &[u8]) -> bool {
        if self.ends.len() >= self.max_ends {
            self.missed += 1;
            return false;
        }
        let (width, bits) = (self.layout.features().len(), self.layout.mask_width());
        assert_eq!(
            terms.len(),
            self.layout.reward_terms().len(),
            "an end has one sum for each reward term"
        );
        self.terms.extend_from_slice(terms);
        if end.has_observation {
            assert_eq!(features.len(), width, "an observation has one value for each feature");
            assert_eq!(
                mask.len(),
                bits.div_ceil(8),
                "an observation has one bit for each choice"
            );
            self.features.extend_from_slice(features);
            self.mask
                .extend((0..bits).map(|bit| mask[bit / 8] >> (bit % 8) & 1 == 1));
        } else {
            end.has_observation = false;
            self.features.resize(self.features.len() + width, 0.0);
            self.mask.resize(self.mask.len() + bits, true);
        }
        for (image, pixels) in self.layout.images().iter().zip(&mut self.images) {
            pixels.resize(pixels.len() + image.width(), 0);
        }
        self.ends.push(end);
        true
    }

    /// Sets the pixels of an image of the end that was pushed last.
    ///
    /// # Panics
    /// When there is no such image, or the number of bytes is not that of its shape.
    pub fn set_image(&mut self, image: usize, pixels: &[u8]) {
        let held = &mut self.images[image];
        let start = held.len() - self.layout.images()[image].width();
        held[start..].copy_from_slice(pixels);
    }

    /// The ends, in the order in which the episodes ended.
    #[must_use]
    pub fn ends(&self) -> &[EpisodeOutcome] {
        &self.ends
    }

    /// The number of ends.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no episode has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The sums of the reward terms of all ends, `[ends, terms]` in C order.
    #[must_use]
    pub fn all_terms(&self) -> &[f32] {
        &self.terms
    }

    /// The final observations of all ends, `[ends, features]` in C order.
    #[must_use]
    pub fn all_features(&self) -> &[f32] {
        &self.features
    }

    /// The masks of all final observations, `[ends, bits]` in C order.
    #[must_use]
    pub fn all_masks(&self) -> &[bool] {
        &self.mask
    }

    /// The pixels of an image of all final observations, `[ends, height, width, channels]`.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn image(&self, image: usize) -> &[u8] {
        &self.images[image]
    }

    /// The ends that did not fit, since the batch was made or cleared.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The memory of an end, without its reason, in bytes.
fn end_bytes(layout: &PolicyLayout) -> usize {
    let values = layout.reward_terms().len() + layout.features().len();
    let images: usize = layout.images().iter().map(Column::width).sum();
    size_of::<EpisodeOutcome>() + values * size_of::<f32>() + layout.mask_width() + images
}
