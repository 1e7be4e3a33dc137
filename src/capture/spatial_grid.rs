//! A spatial hash grid for radius and k-nearest-neighbour queries over points that are rebuilt every tick.
//!
//! # Why not a crate
//! Building the index and querying the three nearest neighbours of every point, in nanoseconds a point (uniform
//! density, about 25 points within the maximum distance, all points moved between two rebuilds; fastest of 20 to 200
//! rounds on a shared two-core server). The figures of this grid are of a variant that did not sort points by id; with
//! sorting it takes about as long for 1,000 points and more, and up to 1.6 times as long for 100 in 2D:
//!
//! | points | this grid | `kiddo` 6.3, `ImmutableKdTree` | `rstar` 0.14, `bulk_load` |
//! |---|---|---|---|
//! | 1,000 in 2D | 178 | 636 | 2,790 |
//! | 10,000 in 2D | 205 | 587 | 8,860 |
//! | 1,000 in 3D | 354 | 740 | 2,360 |
//! | 10,000 in 3D | 500 | 1,530 | 6,260 |
//!
//! Both crates also allocate for each rebuild and each query.

mod neighbors;
#[cfg(test)]
mod tests;

pub use neighbors::Neighbors;

use bevy_math::Vec3;
use core::ops::Range;

/// Up to this many points are scanned without a hash table.
const MAX_UNSORTED_POINTS: usize = 12;

/// Mean occupancy above which cells are halved, and below which they are doubled. Doubling multiplies the occupancy by
/// at most 8, so one doubling never leads to a halving.
const MAX_OCCUPANCY: f32 = 5.0;
const MIN_OCCUPANCY: f32 = 1.4;

/// Limits of a cell's width.
const MIN_WIDTH: f32 = 1.0 / (1_u64 << 60) as f32;
const MAX_WIDTH: f32 = (1_u64 << 60) as f32;

/// Cell numbers are clamped to this, so their differences fit in an `i32`.
const MAX_CELL: f32 = (1 << 29) as f32;

/// Points in 2D or 3D, each with an id, for queries by distance.
///
/// Space is divided into cubic cells without bounds, which are hashed into a table of two to four buckets a point, so
/// an outlier costs no memory. A row of cells along x is contiguous in the table. The start of a row is a
/// low-discrepancy hash of its y and z, so worlds of any shape fill the table evenly. The width of a cell adapts to the
/// density of the points at every build. A build or query does not allocate unless the grid holds more points than ever
/// before.
///
/// Points in a plane keep the third coordinate at 0.
///
/// ```
/// use bevy_experience::capture::{Neighbors, SpatialGrid};
/// use bevy_math::Vec3;
///
/// let positions = [Vec3::ZERO, Vec3::X, 3.0 * Vec3::X, 9.0 * Vec3::Y];
/// let mut grid = SpatialGrid::new(1.0);
/// for (id, position) in (0..).zip(positions) {
///     grid.insert(id, position);
/// }
/// grid.build();
///
/// // The two nearest points at most 5 units from the origin, with squared distances.
/// let mut neighbors = Neighbors::new(2, 5.0);
/// grid.nearest(Vec3::ZERO, &mut neighbors);
/// assert_eq!(neighbors.iter().collect::<Vec<_>>(), [(0, 0.0), (1, 1.0)]);
///
/// let mut within = 0;
/// grid.for_each_within(Vec3::ZERO, 5.0, |_id, _squared_distance| within += 1);
/// assert_eq!(within, 3);
/// ```
#[derive(Clone, Debug)]
pub struct SpatialGrid {
    /// A power of two, so that dividing by it is exact.
    cell_width: f32,
    /// Mean number of points in a point's bucket, as of the last build.
    mean_occupancy: f32,
    /// The bounding box of all points.
    min: Vec3,
    max: Vec3,
    /// Points in the order in which they were inserted, and the bucket of each.
    inserted: Vec<Point>,
    buckets: Vec<u32>,
    /// `points[starts[b]..starts[b + 1]]` are the points of bucket `b`. Empty where all points are scanned.
    starts: Vec<u32>,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    position: Vec3,
    id: u32,
    /// The hash of its row of cells. A bucket can hold points of several rows.
    row: u32,
}

