//! The wanderer's policy: walk between random positions, and fire and dash at random.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::sight::{Route, Sight};
use crate::{
    fighter::{Deed, Intent},
    random::perturb,
};

/// Mean shots per second.
const SHOT_RATE: f32 = 0.5;
/// Mean dashes per second.
const DASH_RATE: f32 = 0.1;

pub(super) fn decide(sight: &Sight, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let direction = route.follow(sight, rng);
    let sample: f32 = rng.random();
    let deed = if sample < SHOT_RATE * sight.dt {
        Deed::Shoot
    } else if sample < (SHOT_RATE + DASH_RATE) * sight.dt {
        Deed::Dash
    } else {
        Deed::Hold
    };
    // It aims roughly at a rival in sight, otherwise in the direction of its walk.
    let aim = sight
        .rival()
        .map_or(direction, |rival| rival.offset.normalize_or(direction));
    Intent {
        steer: 0.7 * direction,
        aim: perturb(aim, 1.0, rng),
        deed,
    }
}
