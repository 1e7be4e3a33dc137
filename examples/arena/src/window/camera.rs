//! Two cameras: one for the floor, and one for the panel, which is drawn over the first.

use bevy::{
    camera::{ClearColorConfig, RenderTarget, visibility::RenderLayers},
    prelude::*,
};
use bevy_egui::PrimaryEguiContext;

use super::{output::OffscreenTarget, panel};
use crate::{
    AgentSlots, ArenaSettings,
    view::{ActorView, Spectator},
};

/// The render layer of the panel.
pub(super) const PANEL_LAYER: usize = 1;

/// Marks the camera of the floor.
#[derive(Component)]
pub(super) struct FloorCamera;

/// Marks the camera of the panel: one unit per pixel, origin at the upper left corner.
#[derive(Component)]
pub(super) struct PanelCamera;

/// The zoom of the floor camera while it follows a fighter.
#[derive(Resource, Clone, Copy, Debug)]
pub(super) struct Zoom {
    /// The smaller side of the visible area, in units of the floor.
    pub(super) span: f32,
}

impl Default for Zoom {
    fn default() -> Self {
        Self { span: 32.0 }
    }
}

pub(super) fn spawn_cameras(offscreen: Option<Res<OffscreenTarget>>, mut commands: Commands) {
    let floor = (FloorCamera, Camera2d, Msaa::Off);
    let panel = (
        PanelCamera,
        Camera2d,
        Msaa::Off,
        Camera {
            order: 1,
            clear_color: ClearColorConfig::None,
            ..Camera::default()
        },
        Projection::Orthographic(OrthographicProjection {
            viewport_origin: Vec2::new(0.0, 1.0),
            ..OrthographicProjection::default_2d()
        }),
        RenderLayers::layer(PANEL_LAYER),
        PrimaryEguiContext,
    );
    let (floor, panel) = (commands.spawn(floor).id(), commands.spawn(panel).id());
    if let Some(offscreen) = offscreen {
        for camera in [floor, panel] {
            commands
                .entity(camera)
                .insert(RenderTarget::Image(offscreen.image.clone().into()));
        }
    }
}

/// Centres the followed fighter, or the whole floor, in the area beside the panel.
pub(super) fn move_camera(
    settings: Res<ArenaSettings>,
    spectator: Res<Spectator>,
    zoom: Res<Zoom>,
    slots: Res<AgentSlots>,
    views: Query<(&ActorView, &Transform), Without<FloorCamera>>,
    camera: Single<(&Camera, &mut Projection, &mut Transform), With<FloorCamera>>,
) {
    /// Units around the floor, which show the walls.
    const MARGIN: f32 = 2.0;
    let (camera, mut projection, mut transform) = camera.into_inner();
    let (Some(size), Projection::Orthographic(projection)) = (camera.logical_viewport_size(), &mut *projection) else {
        return;
    };
    let free_area = Vec2::new((size.x - panel::width(size)).max(1.0), size.y.max(1.0));
    let followed = spectator.followed.and_then(|agent| slots.entity(agent));
    let followed = views.iter().find(|(view, _)| Some(view.actor) == followed);
    let (center, span) = match followed {
        Some((_, transform)) => (transform.translation.truncate(), zoom.span),
        // While the followed agent is absent, the camera stays where it is.
        None if spectator.followed.is_some() => (visible_center(&transform, projection.scale, size), zoom.span),
        None => (Vec2::ZERO, 2.0 * (settings.half_extent() + MARGIN)),
    };
    projection.scale = span / free_area.min_element();
    let center = center + Vec2::X * (0.5 * panel::width(size) * projection.scale);
    transform.translation = center.extend(transform.translation.z);
}

/// The position that is shown at the centre of the area beside the panel.
fn visible_center(transform: &Transform, scale: f32, size: Vec2) -> Vec2 {
    transform.translation.truncate() - Vec2::X * (0.5 * panel::width(size) * scale)
}
