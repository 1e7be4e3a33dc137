//! Coming and going: agents who leave in mid-match and come back under the same id.

use bevy_ecs::prelude::*;
use rand::RngExt;

use crate::{
    ArenaSettings, Clock,
    chance::{Purpose, stream},
    rules::{ABSENCE, STAY},
    seat::Seats,
};

/// The tick at which the next agent comes or goes, so that all other ticks need not look through the seats.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct NextMove(u64);

/// Lets agents whose time has come leave or come back, in the order of their ids.
pub(crate) fn churn(
    settings: Res<ArenaSettings>,
    clock: Res<Clock>,
    mut next: ResMut<NextMove>,
    mut seats: ResMut<Seats>,
    mut commands: Commands,
) {
    if clock.tick < next.0 {
        return;
    }
    next.0 = u64::MAX;
    for agent in 0..seats.all.len() as i64 {
        let seat = seats.all[agent as usize];
        let mut next_move = seat.next_move;
        if next_move <= clock.tick {
            // Nobody leaves at the first look, which only decides how long everyone stays.
            if next_move > 0 {
                match seat.fighter {
                    Some(_) => seats.leave(agent, &mut commands),
                    None => seats.sit_down(agent, &settings, &mut commands),
                }
            }
            let seat = &mut seats.all[agent as usize];
            let here = seat.fighter.is_some();
            let (shortest, longest) = if here { STAY } else { ABSENCE };
            let occasion = u64::from(seat.visits) << 1 | u64::from(here);
            let mut rng = stream(settings.seed, Purpose::Churn, agent.cast_unsigned(), occasion);
            next_move = clock.tick + settings.ticks(rng.random_range(shortest..longest));
            seat.next_move = next_move;
        }
        next.0 = next.0.min(next_move);
    }
}
