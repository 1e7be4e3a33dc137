//! [`Moments`]: count, bounds, mean and squared deviations of a column of numbers.

use bytemuck::Pod;
use core::ops::Range;

/// Columns that are measured in one pass over the rows: their state fits the vector registers of every x86-64.
const LANES: usize = 4;

/// Columns that are compared at once, to find those that rarely change: 64 bytes of `f32`, a cache line.
const LINE: usize = 16;

/// Rows whose changes say how the rows of a chunk are measured.
const PROBE_ROWS: usize = 17;

/// Rows that are measured around one origin.
const CHUNK_ROWS: usize = 1024;

/// A number of a column.
pub(super) trait Number: Pod + Into<f64> + PartialOrd {}

impl Number for f32 {}
impl Number for f64 {}

/// Moments of numbers. Those that are not finite are counted, and excluded from the other fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    /// The number of finite values.
    pub(crate) count: u64,
    /// The number of NaN and infinite values.
    pub(crate) non_finite: u64,
    /// The bounds and the mean; 0 if there is no finite value.
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    /// The sum of squared distances from the mean.
    pub(crate) squares: f64,
    /// Whether each value is 0 or 1.
    pub(crate) is_binary: bool,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            non_finite: 0,
            min: 0.0,
            max: 0.0,
            mean: 0.0,
            squares: 0.0,
            is_binary: true,
        }
    }
}

impl Moments {
    /// The moments of `count` times `value`.
    fn of_constant(value: f64, count: u64) -> Self {
        if !value.is_finite() {
            return Self {
                non_finite: count,
                is_binary: false,
                ..Self::default()
            };
        }
        Self {
            count,
            non_finite: 0,
            min: value,
            max: value,
            mean: value,
            squares: 0.0,
            is_binary: value == 0.0 || value == 1.0,
        }
    }

    /// Adds the moments of other values, by the method of Chan, Golub and `LeVeque` (1979).
    pub(crate) fn merge(&mut self, other: &Self) {
        let non_finite = self.non_finite.saturating_add(other.non_finite);
        let is_binary = self.is_binary && other.is_binary;
        if self.count == 0 {
            *self = *other;
        } else if other.count > 0 {
            let count = self.count.saturating_add(other.count);
            let part = other.count as f64 / count as f64;
            let distance = other.mean - self.mean;
            self.squares += other.squares + distance * distance * self.count as f64 * part;
            self.mean += distance * part;
            (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
            self.count = count;
        }
        (self.non_finite, self.is_binary) = (non_finite, is_binary);
    }

    /// The moments of a column that has a value which is not finite.
    fn of_column<T: Number>(rows: &[T], width: usize, column: usize) -> Self {
        let mut moments = Self::default();
        for value in rows.chunks_exact(width).map(|row| row[column].into()) {
            moments.merge(&Self::of_constant(value, 1));
        }
        moments
    }

    /// Whether all numbers are finite, which sums of the largest `f64` are not.
    pub(super) fn is_finite(&self) -> bool {
        [self.min, self.max, self.mean, self.squares]
            .iter()
            .all(|value| value.is_finite())
    }
}

/// Adds the rows `values` to the moments of their columns.
///
/// The values of a chunk are summed as distances from the first row's. One of the values is the origin, so no sum of squares is
/// larger than the number of rows times the squared deviations: its rounding error is as small as that of two passes.
pub(super) fn add_rows<T: Number>(columns: &mut [Moments], values: &[T]) {
    let width = columns.len();
    if width == 0 {
        return;
    }
    for rows in values.chunks(CHUNK_ROWS * width) {
        for start in (0..width).step_by(LINE) {
            let line = start..width.min(start + LINE);
            if is_steady(rows, width, line.clone()) {
                add_runs(columns, rows, line);
            } else {
                add_line(columns, rows, line);
            }
        }
    }
}

/// Whether few of the first rows differ from the row before in `columns`, as most columns of a board do.
fn is_steady<T: Number>(rows: &[T], width: usize, columns: Range<usize>) -> bool {
    let probe = &rows[..rows.len().min(PROBE_ROWS * width)];
    let parts = || probe.chunks_exact(width).map(|row| bits(&row[columns.clone()]));
    let changes = parts().zip(parts().skip(1)).filter(|(before, after)| before != after);
    changes.count() * 4 <= probe.len() / width
}

fn bits<T: Number>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// Adds `line` of all rows, of which many equal the row before.
fn add_runs<T: Number>(columns: &mut [Moments], rows: &[T], line: Range<usize>) {
    let width = columns.len();
    let mut parts = rows.chunks_exact(width).map(|row| &row[line.clone()]);
    let Some(first) = parts.next() else { return };
    let mut sums = [Sums::default(); LINE];
    let (mut run, mut count) = (first, 1.0);
    let mut add = |run: &[T], count: f64| {
        for ((sums, value), origin) in sums.iter_mut().zip(run).zip(first) {
            sums.add((*value).into(), (*origin).into(), count);
        }
    };
    for part in parts {
        if bits(part) == bits(run) {
            count += 1.0;
        } else {
            add(run, count);
            (run, count) = (part, 1.0);
        }
    }
    add(run, count);
    let count = rows.len() / width;
    for ((column, sums), origin) in line.zip(&sums).zip(first) {
        let moments = match sums.moments((*origin).into(), count) {
            Some(moments) => moments,
            None => Moments::of_column(rows, width, column),
        };
        columns[column].merge(&moments);
    }
}

/// Sums over a chunk of distances from an origin.
#[derive(Clone, Copy)]
struct Sums {
    sum: f64,
    squares: f64,
    min: f64,
    max: f64,
    is_binary: bool,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            sum: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            is_binary: true,
        }
    }
}

