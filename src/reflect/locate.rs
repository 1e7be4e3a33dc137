//! Leaf location: finds the byte offsets of leaves in a live value, from the addresses that `Reflect` getters return.
//!
//! `Reflect` is a safe trait, so an implementation may return references to anything. A location is taken from the
//! addresses, sizes and types of the references themselves, and only if each part is inside of its container. The
//! safety argument is in the docs of the [parent module](super#safety).

use super::{
    leaves::{LeafKind, LeafSet},
    op::LeafLocation,
    path::{PathStep, Resolved, resolve_step},
};
use bevy_reflect::{PartialReflect, Reflect};
use core::{
    any::{Any, TypeId},
    ops::Range,
};

/// Address, layout and type of a referenced value. An implementation of `Reflect` cannot forge them: the address comes
/// from the reference, the rest from its vtable.
#[derive(Clone, Copy)]
struct MemoryRegion {
    start: usize,
    size: usize,
    align: usize,
    type_id: TypeId,
}

impl MemoryRegion {
    fn of(value: &dyn Reflect) -> Self {
        Self {
            start: (&raw const *value).addr(),
            size: size_of_val(value),
            align: align_of_val(value),
            type_id: (value as &dyn Any).type_id(),
        }
    }

    fn of_part(value: &dyn PartialReflect) -> Option<Self> {
        value.try_as_reflect().map(Self::of)
    }

    /// Whether `part` is inside of `self`, at an offset that is aligned in every value of the same type.
    fn contains(&self, part: &Self) -> bool {
        part.start
            .checked_sub(self.start)
            .is_some_and(|offset| offset <= self.size && part.size <= self.size - offset && offset % part.align == 0)
            && part.align <= self.align
    }
}

/// Locates each leaf of `leaves` in `instance`. `None` for a leaf that must be read through getters.
pub(super) fn locate<'a>(
    instance: &'a dyn Reflect,
    leaves: &'a LeafSet,
) -> impl Iterator<Item = Option<LeafLocation>> + 'a {
    (0..leaves.count).map(move |index| locate_leaf(instance, leaves, index))
}

fn locate_leaf(instance: &dyn Reflect, leaves: &LeafSet, index: usize) -> Option<LeafLocation> {
    let root = MemoryRegion::of(instance);
    let mut value: &dyn PartialReflect = instance;
    let mut region = root;
    // An `Option` of a scalar is read as a whole, so the path to its value ends at the `Option`.
    let (path, expected) = match (leaves.kind, leaves.path.split_last()) {
        (LeafKind::Scalar(scalar), Some((PathStep::Some, path))) => (path, scalar.option_type_id()),
        (LeafKind::Scalar(scalar), _) => (&*leaves.path, scalar.type_id()),
        (LeafKind::Presence(scalar), _) => (&*leaves.path, scalar?.option_type_id()),
        (
            LeafKind::Variant {
                type_id, is_fieldless, ..
            },
            _,
        ) => (&*leaves.path, is_fieldless.then_some(type_id)?),
    };
    for &step in path {
        // The content of any other `Option` has no location while the `Option` is `None`.
        if step == PathStep::Some {
            return None;
        }
        let Resolved::Value(part) = resolve_step(value, step, index) else {
            return None;
        };
        let inner = MemoryRegion::of_part(part)?;
        if !region.contains(&inner) {
            return None;
        }
        (value, region) = (part, inner);
    }
    let is_variant = matches!(leaves.kind, LeafKind::Variant { .. });
    let is_readable = !is_variant || matches!(region.size, 0 | 1 | 2 | 4 | 8);
    (region.type_id == expected && is_readable).then(|| LeafLocation {
        offset: region.start - root.start,
        size: region.size,
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
