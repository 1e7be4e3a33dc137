//! The few nearest of those that were looked at.
//!
//! Whether somebody is nearer than those before is as hard to guess as a coin that is thrown, and a processor that guesses
//! wrong has lost the time of several comparisons. So where few are wanted nobody asks: everybody who is met goes through
//! all places, and is left in one, or falls out at the end.

use super::grid::{Grid, Look, Spot, squared_distance};
use bevy_ecs::entity::Entity;

/// Who comes first of two at one distance.
pub(super) type Order = (Option<i64>, Entity);

/// The nearest of those at most so far away, the first the nearest.
pub(crate) struct Found {
    count: usize,
    /// Stands where nobody does, farther than all who count.
    nobody: u64,
    /// [Keys](key), the least first: `count`, the viewer's own, and one more to tell whether the last is one of several at
    /// that distance.
    nearest: Vec<u64>,
    /// Some are met twice, and found once.
    meets_again: bool,
    /// The first of those at one distance, when it comes to that.
    first: Vec<u32>,
}

/// Distances order as their bits do, since none is negative.
#[inline]
fn key(squared_distance: f32, other: u32) -> u64 {
    u64::from(squared_distance.to_bits()) << 32 | u64::from(other)
}

#[inline]
fn distance_of(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}

impl Found {
    /// The nearest `count` at most `within` away.
    pub(super) fn new(count: usize, within: f32) -> Self {
        Self {
            count,
            nobody: key(within * within, u32::MAX),
            nearest: vec![0; count + 2],
            meets_again: false,
            first: Vec::with_capacity(count),
        }
    }

    /// Looks around from `here`, without seeing the `viewer`. Of two at one distance the one with the lower order is nearer.
    #[inline]
    pub(super) fn find(
        &mut self,
        grid: &Grid,
        here: [f32; 3],
        own_match: Option<i64>,
        viewer: Entity,
        order: impl Fn(u32) -> Order,
    ) {
        self.meets_again = false;
        self.look(grid, here, own_match);
        if self.any_pair(|nearer, farther| nearer == farther) {
            self.meets_again = true;
            self.look(grid, here, own_match);
        }
        let here_too = self.nearest.iter().take_while(|&&key| distance_of(key) == 0.0);
        if let Some((own, _)) = here_too.enumerate().find(|&(_, &key)| order(key as u32).1 == viewer) {
            self.nearest[own..].rotate_left(1);
            self.nearest[self.count + 1] = self.nobody;
        }
        if self.any_pair(|nearer, farther| nearer >> 32 == farther >> 32) {
            self.settle(grid, here, own_match, viewer, &order);
        }
    }

    fn look(&mut self, grid: &Grid, here: [f32; 3], own_match: Option<i64>) {
        self.nearest.fill(self.nobody);
        grid.look(here, own_match, self);
    }

    /// Whether it is true of somebody and the next.
    fn any_pair(&self, holds: impl Fn(u64, u64) -> bool) -> bool {
        let mut pairs = self.nearest.windows(2);
        pairs.any(|pair| pair[1] != self.nobody && holds(pair[0], pair[1]))
    }

    /// Puts those at one distance in order.
    #[cold]
    fn settle(
        &mut self,
        grid: &Grid,
        here: [f32; 3],
        own_match: Option<i64>,
        viewer: Entity,
        order: &impl Fn(u32) -> Order,
    ) {
        let Self {
            count,
            nobody,
            nearest,
            first,
            ..
        } = self;
        let (kept, beyond) = nearest.split_at_mut(*count);
        let (Some(&last), Some(&next)) = (kept.last(), beyond.first()) else {
            return;
        };
        if next != *nobody && next >> 32 == last >> 32 {
            // Others may have fallen out who come before these.
            let nearer = kept.partition_point(|key| key >> 32 < last >> 32);
            first.clear();
            let mut tied = Tied {
                distance: distance_of(last),
                most: *count - nearer,
                viewer,
                first,
                order,
            };
            grid.look(here, own_match, &mut tied);
            for (key_of, &other) in kept[nearer..].iter_mut().zip(&*first) {
                *key_of = key(distance_of(last), other);
            }
        }
        let found = kept.partition_point(|&key| key < *nobody);
        kept[..found].sort_unstable_by_key(|&key| (key >> 32, order(key as u32)));
    }

    /// Who was found, the nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let found = self.nearest[..self.count].iter();
        found.take_while(|&&key| key != self.nobody).map(|&key| key as u32)
    }
}

impl Look for Found {
    #[inline]
    fn meet(&mut self, here: [f32; 3], spots: &[Spot]) {
        let nearest = &mut *self.nearest;
        match nearest.len() {
            _ if self.meets_again => insert(nearest, here, spots),
            // Each for itself, so that the places are registers.
            3 => sift::<3>(nearest, here, spots),
            4 => sift::<4>(nearest, here, spots),
            5 => sift::<5>(nearest, here, spots),
            6 => sift::<6>(nearest, here, spots),
            7 => sift::<7>(nearest, here, spots),
            8 => sift::<8>(nearest, here, spots),
            _ => insert(nearest, here, spots),
        }
    }

    #[inline]
    fn bound(&self) -> f32 {
        distance_of(self.nearest[self.count + 1])
    }
}

/// Leaves everybody who is nearer than some in the place that is theirs.
#[inline]
fn sift<const N: usize>(nearest: &mut [u64], here: [f32; 3], spots: &[Spot]) {
    let Ok(nearest) = <&mut [u64; N]>::try_from(nearest) else {
        return;
    };
    let mut places = *nearest;
    for spot in spots {
        let mut key = key(squared_distance(here, spot.at), spot.other);
        for place in &mut places {
            (*place, key) = ((*place).min(key), (*place).max(key));
        }
    }
    *nearest = places;
}

/// The same, for any number of places, and once for whoever is met twice.
fn insert(nearest: &mut [u64], here: [f32; 3], spots: &[Spot]) {
    for spot in spots {
        let key = key(squared_distance(here, spot.at), spot.other);
        if nearest.last().is_none_or(|&last| key >= last) {
            continue;
        }
        if let Err(place) = nearest.binary_search(&key) {
            nearest[place..].rotate_right(1);
            nearest[place] = key;
        }
    }
}

/// The first, in their order, of those at one distance.
struct Tied<'a, F> {
    distance: f32,
    most: usize,
    viewer: Entity,
    first: &'a mut Vec<u32>,
    order: F,
}

impl<F: Fn(u32) -> Order> Look for Tied<'_, F> {
    fn meet(&mut self, here: [f32; 3], spots: &[Spot]) {
        for spot in spots
            .iter()
            .filter(|spot| squared_distance(here, spot.at) == self.distance)
        {
            let order = (self.order)(spot.other);
            let place = self.first.partition_point(|&other| (self.order)(other) < order);
            if order.1 != self.viewer && place < self.most && self.first.get(place) != Some(&spot.other) {
                self.first.truncate(self.most - 1);
                self.first.insert(place, spot.other);
            }
        }
    }

    fn bound(&self) -> f32 {
        self.distance
    }
}