impl Sums {
    /// Adds `value`, `count` times.
    fn add(&mut self, value: f64, origin: f64, count: f64) {
        let distance = value - origin;
        self.sum += distance * count;
        self.squares += distance * distance * count;
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
        self.is_binary &= (value == 0.0) | (value == 1.0);
    }

    /// The moments of `count` values. `None` if one of them is not finite.
    fn moments(&self, origin: f64, count: usize) -> Option<Moments> {
        let offset = self.sum / count as f64;
        (self.sum.is_finite() && self.squares.is_finite()).then(|| Moments {
            count: count as u64,
            non_finite: 0,
            min: self.min,
            max: self.max,
            mean: origin + offset,
            squares: (self.squares - self.sum * offset).max(0.0),
            is_binary: self.is_binary,
        })
    }
}

fn add_line<T: Number>(columns: &mut [Moments], rows: &[T], line: Range<usize>) {
    let width = columns.len();
    let mut add = |column: usize, moments: &[Moments], from: usize| {
        for (into, moments) in columns[column..].iter_mut().zip(moments).skip(from) {
            into.merge(moments);
        }
    };
    for column in line.clone().step_by(LANES) {
        if column + LANES <= width {
            add(column, &measure::<T, LANES>(rows, width, column), 0);
        } else if let Some(first) = width.checked_sub(LANES) {
            // The last columns, with some that are measured already.
            add(first, &measure::<T, LANES>(rows, width, first), column - first);
        } else {
            for column in line.clone() {
                add(column, &measure::<T, 1>(rows, width, column), 0);
            }
        }
    }
}

