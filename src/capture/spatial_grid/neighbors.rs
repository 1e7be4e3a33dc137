//! Result buffer of a k-nearest-neighbour query on a [`SpatialGrid`](super::SpatialGrid).

use super::Point;
use bevy_math::Vec3;

/// The points nearest to a center, collected by [`SpatialGrid::nearest`](super::SpatialGrid::nearest).
///
/// Of two points at one distance, the one with the lower id is the nearer one.
#[derive(Clone, Debug)]
pub struct Neighbors {
    /// The squared distance of a point in the upper half, its id in the lower, ascending. Floats that are not negative
    /// order as their bits do.
    keys: Vec<u64>,
    /// The keys as of the start of the current query, which [`restore`](Self::restore) reverts to.
    saved: Vec<u64>,
    /// Marks an unused entry of `keys`. Greater than the key of every point within the maximum distance.
    empty_key: u64,
}

impl Neighbors {
    /// Collects the nearest `count` points at most `max_distance` away.
    #[must_use]
    pub fn new(count: usize, max_distance: f32) -> Self {
        // No point is within a distance that is NaN.
        let empty_key = key((max_distance * max_distance).max(0.0), u32::MAX);
        Self {
            keys: vec![empty_key; count],
            saved: vec![empty_key; count],
            empty_key,
        }
    }

    /// Removes all points.
    #[inline]
    pub fn clear(&mut self) {
        self.keys.fill(self.empty_key);
    }

    /// The ids and squared distances of the points found, the nearest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        let found = self.keys.iter().take_while(|&&key| key < self.empty_key);
        found.map(|&key| (key as u32, squared_distance(key)))
    }

    /// Whether `count` points were found.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.keys.last().is_none_or(|&last| last < self.empty_key)
    }

    /// The squared distance beyond which no further point is among the nearest.
    #[inline]
    pub(super) fn max_squared(&self) -> f32 {
        self.keys.last().map_or(0.0, |&last| squared_distance(last))
    }

    #[inline]
    pub(super) fn save(&mut self) {
        self.saved.copy_from_slice(&self.keys);
    }

    #[inline]
    pub(super) fn restore(&mut self) {
        self.keys.copy_from_slice(&self.saved);
    }

    /// Adds a point, if it is among the nearest.
    #[inline]
    pub(in crate::capture) fn insert(&mut self, id: u32, squared_distance: f32) {
        insert(&mut self.keys, key(squared_distance, id));
    }

    /// Orders the points by id. Points can be added again after the next [`clear`](Self::clear).
    pub(in crate::capture) fn sort_by_id(&mut self) {
        // Unused entries have the greatest id.
        self.keys.sort_unstable_by_key(|&key| key as u32);
    }

    /// Adds those of `points` that are in `row` and among the nearest.
    #[inline]
    pub(super) fn add(&mut self, center: Vec3, points: &[Point], row: Option<u32>) {
        match self.keys.len() {
            // With a constant length, the keys stay in registers.
            1 => add::<1>(&mut self.keys, center, points, row),
            2 => add::<2>(&mut self.keys, center, points, row),
            3 => add::<3>(&mut self.keys, center, points, row),
            4 => add::<4>(&mut self.keys, center, points, row),
            5 => add::<5>(&mut self.keys, center, points, row),
            6 => add::<6>(&mut self.keys, center, points, row),
            _ => add_to_many(&mut self.keys, center, points, row),
        }
    }
}

/// Branch-free insertion of each point into the sorted keys. Whether a point is nearer than those before is
/// unpredictable, and a mispredicted branch costs more than the comparisons.
#[inline]
fn add<const N: usize>(keys: &mut [u64], center: Vec3, points: &[Point], row: Option<u32>) {
    let Ok(keys) = <&mut [u64; N]>::try_from(keys) else {
        return;
    };
    let mut nearest = *keys;
    for point in points {
        let mut key = key(point.position.distance_squared(center), point.id);
        if !point.is_in(row) {
            key = u64::MAX;
        }
        for kept in &mut nearest {
            (*kept, key) = ((*kept).min(key), (*kept).max(key));
        }
    }
    *keys = nearest;
}

fn add_to_many(keys: &mut [u64], center: Vec3, points: &[Point], row: Option<u32>) {
    for point in points.iter().filter(|point| point.is_in(row)) {
        insert(keys, key(point.position.distance_squared(center), point.id));
    }
}

/// Inserts a key into the sorted keys in place of the last, if it is lower than that.
#[inline]
fn insert(keys: &mut [u64], key: u64) {
    if keys.last().is_some_and(|&last| key < last) {
        let index = keys.partition_point(|&kept| kept < key);
        keys[index..].rotate_right(1);
        keys[index] = key;
    }
}

#[inline]
fn key(squared_distance: f32, id: u32) -> u64 {
    u64::from(squared_distance.to_bits()) << 32 | u64::from(id)
}

#[inline]
fn squared_distance(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}
