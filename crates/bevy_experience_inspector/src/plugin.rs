//! [`ExperienceInspectorPlugin`]: a floating egui window, the key that toggles it, and observers of failures of sinks and policies.

use super::{
    ExperienceInspector, InspectorSettings, ReportedSinkFailure, policies::ReportedPolicyFailure, settings,
    ui_for_experience,
};
use bevy_app::{App, Plugin, Update};
use bevy_ecs::{
    observer::On,
    query::With,
    schedule::{IntoScheduleConfigs, common_conditions::resource_exists},
    system::{Local, Res, ResMut},
    world::World,
};
use bevy_egui::{EguiContext, EguiPlugin, EguiPrimaryContextPass, PrimaryEguiContext, egui};
use bevy_experience::{plugin::SinkFailed, policy::PolicyFailed};
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_window::WindowPlugin;

/// Draws [`ui_for_experience`] in a floating egui window over the game.
///
/// The window is drawn on the primary egui context, which belongs to one of the game's cameras; the plugin spawns no
/// camera. If the inspector is open and there is no such context, a warning is logged once. `EguiPlugin` is added if
/// the app has a `WindowPlugin` and no `EguiPlugin` yet.
///
/// It can be added on its own, or to the group [`ExperiencePlugins`](bevy_experience::plugin_group::ExperiencePlugins):
///
/// ```no_run
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
/// use bevy_experience_inspector::ExperienceInspectorPlugin;
///
/// # let mut app = App::new();
/// app.add_plugins(ExperiencePlugins.build().add(ExperienceInspectorPlugin::default()));
/// ```
#[derive(Clone, Debug)]
pub struct ExperienceInspectorPlugin {
    /// The key that opens and closes the window; F9 by default. With `None`, only [`ExperienceInspector::open`] does.
    pub toggle: Option<KeyCode>,
    /// Whether the window is open when the app starts; `false` by default.
    pub open: bool,
}

impl Default for ExperienceInspectorPlugin {
    fn default() -> Self {
        Self {
            toggle: Some(KeyCode::F9),
            open: false,
        }
    }
}

impl Plugin for ExperienceInspectorPlugin {
    fn build(&self, app: &mut App) {
        // In an app without windows, `EguiPlugin` would read messages that `WindowPlugin` never registered.
        if app.is_plugin_added::<WindowPlugin>() && !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        settings::register_value_editors(app);
        app.insert_resource(ExperienceInspector {
            open: self.open,
            ..ExperienceInspector::default()
        })
        .register_type::<InspectorSettings>()
        .add_observer(record_sink_failure)
        .add_observer(record_policy_failure)
        .add_systems(EguiPrimaryContextPass, draw_window.run_if(is_open))
        .add_systems(Update, warn_if_never_drawn.run_if(is_open));
        if let Some(key) = self.toggle {
            let toggle = move |keys: Res<ButtonInput<KeyCode>>, inspector: Option<ResMut<ExperienceInspector>>| {
                if let Some(mut inspector) = inspector
                    && keys.just_pressed(key)
                {
                    inspector.open = !inspector.open;
                }
            };
            app.add_systems(Update, toggle.run_if(resource_exists::<ButtonInput<KeyCode>>));
        }
    }
}

fn is_open(inspector: Option<Res<ExperienceInspector>>) -> bool {
    inspector.is_some_and(|inspector| inspector.open)
}

fn record_sink_failure(failed: On<SinkFailed>, inspector: Option<ResMut<ExperienceInspector>>) {
    let Some(mut inspector) = inspector else { return };
    let failure = ReportedSinkFailure {
        error: failed.error.clone(),
        consequence: failed.consequence,
        accepted_episodes: None,
    };
    let sink = (failed.recording.clone(), failed.sink.clone());
    inspector.sink_failures.insert(sink, failure);
}

fn record_policy_failure(failed: On<PolicyFailed>, inspector: Option<ResMut<ExperienceInspector>>) {
    let Some(mut inspector) = inspector else { return };
    let policy = (failed.recording.clone(), failed.policy.clone());
    inspector
        .policy_failures
        .insert(policy, ReportedPolicyFailure::new(&failed));
}

/// Draws the floating window on the primary egui context.
fn draw_window(world: &mut World) {
    let mut contexts = world.query_filtered::<&mut EguiContext, With<PrimaryEguiContext>>();
    let Ok(mut context) = contexts.single_mut(world) else {
        return;
    };
    let context = context.get_mut().clone();
    let mut open = true;
    egui::Window::new("Experience")
        .open(&mut open)
        .default_size([760.0, 560.0])
        .min_size([420.0, 240.0])
        .show(&context, |ui| ui_for_experience(world, ui));
    if !open && let Some(mut inspector) = world.get_resource_mut::<ExperienceInspector>() {
        inspector.open = false;
    }
}

/// Logs one warning if the inspector is open and has not been drawn after some updates.
fn warn_if_never_drawn(inspector: Res<ExperienceInspector>, mut updates: Local<u32>) {
    /// Updates to wait, so that a camera spawned during startup counts.
    const GRACE_UPDATES: u32 = 120;
    if inspector.was_drawn {
        return;
    }
    *updates = updates.saturating_add(1);
    if *updates == GRACE_UPDATES {
        tracing::warn!(
            "the experience inspector is open, but no egui context draws it: add `EguiPlugin` and spawn a camera, or call \
             `ui_for_experience`"
        );
    }
}
