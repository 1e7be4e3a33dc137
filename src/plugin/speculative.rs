//! Ticks that are simulated more than once, as with rollback networking: [`SpeculativeTicks`].

use super::{
    capture_point::CapturePoint,
    experience::Experience,
    state::{RecorderState, component_id},
};
use crate::policy::PolicyControlled;
use bevy_ecs::{resource::Resource, world::World};

/// States which ticks can be simulated again, for games with rollback or client prediction.
///
/// A game that simulates ticks ahead of their inputs goes back when an input arrives that it did not predict, and simulates the
/// ticks since then again. With this resource a capture is of the tick [`simulated`](Self::simulated), and replaces what was
/// captured of it, and of later ticks, before. Its observations, actions, rewards and ends are kept until the tick is
/// [`confirmed`](Self::confirmed): so the rows of a recording are those of the last simulation of each tick, once, in order.
///
/// The game sets it and runs [`ExperienceCapture`](super::ExperienceCapture) at the end of each simulated tick, and names as
/// [`capture_after`](crate::recording::Recording::capture_after) the schedule of its ticks:
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Resource)] struct FrameCount(i64);
/// # #[derive(Resource)] struct ConfirmedFrameCount(i64);
/// /// The last system of the rollback schedule, such as `GgrsSchedule`.
/// fn capture(world: &mut World) {
///     let simulated = world.resource::<FrameCount>().0;
///     let confirmed = world.resource::<ConfirmedFrameCount>().0;
///     world.insert_resource(SpeculativeTicks { simulated, confirmed });
///     world.run_schedule(ExperienceCapture);
/// }
/// ```
///
/// - Give rewards, and trigger [`EndEpisode`](crate::episode::EndEpisode) and
///   [`BeginEpisode`](crate::episode::BeginEpisode), in the simulation of the tick that they belong to. They are those of its
///   last simulation, though [`Reward`](crate::player::Reward) is not among the components that the game restores.
/// - [`EpisodeEnded`](crate::episode::EpisodeEnded) is triggered in each simulation of a tick in which an episode ends, so that
///   each resets the player, also if the player is between episodes in the data.
/// - A player that the game restores on another entity is recognized by its [`AgentId`](crate::player::AgentId).
/// - What is not confirmed when recording ends is not in the data.
/// - A [policy](crate::policy) acts in each simulation of a tick, by what the players observe at its begin. Set this resource and run
///   [`ExperienceTick`](super::ExperienceTick) there as well, so that the policy knows which tick it decides: the same state, tick
///   and model give the same action again. Its players need an `AgentId`, and the recording no `decision_interval`.
/// - [`decision_on_demand`](crate::recording::Recording::decision_on_demand) and
///   [`read_actions_after`](crate::recording::Recording::read_actions_after) have no effect: a recording with the first writes no
///   row, and actions are read at the capture. [`GiveReward`](crate::player::GiveReward) reaches living players only.
///
/// It applies to recordings that are captured in fixed ticks, or by the game itself. Frames of the main loop are never simulated
/// again.
///
/// At most 1,024 ticks are kept. If more are not confirmed, the oldest is written as it is, and a warning is logged.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeculativeTicks {
    /// The number of the tick that was simulated, in the game's own count.
    pub simulated: i64,
    /// The last tick that is not simulated again.
    pub confirmed: i64,
}

impl RecorderState {
    /// One capture of a speculative tick: keeps it, and writes the ticks that are confirmed.
    pub(super) fn capture_speculative(&mut self, world: &World, ticks: SpeculativeTicks) {
        let SpeculativeTicks { simulated, confirmed } = ticks;
        for index in 0..self.points.len() {
            if self.is_reached(index) {
                let point = &mut self.points[index];
                let first = *point.first_speculative_tick.get_or_insert(point.next_tick - simulated);
                // The caller adds the tick of this capture.
                point.next_tick = first + simulated;
            }
        }
        for index in 0..self.slots.len() {
            let point = self.slots[index].point;
            if self.is_reached(point) {
                let time = self.time(world, point);
                // The action is read with each simulation of a tick.
                self.slots[index].recorder.set_awaits_actions(false);
                let slot = &mut self.slots[index];
                slot.recorder.hold_capture(world, simulated, time);
                let controlled = component_id::<PolicyControlled>(world).filter(|_| !slot.policies.is_empty());
                let has_players = controlled.is_some_and(|controlled| {
                    !slot.recorder.decides_on_demand() && slot.recorder.has_policy_players(world, controlled)
                });
                for policy in &mut slot.policies {
                    policy.end_speculative(simulated, has_players);
                }
            } else {
                // The rewards are about to be cleared.
                self.slots[index].recorder.credit_rewards(world);
            }
        }
        loop {
            self.wait_for_free_rows();
            let mut has_written = false;
            for slot in &mut self.slots {
                has_written |= slot.recorder.write_confirmed(confirmed);
            }
            if !has_written {
                break;
            }
        }
    }
}

/// Whether the ticks of a capture point are speculative.
pub(super) fn is_speculative(world: &World, point: usize) -> bool {
    let points = world
        .get_resource::<Experience>()
        .map(|experience| &experience.state().points);
    let point = points.and_then(|points| points.get(point));
    world.contains_resource::<SpeculativeTicks>() && point.is_some_and(CapturePoint::can_be_speculative)
}
