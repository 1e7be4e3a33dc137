//! Leaf location: finds the byte offsets of leaves in a live value, from the addresses that `Reflect` getters return.
//!
//! `Reflect` is a safe trait, so an implementation may return references to anything. A location is taken from the
//! addresses, sizes and types of the references themselves, and only if each part is inside of its container. The
//! safety argument is in the docs of the [parent module](super#safety).

use super::{
    fixed::{Layout, Layouts},
    leaves::{LeafKind, LeafSet},
    op::{Anchor, LeafLocation},
    path::{PathStep, Resolved, resolve, resolve_step},
};
use bevy_reflect::{PartialReflect, Reflect};
use core::{
    any::{Any, TypeId},
    ops::Range,
};

/// Address, layout and type of a referenced value. An implementation of `Reflect` cannot forge them: the address comes
/// from the reference, the rest from its vtable.
#[derive(Clone, Copy)]
pub(super) struct MemoryRegion {
    pub(super) start: usize,
    pub(super) size: usize,
    align: usize,
    pub(super) type_id: TypeId,
}

impl MemoryRegion {
    pub(super) fn of(value: &dyn Reflect) -> Self {
        Self {
            start: (&raw const *value).addr(),
            size: size_of_val(value),
            align: align_of_val(value),
            type_id: (value as &dyn Any).type_id(),
        }
    }

    /// Whether `part` is inside of `self`, at an offset that is aligned in every value of the same type.
    pub(super) fn contains(&self, part: &Self) -> bool {
        part.start
            .checked_sub(self.start)
            .is_some_and(|offset| offset <= self.size && part.size <= self.size - offset && offset % part.align == 0)
            && part.align <= self.align
    }
}

/// A located leaf, and what has to be checked in a value before the leaf is read there.
pub(super) struct Located {
    pub(super) location: LeafLocation,
    /// `None` if the leaf is at this location in every value.
    pub(super) anchor: Option<AnchorLocation>,
}

/// The outermost part on the path of a leaf that has a fixed layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct AnchorLocation {
    /// The number of steps from the value to the part.
    pub(super) steps: usize,
    pub(super) offset: usize,
    pub(super) type_id: TypeId,
}

/// Locates leaf `index` of `leaves` in `instance`. `None` for a leaf that must be read through getters.
pub(super) fn locate(instance: &dyn Reflect, leaves: &LeafSet, index: usize, layouts: &mut Layouts) -> Option<Located> {
    let root = MemoryRegion::of(instance);
    let mut value = instance;
    let mut region = root;
    // An `Option` of a scalar is read as a whole, so the path to its value ends at the `Option`.
    let (path, expected) = match (leaves.kind, leaves.path.split_last()) {
        (LeafKind::Scalar(scalar), Some((PathStep::Some, path))) => (path, scalar.option_type_id()),
        (LeafKind::Scalar(scalar), _) => (&*leaves.path, scalar.type_id()),
        (LeafKind::Presence(scalar), _) => (&*leaves.path, scalar?.option_type_id()),
        // No reference that a getter returns shows that the bytes of an enum are initialised, and the layout of a type of
        // time is not known.
        (LeafKind::Variant { .. } | LeafKind::Time(_), _) => return None,
    };
    let mut is_fixed = layouts.layout_of(instance) != Layout::Varying;
    let mut anchor = None;
    for (step_index, &step) in path.iter().enumerate() {
        // The content of any other `Option` has no location while the `Option` is `None`.
        if step == PathStep::Some {
            return None;
        }
        let Resolved::Value(part) = resolve_step(value, step, index) else {
            return None;
        };
        let part = part.try_as_reflect()?;
        let inner = MemoryRegion::of(part);
        if !region.contains(&inner) {
            return None;
        }
        if !is_fixed && layouts.layout_of(part) != Layout::Varying {
            is_fixed = true;
            anchor = Some(AnchorLocation {
                steps: step_index + 1,
                offset: inner.start - root.start,
                type_id: inner.type_id,
            });
        }
        (value, region) = (part, inner);
    }
    (is_fixed && region.type_id == expected).then(|| Located {
        location: LeafLocation {
            offset: region.start - root.start,
            size: region.size,
        },
        anchor,
    })
}

/// Whether the part of `anchor` is in `value` where it was in the value that the plan was compiled with.
pub(super) fn is_in_place(anchor: &Anchor, value: &dyn PartialReflect) -> bool {
    let Resolved::Value(part) = resolve(value, &anchor.path, anchor.index) else {
        return false;
    };
    part.try_as_reflect().is_some_and(|part| {
        let part = MemoryRegion::of(part);
        part.type_id == anchor.type_id && part.start.wrapping_sub((&raw const *value).addr()) == anchor.offset
    })
}

/// The leaves that share a byte with another leaf. Leaves in `exempt` are left out of the comparison.
pub(super) fn overlapping(locations: &[Option<LeafLocation>], exempt: &[Range<usize>]) -> Vec<usize> {
    let mut order: Vec<_> = (0..locations.len())
        .filter(|leaf| !exempt.iter().any(|exempt| exempt.contains(leaf)))
        .filter_map(|leaf| locations[leaf].map(|found| (found.offset, found.offset + found.size, leaf)))
        .filter(|(start, end, _)| start < end)
        .collect();
    order.sort_unstable();
    let mut overlapping = Vec::new();
    let mut previous_end = 0;
    for (index, &(start, end, leaf)) in order.iter().enumerate() {
        let next_start = order.get(index + 1).map_or(usize::MAX, |&(start, ..)| start);
        if start < previous_end || next_start < end {
            overlapping.push(leaf);
        }
        previous_end = previous_end.max(end);
    }
    overlapping
}
