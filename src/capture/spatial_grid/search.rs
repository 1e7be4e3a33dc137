//! Queries of a grid: the points nearest to a center, and all points within a radius of it.

use super::{
    Neighbors, SpatialGrid,
    cells::CellLayout,
    neighbors::{NearestKeys, Search, key},
    points::{Center, LANES, Lanes, Points, to_array, within},
};
use bevy_math::Vec3;
use core::ops::Range;

impl SpatialGrid {
    /// Calls `each` with the id and the squared distance of every point at most `radius` from `center`, in no
    /// particular order.
    #[inline]
    pub fn for_each_within(&self, center: Vec3, radius: f32, mut each: impl FnMut(u32, f32)) {
        let limit = radius * radius;
        let lanes = Center::new(center);
        let is_flat = self.is_flat_at(center);
        self.scan_box(center, padded_sqrt(limit), |places, row| {
            for (first, count) in Points::lanes(places) {
                let squared = if is_flat {
                    self.points.distances::<true>(&lanes, first)
                } else {
                    self.points.distances::<false>(&lanes, first)
                };
                let within = Lanes(within(&squared, limit, count));
                let squared = to_array(squared);
                for lane in within {
                    let tag = self.points.tag(first + lane);
                    if tag.is_in(row) {
                        each(tag.id, squared[lane % LANES]);
                    }
                }
            }
        });
    }

    /// Adds the points nearest to `center` to `neighbors`, which may already hold points of other grids.
    #[inline]
    pub fn nearest(&self, center: Vec3, neighbors: &mut Neighbors) {
        self.nearest_except(u32::MAX, center, neighbors);
    }

    /// As [`nearest`](Self::nearest), without the point with the id `except`.
    #[inline]
    pub(in crate::capture) fn nearest_except(&self, except: u32, center: Vec3, neighbors: &mut Neighbors) {
        let grid = self;
        if self.is_flat_at(center) {
            neighbors.collect(NearestSearch::<true> { grid, center, except });
        } else {
            neighbors.collect(NearestSearch::<false> { grid, center, except });
        }
    }

    /// Whether all points have the z of `center`, so that it does not matter.
    #[inline]
    fn is_flat_at(&self, center: Vec3) -> bool {
        self.is_flat && self.min.z == center.z
    }

    /// Calls `visit` with places that together contain every point in the axis-aligned box around `center` with the
    /// half-extent `radius`, and may contain others. If a row is given, `visit` ignores points of other rows, so that
    /// no point is visited twice. Returns true if the box contains all points of the grid.
    #[inline]
    fn scan_box(&self, center: Vec3, radius: f32, mut visit: impl FnMut(Range<usize>, Option<u32>)) -> bool {
        let Some(layout) = &self.layout else {
            visit(self.points.all(), None);
            return true;
        };
        let (low, high) = (center - radius, center + radius);
        let (min, max) = (layout.cell(low.max(self.min)), layout.cell(high.min(self.max)));
        let mut cells = 1.0;
        for (min, max) in min.into_iter().zip(max) {
            if min > max {
                return false;
            }
            cells *= (max - min + 1) as f32;
        }
        // A scan of all points is cheaper than visiting more cells than there are points. 27 is the smallest box in 3D.
        if cells > self.points.all().len().max(27) as f32 {
            visit(self.points.all(), None);
            return true;
        }
        let (width, len) = ((max[0] - min[0] + 1) as usize, layout.len());
        for z in min[2]..=max[2] {
            for y in min[1]..=max[1] {
                let row = layout.row(y, z);
                let first = layout.bucket(min[0], row);
                let end = first + width;
                visit(self.places_of(first..end.min(len)), Some(row));
                if end > len {
                    visit(self.places_of(0..end - len), Some(row));
                }
            }
        }
        low.cmple(self.min).all() && high.cmpge(self.max).all()
    }

    #[inline]
    fn places_of(&self, buckets: Range<usize>) -> Range<usize> {
        self.starts[buckets.start] as usize..self.starts[buckets.end] as usize
    }
}

/// A search for the points nearest to `center`. With `FLAT`, all points have its z.
struct NearestSearch<'a, const FLAT: bool> {
    grid: &'a SpatialGrid,
    center: Vec3,
    /// The id of a point that is not found.
    except: u32,
}

impl<const FLAT: bool> Search for NearestSearch<'_, FLAT> {
    #[inline]
    fn run(self, nearest: &mut impl NearestKeys) {
        if !self.is_found_nearby(nearest) {
            nearest.restore();
            self.widen(nearest);
        }
    }
}

