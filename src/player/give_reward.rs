//! [`GiveReward`] and [`GiveTeamReward`]: rewards for players that may have left, and for all players of a team.

use bevy_ecs::{
    component::Component,
    entity::Entity,
    event::{EntityEvent, Event},
};

/// Gives a player a reward, also after it was despawned.
///
/// For a living player it is the same as [`Reward::add`](super::Reward::add). A player that has left gets it within
/// [`EpisodeRules::reward_window`](crate::recording::EpisodeRules::reward_window): it counts to its last step. What no episode
/// takes is counted in [`RunReport::orphaned_rewards`](experience_core::account::RunReport::orphaned_rewards).
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Event)] struct Hit { shooter: Entity }
/// fn score(hit: On<Hit>, mut commands: Commands) {
///     // The shooter may be dead by now.
///     commands.trigger(GiveReward::new(hit.shooter, "hit", 1.0));
/// }
/// ```
#[derive(EntityEvent, Clone, Copy, Debug, PartialEq)]
pub struct GiveReward {
    /// The player.
    pub entity: Entity,
    /// The reward term.
    pub term: &'static str,
    /// The amount.
    pub amount: f64,
}

impl GiveReward {
    /// Gives `player` a reward of `amount` for `term`.
    #[must_use]
    pub fn new(player: Entity, term: &'static str, amount: f64) -> Self {
        Self {
            entity: player,
            term,
            amount,
        }
    }
}

/// Gives all players of a team a reward, in the recordings that name the component `T` with
/// [`Recording::team`](crate::recording::Recording::team).
///
/// Each living player whose component equals `team` gets it, and so does each player that was of this team when it left, within
/// [`EpisodeRules::reward_window`](crate::recording::EpisodeRules::reward_window). If there is none, it is counted in
/// [`RunReport::orphaned_rewards`](experience_core::account::RunReport::orphaned_rewards).
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// #[derive(Component, Clone, PartialEq)]
/// enum Team {
///     Red,
///     Blue,
/// }
///
/// # #[derive(Event)] struct FlagCaptured;
/// fn win(_: On<FlagCaptured>, mut commands: Commands) {
///     commands.trigger(GiveTeamReward::new(Team::Red, "win", 1.0));
/// }
/// ```
#[derive(Event, Clone, Copy, Debug, PartialEq)]
pub struct GiveTeamReward<T: Component> {
    /// The team.
    pub team: T,
    /// The reward term.
    pub term: &'static str,
    /// The amount, which each player gets.
    pub amount: f64,
}

impl<T: Component> GiveTeamReward<T> {
    /// Gives each player of `team` a reward of `amount` for `term`.
    #[must_use]
    pub fn new(team: T, term: &'static str, amount: f64) -> Self {
        Self { team, term, amount }
    }
}
