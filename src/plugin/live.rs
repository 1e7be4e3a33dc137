//! Settings that may be changed while the game runs.

use bevy_ecs::{reflect::ReflectResource, resource::Resource};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};
use core::time::Duration;
use experience_export::ExportSettings;

/// What of the [`ExportSettings`] may be changed while the game runs: edit this resource, and from the next capture on the new
/// values hold.
///
/// They say when and how much is handed over, never what is recorded: whatever they are, everything is handed over or counted.
/// The plugin inserts the resource with the values it was given. What is not here was settled when the exporter started.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::plugin::LiveSettings;
/// use core::time::Duration;
///
/// fn hand_over_at_once(mut settings: ResMut<LiveSettings>) {
///     settings.flush_interval = Duration::from_millis(100);
/// }
/// ```
#[derive(Resource, Clone, Debug, PartialEq, Eq, Reflect)]
#[reflect(Resource, Default)]
pub struct LiveSettings {
    /// [`ExportSettings::flush_interval`].
    pub flush_interval: Duration,
    /// [`ExportSettings::batch`].
    pub batch: usize,
    /// [`ExportSettings::batch_bytes`].
    pub batch_bytes: usize,
    /// [`ExportSettings::queue_bytes`].
    pub queue_bytes: usize,
    /// [`ExportSettings::patience`].
    pub patience: Duration,
    /// [`ExportSettings::close_timeout`].
    pub close_timeout: Duration,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self::of(&ExportSettings::default())
    }
}

impl LiveSettings {
    /// Those of all settings that may be changed.
    #[must_use]
    pub fn of(settings: &ExportSettings) -> Self {
        Self {
            flush_interval: settings.flush_interval,
            batch: settings.batch,
            batch_bytes: settings.batch_bytes,
            queue_bytes: settings.queue_bytes,
            patience: settings.patience,
            close_timeout: settings.close_timeout,
        }
    }

    /// Puts them in the place of what was there, and says whether that changed anything.
    pub(super) fn put_into(&self, settings: &mut ExportSettings) -> bool {
        let changes = *self != Self::of(settings);
        if changes {
            settings.flush_interval = self.flush_interval;
            settings.batch = self.batch;
            settings.batch_bytes = self.batch_bytes;
            settings.queue_bytes = self.queue_bytes;
            settings.patience = self.patience;
            settings.close_timeout = self.close_timeout;
        }
        changes
    }
}
