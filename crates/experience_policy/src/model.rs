//! [`PolicyModel`]: what decides the actions of a batch of players.

use crate::{ActionBatch, ModelError, ModelRequests, ObservationBatch, PolicyError, PolicyLayout};
use experience_core::schema::Schema;
use std::sync::Arc;

/// Decides the actions of a batch of players.
///
/// A closure is a model:
///
/// ```
/// use experience_policy::{ActionBatch, ObservationBatch, PolicyModel};
///
/// /// Always the first alternative of each head.
/// fn model() -> impl PolicyModel {
///     |observations: &ObservationBatch, actions: &mut ActionBatch| {
///         for player in 0..observations.len() {
///             for head in 0..actions.layout().heads().len() {
///                 actions.choose(player, head, 0, 0);
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// The same observations at the same tick should give the same outputs, so that a game with a seed can be repeated. What is
/// random is sampled by [`ActionBatch::decide`].
pub trait PolicyModel: Send + 'static {
    /// Writes an output for each head and each player of `observations`. A player for which an output is missing or NaN keeps its
    /// action.
    ///
    /// # Errors
    /// When no decision can be made: all players of the batch keep their actions.
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError>;

    /// Whether the model can act for a recording. Called once, before the first decision.
    ///
    /// # Errors
    /// When it cannot: what differs, and what to do.
    fn check(&self, layout: &PolicyLayout) -> Result<(), ModelError> {
        let _ = layout;
        Ok(())
    }

    /// Prepares the model for a recording. Called once, before the first decision.
    ///
    /// # Errors
    /// As [`check`](Self::check), which it calls.
    fn prepare(&mut self, schema: &Schema, layout: &PolicyLayout) -> Result<(), ModelError> {
        let _ = schema;
        self.check(layout)
    }

    /// Whether the model is told what became of its actions: [`ObservationBatch::progress`] and [`ObservationBatch::outcomes`].
    /// Then it is also called without players, where episodes have ended and no player is left.
    fn needs_outcomes(&self) -> bool {
        false
    }

    /// What the model asks of the game, if it does. Taken after each call.
    fn requests(&self) -> Option<Arc<ModelRequests>> {
        None
    }

    /// A number above 0 that tells this model from others in the data: `info.policy_version`.
    fn version(&self) -> i64 {
        1
    }

    /// What the model is, for logs.
    fn describe(&self) -> String {
        "a function".to_owned()
    }
}

impl<F> PolicyModel for F
where
    F: FnMut(&ObservationBatch, &mut ActionBatch) -> Result<(), PolicyError> + Send + 'static,
{
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        self(observations, actions)
    }
}

impl PolicyModel for Box<dyn PolicyModel> {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        (**self).act(observations, actions)
    }

    fn check(&self, layout: &PolicyLayout) -> Result<(), ModelError> {
        (**self).check(layout)
    }

    fn prepare(&mut self, schema: &Schema, layout: &PolicyLayout) -> Result<(), ModelError> {
        (**self).prepare(schema, layout)
    }

    fn needs_outcomes(&self) -> bool {
        (**self).needs_outcomes()
    }

    fn requests(&self) -> Option<Arc<ModelRequests>> {
        (**self).requests()
    }

    fn version(&self) -> i64 {
        (**self).version()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
