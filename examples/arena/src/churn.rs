//! Player churn: agents leave during a match, and rejoin under the same agent id.

use bevy_ecs::prelude::*;
use rand::RngExt;

use crate::{
    ArenaSettings, Clock,
    random::{StreamPurpose, stream},
    rules::{ABSENCE_SECONDS, SESSION_SECONDS},
    slots::AgentSlots,
};

/// The tick at which the next agent joins or leaves. Earlier ticks skip the search of the slots.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct NextChurn(u64);

/// Makes agents that are due leave or join, in the order of their ids.
pub(crate) fn churn(
    settings: Res<ArenaSettings>,
    clock: Res<Clock>,
    mut next: ResMut<NextChurn>,
    mut slots: ResMut<AgentSlots>,
    mut commands: Commands,
) {
    if clock.tick < next.0 {
        return;
    }
    next.0 = u64::MAX;
    for agent in 0..slots.all.len() as i64 {
        let slot = slots.all[agent as usize];
        let mut next_churn = slot.next_churn;
        if next_churn <= clock.tick {
            // The first call only schedules the first leave of each agent.
            if next_churn > 0 {
                match slot.fighter {
                    Some(_) => slots.leave(agent, &mut commands),
                    None => slots.join(agent, clock.round(&settings), &settings, &mut commands),
                }
            }
            let slot = &mut slots.all[agent as usize];
            let is_present = slot.fighter.is_some();
            let (min, max) = if is_present { SESSION_SECONDS } else { ABSENCE_SECONDS };
            let occasion = u64::from(slot.sessions) << 1 | u64::from(is_present);
            let mut rng = stream(settings.seed, StreamPurpose::Churn, agent.cast_unsigned(), occasion);
            next_churn = clock.tick + settings.ticks(rng.random_range(min..max));
            slot.next_churn = next_churn;
        }
        next.0 = next.0.min(next_churn);
    }
}
