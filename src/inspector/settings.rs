//! How it is recorded, and how that is shown.

use super::{ExperienceInspector, look, snapshot::Snapshot};
use crate::plugin::Experience;
use bevy_app::App;
use bevy_ecs::{reflect::AppTypeRegistry, world::World};
use bevy_egui::egui::{Grid, ScrollArea, Ui};
use bevy_inspector_egui::inspector_egui_impls::InspectorEguiImpl;
use bevy_reflect::{Reflect, TypeRegistry, std_traits::ReflectDefault};
use core::any::TypeId;

/// How the inspector shows things. Edited in its tab Settings, too.
#[derive(Clone, Debug, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub struct InspectorSettings {
    /// Over so many of the last steps things are plotted, as far as the player's buffer holds them.
    pub plot_steps: usize,
    /// The most rows that are looked at in a frame, of all players together. With more players than that, what is summed up
    /// lags behind, and misses what is overwritten meanwhile.
    pub rows_a_frame: usize,
}

impl Default for InspectorSettings {
    fn default() -> Self {
        Self {
            plot_steps: 256,
            rows_a_frame: 16_384,
        }
    }
}

/// Registers how plain values are shown and edited: those of the settings, and of the components of players. The plugin of
/// bevy-inspector-egui that knows all types panics in apps without assets.
pub(super) fn register_editors(app: &mut App) {
    macro_rules! register {
        ($($value:ty),*) => {
            $(if app
                .world()
                .get_resource::<AppTypeRegistry>()
                .is_none_or(|registry| registry.read().get_type_data::<InspectorEguiImpl>(TypeId::of::<$value>()).is_none())
            {
                app.register_type::<$value>().register_type_data::<$value, InspectorEguiImpl>();
            })*
        };
    }
    register!(
        bool, f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, String
    );
}

impl ExperienceInspector {
    pub(super) fn settings_tab(&mut self, world: &mut World, ui: &mut Ui, seen: &Snapshot) {
        ScrollArea::vertical()
            .id_salt("settings")
            .auto_shrink([false, false])
            .show(ui, |ui| {
                ui.strong("The inspector");
                self.own(world, ui);
                ui.add_space(10.0);
                ui.strong(format!("The recording `{}`", seen.name));
                ui.weak("What is recorded and where to is settled at the first capture; it can be paused, and players excluded.");
                ui.add_space(4.0);
                recording(ui, seen);
                ui.add_space(10.0);
                run(world, ui);
            });
    }

    fn own(&mut self, world: &World, ui: &mut Ui) {
        let registry = world.get_resource::<AppTypeRegistry>().map(|registry| registry.read());
        let is_known = |registry: &TypeRegistry| {
            registry
                .get_type_data::<InspectorEguiImpl>(TypeId::of::<usize>())
                .is_some()
        };
        match registry {
            Some(registry) if is_known(&registry) => {
                bevy_inspector_egui::reflect_inspector::ui_for_value(&mut self.settings, ui, &registry);
            }
            _ => {
                ui.weak("They can be edited here with `ExperienceInspectorPlugin`.");
            }
        }
        // Nothing could be seen with none.
        self.settings.plot_steps = self.settings.plot_steps.max(2);
        self.settings.rows_a_frame = self.settings.rows_a_frame.max(1);
    }
}

fn recording(ui: &mut Ui, seen: &Snapshot) {
    let (settings, stats) = (&seen.buffer_settings, &seen.buffers);
    let lines = [
        ("Buffer of a player", format!("{:?}", settings.kind)),
        ("Steps in it", look::count(settings.capacity as u64)),
        ("When it is full", format!("{:?}", settings.overflow)),
        ("Where it lies", format!("{:?}", settings.memory)),
        (
            "Players share a pool",
            if seen.is_pooled { "yes" } else { "no" }.to_owned(),
        ),
        ("Steps that wait for the exporter", look::count(stats.len as u64)),
        ("Of these, in the spill file", look::count(stats.in_file as u64)),
        ("Memory of all buffers", look::bytes(stats.memory.total())),
    ];
    grid(ui, "recording settings", &lines);
}

fn run(world: &World, ui: &mut Ui) {
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    ui.strong("The run");
    let name = experience.run().map_or_else(String::new, |run| run.to_string());
    let lines = [
        ("Name", name),
        ("Captures so far", look::count(experience.tick().unsigned_abs())),
    ];
    grid(ui, "run settings", &lines);
}

fn grid(ui: &mut Ui, name: &str, lines: &[(&str, String)]) {
    Grid::new(name).num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
        for (what, value) in lines {
            ui.label(*what);
            ui.monospace(value);
            ui.end_row();
        }
    });
}
