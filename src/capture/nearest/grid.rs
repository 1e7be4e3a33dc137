//! Who is near whom: everybody in cells, so that a look around meets those next to it and nobody else.
//!
//! Cells have no bounds. A row of them lies in a table from a place that its number says, round and round, and rows begin
//! a golden section of the table apart: so the rows of a world of any shape fill the table evenly, and somebody parked at
//! the end of the world costs nothing. Cells that share a place are told apart by the distance, which is looked at anyway.
//! The table has two places for each member, wherever they are.
//!
//! A cell is at most about as wide as one sees, and a quarter of that, and a quarter again, until few share one. A look
//! goes from the cells around it outward, and ends when whatever comes next is farther than what was found; when it has
//! met more cells than there are members, it goes through all members instead. So it is never much slower than that.

use core::ops::Range;
use std::collections::HashMap;

/// Groups of so many are looked through as they are.
const FEW: usize = 12;

/// Of so many in one cell, as the average member meets them, cells become smaller, and of so many larger.
const CROWDED: f32 = 5.0;
const LONELY: f32 = 1.4;

/// So small a part of the largest cell is the smallest: 2⁻⁶⁴, in two dimensions.
const DEEPEST: i32 = 64;
/// How often cells are made smaller at once. What is left of a crowd then waits for the next time.
const REFITS: usize = 8;

/// How far from its place, in cells, rounding may put a member near the origin, with much to spare; and how much farther
/// for each cell that it is away from there.
const SLACK: f32 = 1.0 / 64.0;
const FAR_SLACK: f32 = 1.0 / (1 << 20) as f32;

/// Numbers of cells stay within this, and with them all sums of such numbers.
const MOST_CELLS: f32 = (1 << 29) as f32;

/// Members by group and cell.
pub(super) struct Grid {
    within: f32,
    /// The last coordinate is always 0.
    flat: bool,
    /// How often the largest cell has been quartered.
    depth: i32,
    cell: f32,
    cells_a_unit: f32,
    added: u32,
    /// The smallest box around all who are somewhere.
    low: [f32; 3],
    high: [f32; 3],
    groups: Vec<Group>,
    by_match: HashMap<Option<i64>, usize>,
    staged: Vec<Staged>,
    /// For each group, where the spots of each of its places begin, and where the last of them ends.
    starts: Vec<u32>,
    /// All members, by group and place.
    spots: Vec<Spot>,
}

/// Those of one match, or of none.
struct Group {
    match_id: Option<i64>,
    len: usize,
    spots: Range<usize>,
    /// Its places in `starts`; empty where all are looked through.
    places: Range<usize>,
    /// From a row to the next one, and from a layer to the next one.
    strides: [u32; 2],
}

/// A member, and where it is.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) at: [f32; 3],
    pub(super) other: u32,
}

/// Somebody's look around.
pub(super) trait Look {
    /// Meets members as one who is `here` does. Some may be met twice.
    fn meet(&mut self, here: [f32; 3], spots: &[Spot]);

    /// Whoever is farther than the square root of this need not be met any more.
    fn bound(&self) -> f32;
}

struct Staged {
    spot: Spot,
    group: u32,
    place: u32,
}

impl Grid {
    /// An empty grid for looks that go `within` far; in the first two coordinates, if it is `flat`.
    pub(super) fn new(within: f32, flat: bool) -> Self {
        let mut grid = Self {
            within,
            flat,
            depth: 0,
            cell: 1.0,
            cells_a_unit: 1.0,
            added: 0,
            low: [0.0; 3],
            high: [0.0; 3],
            groups: Vec::new(),
            by_match: HashMap::new(),
            staged: Vec::new(),
            starts: Vec::new(),
            spots: Vec::new(),
        };
        grid.clear();
        grid
    }

    /// Takes all members out.
    pub(super) fn clear(&mut self) {
        self.added = 0;
        self.low = [f32::INFINITY; 3];
        self.high = [f32::NEG_INFINITY; 3];
        self.groups.clear();
        self.by_match.clear();
        self.staged.clear();
        self.spots.clear();
    }

    /// Adds the next member, who has the next number, counted from 0.
    #[inline]
    pub(super) fn add(&mut self, match_id: Option<i64>, at: [f32; 3]) {
        let other = self.added;
        self.added += 1;
        // Nobody is near a place that is none.
        if at.iter().any(|value| value.is_nan()) {
            return;
        }
        for ((low, high), at) in self.low.iter_mut().zip(&mut self.high).zip(at) {
            if at.is_finite() {
                *low = low.min(at);
                *high = high.max(at);
            }
        }
        let group = match self.staged.last() {
            Some(last) if self.groups[last.group as usize].match_id == match_id => last.group,
            _ => self.group_of(match_id),
        };
        self.groups[group as usize].len += 1;
        self.staged.push(Staged {
            spot: Spot { at, other },
            group,
            place: 0,
        });
    }

