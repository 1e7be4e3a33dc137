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

    /// Finds the candidates nearest to a player in the match `own_match`.
    #[inline]
    pub(super) fn nearest(&self, own_match: Option<i64>, center: Vec3, neighbors: &mut Neighbors) {
        neighbors.clear();
        self.for_each_grid(own_match, |grid| grid.nearest(center, neighbors));
    }

    /// Calls `each` with the id and the squared distance of every candidate within the maximum distance of a player in the
    /// match `own_match`.
    #[inline]
    pub(super) fn for_each_within(&self, own_match: Option<i64>, center: Vec3, mut each: impl FnMut(u32, f32)) {
        self.for_each_grid(own_match, |grid| {
            grid.for_each_within(center, self.max_distance, &mut each);
        });
    }

    #[inline]
    fn for_each_grid(&self, own_match: Option<i64>, mut each: impl FnMut(&SpatialGrid)) {
        let Some(own_match) = own_match else {
            self.grids[..self.used].iter().for_each(each);
            return;
        };
        for grid in [self.by_match.get(&own_match).copied(), self.unmatched]
            .into_iter()
            .flatten()
        {
            each(&self.grids[grid]);
        }
    }
}
