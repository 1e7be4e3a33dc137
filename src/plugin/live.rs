//! [`LiveSettings`]: the export settings that can be changed during play.

use bevy_ecs::resource::Resource;
use bevy_reflect::{Reflect, std_traits::ReflectDefault};
use core::time::Duration;
use experience_export::ExportSettings;

/// The fields of [`ExportSettings`] that can be changed during play. Edits of this resource apply from the next capture
/// on.
///
/// The plugin inserts it with the values of [`ExperiencePlugin::export`](super::ExperiencePlugin::export). These
/// settings control when data is passed to sinks and in batches of which size, never what is recorded: with any values,
/// every transition is exported or counted as lost. The other settings are fixed when the exporter starts.
///
/// They belong to the process, so saved worlds do not contain them: the resource is not registered as one for reflection.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::plugin::LiveSettings;
/// use core::time::Duration;
///
/// fn export_at_once(mut settings: ResMut<LiveSettings>) {
///     settings.flush_interval = Duration::from_millis(100);
/// }
/// ```
#[derive(Resource, Clone, Debug, PartialEq, Eq, Reflect)]
#[reflect(Default)]
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
    /// The live part of `settings`.
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

    /// Copies the fields into `settings`. Returns whether that changed any.
    pub(super) fn apply_to(&self, settings: &mut ExportSettings) -> bool {
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
