//! Two cameras: one looks at the floor, the other at the panel, and is drawn over the first.

use bevy::{
    camera::{ClearColorConfig, RenderTarget, visibility::RenderLayers},
    prelude::*,
};
use bevy_egui::PrimaryEguiContext;

use super::{panel, screen::Canvas};
use crate::{
    ArenaSettings, Seats,
    view::{Shown, View},
};

/// The layer of the panel.
pub(super) const PANEL_LAYER: usize = 1;

/// Looks at the floor.
#[derive(Component)]
pub(super) struct FloorCamera;

/// Looks at the panel, at a unit a pixel; its origin is the upper left corner.
#[derive(Component)]
pub(super) struct PanelCamera;

/// How near the eye is.
#[derive(Resource, Clone, Copy, Debug)]
pub(super) struct Zoom {
    /// Units of the floor that are seen around whom the eye follows.
    pub(super) around: f32,
}

impl Default for Zoom {
    fn default() -> Self {
        Self { around: 32.0 }
    }
}

pub(super) fn set_up(canvas: Option<Res<Canvas>>, mut commands: Commands) {
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
    if let Some(canvas) = canvas {
        for camera in [floor, panel] {
            commands
                .entity(camera)
                .insert(RenderTarget::Image(canvas.image.clone().into()));
        }
    }
}

/// Goes where it looks: at the whole floor, or at whom it follows, beside the panel.
pub(super) fn look(
    settings: Res<ArenaSettings>,
    shown: Res<Shown>,
    zoom: Res<Zoom>,
    seats: Res<Seats>,
    views: Query<(&View, &Transform), Without<FloorCamera>>,
    camera: Single<(&Camera, &mut Projection, &mut Transform), With<FloorCamera>>,
) {
    /// Units of the walls and a little more.
    const MARGIN: f32 = 2.0;
    let (camera, mut projection, mut transform) = camera.into_inner();
    let (Some(size), Projection::Orthographic(projection)) = (camera.logical_viewport_size(), &mut *projection) else {
        return;
    };
    let room = Vec2::new((size.x - panel::width(size)).max(1.0), size.y.max(1.0));
    let followed = shown.followed.and_then(|agent| seats.entity(agent));
    let followed = views.iter().find(|(view, _)| Some(view.of) == followed);
    let (middle, span) = match followed {
        Some((_, place)) => (place.translation.truncate(), zoom.around),
        // Whoever is followed is away for a moment: the eye stays.
        None if shown.followed.is_some() => (seen_middle(&transform, projection.scale, size), zoom.around),
        None => (Vec2::ZERO, 2.0 * (settings.half() + MARGIN)),
    };
    projection.scale = span / room.min_element();
    let middle = middle + Vec2::X * (0.5 * panel::width(size) * projection.scale);
    transform.translation = middle.extend(transform.translation.z);
}

/// What is in the middle of the room beside the panel.
fn seen_middle(transform: &Transform, scale: f32, size: Vec2) -> Vec2 {
    transform.translation.truncate() - Vec2::X * (0.5 * panel::width(size) * scale)
}
