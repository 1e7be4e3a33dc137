//! A batch of transitions as flat arrays.

use crate::{atomic_copy, sync::AtomicU64};
use core::ops::Range;
use experience_core::{
    schema::{DType, Schema},
    transition::{Outcome, values},
};

/// Sampled transitions in the order in which they were drawn, as row-major arrays of N features and M action values.
///
/// The observation of transition `i` is at `i * N..(i + 1) * N`, and its action at `i * M..(i + 1) * M`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Observations before the action, `[len, N]`.
    pub observation: Vec<f32>,
    /// Actions.
    pub action: Actions,
    /// Rewards, `[len]`, rounded from the `f64` of a row.
    pub reward: Vec<f32>,
    /// Observations after the action, `[len, N]`.
    pub next_observation: Vec<f32>,
    /// The pixels of each image before the action, in the order of [`Schema::images`]: `[len, height, width, channels]` each.
    pub images: Vec<Vec<u8>>,
    /// The pixels of each image after the action.
    pub next_images: Vec<Vec<u8>>,
    /// Whether the episode ended in a terminal state, so that there is nothing to bootstrap from, `[len]`.
    pub terminated: Vec<bool>,
    /// Whether the episode was cut off, so that a trainer bootstraps from the next observation, `[len]`.
    pub truncated: Vec<bool>,
}

/// The actions of a [`Batch`].
#[derive(Clone, Debug, PartialEq)]
pub enum Actions {
    /// One discrete choice each, `[len]`.
    Discrete(Vec<i64>),
    /// All values of all action columns, `[len, M]`, whatever their types are in the row.
    Values(Vec<f32>),
}

impl Default for Actions {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

impl Batch {
    /// The number of transitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reward.len()
    }

    /// Whether there are no transitions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reward.is_empty()
    }

    /// Resizes the arrays to `len` transitions.
    pub(super) fn resize(&mut self, len: usize, plan: &Plan) {
        self.observation.resize(len * plan.features, 0.0);
        self.next_observation.resize(len * plan.features, 0.0);
        for images in [&mut self.images, &mut self.next_images] {
            for (pixels, image) in images.iter_mut().zip(&plan.images) {
                pixels.resize(len * image.bytes, 0);
            }
        }
        self.reward.resize(len, 0.0);
        self.terminated.resize(len, false);
        self.truncated.resize(len, false);
        match &mut self.action {
            Actions::Discrete(actions) => actions.resize(len, 0),
            Actions::Values(actions) => actions.resize(len * plan.action_values, 0.0),
        }
    }
}

/// The words of a row that a [`Batch`] takes.
pub(super) struct Plan {
    pub(super) row_words: usize,
    pub(super) features: usize,
    action_values: usize,
    observation: Range<usize>,
    action: Range<usize>,
    columns: Vec<(DType, Range<usize>)>,
    /// Whether all action columns are `f32`.
    plain_action: bool,
    /// The action of a row, where it must be converted.
    scratch: Vec<u64>,
    images: Vec<ImagePlan>,
    /// The words of an image of a row.
    image_scratch: Vec<u64>,
}

/// The words of a row that an image is in.
struct ImagePlan {
    words: Range<usize>,
    /// Bytes of the first word before the image.
    before: usize,
    bytes: usize,
}

impl Plan {
    pub(super) fn new(schema: &Schema) -> Self {
        let layout = schema.layout();
        let words = |bytes: Range<usize>| bytes.start / 8..bytes.end.div_ceil(8);
        let action = words(layout.action());
        let start = layout.action().start;
        let columns: Vec<_> = schema
            .action()
            .iter()
            .zip(layout.action_offsets())
            .map(|(column, offset)| {
                let offset = offset - start;
                (column.dtype, offset..offset + column.width() * column.dtype.size())
            })
            .collect();
        let images: Vec<_> = schema
            .images()
            .iter()
            .zip(layout.image_offsets())
            .map(|(image, &offset)| ImagePlan {
                words: words(offset..offset + image.width()),
                before: offset % 8,
                bytes: image.width(),
            })
            .collect();
        let image_words = images.iter().map(|image| image.words.len()).max();
        Self {
            image_scratch: vec![0; image_words.unwrap_or(0)],
            images,
            row_words: layout.row_words(),
            features: schema.observation_width(),
            action_values: schema.action_width(),
            observation: words(layout.observation()),
            plain_action: columns.iter().all(|&(dtype, _)| dtype == DType::F32),
            scratch: vec![0; action.len()],
            action,
            columns,
        }
    }

    pub(super) fn empty_batch(schema: &Schema) -> Batch {
        Batch {
            action: if schema.is_single_discrete() {
                Actions::Discrete(Vec::new())
            } else {
                Actions::default()
            },
            images: vec![Vec::new(); schema.images().len()],
            next_images: vec![Vec::new(); schema.images().len()],
            ..Batch::default()
        }
    }

