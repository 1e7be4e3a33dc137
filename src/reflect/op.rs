//! Ops of a compiled plan, and the merging of adjacent leaves into as few ops as possible.

use super::{path::PathStep, scalar::Scalar};
use core::{any::TypeId, ops::Range, sync::atomic::AtomicBool};

/// Consecutive leaves of a plan that are encoded in one loop.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) kind: OpKind,
    pub(super) run: LeafRun,
    /// The leaves that the op encodes, counted over the whole plan.
    pub(super) leaves: Range<usize>,
    /// The anchors of the leaves, as indices into those of the plan.
    pub(super) anchors: Range<usize>,
    /// Set when an anchor did not hold, or when a sample differed from what the `Reflect` getters return. From then on the
    /// op uses the getters.
    pub(super) is_demoted: AtomicBool,
}

/// The byte offsets of leaves in a value and in a row, as arithmetic progressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeafRun {
    /// Offset of the first leaf in the value.
    pub(super) source: usize,
    pub(super) source_step: usize,
    /// Offset of the first leaf in the row. In a mask this and the step count bits.
    pub(super) target: usize,
    pub(super) target_step: usize,
    /// Number of leaves; number of bytes for [`OpKind::Copy`].
    pub(super) count: usize,
}

/// How an [`Op`] encodes its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpKind {
    /// Each leaf is read through the getters of `Reflect`. The run's source is unused.
    Reflect,
    /// One copy of contiguous bytes.
    Copy,
    /// Each scalar is copied unchanged.
    CopyStrided(Scalar),
    /// Each scalar is converted to `f32`.
    ToF32(Scalar),
    /// Each scalar is converted to the form that its column stores: a `bool` to the byte 0 or 1, `usize` and `isize` to
    /// 64 bits.
    Canonicalize(Scalar),
    /// Each `bool` becomes a bit.
    PackBits,
    /// The value of an `Option` of the scalar becomes an `f32`, 0 for `None`.
    OptionValue(Scalar),
    /// The presence of an `Option` of the scalar becomes an `f32`, 0 for `None` and 1 for `Some`.
    OptionPresence(Scalar),
}

/// The offset and size of a leaf in a value of the plan's type, in bytes. They hold for each value for which the leaf's
/// [`Anchor`] holds, and for all values if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeafLocation {
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// A part of a value that has a fixed layout, in a value that has none. The getters are asked for it in each value, and
/// its leaves are at their locations if it is at its own.
#[derive(Debug)]
pub(super) struct Anchor {
    /// The path to the part.
    pub(super) path: Box<[PathStep]>,
    /// The leaf, in its leaf set, for which the path was resolved.
    pub(super) index: usize,
    /// Offset of the part in the value, in bytes.
    pub(super) offset: usize,
    pub(super) type_id: TypeId,
    /// The leaves in the part, counted over the whole plan.
    pub(super) leaves: Range<usize>,
}

/// Appends ops for consecutive leaves of one kind.
///
/// `locations` has one element per leaf; leaves without a location are read through getters. `first` is the number of
/// the first leaf in the plan. In the row, leaves begin at `target` and are `target_step` apart.
pub(super) fn push(
    ops: &mut Vec<Op>,
    first: usize,
    kind: OpKind,
    (target, target_step): (usize, usize),
    locations: &[Option<LeafLocation>],
) {
    let mut done = 0;
    while let Some(&location) = locations.get(done) {
        let rest = &locations[done..];
        let target = target + done * target_step;
        let (leaves, kind, run) = match location {
            None => {
                let count = rest.iter().take_while(|location| location.is_none()).count();
                let run = LeafRun {
                    source: 0,
                    source_step: 0,
                    target,
                    target_step,
                    count,
                };
                (count, OpKind::Reflect, run)
            }
            Some(location) => {
                let (source_step, count) = regular_prefix(location, rest);
                let run = LeafRun {
                    source: location.offset,
                    source_step,
                    target,
                    target_step,
                    count,
                };
                let (kind, run) = contiguous_as_copy(kind, run, location.size);
                (count, kind, run)
            }
        };
        let start = first + done;
        done += leaves;
        push_or_extend(ops, kind, run, start..first + done);
    }
}

/// The distance between the first two leaves, and the number of leaves at that distance from each other.
fn regular_prefix(first: LeafLocation, leaves: &[Option<LeafLocation>]) -> (usize, usize) {
    let second = leaves.get(1).copied().flatten();
    let step = second
        .and_then(|second| second.offset.checked_sub(first.offset))
        .filter(|&step| step > 0);
    let Some(step) = step else {
        return (first.size, 1);
    };
    let is_regular = |&(index, leaf): &(usize, &Option<LeafLocation>)| {
        leaf.is_some_and(|leaf| leaf.offset == first.offset + index * step && leaf.size == first.size)
    };
    (step, leaves.iter().enumerate().take_while(is_regular).count())
}

/// Turns leaves that are copied unchanged and contiguous on both sides into one copy of bytes.
fn contiguous_as_copy(kind: OpKind, run: LeafRun, leaf_size: usize) -> (OpKind, LeafRun) {
    match kind {
        OpKind::CopyStrided(_) if run.source_step == leaf_size && run.target_step == leaf_size => (
            OpKind::Copy,
            LeafRun {
                source_step: 1,
                target_step: 1,
                count: run.count * leaf_size,
                ..run
            },
        ),
        other => (other, run),
    }
}

/// Appends an op, or extends the last one if the new one continues it.
fn push_or_extend(ops: &mut Vec<Op>, kind: OpKind, run: LeafRun, leaves: Range<usize>) {
    if let Some(last) = ops.last_mut()
        && last.kind == kind
        && (kind == OpKind::Reflect || last.run.is_continued_by(&run))
    {
        last.run.count += run.count;
        last.leaves.end = leaves.end;
        return;
    }
    ops.push(Op {
        kind,
        run,
        leaves,
        anchors: 0..0,
        is_demoted: AtomicBool::new(false),
    });
}

impl LeafRun {
    fn is_continued_by(&self, next: &Self) -> bool {
        (self.source_step, self.target_step) == (next.source_step, next.target_step)
            && next.source == self.source + self.count * self.source_step
            && next.target == self.target + self.count * self.target_step
    }
}
