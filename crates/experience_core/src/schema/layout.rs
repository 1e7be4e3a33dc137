//! Where each value of a row lies.

use super::{Column, DType};
use core::ops::Range;

/// Bytes of a row's fixed part, the [`StepHeader`](crate::transition::StepHeader).
pub const HEADER_BYTES: usize = 64;

/// Byte offsets of the parts of one row.
///
/// A row is a whole number of 64-bit words, so that buffers can hold it in atomics:
///
/// ```text
/// header (64) │ observation f32 × N │ action mask, bits │ action │ info │ reward terms f32 × R │ padding to 8
/// ```
///
/// Every value lies at a multiple of its own size. Mask bits are packed from the lowest bit of the first byte, as
/// Arrow packs booleans. Numbers are in the machine's byte order: rows do not leave the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    observation: Range<usize>,
    mask: Range<usize>,
    action: Vec<usize>,
    action_bytes: Range<usize>,
    info: Vec<usize>,
    info_bytes: Range<usize>,
    terms: Range<usize>,
    row_bytes: usize,
}

impl RowLayout {
    pub(super) fn new(observation: &[Column], mask: usize, action: &[Column], info: &[Column], terms: usize) -> Self {
        let start = HEADER_BYTES;
        let features: usize = observation.iter().map(Column::width).sum();
        let observation = start..start + features * DType::F32.size();
        let mask = observation.end..observation.end + mask.div_ceil(8);
        let (action, action_bytes) = place(action, mask.end.next_multiple_of(8));
        let (info, info_bytes) = place(info, action_bytes.end.next_multiple_of(8));
        let terms_start = info_bytes.end.next_multiple_of(4);
        let terms = terms_start..terms_start + terms * DType::F32.size();
        Self {
            row_bytes: terms.end.next_multiple_of(8),
            observation,
            mask,
            action,
            action_bytes,
            info,
            info_bytes,
            terms,
        }
    }

    /// Bytes of a row, a multiple of 8.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// 64-bit words of a row.
    #[must_use]
    pub fn row_words(&self) -> usize {
        self.row_bytes / 8
    }

    /// Number of `f32` values in the observation.
    #[must_use]
    pub fn observation_width(&self) -> usize {
        self.observation.len() / DType::F32.size()
    }

    /// The observation's bytes.
    #[must_use]
    pub fn observation(&self) -> Range<usize> {
        self.observation.clone()
    }

    /// The action mask's bytes.
    #[must_use]
    pub fn mask(&self) -> Range<usize> {
        self.mask.clone()
    }

    /// The bytes of all action columns, padding between them included.
    #[must_use]
    pub fn action(&self) -> Range<usize> {
        self.action_bytes.clone()
    }

    /// The first byte of each action column, from the start of the row.
    #[must_use]
    pub fn action_offsets(&self) -> &[usize] {
        &self.action
    }

    /// The bytes of all info columns, padding between them included.
    #[must_use]
    pub fn info(&self) -> Range<usize> {
        self.info_bytes.clone()
    }

    /// The first byte of each info column, from the start of the row.
    #[must_use]
    pub fn info_offsets(&self) -> &[usize] {
        &self.info
    }

    /// The reward terms' bytes.
    #[must_use]
    pub fn reward_terms(&self) -> Range<usize> {
        self.terms.clone()
    }
}

fn place(columns: &[Column], start: usize) -> (Vec<usize>, Range<usize>) {
    let mut end = start;
    let offsets = columns
        .iter()
        .map(|column| {
            let offset = end.next_multiple_of(column.dtype.size());
            end = offset + column.width() * column.dtype.size();
            offset
        })
        .collect();
    (offsets, start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Space;

    #[test]
    fn every_value_lies_at_a_multiple_of_its_size() {
        let column = |dtype| Column::scalar("x", dtype, Space::unbounded());
        let action = [
            column(DType::U8),
            column(DType::F64),
            column(DType::I16),
            column(DType::F32),
        ];
        let info = [column(DType::Bool), column(DType::I64)];
        let layout = RowLayout::new(&["a", "b", "c"].map(Column::feature), 11, &action, &info, 3);
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
}
