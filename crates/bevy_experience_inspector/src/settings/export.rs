//! Editor of [`LiveSettings`], the export settings that can be changed while the game runs.

use super::has_value_editors;
use bevy_ecs::{
    reflect::AppTypeRegistry,
    world::{Mut, World},
};
use bevy_egui::egui::{Grid, Ui};
use bevy_experience::plugin::LiveSettings;
use bevy_inspector_egui::reflect_inspector::ui_for_value;
use bevy_reflect::{Reflect, TypeRegistry};
use core::time::Duration;

/// Bytes of a mebibyte.
const MEBIBYTE: f64 = (1 << 20) as f64;
/// The largest duration that can be entered: a year.
const MAX_SECONDS: f64 = 31_536_000.0;
/// The largest size that can be entered: a tebibyte.
const MAX_MEBIBYTES: f64 = (1 << 20) as f64;

pub(super) fn draw_live_settings(world: &mut World, ui: &mut Ui) {
    ui.strong("Export");
    let registry = world.get_resource::<AppTypeRegistry>().cloned();
    let Some(registry) = registry.filter(|registry| has_value_editors(&registry.read())) else {
        ui.weak("Read-only: add `ExperienceInspectorPlugin` to edit them.");
        return;
    };
    if !world.contains_resource::<LiveSettings>() {
        ui.weak("Read-only: the resource `LiveSettings` was removed from the world.");
        return;
    }
    ui.weak("Changes apply from the next capture. They affect when data is exported, never what is recorded.");
    ui.add_space(4.0);
    world.resource_scope(|_, mut settings: Mut<LiveSettings>| {
        let before = settings.clone();
        let edited = edit(before.clone(), ui, &registry.read());
        // Change detection fires only for an actual edit.
        if edited != before {
            *settings = edited;
        }
    });
}

fn edit(mut settings: LiveSettings, ui: &mut Ui, registry: &TypeRegistry) -> LiveSettings {
    let mut editor = SettingsEditor { registry };
    Grid::new("live settings")
        .num_columns(3)
        .spacing([24.0, 4.0])
        .show(ui, |ui| {
            let description = "maximum time from the end of an episode until sinks receive it";
            editor.seconds(ui, "Flush interval (s)", &mut settings.flush_interval, description);
            let description = "flushes earlier once this many transitions have ended";
            editor.count(ui, "Batch size (transitions)", &mut settings.batch, description);
            let description = "flushes earlier once rows of this size have ended";
            editor.mebibytes(ui, "Batch size (MiB)", &mut settings.batch_bytes, description);
            let description = "rows that may wait for a sink before buffers are no longer drained";
            editor.mebibytes(ui, "Sink queue (MiB)", &mut settings.queue_bytes, description);
            let description = "how long a full queue may block its recording before the sink counts as stalled";
            editor.seconds(ui, "Stall timeout (s)", &mut settings.patience, description);
            let description = "how long app exit waits until everything is written";
            editor.seconds(ui, "Close timeout (s)", &mut settings.close_timeout, description);
        });
    settings
}

/// Draws one grid row per setting: label, editable value, description.
struct SettingsEditor<'a> {
    registry: &'a TypeRegistry,
}

impl SettingsEditor<'_> {
    /// Whether the value was edited.
    fn row<T: Reflect>(&mut self, ui: &mut Ui, label: &str, value: &mut T, description: &str) -> bool {
        ui.label(label);
        let changed = ui.push_id(label, |ui| ui_for_value(value, ui, self.registry)).inner;
        ui.weak(description);
        ui.end_row();
        changed
    }

    fn count(&mut self, ui: &mut Ui, label: &str, value: &mut usize, description: &str) {
        if self.row(ui, label, value, description) {
            *value = (*value).max(1);
        }
    }

    /// Edits a number whose displayed unit differs from the stored one. `None` if it was not edited, so that unit
    /// conversion never rounds the stored value.
    fn converted(&mut self, ui: &mut Ui, label: &str, value: f64, max: f64, description: &str) -> Option<f64> {
        let mut edited = value;
        let changed = self.row(ui, label, &mut edited, description);
        (changed && edited.is_finite()).then(|| edited.clamp(0.0, max))
    }

    fn seconds(&mut self, ui: &mut Ui, label: &str, value: &mut Duration, description: &str) {
        if let Some(seconds) = self.converted(ui, label, value.as_secs_f64(), MAX_SECONDS, description) {
            *value = Duration::from_secs_f64(seconds);
        }
    }

    fn mebibytes(&mut self, ui: &mut Ui, label: &str, value: &mut usize, description: &str) {
        let mebibytes = self.converted(ui, label, *value as f64 / MEBIBYTE, MAX_MEBIBYTES, description);
        if let Some(mebibytes) = mebibytes {
            *value = (mebibytes * MEBIBYTE) as usize;
        }
    }
}