/// The moments of `N` columns from `first` on.
fn measure<T: Number, const N: usize>(rows: &[T], width: usize, first: usize) -> [Moments; N] {
    let lanes = |row: &[T]| -> [T; N] { core::array::from_fn(|lane| row[first + lane]) };
    let start = lanes(rows);
    let origin: [f64; N] = start.map(Into::into);
    let (mut sum, mut squares) = ([0.0; N], [0.0; N]);
    let (mut min, mut max) = (start, start);
    let mut others = [0_u32; N];
    for row in rows.chunks_exact(width) {
        let Some(values) = row[first..].first_chunk::<N>() else {
            continue;
        };
        for lane in 0..N {
            let value = values[lane];
            let wide: f64 = value.into();
            let distance = wide - origin[lane];
            sum[lane] += distance;
            squares[lane] += distance * distance;
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
            others[lane] |= u32::from((wide != 0.0) & (wide != 1.0));
        }
    }
    let count = rows.len() / width;
    core::array::from_fn(|lane| {
        if !sum[lane].is_finite() || !squares[lane].is_finite() {
            return Moments::of_column(rows, width, first + lane);
        }
        let offset = sum[lane] / count as f64;
        Moments {
            count: count as u64,
            non_finite: 0,
            min: min[lane].into(),
            max: max[lane].into(),
            mean: origin[lane] + offset,
            squares: (squares[lane] - sum[lane] * offset).max(0.0),
            is_binary: others[lane] == 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueProfile;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    /// Values of a column: constants, flags, drifts, far means, and some that are not finite.
    fn value(rng: &mut StdRng, column: usize, row: usize) -> f32 {
        match column % 9 {
            0 => 3.25,
            1 => f32::from(rng.random_bool(0.3)),
            2 => 1e6 + rng.random_range(-1.0..1.0),
            3 => row as f32 * 0.5,
            4 if rng.random_bool(0.1) => f32::NAN,
            5 if row == 700 => f32::NEG_INFINITY,
            6 => f32::from(u8::from(row > 1500)),
            7 => f32::NAN,
            _ => rng.random_range(-1e-3..1e-3),
        }
    }

    #[test]
    fn chunks_have_the_moments_of_one_value_after_the_other() {
        let mut rng = StdRng::seed_from_u64(3);
        for width in [1, 2, 3, 4, 5, 15, 16, 17, 39, 50] {
            let rows = 2500;
            let values: Vec<f32> = (0..rows * width)
                .map(|index| value(&mut rng, index % width, index / width))
                .collect();
            let mut columns = vec![Moments::default(); width];
            // Batches of any size.
            let (a, b) = values.split_at(1111 * width);
            add_rows(&mut columns, a);
            add_rows(&mut columns, b);
            for (column, found) in columns.iter().enumerate() {
                let mut expected = ValueProfile::default();
                let of_column = || values.iter().skip(column).step_by(width).map(|value| f64::from(*value));
                of_column().for_each(|value| expected.add(value));
                let what = format!("column {column} of {width}: {found:?}, {expected:?}");
                assert_eq!(
                    (found.count, found.non_finite),
                    (expected.count, expected.non_finite),
                    "{what}"
                );
                assert_eq!((found.min, found.max), (expected.min, expected.max), "{what}");
                let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-12 * scale;
                let scale = expected.min.abs().max(expected.max.abs());
                assert!(near(found.mean, expected.mean, scale), "{what}");
                let deviation = (found.squares / found.count.max(1) as f64).sqrt();
                assert!(
                    near(deviation, expected.deviation, expected.deviation.max(1e-3 * scale)),
                    "{what}"
                );
                assert_eq!(
                    found.is_binary,
                    of_column().all(|value| value == 0.0 || value == 1.0),
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn merged_moments_are_those_of_all_values() {
        let all = [2.0, 4.0, 4.0, f64::NAN, 4.0, 5.0, 5.0, 7.0, 9.0];
        for at in 0..=all.len() {
            let [mut merged, other] = [&all[..at], &all[at..]].map(|values| {
                let mut moments = [Moments::default()];
                add_rows(&mut moments, values);
                moments[0]
            });
            merged.merge(&other);
            assert_eq!((merged.count, merged.non_finite, merged.is_binary), (8, 1, false));
            assert_eq!((merged.min, merged.max), (2.0, 9.0));
            assert!(
                (merged.mean - 5.0).abs() < 1e-12 && (merged.squares - 32.0).abs() < 1e-12,
                "{merged:?}"
            );
        }
    }
}
