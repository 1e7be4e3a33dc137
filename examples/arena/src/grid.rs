//! Who is near: all matches in one uniform grid, sorted into cells by counting.
//!
//! A cell is as wide as a fighter sees, so a look around touches three rows of three cells, and each row is one
//! contiguous run of spots. Building reuses its memory; nothing is allocated once the arena has warmed up.

use bevy_math::Vec2;

use crate::{MatchId, rules::SIGHT};

/// Something that lies at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<T> {
    /// Where it is.
    pub position: Vec2,
    /// What it is.
    pub what: T,
}

/// Spots of all matches, by cell.
#[derive(Debug)]
pub(crate) struct Grid<T> {
    half: f32,
    /// Cells along one side of the floor.
    side: usize,
    matches: usize,
    /// `spots[starts[c]..starts[c + 1]]` are the spots of cell `c`; cells run by match, then row, then column.
    starts: Vec<u32>,
    spots: Vec<Spot<T>>,
    staged: Vec<(u32, Spot<T>)>,
}

impl<T: Copy> Grid<T> {
    pub(crate) fn new(half: f32, matches: u32) -> Self {
        let side = ((2.0 * half / SIGHT).ceil() as usize).max(1);
        let matches = matches as usize;
        Self {
            half,
            side,
            matches,
            starts: vec![0; matches * side * side + 1],
            spots: Vec::new(),
            staged: Vec::new(),
        }
    }

    /// Replaces everything in the grid. Spots of one cell keep the order in which they come.
    pub(crate) fn fill(&mut self, all: impl Iterator<Item = (MatchId, Spot<T>)>) {
        self.staged.clear();
        self.starts.fill(0);
        for (match_id, spot) in all {
            let cell = self.row(match_id, self.lane(spot.position.y)) + self.lane(spot.position.x);
            self.starts[cell] += 1;
            self.staged.push((cell as u32, spot));
        }
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        // Each cell's end walks back to its start as its spots are laid down, the last one first.
        let Some(&(_, filler)) = self.staged.first() else {
            self.spots.clear();
            return;
        };
        self.spots.resize(self.staged.len(), filler);
        for &(cell, spot) in self.staged.iter().rev() {
            let at = &mut self.starts[cell as usize];
            *at -= 1;
            self.spots[*at as usize] = spot;
        }
    }

    /// Shows everything in a match within `radius` of `center`, with its squared distance. The order means nothing:
    /// whoever picks one must pick by a key of the spot's own.
    #[inline]
    pub(crate) fn each_near<'a>(
        &'a self,
        match_id: MatchId,
        center: Vec2,
        radius: f32,
        mut show: impl FnMut(f32, &'a Spot<T>),
    ) {
        let (left, right) = (self.lane(center.x - radius), self.lane(center.x + radius));
        let (low, high) = (self.lane(center.y - radius), self.lane(center.y + radius));
        for lane in low..=high {
            let row = self.row(match_id, lane);
            let run = self.starts[row + left] as usize..self.starts[row + right + 1] as usize;
            for spot in &self.spots[run] {
                let squared = spot.position.distance_squared(center);
                if squared <= radius * radius {
                    show(squared, spot);
                }
            }
        }
    }

    /// The column, or row, of cells that a coordinate falls into. Whatever lies outside counts to the border.
    fn lane(&self, coordinate: f32) -> usize {
        (((coordinate + self.half) / SIGHT) as usize).min(self.side - 1)
    }

    /// The first cell of a row of a match.
    fn row(&self, match_id: MatchId, lane: usize) -> usize {
        debug_assert!((match_id.0 as usize) < self.matches);
        (match_id.0 as usize * self.side + lane) * self.side
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::{StreamPurpose, random_position, stream};

    #[test]
    fn near_finds_what_a_full_search_finds() {
        let half = 47.0;
        let mut rng = stream(5, StreamPurpose::Spawn, 0, 0);
        let mut grid = Grid::new(half, 3);
        for round in 0..3 {
            let all: Vec<(MatchId, Spot<u32>)> = (0..200)
                .map(|what| {
                    (
                        MatchId(rng.random_range(0..3)),
                        Spot {
                            position: random_position(&mut rng, 1.2 * half),
                            what,
                        },
                    )
                })
                .collect();
            grid.fill(all.iter().copied());
            for _ in 0..50 {
                let (match_id, center) = (MatchId(rng.random_range(0..3)), random_position(&mut rng, half));
                let radius = rng.random_range(0.5..30.0);
                let mut found = Vec::new();
                grid.each_near(match_id, center, radius, |_, spot| found.push(spot.what));
                found.sort_unstable();
                let expected: Vec<u32> = all
                    .iter()
                    .filter(|(of, spot)| *of == match_id && spot.position.distance(center) <= radius)
                    .map(|(_, spot)| spot.what)
                    .collect();
                assert_eq!(found, expected, "round {round}");
            }
        }
    }

    #[test]
    fn an_emptied_grid_is_empty() {
        let mut grid = Grid::new(16.0, 1);
        grid.fill(
            [(
                MatchId(0),
                Spot {
                    position: Vec2::ZERO,
                    what: 1_u32,
                },
            )]
            .into_iter(),
        );
        let count = |grid: &Grid<u32>| {
            let mut count = 0;
            grid.each_near(MatchId(0), Vec2::ZERO, 5.0, |_, _| count += 1);
            count
        };
        assert_eq!(count(&grid), 1);
        grid.fill([].into_iter());
        assert_eq!(count(&grid), 0);
    }
}
