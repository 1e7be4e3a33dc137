//! A spatial grid for radius and k-nearest-neighbour queries over points that are rebuilt every tick.
//!
//! # Why not a crate
//! Building the index and querying the three nearest neighbours of every point, in nanoseconds a point (uniform
//! density, about 25 points within the maximum distance, all points moved between two rebuilds; fastest of 20 to 200
//! rounds on a shared two-core server). The figures of this grid are of its predecessor, which compared one point after the other
//! and takes twice as many instructions:
//!
//! | points | this grid | `kiddo` 6.3, `ImmutableKdTree` | `rstar` 0.14, `bulk_load` |
//! |---|---|---|---|
//! | 1,000 in 2D | 178 | 636 | 2,790 |
//! | 10,000 in 2D | 205 | 587 | 8,860 |
//! | 1,000 in 3D | 354 | 740 | 2,360 |
//! | 10,000 in 3D | 500 | 1,530 | 6,260 |
//!
//! Both crates also allocate for each rebuild and each query.

mod cells;
mod neighbors;
mod points;
mod search;
#[cfg(test)]
mod tests;

pub use neighbors::Neighbors;

use bevy_math::Vec3;
use cells::CellLayout;
use points::{Points, Tag};

/// Up to this many points are scanned without cells.
const MAX_UNSORTED_POINTS: usize = 24;

/// The mean number of points in a point's cell that cells are resized to, and those below and above which they are. Then about
/// six points of a plane are as near as the width of a cell.
const OCCUPANCY: f32 = 2.8;
const MIN_OCCUPANCY: f32 = 2.3;
const MAX_OCCUPANCY: f32 = 3.4;

/// Limits of a cell's width.
const MIN_WIDTH: f32 = 1.0 / (1_u64 << 60) as f32;
const MAX_WIDTH: f32 = (1_u64 << 60) as f32;

/// Points in 2D or 3D, each with an id, for queries by distance.
///
/// Space is divided into cubic cells, whose width adapts to the density of the points at every build. Where the bounding box of
/// the points has at most four cells a point, cells are numbered row by row; otherwise they are hashed into a table of two to four
/// buckets a point, so an outlier costs no memory. A row of cells along x is contiguous in either. Most queries for the nearest
/// search the cells that touch that of the center, in which a fixed number of points of each row are compared at once. A build or
/// query does not allocate unless the grid holds more points than ever before.
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
    cell_width: f32,
    /// Mean number of points in a point's bucket, as of the last build.
    mean_occupancy: f32,
    /// The bounding box of all points.
    min: Vec3,
    max: Vec3,
    /// All points have one z, which is finite.
    is_flat: bool,
    /// The square of the distance from any point within which all points are in cells that touch that of the point; negative
    /// if there is none.
    squared_reach: f32,
    /// Points in the order in which they were inserted, and the bucket of each.
    inserted: Vec<Inserted>,
    buckets: Vec<Bucket>,
    /// `None` where all points are scanned.
    layout: Option<CellLayout>,
    /// `points[starts[b]..starts[b + 1]]` are the points of bucket `b`.
    starts: Vec<u32>,
    points: Points,
}

#[derive(Clone, Copy, Debug)]
struct Inserted {
    position: Vec3,
    id: u32,
}

/// The bucket of a point, and its row of cells.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    index: u32,
    row: u32,
}

impl SpatialGrid {
    /// An empty grid. `cell_width` is the initial width of a cell, for example the radius of the expected queries.
    #[must_use]
    #[expect(clippy::manual_clamp, reason = "unlike `clamp`, this replaces NaN")]
    pub fn new(cell_width: f32) -> Self {
        Self {
            cell_width: cell_width.abs().max(MIN_WIDTH).min(MAX_WIDTH),
            mean_occupancy: OCCUPANCY,
            min: Vec3::INFINITY,
            max: Vec3::NEG_INFINITY,
            is_flat: false,
            squared_reach: -1.0,
            inserted: Vec::new(),
            buckets: Vec::new(),
            layout: None,
            starts: Vec::new(),
            points: Points::default(),
        }
    }

