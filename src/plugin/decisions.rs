//! Observers of [`RequestDecision`] and [`DecisionMade`], for recordings in which the game requests each decision.

use super::{
    acting,
    experience::Experience,
    observers::{TakenSlots, player_above, warn_stray},
    rewards,
    speculative::is_speculative,
    state::RecorderState,
};
use crate::episode::{DecisionMade, RequestDecision, RequestDisposition};
use bevy_app::App;
use bevy_ecs::{change_detection::Tick, entity::Entity, observer::On, world::DeferredWorld};

pub(super) fn add(app: &mut App) {
    app.add_observer(request_decision).add_observer(make_decision);
}

fn request_decision(request: On<RequestDecision>, mut world: DeferredWorld) {
    let entity = request.entity;
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    let state = experience.state();
    state.wait_for_free_rows();
    // The run of this observer has advanced the change tick, so writes from now on have this tick or a later one.
    let since = Tick::new(world.read_change_tick().get().wrapping_sub(1));
    let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
        return;
    };
    let TakenSlots { world: players, slots } = &mut taken;
    // Rewards until now belong to the step that ends, in all recordings of the player.
    if slots.iter().any(|slot| slot.recorder.decides_on_demand()) {
        for slot in &mut *slots {
            slot.recorder.credit_now(players, entity);
        }
        rewards::clear_player(entity, players.reborrow());
    }
    let requested = slots.iter_mut().filter(|slot| slot.recorder.decides_on_demand());
    let results = requested.map(|slot| {
        if is_speculative(players, slot.point) {
            return RequestDisposition::Accepted;
        }
        let experience = players.get_resource::<Experience>();
        let time = experience.map(|experience| experience.state().time(players, slot.point));
        slot.recorder
            .request_decision(players, entity, time.unwrap_or_default(), since)
    });
    let is_player = results.fold(false, |is_player, result| {
        is_player | (result != RequestDisposition::NotAPlayer)
    });
    // The policy sees what the step begins with. It acts when this observer and those of the game have run.
    let acts = acting::observe_request(players, slots, entity);
    drop(taken);
    if acts {
        world.commands().queue(acting::act_on_requests);
    }
    if !is_player {
        warn_stray_decision(&mut world, "`RequestDecision`", entity);
    }
}

fn make_decision(made: On<DecisionMade>, mut world: DeferredWorld) {
    let entity = made.entity;
    let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
        return;
    };
    let TakenSlots { world: players, slots } = &mut taken;
    let mut is_player = false;
    for slot in slots.iter_mut().filter(|slot| slot.recorder.decides_on_demand()) {
        is_player |= slot.recorder.make_decision(players, entity);
    }
    drop(taken);
    if !is_player {
        warn_stray_decision(&mut world, "`DecisionMade`", entity);
    }
}

fn warn_stray_decision(world: &mut DeferredWorld, event: &str, entity: Entity) {
    let player = player_above(world, entity);
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        experience.state_mut().warn_stray_decision(event, entity, player);
    }
}

impl RecorderState {
    /// Warns once about an event for a decision whose entity is not a player of a recording that decides on demand. `player` is
    /// the player that the entity is a child of.
    fn warn_stray_decision(&mut self, event: &str, entity: Entity, player: Option<Entity>) {
        if self.slots.is_empty() || core::mem::replace(&mut self.warned_stray_decision, true) {
            return;
        }
        let on_demand = self.slots.iter().filter(|slot| slot.recorder.decides_on_demand());
        let names: Vec<_> = on_demand.map(|slot| format!("`{}`", slot.recorder.name())).collect();
        if names.is_empty() {
            tracing::warn!(
                "{event} was triggered, and no recording decides on demand: call `decision_on_demand` on one of {}",
                self.recording_names()
            );
        } else {
            warn_stray(event, entity, &names.join(", "), player);
        }
    }
}