    fn group_of(&mut self, match_id: Option<i64>) -> u32 {
        let Self { groups, by_match, .. } = self;
        *by_match.entry(match_id).or_insert_with(|| {
            groups.push(Group {
                match_id,
                len: 0,
                spots: 0..0,
                places: 0..0,
                strides: [0; 2],
            });
            groups.len() - 1
        }) as u32
    }

    /// Sorts everybody who was added into cells. Call it before looking.
    pub(super) fn sort(&mut self) {
        self.lay_out();
        for refit in 0.. {
            self.fit();
            let crowding = self.count();
            if crowding > CROWDED && self.depth < DEEPEST && refit < REFITS {
                self.depth += 1;
                continue;
            }
            if crowding < LONELY && self.depth > 0 {
                // For the next time: these cells do as well.
                self.depth -= 1;
            }
            break;
        }
        self.place();
    }

    /// Gives each group its part of the table and of the spots.
    fn lay_out(&mut self) {
        let (mut spot, mut place) = (0, 0);
        for group in &mut self.groups {
            group.spots = spot..spot + group.len;
            spot += group.len;
            let places = match group.len {
                0..=FEW => 0,
                len => (2 * len).next_power_of_two(),
            };
            // One more, for the end of the last.
            group.places = place..place + places;
            place += places + 1;
            let part = |of: u64| ((of * places as u64) >> 32) as u32 | 1;
            group.strides = if self.flat {
                [part(0x9e37_79b9), 0]
            } else {
                // The golden section's like for two strides: see M. Roberts, "The Unreasonable Effectiveness of
                // Quasirandom Sequences".
                [part(0xc13f_a9a9), part(0x91e1_0da5)]
            };
        }
        self.starts.resize(place, 0);
    }

    /// Chooses the size of cells.
    fn fit(&mut self) {
        let extent = (0..3)
            .map(|axis| self.high[axis] - self.low[axis])
            .fold(0.0, |extent: f32, side| extent.max(side));
        // Nobody sees farther than from one end to the other, and twice the longest side is farther than that.
        let reach = self.within.min(2.0 * extent).clamp(1e-18, 1e18);
        let dimensions = if self.flat { 2.0 } else { 3.0 };
        let part = (-2.0 * self.depth as f32 / dimensions).exp2();
        self.cell = (reach * (1.0 + 2.0 * SLACK) * part).max(1e-18);
        self.cells_a_unit = 1.0 / self.cell;
    }

    /// Counts who is where: how many share a place, as the average member meets them.
    fn count(&mut self) -> f32 {
        self.starts.fill(0);
        let (mut met, mut members) = (0_u64, 0_u64);
        let cells_a_unit = self.cells_a_unit;
        for staged in &mut self.staged {
            let group = &self.groups[staged.group as usize];
            if group.places.is_empty() {
                continue;
            }
            let [x, y, z] = staged.spot.at.map(|value| cell_of(value * cells_a_unit));
            let place = group.places.start + group.place(x, group.row(y, z));
            staged.place = place as u32;
            met += u64::from(self.starts[place]);
            members += 1;
            self.starts[place] += 1;
        }
        if members == 0 {
            return LONELY;
        }
        1.0 + 2.0 * met as f32 / members as f32
    }

    /// Puts everybody in their place.
    fn place(&mut self) {
        let Some(first) = self.staged.first() else { return };
        self.spots.resize(self.staged.len(), first.spot);
        for group in &mut self.groups {
            let mut end = group.spots.start as u32;
            if group.places.is_empty() {
                self.starts[group.places.start] = group.spots.end as u32;
                continue;
            }
            for start in &mut self.starts[group.places.clone()] {
                end += *start;
                *start = end;
            }
            self.starts[group.places.end] = end;
        }
        // Each place's end walks back to its start as its spots are put there, the last one first.
        for staged in self.staged.iter().rev() {
            let group = &self.groups[staged.group as usize];
            let place = if group.places.is_empty() {
                group.places.start
            } else {
                staged.place as usize
            };
            let at = &mut self.starts[place];
            *at -= 1;
            self.spots[*at as usize] = staged.spot;
        }
    }

