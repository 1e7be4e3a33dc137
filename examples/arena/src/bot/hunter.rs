//! The hunter: chases the nearest other, leads its aim, keeps its distance.

use bevy_math::Vec2;
use rand_chacha::ChaCha8Rng;

use super::sight::{Rival, Route, Sight};
use crate::{
    chance::astray,
    fighter::{Deed, Intent},
    rules::{BULLET_LIFE, BULLET_SPEED},
};

/// Where it likes its prey: nearer it backs off, farther it closes in.
const COMFORT: f32 = 7.0;
/// How far its aim goes astray.
const AIM: f32 = 0.15;
/// Farther than this, it leaps to close in.
const FAR: f32 = 13.0;

pub(super) fn decide(sight: &Sight, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let Some(rival) = sight.rival() else {
        let steer = match sight.coin() {
            Some(coin) => coin.normalize_or_zero(),
            None => route.follow(sight, rng),
        };
        return Intent {
            steer,
            aim: steer,
            deed: Deed::Hold,
        };
    };
    let distance = rival.offset.length();
    let ahead = rival.offset.normalize_or(sight.body.facing);
    // It circles at the distance that it likes, the more sideways the closer it is to it.
    let closing = ((distance - COMFORT) / COMFORT).clamp(-1.0, 1.0);
    let steer = (ahead * closing + ahead.perp() * (1.0 - closing.abs())).normalize_or(ahead);
    let deed = if sight.gear.shot_in == 0.0 && distance < 0.8 * BULLET_SPEED * BULLET_LIFE {
        Deed::Shoot
    } else if distance > FAR && sight.gear.dash_in == 0.0 {
        Deed::Dash
    } else {
        Deed::Hold
    };
    Intent {
        steer,
        aim: astray(lead(&rival, ahead), AIM, rng),
        deed,
    }
}

/// Where to point so that a bullet meets a rival who keeps going.
fn lead(rival: &Rival, ahead: Vec2) -> Vec2 {
    let flight = rival.offset.length() / BULLET_SPEED;
    (rival.offset + rival.velocity * flight).normalize_or(ahead)
}
