//! Settings that are edited while the game runs.

use super::can_edit;
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
/// The most that can be asked for: a year, and a tebibyte.
const LONGEST: f64 = 31_536_000.0;
const LARGEST: f64 = (1 << 20) as f64;

pub(super) fn show(world: &mut World, ui: &mut Ui) {
    ui.strong("How it is handed over");
    let registry = world.get_resource::<AppTypeRegistry>().cloned();
    let Some(registry) = registry.filter(|registry| can_edit(&registry.read())) else {
        ui.weak("It can be edited here with `ExperienceInspectorPlugin`.");
        return;
    };
    if !world.contains_resource::<LiveSettings>() {
        ui.weak("`LiveSettings` was taken from the world: nothing can be changed.");
        return;
    }
    ui.weak(
        "What is changed here holds from the next capture on. Whatever it is, everything is handed over or counted.",
    );
    ui.add_space(4.0);
    world.resource_scope(|_, mut settings: Mut<LiveSettings>| {
        let before = settings.clone();
        let edited = edit(before.clone(), ui, &registry.read());
        // Looking at them is no change.
        if edited != before {
            *settings = edited;
        }
    });
}

fn edit(mut settings: LiveSettings, ui: &mut Ui, registry: &TypeRegistry) -> LiveSettings {
    let mut editor = Editor { registry };
    Grid::new("live settings")
        .num_columns(3)
        .spacing([24.0, 4.0])
        .show(ui, |ui| {
            let hint = "the longest from the end of an episode until sinks have it";
            editor.seconds(ui, "Hand over after, seconds", &mut settings.flush_interval, hint);
            let hint = "or as soon as so many transitions have ended";
            editor.count(ui, "Hand over at, transitions", &mut settings.batch, hint);
            let hint = "or so many mebibytes of them";
            editor.mebibytes(ui, "Hand over at, MiB", &mut settings.batch_bytes, hint);
            let hint = "what may wait for a sink before its recording's buffers fill up";
            editor.mebibytes(ui, "Queue of a sink, MiB", &mut settings.queue_bytes, hint);
            let hint = "how long a full queue may hold up its recording before its sink counts as stalled";
            editor.seconds(ui, "Patience with a sink, seconds", &mut settings.patience, hint);
            let hint = "how long the end of the app waits for everything to be written";
            editor.seconds(ui, "Wait at the end, seconds", &mut settings.close_timeout, hint);
        });
    settings
}

struct Editor<'a> {
    registry: &'a TypeRegistry,
}

impl Editor<'_> {
    fn line<T: Reflect>(&mut self, ui: &mut Ui, name: &str, value: &mut T, hint: &str) -> bool {
        ui.label(name);
        let changed = ui.push_id(name, |ui| ui_for_value(value, ui, self.registry)).inner;
        ui.weak(hint);
        ui.end_row();
        changed
    }

    fn count(&mut self, ui: &mut Ui, name: &str, value: &mut usize, hint: &str) {
        if self.line(ui, name, value, hint) {
            *value = (*value).max(1);
        }
    }

    /// A number, edited in another unit. What is not edited keeps all of its digits.
    fn scaled(&mut self, ui: &mut Ui, name: &str, value: f64, most: f64, hint: &str) -> Option<f64> {
        let mut edited = value;
        let changed = self.line(ui, name, &mut edited, hint);
        (changed && edited.is_finite()).then(|| edited.clamp(0.0, most))
    }

    fn seconds(&mut self, ui: &mut Ui, name: &str, value: &mut Duration, hint: &str) {
        if let Some(seconds) = self.scaled(ui, name, value.as_secs_f64(), LONGEST, hint) {
            *value = Duration::from_secs_f64(seconds);
        }
    }

    fn mebibytes(&mut self, ui: &mut Ui, name: &str, value: &mut usize, hint: &str) {
        if let Some(mebibytes) = self.scaled(ui, name, *value as f64 / MEBIBYTE, LARGEST, hint) {
            *value = (mebibytes * MEBIBYTE) as usize;
        }
    }
}