    /// What rows are copied to.
    pub(super) fn target<'a>(&'a mut self, batch: &'a mut Batch) -> Target<'a> {
        Target {
            features: self.features,
            action_values: self.action_values,
            observation_words: self.observation.clone(),
            action_words: self.action.clone(),
            observation: &mut batch.observation,
            next_observation: &mut batch.next_observation,
            action: match &mut batch.action {
                Actions::Values(to) => match self.plain_action {
                    true => ActionTarget::Plain(to),
                    false => ActionTarget::Values(to),
                },
                Actions::Discrete(to) => ActionTarget::Discrete(to),
            },
            reward: &mut batch.reward,
            terminated: &mut batch.terminated,
            truncated: &mut batch.truncated,
            images: &self.images,
            image_pixels: [&mut batch.images, &mut batch.next_images],
            columns: &self.columns,
            scratch: &mut self.scratch,
            image_scratch: &mut self.image_scratch,
        }
    }
}

/// What rows are copied to, and where it is in a row.
///
/// A local value, unlike the [`Plan`] and the [`Batch`]: what those hold would be loaded again after each copy, which may have
/// changed any memory as far as the compiler knows.
pub(super) struct Target<'a> {
    features: usize,
    action_values: usize,
    observation_words: Range<usize>,
    action_words: Range<usize>,
    observation: &'a mut [f32],
    next_observation: &'a mut [f32],
    action: ActionTarget<'a>,
    reward: &'a mut [f32],
    terminated: &'a mut [bool],
    truncated: &'a mut [bool],
    images: &'a [ImagePlan],
    image_pixels: [&'a mut [Vec<u8>]; 2],
    columns: &'a [(DType, Range<usize>)],
    scratch: &'a mut [u64],
    image_scratch: &'a mut [u64],
}

enum ActionTarget<'a> {
    /// As the values are in the row.
    Plain(&'a mut [f32]),
    Values(&'a mut [f32]),
    Discrete(&'a mut [i64]),
}

impl Target<'_> {
    /// Copies what the row holds that a transition leads to, to index `index`.
    #[inline(always)]
    pub(super) fn after(&mut self, row: &[AtomicU64], index: usize) {
        let to = &mut self.next_observation[index * self.features..][..self.features];
        atomic_copy::load_floats(to, &row[self.observation_words.clone()]);
        self.copy_action(row, index);
        if !self.images.is_empty() {
            copy_images(self.images, row, self.image_pixels[1], self.image_scratch, index);
        }
    }

    /// Copies what the row holds that a transition starts from, to index `index`.
    #[inline(always)]
    pub(super) fn before(&mut self, row: &[AtomicU64], index: usize) {
        let to = &mut self.observation[index * self.features..][..self.features];
        atomic_copy::load_floats(to, &row[self.observation_words.clone()]);
        if !self.images.is_empty() {
            copy_images(self.images, row, self.image_pixels[0], self.image_scratch, index);
        }
    }

    #[inline(always)]
    fn copy_action(&mut self, row: &[AtomicU64], index: usize) {
        let words = &row[self.action_words.clone()];
        match &mut self.action {
            ActionTarget::Plain(to) => {
                atomic_copy::load_floats(&mut to[index * self.action_values..][..self.action_values], words);
            }
            ActionTarget::Values(to) => {
                let to = &mut to[index * self.action_values..][..self.action_values];
                atomic_copy::load(self.scratch, words);
                let found = self
                    .columns
                    .iter()
                    .flat_map(|(dtype, bytes)| values(*dtype, &bytemuck::cast_slice(self.scratch)[bytes.clone()]));
                for (to, value) in to.iter_mut().zip(found) {
                    *to = value as f32;
                }
            }
            ActionTarget::Discrete(to) => {
                atomic_copy::load(self.scratch, words);
                let (dtype, bytes) = &self.columns[0];
                let choice = values(*dtype, &bytemuck::cast_slice(self.scratch)[bytes.clone()]).next();
                to[index] = choice.unwrap_or_default() as i64;
            }
        }
    }

    /// Sets how transition `index` was rewarded, and whether its episode ended with it.
    #[inline(always)]
    pub(super) fn outcome(&mut self, index: usize, reward: f64, outcome: Option<Outcome>) {
        self.reward[index] = reward as f32;
        self.terminated[index] = outcome == Some(Outcome::Terminated);
        self.truncated[index] = outcome == Some(Outcome::Truncated);
    }
}

/// Copies the images of a row to index `index` of each of `to`.
// Kept out of the loop that samples rows without images.
#[cold]
#[inline(never)]
fn copy_images(images: &[ImagePlan], row: &[AtomicU64], to: &mut [Vec<u8>], scratch: &mut [u64], index: usize) {
    for (image, to) in images.iter().zip(to) {
        let words = &mut scratch[..image.words.len()];
        atomic_copy::load(words, &row[image.words.clone()]);
        let pixels = &bytemuck::cast_slice(words)[image.before..][..image.bytes];
        to[index * image.bytes..][..image.bytes].copy_from_slice(pixels);
    }
}
