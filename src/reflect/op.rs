//! A compiled plan: which bytes of a value become which bytes of a row.

use super::scalar::Scalar;
use core::{ops::Range, sync::atomic::AtomicBool};

/// Leaves that are encoded together.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) action: Action,
    pub(super) run: Run,
    /// Which of the plan's leaves these are, counted through all features.
    pub(super) leaves: Range<usize>,
    /// Set when the compiled way and reflection disagreed; from then on reflection is asked.
    pub(super) distrusted: AtomicBool,
}

/// Where leaves come from and where they go, in bytes from the start of a value and of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) source: usize,
    pub(super) source_step: usize,
    /// In a mask this counts bits, and so does the step.
    pub(super) target: usize,
    pub(super) target_step: usize,
    /// How many there are: leaves, or bytes of a copy.
    pub(super) count: usize,
}

/// What happens to the leaves of an [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Each is read through reflection.
    Reflect,
    /// Bytes are copied as they are.
    Copy,
    /// Each is copied as it is, from between other bytes.
    Scatter(Scalar),
    /// Each becomes an `f32`.
    Widen(Scalar),
    /// Each becomes a `bool` of one byte, or an integer of 64 bits.
    Normalise(Scalar),
    /// Each becomes a bit.
    Pack,
    /// The value of an `Option` becomes an `f32`: 0 where there is none.
    Value(Scalar),
    /// Whether an `Option` is `Some` becomes an `f32`.
    Presence(Scalar),
    /// The discriminant of an enum, of this many bytes, is looked up in a table.
    Variant { bytes: usize, table: usize },
}

/// Where a leaf lies in a value, and how many bytes it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

/// Appends the ops for the leaves of one feature, in as few ops as possible.
///
/// The leaves are `action`ed on, and lie `target_step` apart in the row from `target` on; `first` is the number of the
/// first of them among all leaves of the plan.
pub(super) fn push(
    ops: &mut Vec<Op>,
    first: usize,
    action: Action,
    (target, target_step): (usize, usize),
    found: &[Option<Found>],
) {
    let mut done = 0;
    while let Some(&leaf) = found.get(done) {
        let rest = &found[done..];
        let target = target + done * target_step;
        let (leaves, action, run) = match leaf {
            None => {
                let count = rest.iter().take_while(|leaf| leaf.is_none()).count();
                let run = Run {
                    source: 0,
                    source_step: 0,
                    target,
                    target_step,
                    count,
                };
                (count, Action::Reflect, run)
            }
            Some(leaf) => {
                let (source_step, count) = regular(leaf, rest);
                let run = Run {
                    source: leaf.offset,
                    source_step,
                    target,
                    target_step,
                    count,
                };
                let (action, run) = close(action, run, leaf.bytes);
                (count, action, run)
            }
        };
        let start = first + done;
        done += leaves;
        append(ops, action, run, start..first + done);
    }
}

/// How far apart the first leaves lie, and how many of them lie so far apart.
fn regular(first: Found, leaves: &[Option<Found>]) -> (usize, usize) {
    let second = leaves.get(1).copied().flatten();
    let step = second
        .and_then(|second| second.offset.checked_sub(first.offset))
        .filter(|&step| step > 0);
    let Some(step) = step else {
        return (first.bytes, 1);
    };
    let is_regular = |&(index, leaf): &(usize, &Option<Found>)| {
        leaf.is_some_and(|leaf| leaf.offset == first.offset + index * step && leaf.bytes == first.bytes)
    };
    (step, leaves.iter().enumerate().take_while(is_regular).count())
}

/// Leaves that are copied as they are, with nothing between them, are one copy of bytes.
fn close(action: Action, run: Run, bytes: usize) -> (Action, Run) {
    match action {
        Action::Scatter(_) if run.source_step == bytes && run.target_step == bytes => (
            Action::Copy,
            Run {
                source_step: 1,
                target_step: 1,
                count: run.count * bytes,
                ..run
            },
        ),
        other => (other, run),
    }
}

/// Appends an op, or makes the last one longer where the new one continues it.
fn append(ops: &mut Vec<Op>, action: Action, run: Run, leaves: Range<usize>) {
    if let Some(last) = ops.last_mut()
        && last.action == action
        && (action == Action::Reflect || last.run.is_continued_by(&run))
    {
        last.run.count += run.count;
        last.leaves.end = leaves.end;
        return;
    }
    ops.push(Op {
        action,
        run,
        leaves,
        distrusted: AtomicBool::new(false),
    });
}

impl Run {
    fn is_continued_by(&self, next: &Self) -> bool {
        (self.source_step, self.target_step) == (next.source_step, next.target_step)
            && next.source == self.source + self.count * self.source_step
            && next.target == self.target + self.count * self.target_step
    }
}
