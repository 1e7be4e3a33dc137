//! Records what cameras see as images of [`bevy_experience`], read back from the GPU without waiting for it.
//!
//! ```no_run
//! # use bevy_app::prelude::*;
//! # use bevy_camera::{Camera, RenderTarget};
//! # use bevy_ecs::prelude::*;
//! use bevy::asset::Assets; // `use bevy::prelude::*;` has nearly all of these
//! use bevy::image::Image;
//!
//! use bevy_experience::prelude::*;
//! use bevy_experience_camera::{ExperienceCameraPlugin, PlayerCameras, RecordingCameraExt, camera_target};
//!
//! #[derive(Component)]
//! struct Fighter;
//!
//! App::new()
//!     .add_plugins((ExperiencePlugins, ExperienceCameraPlugin::default())) // after `DefaultPlugins`
//!     .add_recording(Recording::<Fighter>::new("fighter").observe_camera("eye", 84, 84))
//!     .add_systems(Startup, spawn)
//!     .run();
//!
//! fn spawn(mut commands: Commands, mut images: ResMut<Assets<Image>>) {
//!     let target = images.add(camera_target(84, 84));
//!     // `Camera3d` or `Camera2d`, where the fighter's eye is.
//!     let eye = commands.spawn((Camera::default(), RenderTarget::Image(target.into()))).id();
//!     commands.spawn((Fighter, PlayerCameras::new("eye", eye)));
//! }
//! ```
//!
//! # The tick that an image shows
//! A frame is drawn after all of its ticks, and copied while the next frames are played. So a row has the newest image that has
//! arrived, and the feature `<name>.age`: how many ticks before the row's own the image was drawn. It shows the world of the
//! observation at `tick - age`, exactly; at one tick per frame the age is 2 on a GPU that keeps up. A frame with several ticks
//! shows the last of them, and a frame without a tick is not copied.
//!
//! A policy that plays the game gets its images equally late, so that rows are what it can see. To train with the image of each
//! row's own tick, take it from the first later row whose `tick - age` is that tick.
//!
//! - The age is -1, and the image black, as long as none has arrived.
//! - An age greater than the number of the row in its episode is of before the episode: its image may show the player before the
//!   reset.
//! - A camera that is despawned or not active leaves its last image, whose age grows.
//! - In the first frames a camera may not see what is still being loaded, as on the screen. A camera that was not drawn at all, because
//!   Bevy has not compiled the shader that writes to targets, has no image.
//! - A game that interpolates between ticks shows up to one tick less than the age states.
//!
//! # Cost and memory
//! Each camera is copied once per frame with a tick, for all players that look through it, and all cameras of a frame in one
//! copy. The game never waits: if the GPU is [`MAX_FRAMES_IN_FLIGHT`] frames behind, or the
//! [memory budget](ExperienceCameraPlugin::memory_budget) is exhausted, images are left out. [`CameraReadback`] counts them, and
//! the ages of rows grow. Nothing is spawned, and no component changes. If the device is lost, images fail until Bevy has a new one
//! (`RenderErrorHandler`).
//!
//! # What cannot be recorded
//! Each of these is logged once, and recorded as black images of age -1: a camera that draws to a window; a target in another
//! format than 8-bit RGBA or BGRA, or without `TextureUsages::COPY_SRC` ([`camera_target`] has both); a target of another size than
//! `observe_camera` states; an app without a renderer; a game with
//! [`SpeculativeTicks`](bevy_experience::plugin::SpeculativeTicks), whose images would be of ticks that are simulated again.
//!
//! A camera sees players with [`DoNotRecord`](bevy_experience::player::DoNotRecord) like all others. Hide them from it by
//! `RenderLayers`.

mod clock;
mod frames;
mod observe;
mod player_cameras;
mod readback;
mod report;
mod target;

pub use clock::CameraClock;
pub use observe::RecordingCameraExt;
pub use player_cameras::{CameraImage, PlayerCameras};
pub use report::{CameraReadback, CameraReport};
pub use target::camera_target;

use bevy_app::{App, First, Plugin};
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_experience::prelude::{ExperienceCapture, ExperienceSystems};
use bevy_render::{ExtractSchedule, Render, RenderApp, RenderStartup, RenderSystems};
use clock::refresh_clock;
use readback::{TargetReadback, copy_targets, exchange, start_with_device};

/// The maximum number of frames whose images wait for the GPU.
pub const MAX_FRAMES_IN_FLIGHT: usize = 4;

/// Reads back the render targets of the cameras that [`PlayerCameras`] name.
#[derive(Clone, Copy, Debug)]
pub struct ExperienceCameraPlugin {
    /// The memory limit of all buffers and images of the readback, in bytes; 64 MiB by default, which is enough for 80 cameras of
    /// 84 × 84 pixels with four frames in flight.
    ///
    /// The images of recorded rows are in the buffers of players, under
    /// [`ExperiencePlugin::memory_budget`](bevy_experience::plugin::ExperiencePlugin::memory_budget).
    pub memory_budget: usize,
}

impl Default for ExperienceCameraPlugin {
    fn default() -> Self {
        Self {
            memory_budget: 64 << 20,
        }
    }
}

impl Plugin for ExperienceCameraPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<CameraClock>()
            .init_resource::<CameraReadback>()
            // Before the first capture, and after each.
            .add_systems(First, refresh_clock)
            .add_systems(ExperienceCapture, refresh_clock.after(ExperienceSystems::Export));
    }

    // The render app exists after all plugins are built, in any order.
    fn finish(&self, app: &mut App) {
        let published = app.world().resource::<CameraReadback>().clone();
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else {
            tracing::warn!(
                "there is no renderer, so cameras are recorded as black images of age -1: add `RenderPlugin`, or record without \
                 `observe_camera`"
            );
            return;
        };
        render_app
            .insert_resource(TargetReadback::new(published, self.memory_budget))
            .add_systems(RenderStartup, start_with_device)
            .add_systems(ExtractSchedule, exchange)
            .add_systems(Render, copy_targets.in_set(RenderSystems::Cleanup));
    }
}
