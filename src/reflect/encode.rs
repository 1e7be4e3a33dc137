//! From values to rows: the compiled way, or through reflection where there is none.
#![expect(
    unsafe_code,
    reason = "values are given as pointers, so that any column of a table will do"
)]

use super::{
    FieldPlan, Placed, Target,
    block::{self, Rows},
    op::{Action, Op},
    scalar::Number,
    survey::Kind,
    walk::{Reached, presence, reach},
};
use bevy_reflect::{PartialReflect, ReflectRef};
use core::{ops::Range, sync::atomic::Ordering};

/// This many values go through all ops before the next: they stay in the nearest cache.
const BLOCK: usize = 64;

/// Values that lie at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Values {
    first: *const u8,
    stride: usize,
    count: usize,
}

impl Values {
    /// # Safety
    /// `first` points to `count` live values of a plan's type, `stride` bytes apart, that nobody writes to while the
    /// result is used; and it is used with that plan alone.
    pub(super) unsafe fn new(first: *const u8, stride: usize, count: usize) -> Self {
        Self { first, stride, count }
    }

    fn pointer(self, index: usize) -> *const u8 {
        debug_assert!(index < self.count);
        // A wrapping sum does not reach beyond what the pointer was made from: `index` is one of the values.
        self.first.wrapping_add(index * self.stride)
    }

    fn blocks(self) -> impl Iterator<Item = (usize, Self)> {
        (0..self.count).step_by(BLOCK).map(move |start| {
            let block = Self {
                first: self.pointer(start),
                count: BLOCK.min(self.count - start),
                ..self
            };
            (start, block)
        })
    }
}

impl FieldPlan {
    pub(super) fn encode_values(&self, values: Values, out: &mut [u8], stride: usize) {
        if values.count == 0 {
            return;
        }
        let end = (values.count - 1)
            .checked_mul(stride)
            .and_then(|start| start.checked_add(self.extent));
        assert!(
            end.is_some_and(|end| end <= out.len()),
            "{} rows, {stride} bytes apart, do not fit into {} bytes",
            values.count,
            out.len()
        );
        if !self.mask.is_empty() {
            for row in 0..values.count {
                out[row * stride..][self.mask.clone()].fill(0);
            }
        }
        for (start, block) in values.blocks() {
            let rows = &mut out[start * stride..];
            for op in &self.ops {
                self.apply(op, block, rows, stride);
            }
        }
        if let Some(row) = self.sample(values.count) {
            self.check(row, values, out, stride);
        }
    }

    fn apply(&self, op: &Op, values: Values, out: &mut [u8], stride: usize) {
        match op.action {
            _ if op.distrusted.load(Ordering::Relaxed) => self.reflect(&op.leaves, values, out, stride),
            Action::Reflect => self.reflect(&op.leaves, values, out, stride),
            Action::Variant { bytes, table } => {
                self.look_up(op, (bytes, table), values, out, stride);
            }
            action => {
                let rows = Rows {
                    source: values.first,
                    source_stride: values.stride,
                    target: out.as_mut_ptr(),
                    target_stride: stride,
                    count: values.count,
                };
                // SAFETY: `values` are live and nobody writes to them. Leaves of the action's type were found at the
                // run's offsets in a value of the same type, so they lie there in all of them (what this takes on
                // trust stands at the top of the room). Every leaf's place in a row ends before `extent`, and
                // `encode_values` has checked that the last row has so many bytes.
                unsafe { block::encode(action, &op.run, &rows) };
            }
        }
    }

    /// Encodes enums without data.
    fn look_up(&self, op: &Op, (bytes, table): (usize, usize), values: Values, out: &mut [u8], stride: usize) {
        let table = &self.tables[table].1;
        for row in 0..values.count {
            for leaf in 0..op.run.count {
                let offset = op.run.source + leaf * op.run.source_step;
                let source = values.pointer(row).wrapping_add(offset);
                // SAFETY: an enum without data, of this size, was found at this offset in a value of the same type.
                let discriminant = unsafe { block::discriminant(source, bytes) };
                let variant = table.get(discriminant).or_else(|| {
                    let (placed, place) = self.placed(op.leaves.start + leaf);
                    let variant = self.variant(placed, reach(self.view(values, row), &placed.feature.steps, place))?;
                    table.learn(discriminant, variant);
                    Some(variant)
                });
                let at = row * stride + op.run.target + leaf * op.run.target_step;
                self.put_variant(variant, &mut out[at..at + op.run.target_step]);
            }
        }
    }

    fn reflect(&self, leaves: &Range<usize>, values: Values, out: &mut [u8], stride: usize) {
        for row in 0..values.count {
            self.reflect_one(leaves, self.view(values, row), &mut out[row * stride..]);
        }
    }

    /// Encodes `leaves` of one value. Whether its row was different before.
    fn reflect_one(&self, leaves: &Range<usize>, value: &dyn PartialReflect, row: &mut [u8]) -> bool {
        let mut changed = false;
        for placed in &self.features {
            let all = placed.first..placed.first + placed.feature.leaves;
            let (start, end) = (all.start.max(leaves.start), all.end.min(leaves.end));
            for leaf in start..end {
                changed |= self.reflect_leaf(placed, leaf - placed.first, value, row);
            }
        }
        changed
    }

