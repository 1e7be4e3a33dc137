//! A window to watch the arena in, and to play in.
//!
//! It stands beside the simulation and only reads it: sprites sit on [views](crate::view), and what a
//! [human](crate::human) presses becomes the intent of one fighter. So it is the same game, and the same data, as without it.

mod art;
mod camera;
mod controls;
mod dress;
mod floor;
mod letters;
mod palette;
mod panel;
mod screen;

pub use screen::{Picture, Screen, open, refuse_file};

use bevy::prelude::*;
use bevy_egui::{EguiGlobalSettings, EguiPlugin};
use bevy_experience_inspector::ExperienceInspectorPlugin;

use crate::{
    LastTickPlugin, Seats,
    human::HumanPlugin,
    view::{Shown, ViewPlugin, ViewSystems},
};

/// Shows the arena, with the inspector of what is recorded at the key F9. Add it after
/// [`ArenaPlugin`](crate::ArenaPlugin), to an app that [`open`] has opened.
#[derive(Clone, Debug, Default)]
pub struct ArenaWindowPlugin {
    /// Whose fighter is played at the keyboard, if any is.
    pub human: Option<i64>,
    /// Whom the eye follows from the start; the human, if there is one and this is not set.
    pub follow: Option<i64>,
    /// Whether the inspector is open from the start.
    pub inspector: bool,
}

/// What is drawn from in a frame, in their order. All run in `Update`, after the views are in their places.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum WindowSystems {
    /// Keys are heeded.
    Control,
    /// The camera goes where it looks.
    Look,
    /// Sprites and letters become what they show.
    Draw,
}

impl Plugin for ArenaWindowPlugin {
    fn build(&self, app: &mut App) {
        use WindowSystems::{Control, Draw, Look};
        if !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        // The inspector is drawn over the panel, whose camera draws last.
        app.world_mut()
            .resource_mut::<EguiGlobalSettings>()
            .auto_create_primary_context = false;
        app.add_plugins((
            ViewPlugin,
            LastTickPlugin,
            ExperienceInspectorPlugin {
                open: self.inspector,
                ..ExperienceInspectorPlugin::default()
            },
        ));
        if let Some(agent) = self.human {
            app.add_plugins(HumanPlugin { agent });
        }
        if let Some(agent) = self.follow.or(self.human) {
            let match_id = app.world().get_resource::<Seats>().map(|seats| seats.match_of(agent));
            let mut shown = app.world_mut().resource_mut::<Shown>();
            shown.followed = Some(agent);
            shown.match_id = match_id.unwrap_or_default();
        }
        app.insert_resource(ClearColor(palette::VOID))
            .init_resource::<art::Art>()
            .init_resource::<camera::Zoom>()
            .configure_sets(Update, (Control, ViewSystems, Look, Draw).chain())
            .add_systems(Startup, (camera::set_up, floor::lay, panel::hang))
            .add_systems(
                Update,
                (
                    (controls::heed, controls::follow_selected, controls::leave_typing_alone)
                        .chain()
                        .in_set(Control),
                    camera::look.in_set(Look),
                    (
                        (dress::dress, dress::fighters, dress::name_tags).chain(),
                        panel::fit,
                        panel::tell,
                        panel::rank,
                    )
                        .in_set(Draw),
                ),
            )
            .add_systems(PostUpdate, letters::write.before(TransformSystems::Propagate));
    }
}
