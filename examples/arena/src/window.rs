//! Rendering of the arena in a window, with the inspector and keyboard control.
//!
//! It only reads the simulation, through [view entities](crate::view), and writes the intent of one fighter for
//! [keyboard control](crate::human). The game and its data are the same as without it.

mod camera;
mod controls;
mod floor;
mod output;
mod palette;
mod panel;
mod pixel_text;
mod sprites;
mod textures;

pub use output::{RenderOutput, ScreenshotFile, check_screenshot_path, create_app};

use bevy::prelude::*;
use bevy_egui::{EguiGlobalSettings, EguiPlugin};
use bevy_experience_inspector::ExperienceInspectorPlugin;

use crate::{
    AgentSlots, TickLimitPlugin,
    human::HumanPlugin,
    view::{Spectator, ViewPlugin, ViewSystems},
};

/// Draws the arena, with the recording inspector at F9. Add it after [`ArenaPlugin`](crate::ArenaPlugin), to an app of
/// [`create_app`].
#[derive(Clone, Debug, Default)]
pub struct ArenaWindowPlugin {
    /// The agent that the keyboard controls, if any.
    pub human: Option<i64>,
    /// The agent that the camera follows at the start; by default that of `human`.
    pub follow: Option<i64>,
    /// Whether the inspector is open at the start.
    pub inspector: bool,
}

/// The system sets of a frame, in order. All run in `Update`; [`ViewSystems`] run after `Control`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum WindowSystems {
    /// Keys are handled.
    Control,
    /// The camera moves.
    Camera,
    /// Sprites and text are updated.
    Draw,
}

impl Plugin for ArenaWindowPlugin {
    fn build(&self, app: &mut App) {
        use WindowSystems::{Camera, Control, Draw};
        if !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        // The inspector is drawn on the context of the panel's camera, which is drawn last.
        app.world_mut()
            .resource_mut::<EguiGlobalSettings>()
            .auto_create_primary_context = false;
        app.add_plugins((
            ViewPlugin,
            TickLimitPlugin,
            ExperienceInspectorPlugin {
                open: self.inspector,
                ..ExperienceInspectorPlugin::default()
            },
        ));
        if let Some(agent) = self.human {
            app.add_plugins(HumanPlugin { agent });
        }
        if let Some(agent) = self.follow.or(self.human) {
            let match_id = app
                .world()
                .get_resource::<AgentSlots>()
                .map(|slots| slots.match_of(agent));
            let mut spectator = app.world_mut().resource_mut::<Spectator>();
            spectator.followed = Some(agent);
            spectator.match_id = match_id.unwrap_or_default();
        }
        app.insert_resource(ClearColor(palette::BACKGROUND))
            .init_resource::<textures::Textures>()
            .init_resource::<camera::Zoom>()
            .configure_sets(Update, (Control, ViewSystems, Camera, Draw).chain())
            .add_systems(Startup, (camera::spawn_cameras, floor::spawn_floor, panel::spawn_panel))
            .add_systems(
                Update,
                (
                    (
                        controls::handle_keys,
                        controls::follow_selected,
                        controls::suspend_while_typing,
                    )
                        .chain()
                        .in_set(Control),
                    camera::move_camera.in_set(Camera),
                    (
                        (sprites::add_sprites, sprites::update_fighters, sprites::scale_name_tags).chain(),
                        panel::resize,
                        panel::update_status,
                        panel::update_scoreboard,
                    )
                        .in_set(Draw),
                ),
            )
            .add_systems(PostUpdate, pixel_text::lay_out.before(TransformSystems::Propagate));
    }
}
