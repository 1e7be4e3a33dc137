//! The byte layout of a row: header, observation, images, action mask, action, info and reward terms.

use super::{Column, DType};
use core::ops::Range;

/// Size of the [`StepHeader`](crate::transition::StepHeader) that each row begins with, in bytes.
pub const HEADER_BYTES: usize = 64;

/// Byte offsets of the parts of a row.
///
/// ```text
/// header (64) │ observation f32 × N │ images u8 │ action mask bits │ action │ info │ reward terms f32 × R │ padding to 8
/// ```
///
/// - A row is a whole number of 64-bit words, so that a buffer can store it in `AtomicU64`s.
/// - Each element is aligned to its own size. Images follow each other without padding.
/// - Mask bits are packed least significant bit first, as Arrow packs booleans.
/// - Numbers are in native byte order. Rows are exchanged between threads, and through files of one machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    observation: Range<usize>,
    images: Range<usize>,
    image_offsets: Vec<usize>,
    mask: Range<usize>,
    action: Range<usize>,
    action_offsets: Vec<usize>,
    info: Range<usize>,
    info_offsets: Vec<usize>,
    reward_terms: Range<usize>,
    row_bytes: usize,
}

impl RowLayout {
    pub(super) fn new(
        observation: &[Column],
        images: &[Column],
        mask_bits: usize,
        action: &[Column],
        info: &[Column],
        reward_terms: usize,
    ) -> Self {
        let features: usize = observation.iter().map(Column::width).sum();
        let observation = HEADER_BYTES..HEADER_BYTES + features * DType::F32.size();
        let (images, image_offsets) = column_offsets(images, observation.end);
        let mask = images.end..images.end + mask_bits.div_ceil(8);
        let (action, action_offsets) = column_offsets(action, mask.end.next_multiple_of(8));
        let (info, info_offsets) = column_offsets(info, action.end.next_multiple_of(8));
        let start = info.end.next_multiple_of(DType::F32.size());
        let reward_terms = start..start + reward_terms * DType::F32.size();
        Self {
            row_bytes: reward_terms.end.next_multiple_of(8),
            observation,
            images,
            image_offsets,
            mask,
            action,
            action_offsets,
            info,
            info_offsets,
            reward_terms,
        }
    }

    /// Size of a row in bytes, a multiple of 8.
    #[must_use]
    #[inline]
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Size of a row in 64-bit words.
    #[must_use]
    #[inline]
    pub fn row_words(&self) -> usize {
        self.row_bytes / 8
    }

    /// Number of `f32` values in the observation.
    #[must_use]
    #[inline]
    pub fn observation_width(&self) -> usize {
        self.observation.len() / DType::F32.size()
    }

    /// The bytes of the observation, without padding.
    #[must_use]
    #[inline]
    pub fn observation(&self) -> Range<usize> {
        self.observation.clone()
    }

    /// The bytes of all images; empty where there are none.
    #[must_use]
    #[inline]
    pub fn images(&self) -> Range<usize> {
        self.images.clone()
    }

    /// The first byte of each image, from the start of the row.
    #[must_use]
    #[inline]
    pub fn image_offsets(&self) -> &[usize] {
        &self.image_offsets
    }

    /// The bytes of what a policy sees: observation, images and action mask, which are adjacent.
    #[must_use]
    #[inline]
    pub fn observed(&self) -> Range<usize> {
        self.observation.start..self.mask.end
    }

    /// The bytes of the action mask; empty where there is no mask.
    #[must_use]
    #[inline]
    pub fn mask(&self) -> Range<usize> {
        self.mask.clone()
    }

    /// The bytes of all action columns, including the padding between them.
    #[must_use]
    #[inline]
    pub fn action(&self) -> Range<usize> {
        self.action.clone()
    }

    /// The first byte of each action column, from the start of the row.
    #[must_use]
    #[inline]
    pub fn action_offsets(&self) -> &[usize] {
        &self.action_offsets
    }

    /// The bytes of all info columns, including the padding between them.
    #[must_use]
    #[inline]
    pub fn info(&self) -> Range<usize> {
        self.info.clone()
    }

    /// The first byte of each info column, from the start of the row.
    #[must_use]
    #[inline]
    pub fn info_offsets(&self) -> &[usize] {
        &self.info_offsets
    }

    /// The bytes of the reward terms, without padding.
    #[must_use]
    #[inline]
    pub fn reward_terms(&self) -> Range<usize> {
        self.reward_terms.clone()
    }
}

/// Places `columns` one after the other from byte `start`: the bytes of all of them, and the offset of each.
#[inline]
fn column_offsets(columns: &[Column], start: usize) -> (Range<usize>, Vec<usize>) {
    let mut end = start;
    let offsets = columns
        .iter()
        .map(|column| {
            let offset = end.next_multiple_of(column.dtype.size());
            end = offset + column.width() * column.dtype.size();
            offset
        })
        .collect();
    (start..end, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ImageShape, Space};

    #[test]
    fn elements_are_aligned_to_their_size() {
        let column = |dtype| Column::scalar("x", dtype, Space::unbounded());
        let action = [
            column(DType::U8),
            column(DType::F64),
            column(DType::I16),
            column(DType::F32),
        ];
        let info = [column(DType::Bool), column(DType::I64)];
        let layout = RowLayout::new(&["a", "b", "c"].map(Column::feature), &[], 11, &action, &info, 3);
        for (column, offset) in action.iter().zip(layout.action_offsets()) {
            assert_eq!(offset % column.dtype.size(), 0);
        }
        for (column, offset) in info.iter().zip(layout.info_offsets()) {
            assert_eq!(offset % column.dtype.size(), 0);
        }
        assert_eq!(layout.observation_width(), 3);
        assert_eq!(layout.mask().len(), 2);
        assert_eq!(layout.reward_terms().start % 4, 0);
        assert_eq!(layout.row_bytes() % 8, 0);
        assert!(layout.row_bytes() >= layout.reward_terms().end);
    }
    #[test]
    fn images_are_between_observation_and_mask() {
        let shape = |height, width, channels| ImageShape {
            height,
            width,
            channels,
        };
        let images = [
            Column::image("eye", shape(3, 5, 1)),
            Column::image("map", shape(2, 2, 3)),
        ];
        let features = [Column::feature("x")];
        let action = [Column::feature("a")];
        let layout = RowLayout::new(&features, &images, 3, &action, &[], 0);
        assert_eq!(layout.images(), 68..68 + 15 + 12);
        assert_eq!(layout.image_offsets(), [68, 83]);
        assert_eq!(layout.mask(), 95..96);
        assert_eq!(layout.observed(), 64..96);
        assert_eq!(layout.action_offsets(), [96]);
        // Without images nothing moves.
        let layout = RowLayout::new(&features, &[], 3, &action, &[], 0);
        assert_eq!((layout.images(), layout.mask()), (68..68, 68..69));
    }
}
