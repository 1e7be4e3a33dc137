//! The Settings tab: settings that can be edited at runtime, and fixed settings.

mod export;
mod fixed;

use super::{ExperienceInspector, snapshot::RecordingSnapshot};
use bevy_app::App;
use bevy_ecs::{reflect::AppTypeRegistry, world::World};
use bevy_egui::egui::{ScrollArea, Ui};
use bevy_inspector_egui::inspector_egui_impls::InspectorEguiImpl;
use bevy_reflect::{Reflect, TypeRegistry, std_traits::ReflectDefault};
use core::any::TypeId;

/// Settings of the inspector itself. They can also be edited in its Settings tab.
#[derive(Clone, Debug, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub struct InspectorSettings {
    /// The maximum number of transitions in the plots of a player; at least 2, 256 by default. Limited by the capacity
    /// of its buffer.
    pub plot_steps: usize,
    /// The number of buffered rows, of all players together, after which no further player's buffer is read in one
    /// frame; at least 1, 16,384 by default. If more rows are captured per frame, statistics lag behind the game, and
    /// miss rows that are overwritten before they are read.
    pub rows_per_frame: usize,
}

impl Default for InspectorSettings {
    fn default() -> Self {
        Self {
            plot_steps: 256,
            rows_per_frame: 16_384,
        }
    }
}

/// Registers egui editors for primitive types, which settings and most components consist of.
///
/// `DefaultInspectorConfigPlugin` of bevy-inspector-egui registers more types, but panics in apps without assets.
pub(super) fn register_value_editors(app: &mut App) {
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

/// Whether egui editors for primitive types are registered.
fn has_value_editors(registry: &TypeRegistry) -> bool {
    let data = registry.get_type_data::<InspectorEguiImpl>(TypeId::of::<usize>());
    data.is_some()
}

impl ExperienceInspector {
    pub(super) fn draw_settings_tab(&mut self, world: &mut World, ui: &mut Ui, snapshot: &RecordingSnapshot) {
        ScrollArea::vertical()
            .id_salt("settings")
            .auto_shrink([false, false])
            .show(ui, |ui| {
                ui.strong("Inspector");
                self.draw_own_settings(world, ui);
                ui.add_space(10.0);
                export::draw_live_settings(world, ui);
                ui.add_space(10.0);
                fixed::draw_fixed_settings(world, ui, snapshot);
            });
    }

    fn draw_own_settings(&mut self, world: &World, ui: &mut Ui) {
        let registry = world.get_resource::<AppTypeRegistry>().map(|registry| registry.read());
        match registry {
            Some(registry) if has_value_editors(&registry) => {
                bevy_inspector_egui::reflect_inspector::ui_for_value(&mut self.settings, ui, &registry);
            }
            _ => {
                ui.weak("Read-only: add `ExperienceInspectorPlugin` to edit them.");
            }
        }
        // A line needs two points, and statistics need at least one row per frame.
        self.settings.plot_steps = self.settings.plot_steps.max(2);
        self.settings.rows_per_frame = self.settings.rows_per_frame.max(1);
    }
}
