//! Plan execution: runs the ops of a compiled plan over values, and verifies sampled rows against the `Reflect`
//! getters.
#![expect(
    unsafe_code,
    reason = "values are passed as pointers, which fits columns of ECS tables of any type"
)]

use super::{
    FieldPlan, LeafEncoding, PlacedLeaves,
    kernel::{self, RowBlock},
    leaves::LeafKind,
    locate::is_in_place,
    op::{Op, OpKind},
    path::{Resolved, is_some, resolve},
    scalar::Number,
};
use bevy_reflect::{PartialReflect, ReflectRef};
use core::{ops::Range, sync::atomic::Ordering};

/// Values per block. All ops run over one block before the next, while its values are in the L1 cache.
const BLOCK_ROWS: usize = 64;

/// Values of a plan's type at equal distances in memory.
#[derive(Clone, Copy)]
pub(super) struct StridedValues {
    first: *const u8,
    stride: usize,
    count: usize,
}

impl StridedValues {
    /// # Safety
    /// `first` points to `count` live values of a plan's type, `stride` bytes apart, that are not written to while the
    /// result is in use. The result is passed to that plan only.
    pub(super) unsafe fn new(first: *const u8, stride: usize, count: usize) -> Self {
        Self { first, stride, count }
    }

    fn pointer(self, index: usize) -> *const u8 {
        debug_assert!(index < self.count);
        // In bounds of the allocation, since `index` is that of a value. `wrapping_add` needs no `unsafe`.
        self.first.wrapping_add(index * self.stride)
    }

    /// Splits the values into blocks: the index of each block's first value, and the block.
    fn blocks(self) -> impl Iterator<Item = (usize, Self)> {
        (0..self.count).step_by(BLOCK_ROWS).map(move |start| {
            let block = Self {
                first: self.pointer(start),
                count: BLOCK_ROWS.min(self.count - start),
                ..self
            };
            (start, block)
        })
    }
}

impl FieldPlan {
    pub(super) fn encode_values(&self, values: StridedValues, out: &mut [u8], stride: usize) {
        if values.count == 0 {
            return;
        }
        let end = (values.count - 1)
            .checked_mul(stride)
            .and_then(|start| start.checked_add(self.row_end));
        assert!(
            end.is_some_and(|end| end <= out.len()),
            "{} rows, {stride} bytes apart, do not fit into {} bytes",
            values.count,
            out.len()
        );
        if self.encoding == LeafEncoding::Mask {
            for row in 0..values.count {
                out[row * stride..][self.mask_bytes()].fill(0);
            }
        }
        for (start, block) in values.blocks() {
            let rows = &mut out[start * stride..];
            for op in &self.ops {
                self.run_op(op, block, rows, stride);
            }
        }
        if let Some(row) = self.row_to_verify(values.count) {
            self.verify_row(row, values, out, stride);
        }
    }

    fn run_op(&self, op: &Op, values: StridedValues, out: &mut [u8], stride: usize) {
        match op.kind {
            OpKind::Reflect => self.encode_by_getters(&op.leaves, values, out, stride),
            _ if op.is_demoted.load(Ordering::Relaxed) => self.encode_by_getters(&op.leaves, values, out, stride),
            _ if !self.are_anchors_in_place(op, values) => {
                self.demote(op);
                self.encode_by_getters(&op.leaves, values, out, stride);
            }
            kind => {
                let rows = RowBlock {
                    source: values.first,
                    source_stride: values.stride,
                    target: out.as_mut_ptr(),
                    target_stride: stride,
                    count: values.count,
                };
                // SAFETY: by the contract of `StridedValues::new`, the values are live and not written to. Leaves of
                // the type that `kind` names are at the run's offsets in all of them, as the docs of the parent module
                // argue: the anchors of the op, if it has any, have just been found in place in each value. The place of each leaf in a row ends at or before `row_end`, and `encode_values` has checked
                // that the last row is at least that long.
                unsafe { kernel::encode(kind, &op.run, &rows) };
            }
        }
    }

    fn encode_by_getters(&self, leaves: &Range<usize>, values: StridedValues, out: &mut [u8], stride: usize) {
        for row in 0..values.count {
            self.encode_row_by_getters(leaves, self.reflected(values, row), &mut out[row * stride..]);
        }
    }

