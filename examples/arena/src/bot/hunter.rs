//! Hunter bot policy: approaches the nearest fighter, circles it at a distance, and leads its aim.

use bevy_math::Vec2;
use rand_chacha::ChaCha8Rng;

use super::observation::{Observation, Rival, Route};
use crate::{
    fighter::{Deed, Intent},
    random::perturb,
    rules::{BULLET_LIFETIME, BULLET_SPEED},
};

/// The distance from its target that it holds.
const PREFERRED_DISTANCE: f32 = 7.0;
/// The spread of its aim; see [`perturb`].
const AIM_SPREAD: f32 = 0.15;
/// It dashes towards a target beyond this distance.
const DASH_DISTANCE: f32 = 13.0;

pub(super) fn decide(observation: &Observation, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let Some(rival) = observation.rival() else {
        let steer = match observation.coin() {
            Some(coin) => coin.normalize_or_zero(),
            None => route.follow(observation, rng),
        };
        return Intent {
            steer,
            aim: steer,
            deed: Deed::Hold,
        };
    };
    let distance = rival.offset.length();
    let ahead = rival.offset.normalize_or(observation.body.facing);
    // Positive to approach, negative to retreat. Near the preferred distance the fighter moves sideways, around its
    // target.
    let approach = ((distance - PREFERRED_DISTANCE) / PREFERRED_DISTANCE).clamp(-1.0, 1.0);
    let steer = (ahead * approach + ahead.perp() * (1.0 - approach.abs())).normalize_or(ahead);
    let deed = if observation.gear.shot_in == 0.0 && distance < 0.8 * BULLET_SPEED * BULLET_LIFETIME {
        Deed::Shoot
    } else if distance > DASH_DISTANCE && observation.gear.dash_in == 0.0 {
        Deed::Dash
    } else {
        Deed::Hold
    };
    Intent {
        steer,
        aim: perturb(lead_target(&rival, ahead), AIM_SPREAD, rng),
        deed,
    }
}

/// The direction in which a bullet meets a rival of constant velocity, to first order.
fn lead_target(rival: &Rival, ahead: Vec2) -> Vec2 {
    let flight_time = rival.offset.length() / BULLET_SPEED;
    (rival.offset + rival.velocity * flight_time).normalize_or(ahead)
}
