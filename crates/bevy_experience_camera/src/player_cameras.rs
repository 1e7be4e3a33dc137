//! [`PlayerCameras`]: the cameras of a player, and the newest image of each.

use bevy_ecs::{component::Component, entity::Entity};
use std::sync::{Arc, Mutex, PoisonError};

/// On a player: the cameras that it looks through, each with a name, and the newest image that has arrived from each.
///
/// The cameras are entities of their own, children of the player or the player itself, that draw to a
/// [`RenderTarget::Image`](bevy_camera::RenderTarget::Image): see [`camera_target`](crate::camera_target). Several players may
/// look through one camera, which is then copied once.
///
/// An image arrives through a shared reference, between two frames. So it triggers no change detection, and is not taken for
/// something that the game moves.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_experience_camera::PlayerCameras;
/// # #[derive(Component)] struct Fighter;
/// fn spawn(commands: &mut Commands, eye: Entity, rear: Entity) {
///     commands.spawn((Fighter, PlayerCameras::new("eye", eye).with("rear", rear)));
/// }
/// ```
#[derive(Component, Debug)]
pub struct PlayerCameras {
    views: Vec<View>,
}

/// A camera of a player.
#[derive(Debug)]
pub(crate) struct View {
    name: String,
    pub(crate) camera: Entity,
    image: Mutex<Option<Arc<CameraImage>>>,
}

impl PlayerCameras {
    /// One camera. The name is that of [`observe_camera`](crate::RecordingCameraExt::observe_camera).
    #[must_use]
    pub fn new(name: impl Into<String>, camera: Entity) -> Self {
        Self { views: Vec::new() }.with(name, camera)
    }

    /// Adds a camera, or replaces the one with this name. It has no image yet.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, camera: Entity) -> Self {
        let name = name.into();
        self.views.retain(|view| view.name != name);
        self.views.push(View {
            name,
            camera,
            image: Mutex::new(None),
        });
        self
    }

    /// The camera with this name.
    #[must_use]
    pub fn camera(&self, name: &str) -> Option<Entity> {
        Some(self.view(name)?.camera)
    }

    /// The newest image of the camera with this name. `None` as long as none has arrived.
    ///
    /// It is shared, not copied. Whatever keeps it keeps its memory from being used again.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<Arc<CameraImage>> {
        self.view(name)?.image()
    }

    pub(crate) fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.name == name)
    }

    pub(crate) fn views(&self) -> &[View] {
        &self.views
    }
}

impl View {
    fn image(&self) -> Option<Arc<CameraImage>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn receive(&self, image: Arc<CameraImage>) {
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = Some(image);
    }
}

/// What a camera saw at the end of a frame.
#[derive(Debug, Default)]
pub struct CameraImage {
    pub(crate) pixels: Vec<u8>,
    pub(crate) size: [usize; 2],
    /// The last tick before the image was drawn, for each recording. -1 before the first tick.
    pub(crate) ticks: Vec<i64>,
}

impl CameraImage {
    /// The pixels as `u8` of `[height, width, 3]`, in C order: red, green and blue in sRGB, the upper row first.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The width and the height, in pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The bytes that it occupies.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.pixels.capacity() + self.ticks.capacity() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_found_by_name() {
        let [first, second] = [1, 2].map(|index| Entity::from_raw_u32(index).expect("an index"));
        let cameras = PlayerCameras::new("eye", first)
            .with("rear", first)
            .with("rear", second);
        assert_eq!(
            (cameras.camera("eye"), cameras.camera("rear")),
            (Some(first), Some(second))
        );
        assert_eq!(cameras.views().len(), 2);
        assert!(cameras.camera("map").is_none() && cameras.image("eye").is_none());
        cameras.views()[0].receive(Arc::new(CameraImage::default()));
        assert!(cameras.image("eye").is_some() && cameras.image("rear").is_none());
    }
}
