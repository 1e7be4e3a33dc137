//! Spatial index with one grid per match, for radius queries.

use bevy_experience::capture::SpatialGrid;
use bevy_math::Vec2;

use crate::{MatchId, rules::SIGHT};

/// A value at a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<T> {
    pub position: Vec2,
    pub value: T,
}

/// The spots of all matches.
#[derive(Debug)]
pub(crate) struct MatchGrids<T> {
    grids: Vec<SpatialGrid>,
    /// A spot's id in its grid is its index here.
    spots: Vec<Spot<T>>,
}

impl<T> MatchGrids<T> {
    pub(crate) fn new(matches: u32) -> Self {
        Self {
            grids: vec![SpatialGrid::new(SIGHT); matches as usize],
            spots: Vec::new(),
        }
    }

    /// Replaces all spots.
    pub(crate) fn fill(&mut self, all: impl Iterator<Item = (MatchId, Spot<T>)>) {
        self.grids.iter_mut().for_each(SpatialGrid::clear);
        self.spots.clear();
        for (match_id, spot) in all {
            let id = self.spots.len() as u32;
            self.grids[match_id.0 as usize].insert(id, spot.position.extend(0.0));
            self.spots.push(spot);
        }
        self.grids.iter_mut().for_each(SpatialGrid::build);
    }

    /// Calls `each` with every spot of a match at most `radius` from `center`, and its squared distance. The order is
    /// unspecified: to select one spot, compare by a unique key.
    #[inline]
    pub(crate) fn for_each_within<'a>(
        &'a self,
        match_id: MatchId,
        center: Vec2,
        radius: f32,
        mut each: impl FnMut(f32, &'a Spot<T>),
    ) {
        self.grids[match_id.0 as usize].for_each_within(center.extend(0.0), radius, |id, squared_distance| {
            each(squared_distance, &self.spots[id as usize]);
        });
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::{StreamPurpose, random_position, stream};

    #[test]
    fn a_radius_query_returns_what_a_full_scan_returns() {
        let half = 47.0;
        let mut rng = stream(5, StreamPurpose::Spawn, 0, 0);
        let mut grid = MatchGrids::new(3);
        for round in 0..3 {
            let all: Vec<(MatchId, Spot<u32>)> = (0..200)
                .map(|value| {
                    (
                        MatchId(rng.random_range(0..3)),
                        Spot {
                            position: random_position(&mut rng, 1.2 * half),
                            value,
                        },
                    )
                })
                .collect();
            grid.fill(all.iter().copied());
            for _ in 0..50 {
                let (match_id, center) = (MatchId(rng.random_range(0..3)), random_position(&mut rng, half));
                let radius = rng.random_range(0.5..30.0);
                let mut found = Vec::new();
                grid.for_each_within(match_id, center, radius, |_, spot| found.push(spot.value));
                found.sort_unstable();
                let expected: Vec<u32> = all
                    .iter()
                    .filter(|(of, spot)| *of == match_id && spot.position.distance(center) <= radius)
                    .map(|(_, spot)| spot.value)
                    .collect();
                assert_eq!(found, expected, "round {round}");
            }
        }
    }

    #[test]
    fn a_refill_with_no_spots_empties_the_grid() {
        let mut grid = MatchGrids::new(1);
        grid.fill(
            [(
                MatchId(0),
                Spot {
                    position: Vec2::ZERO,
                    value: 1_u32,
                },
            )]
            .into_iter(),
        );
        let count = |grid: &MatchGrids<u32>| {
            let mut count = 0;
            grid.for_each_within(MatchId(0), Vec2::ZERO, 5.0, |_, _| count += 1);
            count
        };
        assert_eq!(count(&grid), 1);
        grid.fill([].into_iter());
        assert_eq!(count(&grid), 0);
    }
}
