//! [`ExperiencePlugins`]: the plugin group of this crate.

use crate::{diagnostics::ExperienceDiagnosticsPlugin, plugin::ExperiencePlugin};
use bevy_app::{PluginGroup, PluginGroupBuilder};

/// The plugins of this crate: [`ExperiencePlugin`] and [`ExperienceDiagnosticsPlugin`].
///
/// ```
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_plugins(ExperiencePlugins.set(ExperiencePlugin {
///     handle_sigterm: true,
///     ..Default::default()
/// }));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExperiencePlugins;

impl PluginGroup for ExperiencePlugins {
    fn build(self) -> PluginGroupBuilder {
        PluginGroupBuilder::start::<Self>()
            .add(ExperiencePlugin::default())
            .add(ExperienceDiagnosticsPlugin)
    }
}
