//! Log warnings about misconfigured recordings, each logged once.

use super::Recorder;
use crate::episode::NonFinite;
use bevy_ecs::world::World;
use core::sync::atomic::Ordering;

/// A condition that is logged only the first time.
#[derive(Default)]
pub(super) struct WarnOnce {
    has_warned: bool,
}

impl WarnOnce {
    /// Returns true the first time.
    pub(super) fn first_time(&mut self) -> bool {
        !core::mem::replace(&mut self.has_warned, true)
    }

    pub(super) fn has_warned(&self) -> bool {
        self.has_warned
    }
}

/// The warnings of one recording.
#[derive(Default)]
pub(super) struct Warnings {
    pub(super) duplicate_agent: WarnOnce,
    pub(super) negative_agent: WarnOnce,
    pub(super) no_buffer: WarnOnce,
    pub(super) unknown_decision: WarnOnce,
    unavailable: WarnOnce,
    pub(super) late_simulation: WarnOnce,
    pub(super) unconfirmed_ticks: WarnOnce,
    non_finite: WarnOnce,
    frequent_non_finite: WarnOnce,
    only_despawns: WarnOnce,
}

impl Recorder {
    /// Logs the conditions that are checked at each capture.
    pub(super) fn log_warnings(&mut self, world: &World) {
        self.check_components(world);
        if let Some(warning) = self.encoder.take_source_warning() {
            tracing::warn!("recording `{}`: {warning}", self.name());
        }
        self.warn_non_finite();
        self.warn_only_despawns();
    }

    /// Warns that no player is recorded, because a source cannot be read.
    pub(super) fn warn_unavailable(&mut self) {
        if !self.warnings.unavailable.has_warned()
            && let Some(reason) = self.encoder.unavailable()
        {
            self.warnings.unavailable.first_time();
            tracing::warn!("recording `{}` {reason}", self.name());
        }
    }

    fn warn_non_finite(&mut self) {
        let dropped = self.context.counters.non_finite.get();
        let recorded = self.context.counters.recorded.get();
        let is_found = dropped > 0 || self.context.has_non_finite.load(Ordering::Relaxed);
        if is_found && self.warnings.non_finite.first_time() {
            let consequence = match self.context.rules.non_finite {
                NonFinite::EndEpisode => {
                    "the transition is dropped and the episode ends before it; none begins with such \
                     an observation"
                        .to_owned()
                }
                NonFinite::Replace(value) => format!("it is recorded as {value}"),
                NonFinite::Keep => "it is recorded as it is".to_owned(),
            };
            tracing::warn!(
                "recording `{}` read a NaN or infinite value in {}: {consequence}; see `EpisodeRules::non_finite`",
                self.name(),
                self.non_finite_features()
            );
        }
        if recorded >= 1000 && dropped * 100 > recorded && self.warnings.frequent_non_finite.first_time() {
            tracing::warn!(
                "recording `{}` dropped {dropped} of {recorded} transitions because of NaN or infinite values in {}",
                self.name(),
                self.non_finite_features()
            );
        }
    }

    /// The features that were not finite, most frequent first.
    fn non_finite_features(&self) -> String {
        let names = self.context.schema.feature_names();
        let mut found: Vec<_> = self
            .context
            .non_finite_counts
            .iter()
            .zip(&names)
            .filter(|(count, _)| count.get() > 0)
            .map(|(count, name)| (count.get(), name))
            .collect();
        found.sort_by_key(|&(count, _)| core::cmp::Reverse(count));
        let found: Vec<_> = found
            .iter()
            .take(8)
            .map(|(count, name)| format!("`{name}` ({count} times)"))
            .collect();
        if found.is_empty() {
            "the action or the reward".to_owned()
        } else {
            found.join(", ")
        }
    }

    /// Contract, termination: with `on_despawn: Terminated`, a player that left cannot be told apart from one that
    /// died.
    fn warn_only_despawns(&mut self) {
        let ends = self.context.published_ends.get();
        let despawns = self.context.terminated_despawns.get();
        if despawns >= 20 && ends == despawns && self.warnings.only_despawns.first_time() {
            tracing::warn!(
                "recording `{}`: every episode so far ended `terminated` by a despawn, so players that left cannot be \
                 told apart from players that died: trigger `EndEpisode` for deaths, and set `on_despawn` to `Truncated`",
                self.name()
            );
        }
    }
}
