//! Wanderer bot policy: walks between random positions, and fires and dashes at random.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::observation::{Observation, Route};
use crate::{
    fighter::{Deed, Intent},
    random::perturb,
};

/// Mean shots per second.
const SHOT_RATE: f32 = 0.5;
/// Mean dashes per second.
const DASH_RATE: f32 = 0.1;

pub(super) fn decide(observation: &Observation, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let direction = route.follow(observation, rng);
    let sample: f32 = rng.random();
    let deed = if sample < SHOT_RATE * observation.dt {
        Deed::Shoot
    } else if sample < (SHOT_RATE + DASH_RATE) * observation.dt {
        Deed::Dash
    } else {
        Deed::Hold
    };
    // It aims roughly at an observed rival, otherwise in the direction of movement.
    let aim = observation
        .rival()
        .map_or(direction, |rival| rival.offset.normalize_or(direction));
    Intent {
        steer: 0.7 * direction,
        aim: perturb(aim, 1.0, rng),
        deed,
    }
}