impl<const FLAT: bool> NearestSearch<'_, FLAT> {
    /// Searches the cells that touch that of the center. Returns false if points of other cells can be nearer than those
    /// found.
    #[inline]
    fn is_found_nearby(&self, nearest: &mut impl NearestKeys) -> bool {
        let Self { grid, center, .. } = *self;
        let is_inside = center.cmpge(grid.min).all() && center.cmple(grid.max).all();
        let Some(layout) = grid.layout.as_ref().filter(|_| is_inside) else {
            return false;
        };
        let lanes = Center::new(center);
        let [x, y, z] = layout.cell(center);
        let planes: &[i32] = if FLAT { &[0] } else { &[0, -1, 1] };
        for plane in planes {
            if !self.scan_rows(nearest, layout, &lanes, [x - 1, y - 1, z + plane]) {
                return false;
            }
        }
        nearest.limit() <= grid.squared_reach
    }

    /// Searches three rows of three cells, of which `cell` is the first. Returns false if a row is divided by the end of the
    /// table.
    #[inline]
    fn scan_rows(
        &self,
        nearest: &mut impl NearestKeys,
        layout: &CellLayout,
        center: &Center,
        [x, y, z]: [i32; 3],
    ) -> bool {
        let Self { grid, .. } = *self;
        let limit = nearest.limit().min(grid.squared_reach);
        let mut row = layout.row(y, z);
        // In fours, so that an index of two bits is always valid.
        let (mut bases, mut ends, mut rows) = ([0_u32; 4], [0; 4], [0; 4]);
        let mut squared = [0.0; 64];
        let (mut within_limit, mut has_more) = (0_u64, false);
        for index in 0..3 {
            let first = layout.bucket(x, row);
            let Some(&[start, _, _, end]) = grid.starts.get(first..).and_then(<[u32]>::first_chunk) else {
                return false;
            };
            let count = (end - start) as usize;
            let distances = grid.points.distances::<FLAT>(center, start as usize);
            within_limit |= within(&distances, limit, count) << (16 * index);
            has_more |= count > LANES;
            squared[16 * index..][..LANES].copy_from_slice(&to_array(distances));
            (bases[index], ends[index], rows[index]) = (start.wrapping_sub(16 * index as u32), end, row);
            row = layout.next_row(row);
        }
        nearest.insert(Lanes(within_limit).map(|lane| {
            let (row, lane) = (lane / 16 % 4, lane % 64);
            self.key(
                bases[row].wrapping_add(lane as u32) as usize,
                squared[lane],
                Some(rows[row]),
            )
        }));
        if has_more {
            self.scan_rest(nearest, center, bases, ends, rows);
        }
        true
    }

    /// Searches the points that are not among the first [`LANES`] of their row.
    #[cold]
    #[inline(never)]
    fn scan_rest(
        &self,
        nearest: &mut impl NearestKeys,
        center: &Center,
        bases: [u32; 4],
        ends: [u32; 4],
        rows: [u32; 4],
    ) {
        for (index, ((base, end), row)) in bases.into_iter().zip(ends).zip(rows).enumerate().take(3) {
            let start = base.wrapping_add(16 * index as u32) as usize;
            let rest = start + LANES..end as usize;
            self.scan(nearest, center, rest, Some(row), self.grid.squared_reach);
        }
    }

    /// Searches boxes that grow until no point outside can be nearer than those found.
    #[cold]
    #[inline(never)]
    fn widen(&self, nearest: &mut impl NearestKeys) {
        let Self { grid, center, .. } = *self;
        let lanes = Center::new(center);
        let max_radius = padded_sqrt(nearest.limit());
        let mut radius = 2.0 * grid.cell_width;
        loop {
            let found_all = grid.scan_box(center, radius.min(max_radius), |places, row| {
                self.scan(nearest, &lanes, places, row, f32::INFINITY);
            });
            let needed = padded_sqrt(nearest.limit());
            if found_all || needed <= radius {
                return;
            }
            // With enough points found, the distance of the last bounds the search.
            radius = if nearest.is_full() { needed } else { 2.0 * radius };
            nearest.restore();
        }
    }

    /// Adds points at most `limit` away, squared.
    #[inline]
    fn scan(
        &self,
        nearest: &mut impl NearestKeys,
        center: &Center,
        places: Range<usize>,
        row: Option<u32>,
        limit: f32,
    ) {
        for (first, count) in Points::lanes(places) {
            let squared = self.grid.points.distances::<FLAT>(center, first);
            let within = Lanes(within(&squared, nearest.limit().min(limit), count));
            let squared = to_array(squared);
            nearest.insert(within.map(|lane| self.key(first + lane, squared[lane % LANES], row)));
        }
    }

    /// The key of a point, if it is in the row and found; otherwise one that is never among the nearest.
    #[inline]
    fn key(&self, place: usize, squared_distance: f32, row: Option<u32>) -> u64 {
        let tag = self.grid.points.tag(place);
        let key = key(squared_distance, tag.id);
        if tag.is_in(row) && tag.id != self.except {
            key
        } else {
            u64::MAX
        }
    }
}

/// The square root, rounded up by more than the rounding error of a squared distance.
#[inline]
fn padded_sqrt(squared: f32) -> f32 {
    squared.sqrt() * (1.0 + 1e-6) + 1e-18
}
