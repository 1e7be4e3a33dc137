//! The collector: goes for coins, keeps away from others, shoots in need.

use rand_chacha::ChaCha8Rng;

use super::sight::{Route, Sight};
use crate::{
    chance::astray,
    fighter::{Deed, Intent},
};

/// Nearer than this, others are a reason to shoot.
const NEED: f32 = 6.0;
/// Nearer than this, they are a reason to leap away.
const FEAR: f32 = 3.0;

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
    let deed = if distance < FEAR && sight.gear.dash_in == 0.0 {
        steer = (steer - aim).normalize_or(-aim);
        Deed::Dash
    } else if distance < NEED && sight.gear.shot_in == 0.0 {
        Deed::Shoot
    } else {
        Deed::Hold
    };
    Intent {
        steer,
        aim: astray(aim, 0.3, rng),
        deed,
    }
}
