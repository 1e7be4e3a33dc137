//! Result buffer of a k-nearest-neighbour query on a [`SpatialGrid`](super::SpatialGrid).

/// The points nearest to a center, collected by [`SpatialGrid::nearest`](super::SpatialGrid::nearest).
///
/// Of two points at one distance, the one with the lower id is the nearer one.
#[derive(Clone, Debug)]
pub struct Neighbors {
    /// The squared distance of a point in the upper half, its id in the lower, ascending. Floats that are not negative
    /// order as their bits do.
    keys: Vec<u64>,
    /// The keys as of the start of the current query, which a search with a larger radius begins with.
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

    /// Lets `search` add points.
    #[inline]
    pub(super) fn collect(&mut self, search: impl Search) {
        match self.keys.len() {
            0 => {}
            // With a constant length, the keys stay in registers.
            1 => self.collect_few::<1>(search),
            2 => self.collect_few::<2>(search),
            3 => self.collect_few::<3>(search),
            4 => self.collect_few::<4>(search),
            5 => self.collect_few::<5>(search),
            6 => self.collect_few::<6>(search),
            _ => {
                self.saved.copy_from_slice(&self.keys);
                search.run(&mut Many {
                    keys: &mut self.keys,
                    saved: &self.saved,
                    empty_key: self.empty_key,
                });
            }
        }
    }

    #[inline]
    fn collect_few<const N: usize>(&mut self, search: impl Search) {
        if let Some(keys) = self.keys.first_chunk_mut::<N>() {
            let mut few = Few {
                keys: *keys,
                saved: *keys,
                empty_key: self.empty_key,
            };
            search.run(&mut few);
            *keys = few.keys;
        }
    }
}

/// A search for the nearest points, generic in how they are kept.
pub(super) trait Search {
    fn run(self, nearest: &mut impl NearestKeys);
}

/// Keeps the nearest of the points that it is given.
pub(super) trait NearestKeys {
    /// Adds those of the points that are among the nearest.
    fn insert(&mut self, keys: impl Iterator<Item = u64>);
    /// The key of the last point, or that of an unused entry.
    fn last(&self) -> u64;
    /// Whether all entries are used.
    fn is_full(&self) -> bool;
    /// Removes the points that were added by this search.
    fn restore(&mut self);

    /// The squared distance beyond which no further point is among the nearest.
    #[inline]
    fn limit(&self) -> f32 {
        squared_distance(self.last())
    }
}

struct Few<const N: usize> {
    keys: [u64; N],
    saved: [u64; N],
    empty_key: u64,
}

impl<const N: usize> NearestKeys for Few<N> {
    /// Branch-free insertion. Whether a point is nearer than those before is unpredictable, and a mispredicted branch costs
    /// more than the comparisons.
    #[inline]
    fn insert(&mut self, keys: impl Iterator<Item = u64>) {
        let mut nearest = self.keys;
        for mut key in keys {
            for kept in &mut nearest {
                (*kept, key) = ((*kept).min(key), (*kept).max(key));
            }
        }
        self.keys = nearest;
    }

    #[inline]
    fn last(&self) -> u64 {
        self.keys[N - 1]
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.last() < self.empty_key
    }

    #[inline]
    fn restore(&mut self) {
        self.keys = self.saved;
    }
}

struct Many<'a> {
    keys: &'a mut [u64],
    saved: &'a [u64],
    empty_key: u64,
}

impl NearestKeys for Many<'_> {
    #[inline]
    fn insert(&mut self, keys: impl Iterator<Item = u64>) {
        for key in keys {
            insert(self.keys, key);
        }
    }

    #[inline]
    fn last(&self) -> u64 {
        self.keys.last().copied().unwrap_or(0)
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.last() < self.empty_key
    }

    #[inline]
    fn restore(&mut self) {
        self.keys.copy_from_slice(self.saved);
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

/// Orders points by distance, then by id.
#[inline]
pub(super) fn key(squared_distance: f32, id: u32) -> u64 {
    u64::from(squared_distance.to_bits()) << 32 | u64::from(id)
}

#[inline]
fn squared_distance(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}
