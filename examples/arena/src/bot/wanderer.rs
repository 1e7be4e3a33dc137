//! The wanderer: strolls, and fires at random.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::sight::{Route, Sight};
use crate::{
    chance::astray,
    fighter::{Deed, Intent},
};

/// Shots in a second, on average.
const WHIM: f32 = 0.5;
/// Dashes in a second, on average.
const LEAP: f32 = 0.1;

pub(super) fn decide(sight: &Sight, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let way = route.follow(sight, rng);
    let whim: f32 = rng.random();
    let deed = if whim < WHIM * sight.dt {
        Deed::Shoot
    } else if whim < (WHIM + LEAP) * sight.dt {
        Deed::Dash
    } else {
        Deed::Hold
    };
    // It points at whom it sees, roughly, and otherwise where it goes.
    let aim = sight.rival().map_or(way, |rival| rival.offset.normalize_or(way));
    Intent {
        steer: 0.7 * way,
        aim: astray(aim, 1.0, rng),
        deed,
    }
}
