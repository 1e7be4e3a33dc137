//! The collector's policy: walk to the nearest coin, dash away from fighters that are close, shoot at those that are
//! near.

use rand_chacha::ChaCha8Rng;

use super::sight::{Route, Sight};
use crate::{
    fighter::{Deed, Intent},
    random::perturb,
};

/// It shoots at a fighter within this distance.
const SHOOT_DISTANCE: f32 = 6.0;
/// It dashes away from a fighter within this distance.
const FLEE_DISTANCE: f32 = 3.0;

pub(super) fn decide(sight: &Sight, route: &mut Route, rng: &mut ChaCha8Rng) -> Intent {
    let mut steer = match sight.coin() {
        Some(coin) => coin.normalize_or_zero(),
        None => route.follow(sight, rng),
    };
    let Some(rival) = sight.rival() else {
        return Intent {
            steer,
            aim: steer,
            deed: Deed::Hold,
        };
    };
    let aim = rival.offset.normalize_or(sight.body.facing);
    let distance = rival.offset.length();
    let deed = if distance < FLEE_DISTANCE && sight.gear.dash_in == 0.0 {
        steer = (steer - aim).normalize_or(-aim);
        Deed::Dash
    } else if distance < SHOOT_DISTANCE && sight.gear.shot_in == 0.0 {
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
