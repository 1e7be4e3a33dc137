//! Allocation tests: encoding does not allocate, through getters or compiled.

#[path = "../../../tests/support/allocations.rs"]
mod counting;

use super::*;
use bevy_math::{Vec2, Vec3};
use counting::allocations;

#[derive(Reflect, Clone, Copy)]
enum Mode {
    Walk,
    Run,
}

#[derive(Reflect, Clone, Copy)]
struct Player {
    at: Vec3,
    mode: Mode,
    maybe: Option<f32>,
    next: Option<Vec2>,
    next_mode: Option<Mode>,
    flags: [bool; 9],
    lives: u8,
}

#[test]
fn encoding_does_not_allocate() {
    let player = |mode| Player {
        at: Vec3::ONE,
        mode,
        maybe: Some(1.0),
        next: None,
        next_mode: Some(mode),
        flags: [true; 9],
        lives: 3,
    };
    let players = [player(Mode::Walk), player(Mode::Run)];
    for (fields, encoding) in [
        (None, LeafEncoding::Observation { allow_lossy: false }),
        (Some(&["at", "mode", "lives", "flags"][..]), LeafEncoding::Exact),
        (Some(&["flags"][..]), LeafEncoding::Mask),
    ] {
        let mut plan = placed_plan::<Player>(fields, encoding);
        let stride = plan.row_end;
        let mut out = vec![0; 2 * stride];
        for compiled in [false, true] {
            let before = allocations();
            // More calls than there are between two verified rows.
            for _ in 0..40 {
                let (source, size) = (players.as_ptr().cast(), size_of::<Player>());
                // SAFETY: two live values.
                unsafe { plan.encode(source, size, players.len(), &mut out, stride) };
            }
            assert_eq!(allocations() - before, 0, "{encoding:?}, compiled: {compiled}");
            plan.compile(&players[0]);
        }
    }
}

#[test]
fn the_allocation_counter_counts() {
    let before = allocations();
    drop(core::hint::black_box(Box::new(1)));
    assert_eq!(allocations() - before, 1);
}
