//! Numbering of cells: maps positions to cells, and cells to the buckets of a table.

use bevy_math::Vec3;

/// Cell numbers are clamped to this.
const MAX_CELL: f32 = (1 << 21) as f32;

/// Between half of this and a third more, all floats are integers. Faster than the conversion of Rust, which checks the range.
const INTEGERS: f32 = (3 << 22) as f32;

/// Where cells are in the table of buckets. A row of cells along x is contiguous there.
///
/// Cells of a bounding box that is small enough are numbered row by row, with a margin of one cell on each side. Otherwise
/// the start of a row is a hash of its y and z, so that an outlier costs no memory. Both are one formula with different
/// factors.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellLayout {
    cells_per_unit: f32,
    /// The cell with the relative numbers 0.
    origin: [i32; 3],
    /// Factors of y and z in the number of a row.
    strides: [u32; 2],
    /// Bits of a row's number that are not part of its first bucket.
    shift: u32,
    /// Maps the buckets of a row that reaches the end of the table to the begin of the table.
    mask: u32,
    /// Number of buckets.
    len: usize,
}

impl CellLayout {
    /// A layout of cells of the given width, for `count` points between `min` and `max`. With `is_flat`, all have one z.
    pub(super) fn new(cell_width: f32, min: Vec3, max: Vec3, is_flat: bool, count: usize) -> Self {
        let absolute = Self {
            cells_per_unit: 1.0 / cell_width,
            origin: [0; 3],
            strides: [0; 2],
            shift: 0,
            mask: u32::MAX,
            len: 0,
        };
        let (first, last) = (absolute.cell(min), absolute.cell(max));
        let margin = [1, 1, i32::from(!is_flat)];
        let [width, height, depth] =
            core::array::from_fn(|axis| (last[axis] - first[axis] + 1 + 2 * margin[axis]).unsigned_abs() as usize);
        let cells = width as f32 * height as f32 * depth as f32;
        if cells <= Self::max_len(count) as f32 {
            return Self {
                origin: core::array::from_fn(|axis| first[axis] - margin[axis]),
                strides: [width as u32, (width * height) as u32],
                len: width * height * depth,
                ..absolute
            };
        }
        let len = (2 * count).next_power_of_two();
        Self {
            // The factors are those of M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", for two
            // dimensions: rows near each other never have the same hash.
            strides: [0xc13f_a9a9, 0x91e1_0da5],
            shift: u32::BITS - len.ilog2(),
            mask: (len - 1) as u32,
            len,
            ..absolute
        }
    }

    /// The greatest number of buckets for `count` points, so that memory for them is allocated once.
    pub(super) fn max_len(count: usize) -> usize {
        4 * count
    }

    /// The number of buckets.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The distance from any point of a bounding box within which all points are in cells that touch that of the point;
    /// `None` if cell numbers are too great for that, because they are rounded.
    pub(super) fn reach(&self, min: Vec3, max: Vec3) -> Option<f32> {
        let greatest = min.abs().max(max.abs()).max_element() * self.cells_per_unit;
        // A coordinate in cells is rounded by at most 2⁻²⁴ of it, that of the point and that of the other. The margin is four
        // times as much, and a hundred times the rounding of a distance.
        let cells = 1.0 - 1e-5 - greatest / (1 << 21) as f32;
        (cells > 0.5).then_some(cells / self.cells_per_unit)
    }

    /// The cell of a position. Cell numbers are monotonic in each coordinate.
    #[inline]
    pub(super) fn cell(&self, position: Vec3) -> [i32; 3] {
        let coordinates = position.to_array();
        core::array::from_fn(|axis| {
            let coordinate = coordinates[axis] * self.cells_per_unit;
            // NaN becomes the lower limit.
            let coordinate = if coordinate > -MAX_CELL { coordinate } else { -MAX_CELL };
            let coordinate = if coordinate < MAX_CELL { coordinate } else { MAX_CELL };
            // The sum is rounded to an integer, which is in its lower bits.
            let sum = coordinate - 0.5 + INTEGERS;
            sum.to_bits().wrapping_sub(INTEGERS.to_bits()).cast_signed() - self.origin[axis]
        })
    }

    /// The number of a row of cells.
    #[inline]
    pub(super) fn row(&self, y: i32, z: i32) -> u32 {
        let [stride_y, stride_z] = self.strides;
        let y = y.cast_unsigned().wrapping_mul(stride_y);
        y.wrapping_add(z.cast_unsigned().wrapping_mul(stride_z))
    }

    /// The number of the next row along y.
    #[inline]
    pub(super) fn next_row(&self, row: u32) -> u32 {
        row.wrapping_add(self.strides[0])
    }

    /// The bucket of a cell.
    #[inline]
    pub(super) fn bucket(&self, x: i32, row: u32) -> usize {
        ((row >> self.shift).wrapping_add(x.cast_unsigned()) & self.mask) as usize
    }
}
