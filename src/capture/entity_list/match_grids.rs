//! One spatial grid per match, so that players find entities of their own match only.

use crate::capture::spatial_grid::{Neighbors, SpatialGrid};
use bevy_math::Vec3;
use bevy_platform::collections::HashMap;

/// Candidates by match. A player in a match finds candidates of that match and those without a match. A player without
/// a match finds all.
pub(super) struct MatchGrids {
    max_distance: f32,
    /// The grid of each match.
    by_match: HashMap<i64, usize>,
    /// The grid of the candidates without a match.
    unmatched: Option<usize>,
    /// The first `used` grids are in use. The others are kept for reuse of their memory by later captures.
    grids: Vec<SpatialGrid>,
    used: usize,
    /// The match of the last candidate, and its grid. Caches the lookup: neighbours in a table tend to be of one match.
    last: Option<(Option<i64>, usize)>,
}

impl MatchGrids {
    pub(super) fn new(max_distance: f32) -> Self {
        Self {
            max_distance,
            by_match: HashMap::default(),
            unmatched: None,
            grids: Vec::new(),
            used: 0,
            last: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_match.clear();
        self.unmatched = None;
        self.used = 0;
        self.last = None;
    }

    #[inline]
    pub(super) fn insert(&mut self, match_id: Option<i64>, id: u32, position: Vec3) {
        let grid = match self.last {
            Some((last, grid)) if last == match_id => grid,
            _ => self.grid_of(match_id),
        };
        self.grids[grid].insert(id, position);
    }

    fn grid_of(&mut self, match_id: Option<i64>) -> usize {
        let next = self.used;
        let grid = match match_id {
            Some(match_id) => *self.by_match.entry(match_id).or_insert(next),
            None => *self.unmatched.get_or_insert(next),
        };
        if grid == self.grids.len() {
            self.grids.push(SpatialGrid::new(self.max_distance));
        }
        if grid == next {
            self.grids[grid].clear();
            self.used += 1;
        }
        self.last = Some((match_id, grid));
        grid
    }

    /// Call this after the last [`insert`](Self::insert).
    pub(super) fn build(&mut self) {
        self.grids[..self.used].iter_mut().for_each(SpatialGrid::build);
    }

    /// Replaces each candidate by that at its place in `numbers`. Call this before [`build`](Self::build).
    pub(super) fn renumber(&mut self, numbers: &[u32]) {
        for grid in &mut self.grids[..self.used] {
            grid.renumber(numbers);
        }
    }

    /// The candidates that a player in the match `own_match` finds.
    pub(super) fn in_match(&self, own_match: Option<i64>) -> MatchView<'_> {
        let one = |grid: usize| &self.grids[grid..=grid];
        MatchView(match own_match {
            None => [&self.grids[..self.used], &[]],
            Some(own_match) => {
                [self.by_match.get(&own_match).copied(), self.unmatched].map(|grid| grid.map_or(&[][..], one))
            }
        })
    }
}

/// The grids of candidates that the players of a match find.
pub(super) struct MatchView<'a>([&'a [SpatialGrid]; 2]);

impl MatchView<'_> {
    /// Adds the candidates nearest to `center` to `neighbors`, except one.
    #[inline]
    pub(super) fn nearest(&self, except: u32, center: Vec3, neighbors: &mut Neighbors) {
        for grid in self.0.into_iter().flatten() {
            grid.nearest_except(except, center, neighbors);
        }
    }

    /// Calls `each` with the number and the squared distance of every candidate at most `radius` from `center`.
    #[inline]
    pub(super) fn for_each_within(&self, center: Vec3, radius: f32, mut each: impl FnMut(u32, f32)) {
        for grid in self.0.into_iter().flatten() {
            grid.for_each_within(center, radius, &mut each);
        }
    }
}