    /// Encodes `leaves` of one value, and returns whether that changed the row.
    fn encode_row_by_getters(&self, leaves: &Range<usize>, value: &dyn PartialReflect, row: &mut [u8]) -> bool {
        let mut has_changed = false;
        let first = self.leaf_sets.partition_point(|placed| placed.first <= leaves.start) - 1;
        for placed in &self.leaf_sets[first..] {
            let start = placed.first.max(leaves.start);
            let end = (placed.first + placed.leaves.count).min(leaves.end);
            if start >= end {
                break;
            }
            for leaf in start..end {
                has_changed |= self.encode_leaf_by_getters(placed, leaf - placed.first, value, row);
            }
        }
        has_changed
    }

    /// Encodes leaf `index` of a leaf set, and returns whether that changed the row.
    fn encode_leaf_by_getters(
        &self,
        placed: &PlacedLeaves,
        index: usize,
        value: &dyn PartialReflect,
        row: &mut [u8],
    ) -> bool {
        let resolved = resolve(value, &placed.leaves.path, index);
        let at = placed.target + index * placed.leaf_size;
        let number = match placed.leaves.kind {
            LeafKind::Variant { .. } => {
                let variant = self.variant_index(placed, resolved);
                let place = &mut row[at..at + placed.leaf_size];
                let has_changed = !self.is_written_variant(variant, place);
                self.write_variant(variant, place);
                return has_changed;
            }
            LeafKind::Scalar(scalar) => match resolved {
                Resolved::Value(value) => scalar.read(value),
                Resolved::Absent => Some(Number::Unsigned(0)),
                Resolved::Mismatch => None,
            },
            LeafKind::Time(leaf) => match resolved {
                Resolved::Value(value) => leaf.read(value),
                Resolved::Absent => Some(Number::Unsigned(0)),
                Resolved::Mismatch => None,
            },
            LeafKind::Presence(_) => match resolved {
                Resolved::Value(value) => match value.reflect_ref() {
                    ReflectRef::Enum(value) => is_some(value).map(|is_some| Number::Unsigned(is_some.into())),
                    _ => None,
                },
                Resolved::Absent => Some(Number::Unsigned(0)),
                Resolved::Mismatch => None,
            },
        };
        let number = number.unwrap_or_else(|| {
            self.report_mismatch();
            Number::Unsigned(0)
        });
        match self.encoding {
            LeafEncoding::Observation { .. } => write_bytes(row, at, &number.to_f32().to_ne_bytes()),
            LeafEncoding::Exact | LeafEncoding::Image => {
                let bytes = number.to_bytes(placed.leaf_size);
                write_bytes(row, at, &bytes[..placed.leaf_size])
            }
            LeafEncoding::Mask => write_bit(row, at, number != Number::Unsigned(0)),
        }
    }

    /// The index of the variant that a path leads to; `None` if an `Option` on the path is `None`.
    fn variant_index(&self, placed: &PlacedLeaves, resolved: Resolved<'_>) -> Option<usize> {
        let LeafKind::Variant { count } = placed.leaves.kind else {
            return None;
        };
        let variant = match resolved {
            Resolved::Value(value) => match value.reflect_ref() {
                ReflectRef::Enum(value) => Some(value.variant_index()).filter(|&variant| variant < count),
                _ => None,
            },
            Resolved::Absent => return None,
            Resolved::Mismatch => None,
        };
        if variant.is_none() {
            self.report_mismatch();
        }
        variant
    }

    /// Writes a variant: a one-hot in an observation, the variant's index as `i64` otherwise. `None` is all zeros.
    fn write_variant(&self, variant: Option<usize>, place: &mut [u8]) {
        if self.encoding == LeafEncoding::Exact {
            place.copy_from_slice(&(variant.unwrap_or(0) as i64).to_ne_bytes());
            return;
        }
        place.fill(0);
        if let Some(hot) = variant.and_then(|variant| place.chunks_exact_mut(size_of::<f32>()).nth(variant)) {
            hot.copy_from_slice(&1.0_f32.to_ne_bytes());
        }
    }

    /// Whether `place` holds what [`write_variant`](Self::write_variant) writes. Compared before writing, so that the
    /// common path of `write_variant` does no comparison.
    fn is_written_variant(&self, variant: Option<usize>, place: &[u8]) -> bool {
        if self.encoding == LeafEncoding::Exact {
            return place == (variant.unwrap_or(0) as i64).to_ne_bytes();
        }
        let mut elements = place.chunks_exact(size_of::<f32>()).enumerate();
        elements.all(|(index, element)| element == f32::from(variant == Some(index)).to_ne_bytes())
    }

