//! Decisions on demand: [`RequestDecision`] and [`DecisionMade`], for games that ask a player when it is its turn.

use bevy_ecs::{entity::Entity, event::EntityEvent};

/// Asks the player for its next decision, in recordings with
/// [`decision_on_demand`](crate::recording::Recording::decision_on_demand): a step of the player begins.
///
/// The step lasts until the player's next request, or until its episode ends. A step in turn has
/// - the observation and the mask at the moment at which this is applied: at once with `World::trigger`, at the next sync point
///   with `Commands::trigger`. That is what the player sees when it chooses, however long that takes, and also if the game
///   applies the move in the same frame;
/// - the action that the player has at its next request, or when its episode ends, or at the last [`DecisionMade`] before;
/// - all rewards until then, those of other players' turns among them;
/// - the number of captures until then as `ticks`, which is 0 for two requests in one tick.
///
/// The first request after a player joined or its episode ended begins its next episode, with
/// [`EpisodeStart::OnEvent`](super::EpisodeStart::OnEvent) after a [`BeginEpisode`](super::BeginEpisode).
///
/// A request is ignored while the player has not acted on the last one: no component of the action was written since then.
/// So a game may repeat its request in each frame. An episode that ends before the player acts on a request ends at the
/// observation of that request: no transition is made of an old action.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Resource)] struct Turn { next: Entity }
/// fn begin_turn(turn: Res<Turn>, mut commands: Commands) {
///     commands.trigger(RequestDecision::of(turn.next));
/// }
/// ```
#[derive(EntityEvent, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDecision {
    /// The player.
    pub entity: Entity,
}

impl RequestDecision {
    /// Asks `player`.
    #[must_use]
    pub fn of(player: Entity) -> Self {
        Self { entity: player }
    }
}

/// The player has decided: the action of its step is read when this is applied.
///
/// Optional. For games that clear the action when they consume it, that write it before it is final, such as a cursor over a
/// board, or that do not write an action that equals the last one. A game that triggers it does so for each decision of the recording: from the first one on, a decision without it
/// counts as not made. If it is triggered twice in a step, the last one counts.
#[derive(EntityEvent, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionMade {
    /// The player.
    pub entity: Entity,
}

impl DecisionMade {
    /// `player` has decided.
    #[must_use]
    pub fn by(player: Entity) -> Self {
        Self { entity: player }
    }
}
