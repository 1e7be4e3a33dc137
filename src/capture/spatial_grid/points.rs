//! The points of a grid in the order of their cells, one array for each coordinate, so that distances to several are
//! computed at once.

use bevy_math::{Vec3, Vec4};
use core::ops::Range;

/// The number of points whose distances are computed at once: most rows of three cells have fewer.
pub(super) const LANES: usize = 4 * VECTORS;
pub(super) const VECTORS: usize = 3;

/// What is known of a point besides its position.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tag {
    pub(super) id: u32,
    /// The number of its row of cells. A bucket can hold points of several rows.
    pub(super) row: u32,
}

impl Tag {
    #[inline]
    pub(super) fn is_in(self, row: Option<u32>) -> bool {
        row.is_none_or(|row| row == self.row)
    }
}

/// Points, followed by [`LANES`] places that hold anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
    tags: Vec<Tag>,
    len: usize,
}

/// A position, repeated for every lane.
#[derive(Clone, Copy)]
pub(super) struct Center {
    x: Vec4,
    y: Vec4,
    z: Vec4,
}

impl Points {
    /// Makes room for `len` points, which are then placed in any order.
    pub(super) fn resize(&mut self, len: usize) {
        self.len = len;
        let padded = len + LANES;
        if self.x.len() < padded {
            self.x.resize(padded, 0.0);
            self.y.resize(padded, 0.0);
            self.z.resize(padded, 0.0);
            self.tags.resize(padded, Tag::default());
        }
    }

    #[inline]
    pub(super) fn place(&mut self, index: usize, position: Vec3, tag: Tag) {
        self.x[index] = position.x;
        self.y[index] = position.y;
        self.z[index] = position.z;
        self.tags[index] = tag;
    }

    /// The places of all points.
    #[inline]
    pub(super) fn all(&self) -> Range<usize> {
        0..self.len
    }

    #[inline]
    pub(super) fn tag(&self, index: usize) -> Tag {
        self.tags[index]
    }

    /// The squared distances of the points at `first` and after it. With `FLAT`, all points and the center have the same z,
    /// which is finite.
    #[inline]
    pub(super) fn distances<const FLAT: bool>(&self, center: &Center, first: usize) -> [Vec4; VECTORS] {
        let places = first..first + LANES;
        let (x, y) = (&self.x[places.clone()], &self.y[places.clone()]);
        let mut squared = core::array::from_fn(|vector| {
            let x = Vec4::from_slice(&x[4 * vector..]) - center.x;
            let y = Vec4::from_slice(&y[4 * vector..]) - center.y;
            x * x + y * y
        });
        if !FLAT {
            let z = &self.z[places];
            for (vector, squared) in squared.iter_mut().enumerate() {
                let z = Vec4::from_slice(&z[4 * vector..]) - center.z;
                *squared += z * z;
            }
        }
        squared
    }

    /// The points of `places`, [`LANES`] at a time.
    #[inline]
    pub(super) fn lanes(places: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let end = places.end;
        places.step_by(LANES).map(move |first| (first, end - first))
    }
}

/// The lanes of a mask.
pub(super) struct Lanes(pub(super) u64);

impl Iterator for Lanes {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let lane = self.0.trailing_zeros() as usize;
        let is_empty = self.0 == 0;
        self.0 &= self.0.wrapping_sub(1);
        (!is_empty).then_some(lane)
    }
}

impl Center {
    #[inline]
    pub(super) fn new(center: Vec3) -> Self {
        Self {
            x: Vec4::splat(center.x),
            y: Vec4::splat(center.y),
            z: Vec4::splat(center.z),
        }
    }
}

/// The squared distance of each lane.
#[inline]
pub(super) fn to_array(squared: [Vec4; VECTORS]) -> [f32; LANES] {
    bytemuck::cast(squared.map(|squared| squared.to_array()))
}

/// A bit for each of the first `count` lanes that is at most `limit`.
#[inline]
pub(super) fn within(squared: &[Vec4; VECTORS], limit: f32, count: usize) -> u64 {
    let limit = Vec4::splat(limit);
    let mut within = 0_u64;
    for (vector, squared) in squared.iter().enumerate() {
        within |= u64::from(squared.cmple(limit).bitmask()) << (4 * vector);
    }
    within & ((1 << count.min(LANES)) - 1)
}