    /// The row of this call to verify, if any.
    ///
    /// With debug assertions that is one row of each sixteenth call. Without, it is one row of the 1st, 2nd, 4th, 8th…
    /// call, at an amortized cost that tends to 0.
    fn row_to_verify(&self, rows: usize) -> Option<usize> {
        // Not an atomic addition: a race only loses a count, which is harmless.
        let call = self.encode_calls.load(Ordering::Relaxed).wrapping_add(1);
        self.encode_calls.store(call, Ordering::Relaxed);
        let is_due = if cfg!(debug_assertions) {
            call % 16 == 1
        } else {
            call.is_power_of_two()
        };
        // Multiplicative hashing spreads the choice over the rows.
        is_due.then(|| (call.wrapping_mul(0x9e37_79b9) >> 8) as usize % rows)
    }

    /// Encodes one row by getters and compares. An op whose bytes differ is demoted, and its leaves are encoded again.
    fn verify_row(&self, row: usize, values: StridedValues, out: &mut [u8], stride: usize) {
        for op in &self.ops {
            if op.kind == OpKind::Reflect || op.is_demoted.load(Ordering::Relaxed) {
                continue;
            }
            let leaves = self.leaves_to_verify(&op.leaves);
            if !self.encode_row_by_getters(&leaves, self.reflected(values, row), &mut out[row * stride..]) {
                continue;
            }
            self.demote(op);
            self.encode_by_getters(&op.leaves, values, out, stride);
        }
    }

    /// The leaves of an op to verify: all of them, or a part of those of an image, which has too many for one tick.
    pub(super) fn leaves_to_verify(&self, leaves: &Range<usize>) -> Range<usize> {
        /// Some tens of microseconds by getters.
        const MAX_LEAVES: usize = 1024;
        let Some(excess) = leaves.len().checked_sub(MAX_LEAVES) else {
            return leaves.clone();
        };
        // Multiplicative hashing spreads the choice over the leaves.
        let call = self.encode_calls.load(Ordering::Relaxed);
        let start = leaves.start + (call.wrapping_mul(0x9e37_79b9) >> 4) as usize % (excess + 1);
        start..start + MAX_LEAVES
    }

    /// Whether the anchors of an op are at their offsets in all of `values`.
    fn are_anchors_in_place(&self, op: &Op, values: StridedValues) -> bool {
        let anchors = &self.anchors[op.anchors.clone()];
        anchors
            .iter()
            .all(|anchor| (0..values.count).all(|row| is_in_place(anchor, self.reflected(values, row))))
    }

    /// Encodes the leaves of an op by getters from now on.
    fn demote(&self, op: &Op) {
        if !op.is_demoted.swap(true, Ordering::Relaxed) {
            let leaf = op.leaves.start;
            tracing::error!(
                "the `Reflect` implementation of `{}` returns a field that is elsewhere in another value (leaf {leaf}): it is \
                 read through reflection from now on, which is slower; derive `Reflect` for a struct that holds the field, \
                 and record that",
                self.type_path
            );
        }
    }

    fn reflected(&self, values: StridedValues, index: usize) -> &dyn PartialReflect {
        let value = (self.as_reflect)(values.pointer(index));
        // SAFETY: by the contract of `StridedValues::new`, this is a live value of the type that `as_reflect` casts to.
        unsafe { &*value }
    }

    /// Logs, once per plan, that a value lacks a leaf.
    fn report_mismatch(&self) {
        if !self.has_reported_mismatch.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "a value of `{}` lacks a field that its type information lists: missing values are recorded as 0; \
                 derive `Reflect` for a struct that has it, and record that",
                self.type_path
            );
        }
    }
}

/// Writes bytes, and returns whether they were different before.
fn write_bytes(row: &mut [u8], at: usize, bytes: &[u8]) -> bool {
    let place = &mut row[at..at + bytes.len()];
    let has_changed = place != bytes;
    place.copy_from_slice(bytes);
    has_changed
}

/// Writes a bit, and returns whether it was different before.
fn write_bit(row: &mut [u8], bit: usize, set: bool) -> bool {
    let byte = &mut row[bit / 8];
    let before = *byte;
    let mask = 1 << (bit % 8);
    *byte = if set { before | mask } else { before & !mask };
    *byte != before
}
