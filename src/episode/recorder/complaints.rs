//! What a developer should know, said once.

use super::Recorder;
use bevy_ecs::world::World;

/// What was said once and is not said again.
#[derive(Default)]
pub(super) struct Said {
    pub(super) refused_agent: bool,
    pub(super) unbuffered_agent: bool,
    missing_component: bool,
    pub(super) missing_resource: bool,
    non_finite: bool,
    often_non_finite: bool,
    only_despawns: bool,
}

impl Recorder {
    /// Says what a developer should know, once.
    pub(super) fn complain(&mut self, world: &World) {
        /// Captures until a player that lacks a component is no longer one that is just being put together.
        const PATIENCE: u32 = 120;
        let recording = self.context.schema.name();
        if self.captures.is_multiple_of(PATIENCE)
            && !self.said.missing_component
            && let Some(missing) = self.encoder.missing_components(world)
        {
            self.said.missing_component = true;
            tracing::warn!(
                "recording `{recording}`: some players are not recorded, because they lack {}; give them these components, \
                 or do not observe them",
                missing.join(", ")
            );
        }
        let bad = self.context.counters.non_finite.get();
        let recorded = self.context.counters.recorded.get();
        let waiting = self.context.non_finite_features.iter().any(|count| count.get() > 0);
        if (bad > 0 || waiting) && !core::mem::replace(&mut self.said.non_finite, true) {
            tracing::warn!(
                "recording `{recording}` met a value that is NaN or infinite in {}: the transition is dropped and the \
                 episode ends before it; see `EpisodeRules::non_finite`",
                self.non_finite_features()
            );
        }
        if recorded >= 1000 && bad * 100 > recorded && !core::mem::replace(&mut self.said.often_non_finite, true) {
            tracing::warn!(
                "recording `{recording}` dropped {bad} of {recorded} transitions because of values that are NaN or infinite, \
                 in {}",
                self.non_finite_features()
            );
        }
        let (ends, despawns) = (self.context.ends.get(), self.context.despawn_ends.get());
        if despawns >= 20 && ends == despawns && !core::mem::replace(&mut self.said.only_despawns, true) {
            tracing::warn!(
                "recording `{recording}`: every episode so far ended `terminated` by a despawn; players who merely left look \
                 like players who died. Trigger `EndEpisode` for deaths, and leave `on_despawn` as it is"
            );
        }
    }

    /// The features that were not finite, worst first.
    fn non_finite_features(&self) -> String {
        let names = self.context.schema.feature_names();
        let mut worst: Vec<_> = self
            .context
            .non_finite_features
            .iter()
            .zip(&names)
            .filter(|(count, _)| count.get() > 0)
            .map(|(count, name)| (count.get(), name))
            .collect();
        worst.sort_by_key(|&(count, _)| core::cmp::Reverse(count));
        let named: Vec<_> = worst
            .iter()
            .take(8)
            .map(|(count, name)| format!("`{name}` ({count} times)"))
            .collect();
        if named.is_empty() {
            "the action or the reward".to_owned()
        } else {
            named.join(", ")
        }
    }
}