    /// Looks at those of the match `own_match` and of none; or at everybody, where that is `None`.
    #[inline]
    pub(super) fn look(&self, here: [f32; 3], own_match: Option<i64>, look: &mut impl Look) {
        if own_match.is_none() || self.groups.len() == 1 {
            for group in &self.groups {
                if own_match.is_none() || group.match_id.is_none() || group.match_id == own_match {
                    self.look_through(group, here, look);
                }
            }
            return;
        }
        for match_id in [None, own_match] {
            if let Some(&group) = self.by_match.get(&match_id) {
                self.look_through(&self.groups[group], here, look);
            }
        }
    }

    fn look_through(&self, group: &Group, here: [f32; 3], look: &mut impl Look) {
        if group.places.is_empty() {
            return look.meet(here, &self.spots[group.spots.clone()]);
        }
        let place = here.map(|value| value * self.cells_a_unit);
        let [x, y, z] = place.map(cell_of);
        let inside = [place[0] - x as f32, place[1] - y as f32, place[2] - z as f32];
        let far = place.iter().fold(0.0, |far: f32, value| far.max(value.abs()));
        let slack = SLACK + far * FAR_SLACK;
        // How far it is at least to a cell so many cells away.
        let gap = |inside: f32, away: i32| {
            let cells = match away {
                0 => 0.0,
                1.. => away as f32 - inside,
                _ => inside - (away + 1) as f32,
            };
            (cells - slack).max(0.0) * self.cell
        };
        let axes = if self.flat { 2 } else { 3 };
        let edge = inside[..axes]
            .iter()
            .fold(0.5, |edge: f32, &inside| edge.min(inside).min(1.0 - inside));
        let mut met = 0;
        for radius in 1_i32.. {
            let side = 2 * radius as usize + 1;
            let layers = if self.flat { 1 } else { side };
            met += side * layers;
            if met > group.len.max(27) || side > group.places.len() {
                return look.meet(here, &self.spots[group.spots.clone()]);
            }
            for layer in (0..layers).map(outward) {
                let layer_gap = gap(inside[2], layer).powi(2);
                for row in (0..side).map(outward) {
                    if gap(inside[1], row).powi(2) + layer_gap > look.bound() {
                        continue;
                    }
                    let start = group.row(y + row, z + layer);
                    if radius == 1 || row.abs() == radius || layer.abs() == radius {
                        self.run(group, x - radius, start, side, here, look);
                    } else {
                        self.run(group, x - radius, start, 1, here, look);
                        self.run(group, x + radius, start, 1, here, look);
                    }
                }
            }
            let next = (radius as f32 + edge - slack).max(0.0) * self.cell;
            if next * next > look.bound() {
                return;
            }
        }
    }

    /// Meets those in `cells` cells of a row, from the cell `x` on.
    #[inline]
    fn run(&self, group: &Group, x: i32, row: u32, cells: usize, here: [f32; 3], look: &mut impl Look) {
        let starts = &self.starts[group.places.start..=group.places.end];
        let places = group.places.len();
        let first = group.place(x, row);
        let last = first + cells;
        let spots = |places: Range<usize>| &self.spots[starts[places.start] as usize..starts[places.end] as usize];
        look.meet(here, spots(first..last.min(places)));
        if last > places {
            look.meet(here, spots(0..last - places));
        }
    }
}

impl Group {
    /// Where a row of cells begins in the group's part of the table, which goes round.
    #[inline]
    fn row(&self, y: i32, z: i32) -> u32 {
        let [row, layer] = self.strides;
        let (y, z) = (y.cast_unsigned(), z.cast_unsigned());
        y.wrapping_mul(row).wrapping_add(z.wrapping_mul(layer))
    }

    /// The place of a cell of a row.
    #[inline]
    fn place(&self, x: i32, row: u32) -> usize {
        row.wrapping_add(x.cast_unsigned()) as usize & (self.places.len() - 1)
    }
}

pub(super) fn squared_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)
}

/// The cell of a coordinate that is counted in cells. It never falls where the coordinate grows.
#[inline]
fn cell_of(coordinate: f32) -> i32 {
    let coordinate = coordinate.clamp(-MOST_CELLS, MOST_CELLS);
    // `f32::floor` is a call on processors that are not known to have an instruction for it.
    let cell = coordinate as i32;
    cell - i32::from(cell as f32 > coordinate)
}

/// 0, 1, -1, 2, -2, …
#[inline]
fn outward(step: usize) -> i32 {
    let away = step.div_ceil(2) as i32;
    if step % 2 == 1 { away } else { -away }
}
