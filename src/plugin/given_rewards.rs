//! Observers of [`GiveReward`] and [`GiveTeamReward`], and the teams of players that have left.

use super::{
    experience::Experience,
    observers::{TakenSlots, player_above, warn_stray},
    state::{RecordingSlot, component_id},
};
use crate::player::{GiveReward, GiveTeamReward, Reward};
use bevy_app::App;
use bevy_ecs::{
    archetype::ArchetypeEntity,
    component::{Component, ComponentId},
    entity::Entity,
    observer::On,
    world::{DeferredWorld, World},
};
use core::any::Any;

pub(super) fn add(app: &mut App) {
    app.add_observer(give_reward);
}

/// The team component of a recording.
pub(crate) struct TeamPlan {
    add_observer: fn(&mut App),
    teams: Box<dyn DepartedTeams>,
}

impl TeamPlan {
    pub(crate) fn new<T: Component + Clone + PartialEq>() -> Self {
        Self {
            add_observer: |app| {
                app.add_observer(give_team_reward::<T>);
            },
            teams: Box::new(Departed::<T>(Vec::new())),
        }
    }

    /// Adds the observer, unless a recording in `slots` has the same component.
    pub(super) fn set_up(self, app: &mut App, is_new: bool) -> Box<dyn DepartedTeams> {
        if is_new {
            (self.add_observer)(app);
        }
        self.teams
    }

    /// Whether `teams` are of the same component.
    pub(super) fn is_of(&self, teams: &dyn DepartedTeams) -> bool {
        (*self.teams).type_id() == teams.type_id()
    }
}

/// The teams of players that have left a recording.
pub(super) trait DepartedTeams: Any + Send + Sync {
    /// Remembers the team of a player that leaves, and forgets those for which `is_known` is false.
    fn remember(&mut self, world: &World, player: Entity, is_known: &dyn Fn(Entity) -> bool);
}

/// The players that have left, each with its team.
struct Departed<T>(Vec<(Entity, T)>);

impl<T: Component + Clone> DepartedTeams for Departed<T> {
    fn remember(&mut self, world: &World, player: Entity, is_known: &dyn Fn(Entity) -> bool) {
        self.0.retain(|&(departed, _)| departed != player && is_known(departed));
        if let Some(team) = world.get::<T>(player) {
            self.0.push((player, team.clone()));
        }
    }
}

impl RecordingSlot {
    /// Remembers the team of a player that leaves.
    pub(super) fn remember_team(&mut self, world: &World, player: Entity) {
        let recorder = &self.recorder;
        if let Some(teams) = &mut self.teams {
            teams.remember(world, player, &|departed| recorder.takes_late_rewards(departed));
        }
    }
}

fn give_reward(given: On<GiveReward>, mut world: DeferredWorld) {
    let &GiveReward { entity, term, amount } = given.event();
    if let Some(mut reward) = world.get_mut::<Reward>(entity) {
        reward.add(term, amount);
        return;
    }
    let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
        return;
    };
    let mut reward = Reward::default();
    reward.add(term, amount);
    let mut is_credited = taken.slots.is_empty();
    for slot in &mut taken.slots {
        is_credited |= slot.recorder.credit_departed(entity, &reward);
    }
    if is_credited {
        return;
    }
    for slot in &taken.slots {
        slot.recorder.count_orphaned_reward();
    }
    drop(taken);
    let player = player_above(&world, entity);
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        let state = experience.state_mut();
        if !core::mem::replace(&mut state.warned_stray_reward, true) {
            let event = format!("`GiveReward` (`{term}`)");
            warn_stray(&event, entity, &state.recording_names(), player);
        }
    }
}

fn give_team_reward<T: Component + Clone + PartialEq>(given: On<GiveTeamReward<T>>, mut world: DeferredWorld) {
    let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
        return;
    };
    let TakenSlots { world: players, slots } = &mut taken;
    let GiveTeamReward { team, term, amount } = given.event();
    let mut reward = Reward::default();
    reward.add(term, *amount);
    let component = component_id::<T>(players);
    let mut members = Vec::new();
    for slot in slots {
        let teams = slot
            .teams
            .as_deref()
            .and_then(|teams| (teams as &dyn Any).downcast_ref());
        let Some(Departed::<T>(departed)) = teams else { continue };
        let found = members.len();
        members.extend(
            players_with(players, slot.recorder.marker(), component).filter(|&player| {
                let own = players.get::<T>(player);
                own.is_some_and(|own| own == team)
            }),
        );
        let mut is_credited = members.len() > found;
        for (player, _) in departed.iter().filter(|(_, own)| own == team) {
            is_credited |= slot.recorder.credit_departed(*player, &reward);
        }
        if !is_credited {
            slot.recorder.count_orphaned_reward();
        }
    }
    // A player can be in several recordings.
    members.sort_unstable();
    members.dedup();
    for player in members {
        if let Some(mut reward) = players.get_mut::<Reward>(player) {
            reward.add(term, *amount);
        }
    }
}

/// The entities with the marker of a recording and a component.
fn players_with(world: &World, marker: ComponentId, component: Option<ComponentId>) -> impl Iterator<Item = Entity> {
    let archetypes = world.archetypes().iter();
    let matched = archetypes.filter(move |archetype| {
        archetype.contains(marker) && component.is_some_and(|component| archetype.contains(component))
    });
    matched.flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
}
