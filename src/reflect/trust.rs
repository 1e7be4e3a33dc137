//! Where a leaf lies in its value, if reflection can be believed.
//!
//! `Reflect` is a safe trait: a hand-written implementation may hand out references to anything. So an offset is taken
//! only from a leaf that a live value really holds: every step of the way ends inside of what it was taken from, by
//! the true sizes and types that the compiler keeps with each reference.

use super::{
    op::Found,
    survey::{Feature, Kind},
    walk::{Reached, Step, take},
};
use bevy_reflect::{PartialReflect, Reflect};
use core::{
    any::{Any, TypeId},
    ops::Range,
};

/// Where a value lies and what it is. Neither can be forged: both come from the reference and its vtable.
#[derive(Clone, Copy)]
struct Region {
    start: usize,
    size: usize,
    align: usize,
    id: TypeId,
}

impl Region {
    fn of(value: &dyn Reflect) -> Self {
        Self {
            start: (&raw const *value).addr(),
            size: size_of_val(value),
            align: align_of_val(value),
            id: (value as &dyn Any).type_id(),
        }
    }

    fn of_part(value: &dyn PartialReflect) -> Option<Self> {
        value.try_as_reflect().map(Self::of)
    }

    /// Whether `part` lies in `self`, where it lies in every value of the same type.
    fn holds(&self, part: &Self) -> bool {
        part.start
            .checked_sub(self.start)
            .is_some_and(|offset| offset <= self.size && part.size <= self.size - offset && offset % part.align == 0)
            && part.align <= self.align
    }
}

/// Where each leaf of `feature` lies in `instance`, or `None` for a leaf that must be read through reflection.
pub(super) fn find<'a>(instance: &'a dyn Reflect, feature: &'a Feature) -> impl Iterator<Item = Option<Found>> + 'a {
    (0..feature.leaves).map(move |place| find_leaf(instance, feature, place))
}

fn find_leaf(instance: &dyn Reflect, feature: &Feature, place: usize) -> Option<Found> {
    let root = Region::of(instance);
    let mut value: &dyn PartialReflect = instance;
    let mut region = root;
    // The value of an `Option` is read together with its presence, so the way ends at the `Option`.
    let (way, expected) = match (feature.kind, feature.steps.split_last()) {
        (Kind::Scalar(scalar), Some((Step::Some, way))) => (way, scalar.option_id()),
        (Kind::Scalar(scalar), _) => (&*feature.steps, scalar.type_id()),
        (Kind::Presence(scalar), _) => (&*feature.steps, scalar?.option_id()),
        (Kind::Variant { id, unit, .. }, _) => (&*feature.steps, unit.then_some(id)?),
    };
    for &step in way {
        // What lies in an `Option` lies nowhere while there is none.
        if step == Step::Some {
            return None;
        }
        let Reached::Value(part) = take(value, step, place) else {
            return None;
        };
        let inner = Region::of_part(part)?;
        if !region.holds(&inner) {
            return None;
        }
        (value, region) = (part, inner);
    }
    // An enum without data is its discriminant, and those have such sizes only.
    let readable = !matches!(feature.kind, Kind::Variant { .. }) || matches!(region.size, 0 | 1 | 2 | 4 | 8);
    (region.id == expected && readable).then(|| Found {
        offset: region.start - root.start,
        bytes: region.size,
    })
}

/// The leaves that share bytes with another: one of the two is not what it says. Those numbered in `shared` may.
pub(super) fn overlapping(found: &[Option<Found>], shared: &[Range<usize>]) -> Vec<usize> {
    let mut order: Vec<_> = (0..found.len())
        .filter(|leaf| !shared.iter().any(|shared| shared.contains(leaf)))
        .filter_map(|leaf| found[leaf].map(|found| (found.offset, found.offset + found.bytes, leaf)))
        .filter(|(start, end, _)| start < end)
        .collect();
    order.sort_unstable();
    let mut overlapping = Vec::new();
    let mut reached = 0;
    for (index, &(start, end, leaf)) in order.iter().enumerate() {
        let next = order.get(index + 1).map_or(usize::MAX, |&(start, ..)| start);
        if start < reached || next < end {
            overlapping.push(leaf);
        }
        reached = reached.max(end);
    }
    overlapping
}
