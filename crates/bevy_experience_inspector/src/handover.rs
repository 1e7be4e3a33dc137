//! Handovers: a person takes over a player, or a policy does, right after a capture of the recording, so between two ticks.

use super::ExperienceInspector;
use bevy_ecs::{
    entity::Entity,
    resource::Resource,
    schedule::{IntoScheduleConfigs, Schedules},
    system::Res,
    world::World,
};
use bevy_experience::{
    player::Controller,
    plugin::{Experience, ExperienceCapture, ExperienceSystems},
    policy::PolicyControlled,
};

/// What acts for a player from now on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Successor {
    /// A person: [`Controller::Person`] without [`PolicyControlled`].
    Person,
    /// The policy with this name.
    Policy(String),
    /// What the component [`Controller`] said before a person or a policy took over.
    Controller(Controller),
}

/// A handover that was requested, until the next capture of the recording has read the last action of the predecessor.
pub(super) struct PendingHandover {
    player: Entity,
    successor: Successor,
    recording: String,
    /// The tick of the next capture when it was requested.
    tick: i64,
}

/// The system of handovers was added to [`ExperienceCapture`].
#[derive(Resource)]
struct HandoverSystem;

impl ExperienceInspector {
    /// Hands a player over after the next capture of the recording.
    pub(super) fn request_handover(
        &mut self,
        world: &mut World,
        recording: &str,
        player: Entity,
        successor: Successor,
    ) {
        let Some(tick) = world.get_resource::<Experience>().and_then(|e| e.tick(recording)) else {
            return;
        };
        // Not before the first request, so that captures of an app without handovers run no system of the inspector.
        if !world.contains_resource::<HandoverSystem>()
            && let Some(mut schedules) = world.get_resource_mut::<Schedules>()
        {
            let system = apply_handovers.after(ExperienceSystems::Capture).run_if(has_handover);
            schedules.add_systems(ExperienceCapture, system);
            world.insert_resource(HandoverSystem);
        }
        self.handovers.retain(|pending| pending.player != player);
        self.handovers.push(PendingHandover {
            player,
            successor,
            recording: recording.to_owned(),
            tick,
        });
    }

    /// What acts for a player after the next capture, if a handover was requested.
    pub(super) fn pending_successor(&self, player: Entity) -> Option<&Successor> {
        let mut pending = self.handovers.iter();
        Some(&pending.find(|pending| pending.player == player)?.successor)
    }
}

fn has_handover(inspector: Option<Res<ExperienceInspector>>) -> bool {
    inspector.is_some_and(|inspector| !inspector.handovers.is_empty())
}

/// Hands over the players whose recording was captured since the request.
fn apply_handovers(world: &mut World) {
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    let is_due = |pending: &&PendingHandover| {
        let tick = experience.tick(&*pending.recording);
        tick.is_none_or(|tick| tick > pending.tick)
    };
    let Some(inspector) = world.get_resource::<ExperienceInspector>() else {
        return;
    };
    let due: Vec<Entity> = inspector
        .handovers
        .iter()
        .filter(is_due)
        .map(|pending| pending.player)
        .collect();
    let Some(mut inspector) = world.get_resource_mut::<ExperienceInspector>() else {
        return;
    };
    let is_due = |pending: &mut PendingHandover| due.contains(&pending.player);
    let due: Vec<_> = inspector.handovers.extract_if(.., is_due).collect();
    for handover in due {
        hand_over(world, handover.player, handover.successor);
    }
}

/// Inserts and removes the components by which a game hands over a player.
fn hand_over(world: &mut World, player: Entity, successor: Successor) {
    let previous = world.get::<Controller>(player).cloned();
    if let Some(mut inspector) = world.get_resource_mut::<ExperienceInspector>() {
        match (&successor, previous) {
            (Successor::Person, Some(previous)) if previous != Controller::Person => {
                inspector.predecessors.insert(player, previous);
            }
            (Successor::Controller(_), _) => {
                inspector.predecessors.remove(&player);
            }
            _ => {}
        }
    }
    let Ok(mut player) = world.get_entity_mut(player) else {
        return;
    };
    // Removed also where another policy follows, so that its predecessor's label ends here.
    player.remove::<PolicyControlled>();
    match successor {
        Successor::Person => player.insert(Controller::Person),
        Successor::Policy(name) => player.insert(PolicyControlled::by(name)),
        Successor::Controller(controller) => player.insert(controller),
    };
}
