//! Collector bot policy: walks to the nearest coin, dashes away from close fighters, and shoots at fighters in range.

use rand_chacha::ChaCha8Rng;

use super::observation::{Observation, Route};
use crate::{
    fighter::{Deed, Intent},
    random::perturb,
};

/// It shoots at a fighter within this distance.
const SHOOT_DISTANCE: f32 = 6.0;
/// It dashes away from a fighter within this distance.
const FLEE_DISTANCE: f32 = 3.0;

pub(super) fn decide(observation: &Observation, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let mut steer = match observation.coin() {
        Some(coin) => coin.normalize_or_zero(),
        None => route.follow(observation, rng),
    };
    let Some(rival) = observation.rival() else {
        return Intent {
            steer,
            aim: steer,
            deed: Deed::Hold,
        };
    };
    let aim = rival.offset.normalize_or(observation.body.facing);
    let distance = rival.offset.length();
    let deed = if distance < FLEE_DISTANCE && observation.gear.dash_in == 0.0 {
        steer = (steer - aim).normalize_or(-aim);
        Deed::Dash
    } else if distance < SHOOT_DISTANCE && observation.gear.shot_in == 0.0 {
        Deed::Shoot
    } else {
        Deed::Hold
    };
    Intent {
        steer,
        aim: perturb(aim, 0.3, rng),
        deed,
    }
}