impl SpatialGrid {
    /// An empty grid. `cell_width` is the initial width of a cell, for example the radius of the expected queries.
    #[must_use]
    #[expect(clippy::manual_clamp, reason = "unlike `clamp`, this replaces NaN")]
    pub fn new(cell_width: f32) -> Self {
        // Without its mantissa, a float is a power of two.
        let width = cell_width.abs().max(MIN_WIDTH).min(MAX_WIDTH).to_bits() & !((1 << 23) - 1);
        Self {
            cell_width: f32::from_bits(width),
            mean_occupancy: MAX_OCCUPANCY,
            min: Vec3::INFINITY,
            max: Vec3::NEG_INFINITY,
            inserted: Vec::new(),
            buckets: Vec::new(),
            starts: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Removes all points.
    pub fn clear(&mut self) {
        self.min = Vec3::INFINITY;
        self.max = Vec3::NEG_INFINITY;
        self.inserted.clear();
    }

    /// Adds a point, whose id is less than [`u32::MAX`]. Queries find it after the next [`build`](Self::build).
    ///
    /// A point with a NaN coordinate is ignored, because no distance to it is defined.
    #[inline]
    pub fn insert(&mut self, id: u32, position: Vec3) {
        if position.is_nan() {
            return;
        }
        self.min = self.min.min(position);
        self.max = self.max.max(position);
        self.inserted.push(Point { position, id, row: 0 });
    }

    /// Sorts the points into cells. Call it after [`clear`](Self::clear) and [`insert`](Self::insert), before queries.
    pub fn build(&mut self) {
        self.starts.clear();
        if self.inserted.len() <= MAX_UNSORTED_POINTS {
            self.points.clone_from(&self.inserted);
            return;
        }
        if self.mean_occupancy < MIN_OCCUPANCY && self.cell_width < MAX_WIDTH {
            self.cell_width *= 2.0;
        }
        self.assign_buckets();
        while self.mean_occupancy > MAX_OCCUPANCY && self.cell_width > MIN_WIDTH {
            self.cell_width /= 2.0;
            self.assign_buckets();
        }
        self.sort();
    }

    /// Calls `each` with the id and the squared distance of every point at most `radius` from `center`, in no
    /// particular order.
    #[inline]
    pub fn for_each_within(&self, center: Vec3, radius: f32, mut each: impl FnMut(u32, f32)) {
        let max_squared = radius * radius;
        self.scan_box(center, padded_sqrt(max_squared), |points, row| {
            for point in points {
                let squared = point.position.distance_squared(center);
                if squared <= max_squared && point.is_in(row) {
                    each(point.id, squared);
                }
            }
        });
    }

    /// Adds the points nearest to `center` to `neighbors`, which may already hold points of other grids.
    #[inline]
    pub fn nearest(&self, center: Vec3, neighbors: &mut Neighbors) {
        neighbors.save();
        let max_radius = padded_sqrt(neighbors.max_squared());
        let mut radius = self.cell_width;
        loop {
            let found_all = self.scan_box(center, radius.min(max_radius), |points, row| {
                neighbors.add(center, points, row);
            });
            let needed = padded_sqrt(neighbors.max_squared());
            if found_all || needed <= radius {
                return;
            }
            // With enough points found, the distance of the last bounds the search.
            radius = if neighbors.is_full() { needed } else { 2.0 * radius };
            neighbors.restore();
        }
    }

    /// Finds the bucket of each point, and counts the points of each bucket.
    fn assign_buckets(&mut self) {
        let len = (2 * self.inserted.len()).next_power_of_two();
        let hasher = CellHasher::new(self.cell_width, len);
        self.starts.clear();
        self.starts.resize(len + 1, 0);
        self.buckets.resize(self.inserted.len(), 0);
        let mut pairs = 0_u64;
        for (point, bucket) in self.inserted.iter_mut().zip(&mut self.buckets) {
            let [x, y, z] = hasher.cell(point.position);
            point.row = CellHasher::row(y, z);
            *bucket = hasher.bucket(x, point.row) as u32;
            let count = &mut self.starts[*bucket as usize];
            pairs += u64::from(*count);
            *count += 1;
        }
        self.mean_occupancy = 1.0 + 2.0 * pairs as f32 / self.inserted.len() as f32;
    }

    /// Sorts the points by bucket, with the counts in `starts`.
    fn sort(&mut self) {
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.points.clone_from(&self.inserted);
        // Each bucket's end moves back to its start as its points are placed, the last one first.
        for (point, &bucket) in self.inserted.iter().zip(&self.buckets).rev() {
            let start = &mut self.starts[bucket as usize];
            *start -= 1;
            self.points[*start as usize] = *point;
        }
    }

    /// Calls `visit` with slices that together contain every point in the axis-aligned box around `center` with the
    /// half-extent `radius`, and may contain others. If a row is given, `visit` ignores points of other rows, so that
    /// no point is visited twice. Returns true if the box contains all points of the grid.
    #[inline]
    fn scan_box(&self, center: Vec3, radius: f32, mut visit: impl FnMut(&[Point], Option<u32>)) -> bool {
        let Some(len) = self.starts.len().checked_sub(1) else {
            visit(&self.points, None);
            return true;
        };
        let hasher = CellHasher::new(self.cell_width, len);
        let (low, high) = (center - radius, center + radius);
        let (min, max) = (hasher.cell(low.max(self.min)), hasher.cell(high.min(self.max)));
        let mut cells = 1.0;
        for (min, max) in min.into_iter().zip(max) {
            if min > max {
                return false;
            }
            cells *= (max - min + 1) as f32;
        }
        // A scan of all points is cheaper than visiting more cells than there are points. 27 is the smallest box in 3D.
        if cells > self.points.len().max(27) as f32 {
            visit(&self.points, None);
            return true;
        }
        let width = (max[0] - min[0] + 1) as usize;
        for z in min[2]..=max[2] {
            for y in min[1]..=max[1] {
                let row = CellHasher::row(y, z);
                let first = hasher.bucket(min[0], row);
                let end = first + width;
                visit(self.points_of(first..end.min(len)), Some(row));
                if end > len {
                    visit(self.points_of(0..end - len), Some(row));
                }
            }
        }
        low.cmple(self.min).all() && high.cmpge(self.max).all()
    }

    #[inline]
    fn points_of(&self, buckets: Range<usize>) -> &[Point] {
        &self.points[self.starts[buckets.start] as usize..self.starts[buckets.end] as usize]
    }
}

impl Point {
    #[inline]
    fn is_in(&self, row: Option<u32>) -> bool {
        row.is_none_or(|row| row == self.row)
    }
}

/// Maps positions to cells, and hashes cells into a table of buckets.
struct CellHasher {
    cells_per_unit: f32,
    len: usize,
}

impl CellHasher {
    #[inline]
    fn new(cell_width: f32, len: usize) -> Self {
        Self {
            cells_per_unit: 1.0 / cell_width,
            len,
        }
    }

    /// The cell of a position. Cell numbers are monotonic in each coordinate.
    #[inline]
    fn cell(&self, position: Vec3) -> [i32; 3] {
        (position * self.cells_per_unit).to_array().map(|coordinate| {
            let coordinate = coordinate.clamp(-MAX_CELL, MAX_CELL);
            // `f32::floor` is a function call on targets without an instruction for it.
            let cell = coordinate as i32;
            cell - i32::from(cell as f32 > coordinate)
        })
    }

    /// The hash of a row of cells. The factors are those of M. Roberts, "The Unreasonable Effectiveness of Quasirandom
    /// Sequences", for two dimensions: rows near each other never have the same hash.
    #[inline]
    fn row(y: i32, z: i32) -> u32 {
        let y = y.cast_unsigned().wrapping_mul(0xc13f_a9a9);
        y.wrapping_add(z.cast_unsigned().wrapping_mul(0x91e1_0da5))
    }

    /// The bucket of a cell. Buckets of a row wrap around at the end of the table.
    #[inline]
    fn bucket(&self, x: i32, row: u32) -> usize {
        let start = row >> (u32::BITS - self.len.ilog2());
        start.wrapping_add(x.cast_unsigned()) as usize & (self.len - 1)
    }
}

/// The square root, rounded up by more than the rounding error of a squared distance.
#[inline]
fn padded_sqrt(squared: f32) -> f32 {
    squared.sqrt() * (1.0 + 1e-6) + 1e-18
}