    /// Removes all points.
    pub fn clear(&mut self) {
        self.inserted.clear();
    }

    /// Adds a point, whose id is less than [`u32::MAX`]. Queries find it after the next [`build`](Self::build).
    ///
    /// A point with a NaN coordinate is ignored, because no distance to it is defined.
    #[inline]
    pub fn insert(&mut self, id: u32, position: Vec3) {
        if !position.is_nan() {
            self.inserted.push(Inserted { position, id });
        }
    }

    /// Replaces each id by that at its place in `ids`. Call this before [`build`](Self::build).
    pub(in crate::capture) fn renumber(&mut self, ids: &[u32]) {
        for point in &mut self.inserted {
            point.id = ids[point.id as usize];
        }
    }

    /// Sorts the points into cells. Call it after [`clear`](Self::clear) and [`insert`](Self::insert), before queries.
    pub fn build(&mut self) {
        self.find_bounds();
        let count = self.inserted.len();
        self.points.resize(count);
        if count <= MAX_UNSORTED_POINTS {
            self.layout = None;
            for (index, &Inserted { position, id }) in self.inserted.iter().enumerate() {
                self.points.place(index, position, Tag { id, row: 0 });
            }
            return;
        }
        if self.mean_occupancy < MIN_OCCUPANCY && self.cell_width < MAX_WIDTH {
            self.resize_cells();
        }
        let mut layout = self.count_buckets();
        while self.mean_occupancy > MAX_OCCUPANCY && self.cell_width > MIN_WIDTH {
            self.resize_cells();
            layout = self.count_buckets();
        }
        self.sort(&layout);
        self.layout = Some(layout);
    }

    fn find_bounds(&mut self) {
        let (mut min, mut max) = (Vec3::INFINITY, Vec3::NEG_INFINITY);
        for point in &self.inserted {
            min = min.min(point.position);
            max = max.max(point.position);
        }
        self.is_flat = min.z == max.z && min.z.is_finite();
        (self.min, self.max) = (min, max);
    }

    /// Changes the width of cells towards [`OCCUPANCY`], as for points in a plane, and at most by a factor of two.
    fn resize_cells(&mut self) {
        let factor = ((OCCUPANCY - 1.0) / (self.mean_occupancy - 1.0)).sqrt();
        self.cell_width = (self.cell_width * factor.clamp(0.5, 2.0)).clamp(MIN_WIDTH, MAX_WIDTH);
    }

    /// Finds the bucket of each point, and counts the points of each bucket.
    fn count_buckets(&mut self) -> CellLayout {
        let layout = CellLayout::new(self.cell_width, self.min, self.max, self.is_flat, self.inserted.len());
        // The count of bucket `b` is at `b + 2`.
        self.starts.clear();
        self.starts.reserve(CellLayout::max_len(self.inserted.len()) + 2);
        self.starts.resize(layout.len() + 2, 0);
        self.buckets.resize(self.inserted.len(), Bucket::default());
        let mut pairs = 0_u64;
        for (point, bucket) in self.inserted.iter().zip(&mut self.buckets) {
            let [x, y, z] = layout.cell(point.position);
            let row = layout.row(y, z);
            let index = layout.bucket(x, row);
            *bucket = Bucket {
                index: index as u32,
                row,
            };
            let count = &mut self.starts[index + 2];
            pairs += u64::from(*count);
            *count += 1;
        }
        self.mean_occupancy = 1.0 + 2.0 * pairs as f32 / self.inserted.len() as f32;
        layout
    }

    /// Sorts the points by bucket, with the counts in `starts`.
    fn sort(&mut self, layout: &CellLayout) {
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        // The start of bucket `b` is at `b + 1`, and moves to its end as its points are placed.
        for (&Inserted { position, id }, &Bucket { index, row }) in self.inserted.iter().zip(&self.buckets) {
            let next = &mut self.starts[index as usize + 1];
            self.points.place(*next as usize, position, Tag { id, row });
            *next += 1;
        }
        self.starts.truncate(layout.len() + 1);
        self.squared_reach = layout.reach(self.min, self.max).map_or(-1.0, |reach| reach * reach);
    }
}
