//! Property tests of the spatial grid against a brute-force scan.

use super::{Neighbors, SpatialGrid};
use bevy_math::Vec3;
use proptest::prelude::*;

fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -10.0..10.0_f32,
        // Many distances are equal.
        8 => (-4..4_i8).prop_map(f32::from),
        4 => -0.01..0.01_f32,
        2 => -1e6..1e6_f32,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(1e30), Just(1e-30)],
    ]
}

/// Points in space, in a plane, or on a line.
fn points() -> impl Strategy<Value = Vec<Vec3>> {
    let point = (coordinate(), coordinate(), coordinate()).prop_map(Vec3::from);
    (0..3, prop::collection::vec(point, 0..200)).prop_map(|(flat, mut points)| {
        for point in &mut points {
            match flat {
                0 => {}
                1 => point.z = 0.0,
                _ => *point = Vec3::splat(point.x),
            }
        }
        points
    })
}

/// Evenly spread points in a plane or in space, around a center that may be so far away that positions are coarse.
fn crowd() -> impl Strategy<Value = Vec<Vec3>> {
    let center = prop_oneof![4 => Just(0.0_f32), 1 => Just(-3e4), 1 => Just(2e6), 1 => Just(1e9)];
    let along = -40.0..40.0_f32;
    let offset = (along.clone(), along.clone(), along).prop_map(Vec3::from);
    (
        any::<bool>(),
        center,
        0.0..0.3_f32,
        prop::collection::vec(offset, 0..700),
    )
        .prop_map(|(is_flat, center, height, offsets)| {
            let place = |offset: Vec3| center + offset * Vec3::new(1.0, 1.0, if is_flat { 0.0 } else { height });
            offsets.into_iter().map(place).collect()
        })
}

fn fill(grid: &mut SpatialGrid, points: impl Iterator<Item = (u32, Vec3)>) {
    grid.clear();
    for (id, point) in points {
        grid.insert(id, point);
    }
    grid.build();
}

/// Ids and squared distances of the points within `max_distance`, the nearest first.
fn brute_force(points: &[Vec3], center: Vec3, max_distance: f32) -> Vec<(u32, f32)> {
    let distances = (0..).zip(points.iter().map(|point| point.distance_squared(center)));
    let mut found: Vec<_> = distances
        .filter(|&(_, squared)| squared <= max_distance * max_distance)
        .collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_find_what_a_scan_of_all_points_finds(
        worlds in prop::collection::vec(points(), 1..4),
        cell_width in prop_oneof![0.01..30.0_f32, Just(0.0), Just(f32::INFINITY)],
        max_distance in prop_oneof![0.5..30.0_f32, (0..5_i8).prop_map(f32::from), Just(1e7), Just(f32::INFINITY)],
        count in 0..9_usize,
    ) {
        let mut grid = SpatialGrid::new(cell_width);
        let mut neighbors = Neighbors::new(count, max_distance);
        for points in worlds {
            fill(&mut grid, (0..).zip(points.iter().copied()));
            for &center in points.iter().chain(&[Vec3::ZERO, Vec3::splat(2.5)]) {
                let expected = brute_force(&points, center, max_distance);
                let mut within = Vec::new();
                grid.for_each_within(center, max_distance, |id, squared| within.push((id, squared)));
                within.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
                prop_assert_eq!(&within, &expected, "within {} of {}", max_distance, center);
                neighbors.clear();
                grid.nearest(center, &mut neighbors);
                let nearest: Vec<_> = neighbors.iter().collect();
                prop_assert_eq!(&nearest, &expected[..count.min(expected.len())], "nearest to {}", center);
            }
        }
    }

    /// Cells adapt to the points over several builds, so that most searches end in the cells around the center.
    #[test]
    fn searches_of_a_crowd_find_what_a_scan_of_all_points_finds(
        points in crowd(),
        max_distance in prop_oneof![1.0..30.0_f32, Just(f32::INFINITY)],
        count in 1..9_usize,
        builds in 1..5,
        numbers_are_reversed: bool,
    ) {
        let mut grid = SpatialGrid::new(max_distance);
        let ids: Vec<u32> = (0..points.len() as u32).rev().collect();
        for _ in 0..builds {
            grid.clear();
            for (id, &point) in (0..).zip(&points) {
                grid.insert(id, point);
            }
            if numbers_are_reversed {
                grid.renumber(&ids);
            }
            grid.build();
        }
        let mut by_id = points.clone();
        if numbers_are_reversed {
            by_id.reverse();
        }
        let mut neighbors = Neighbors::new(count, max_distance);
        for (except, &center) in by_id.iter().enumerate().step_by(7) {
            let mut expected = brute_force(&by_id, center, max_distance);
            let mut within = Vec::new();
            grid.for_each_within(center, max_distance, |id, squared| within.push((id, squared)));
            within.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(&within, &expected, "within {} of {}", max_distance, center);
            expected.retain(|&(id, _)| id as usize != except);
            expected.truncate(count);
            neighbors.clear();
            grid.nearest_except(except as u32, center, &mut neighbors);
            let nearest: Vec<_> = neighbors.iter().collect();
            prop_assert_eq!(&nearest, &expected, "nearest to {}, without {}", center, except);
        }
    }

    #[test]
    fn neighbors_are_collected_over_several_grids(points in points(), count in 1..6_usize) {
        let mut grids = [SpatialGrid::new(1.0), SpatialGrid::new(10.0)];
        for (parity, grid) in grids.iter_mut().enumerate() {
            let half = (0..).zip(points.iter().copied()).filter(|(id, _)| *id as usize % 2 == parity);
            fill(grid, half);
        }
        let mut neighbors = Neighbors::new(count, 20.0);
        for &center in &points {
            neighbors.clear();
            for grid in &grids {
                grid.nearest(center, &mut neighbors);
            }
            let expected = brute_force(&points, center, 20.0);
            let nearest: Vec<_> = neighbors.iter().collect();
            prop_assert_eq!(&nearest, &expected[..count.min(expected.len())], "nearest to {}", center);
        }
    }
}