    fn reflect_leaf(&self, placed: &Placed, place: usize, value: &dyn PartialReflect, row: &mut [u8]) -> bool {
        let reached = reach(value, &placed.feature.steps, place);
        let at = placed.target + place * placed.unit;
        let number = match placed.feature.kind {
            Kind::Variant { .. } => {
                let variant = self.variant(placed, reached);
                let leaf = &mut row[at..at + placed.unit];
                let changed = !self.holds_variant(variant, leaf);
                self.put_variant(variant, leaf);
                return changed;
            }
            Kind::Scalar(scalar) => match reached {
                Reached::Value(value) => scalar.read(value),
                Reached::Absent => Some(Number::Unsigned(0)),
                Reached::Lost => None,
            },
            Kind::Presence(_) => match reached {
                Reached::Value(value) => match value.reflect_ref() {
                    ReflectRef::Enum(value) => presence(value).map(|is_some| Number::Unsigned(is_some.into())),
                    _ => None,
                },
                Reached::Absent => Some(Number::Unsigned(0)),
                Reached::Lost => None,
            },
        };
        let number = number.unwrap_or_else(|| {
            self.report_lost();
            Number::Unsigned(0)
        });
        match self.target {
            Target::Observation { .. } => put(row, at, &number.to_f32().to_ne_bytes()),
            Target::Exact => put(row, at, &number.to_bytes(placed.unit)[..placed.unit]),
            Target::Mask => put_bit(row, at, number != Number::Unsigned(0)),
        }
    }

    /// The variant at the end of a path; `None` where an `Option` on the way is.
    fn variant(&self, placed: &Placed, reached: Reached<'_>) -> Option<usize> {
        let Kind::Variant { count, .. } = placed.feature.kind else {
            return None;
        };
        let variant = match reached {
            Reached::Value(value) => match value.reflect_ref() {
                ReflectRef::Enum(value) => Some(value.variant_index()).filter(|&variant| variant < count),
                _ => None,
            },
            Reached::Absent => return None,
            Reached::Lost => None,
        };
        if variant.is_none() {
            self.report_lost();
        }
        variant
    }

    /// Writes a variant: its index, or a one-hot in an observation.
    fn put_variant(&self, variant: Option<usize>, leaf: &mut [u8]) {
        if self.target == Target::Exact {
            leaf.copy_from_slice(&(variant.unwrap_or(0) as i64).to_ne_bytes());
            return;
        }
        leaf.fill(0);
        if let Some(hot) = variant.and_then(|variant| leaf.chunks_exact_mut(size_of::<f32>()).nth(variant)) {
            hot.copy_from_slice(&1.0_f32.to_ne_bytes());
        }
    }

    /// Whether [`put_variant`](Self::put_variant) wrote `leaf`.
    fn holds_variant(&self, variant: Option<usize>, leaf: &[u8]) -> bool {
        if self.target == Target::Exact {
            return leaf == (variant.unwrap_or(0) as i64).to_ne_bytes();
        }
        let values = leaf.chunks_exact(size_of::<f32>()).enumerate();
        let mut hot = values.map(|(index, value)| value == f32::from(variant == Some(index)).to_ne_bytes());
        hot.all(|same| same)
    }

    /// Which row of this call to look at once more, if any.
    ///
    /// That is one row of every sixteenth call where debug assertions are on. Elsewhere it is one row of the 1st, 2nd,
    /// 4th, 8th… call, which costs nothing in the long run.
    fn sample(&self, rows: usize) -> Option<usize> {
        // Calls that run at the same time may count as one.
        let call = self.calls.load(Ordering::Relaxed).wrapping_add(1);
        self.calls.store(call, Ordering::Relaxed);
        let due = if cfg!(debug_assertions) {
            call % 16 == 1
        } else {
            call.is_power_of_two()
        };
        due.then(|| (call.wrapping_mul(0x9e37_79b9) >> 8) as usize % rows)
    }

    /// Compares one row with what reflection says. An op that disagrees is not trusted any more.
    fn check(&self, row: usize, values: Values, out: &mut [u8], stride: usize) {
        for op in &self.ops {
            if op.action == Action::Reflect || op.distrusted.load(Ordering::Relaxed) {
                continue;
            }
            if !self.reflect_one(&op.leaves, self.view(values, row), &mut out[row * stride..]) {
                continue;
            }
            if !op.distrusted.swap(true, Ordering::Relaxed) {
                let leaf = self.placed(op.leaves.start).0.first;
                tracing::error!(
                    "`{}` does not keep its values where it had them (leaf {leaf}): they are read through reflection \
                     from now on, which is slower; derive `Reflect`, or use `observe_with`",
                    self.type_path
                );
            }
            self.reflect(&op.leaves, values, out, stride);
        }
    }

    fn view(&self, values: Values, index: usize) -> &dyn PartialReflect {
        let value = (self.view)(values.pointer(index));
        // SAFETY: `values` are live values of the type that `view` was made for.
        unsafe { &*value }
    }

    /// The feature of a leaf, and the leaf's place in it.
    fn placed(&self, leaf: usize) -> (&Placed, usize) {
        let index = self.features.partition_point(|placed| placed.first <= leaf) - 1;
        let placed = &self.features[index];
        (placed, leaf - placed.first)
    }

    fn report_lost(&self) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "a value of `{}` lacks what its type information says: missing values are recorded as 0",
                self.type_path
            );
        }
    }
}

/// Writes bytes. Whether they were different before.
fn put(row: &mut [u8], at: usize, bytes: &[u8]) -> bool {
    let place = &mut row[at..at + bytes.len()];
    let changed = place != bytes;
    place.copy_from_slice(bytes);
    changed
}

/// Writes a bit. Whether it was different before.
fn put_bit(row: &mut [u8], bit: usize, set: bool) -> bool {
    let byte = &mut row[bit / 8];
    let before = *byte;
    let mask = 1 << (bit % 8);
    *byte = if set { before | mask } else { before & !mask };
    *byte != before
}
