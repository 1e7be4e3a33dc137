//! How it is recorded, and how that is shown.

mod live;
mod settled;

use super::{ExperienceInspector, snapshot::Snapshot};
use bevy_app::App;
use bevy_ecs::{reflect::AppTypeRegistry, world::World};
use bevy_egui::egui::{ScrollArea, Ui};
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

/// Whether values can be edited: somebody registered how.
fn can_edit(registry: &TypeRegistry) -> bool {
    let data = registry.get_type_data::<InspectorEguiImpl>(TypeId::of::<usize>());
    data.is_some()
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
                live::show(world, ui);
                ui.add_space(10.0);
                settled::show(world, ui, seen);
            });
    }

    fn own(&mut self, world: &World, ui: &mut Ui) {
        let registry = world.get_resource::<AppTypeRegistry>().map(|registry| registry.read());
        match registry {
            Some(registry) if can_edit(&registry) => {
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
