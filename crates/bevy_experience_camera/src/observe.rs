//! [`RecordingCameraExt`]: the observation of cameras by a recording.

use crate::{CameraClock, CameraImage, PlayerCameras};
use bevy_ecs::{
    component::Component,
    system::{Local, Query, Res},
};
use bevy_experience::prelude::{ImageShape, PlayerValues, Recording};

/// The age of an image that is not there.
const NO_IMAGE: f32 = -1.0;

/// Adds [`observe_camera`](Self::observe_camera) to [`Recording`].
pub trait RecordingCameraExt: Sized {
    /// Observes what each player's camera `name` sees: the image `name` of `[height, width, 3]`, and the feature `<name>.age`, how
    /// many ticks before the row's own it was drawn.
    ///
    /// The camera is named in the component [`PlayerCameras`], without which a player is not recorded. Its target must have this
    /// size. As long as no such image has arrived the row has a black one of age -1. What is wrong is logged once.
    ///
    /// A width or height of 0, or more than 32 MiB, is rejected when the recording is added.
    #[must_use = "a recording does nothing until it is given to `App::add_recording`"]
    fn observe_camera(self, name: &str, width: usize, height: usize) -> Self;
}

impl<P: Component> RecordingCameraExt for Recording<P> {
    fn observe_camera(self, name: &str, width: usize, height: usize) -> Self {
        let shape = ImageShape {
            height,
            width,
            channels: 3,
        };
        let (recording, camera, shown) = (self.name().to_owned(), name.to_owned(), name.to_owned());
        let age = move |players: PlayerValues<'_>,
                        cameras: Query<'_, '_, &PlayerCameras>,
                        clock: Option<Res<'_, CameraClock>>,
                        mut has_reported: Local<'_, bool>| {
            let problem = write_ages(players, &cameras, clock.as_deref(), &recording, &camera, shape);
            if let Some(problem) = problem.filter(|_| !*has_reported) {
                *has_reported = true;
                tracing::error!("recording `{recording}` has black images of its camera `{camera}`: {problem}");
            }
        };
        self.observe_system([format!("{name}.age")], age)
            .observe_image_with::<PlayerCameras>(name, shape, move |cameras, pixels| {
                match cameras.image(&shown).filter(|image| fits(image, shape)) {
                    Some(image) => pixels.copy_from_slice(image.pixels()),
                    None => pixels.fill(0),
                }
            })
    }
}

/// Writes the age of each player's image. Returns why the first that has none never will.
fn write_ages(
    players: PlayerValues<'_>,
    cameras: &Query<'_, '_, &PlayerCameras>,
    clock: Option<&CameraClock>,
    recording: &str,
    camera: &str,
    shape: ImageShape,
) -> Option<String> {
    let mut problem = None;
    if clock.is_none() {
        problem = Some("`ExperienceCameraPlugin` is missing, add it to the app".to_owned());
    }
    for (player, values) in players {
        values[0] = NO_IMAGE;
        let (Ok(cameras), Some(clock)) = (cameras.get(player), clock) else {
            continue;
        };
        match (cameras.view(camera), cameras.image(camera)) {
            (None, _) => {
                problem.get_or_insert_with(|| {
                    format!("`PlayerCameras` of {player} has no camera of this name, add it with `PlayerCameras::with`")
                });
            }
            (Some(view), Some(image)) if !fits(&image, shape) => {
                problem.get_or_insert_with(|| {
                    let ([width, height], camera) = (image.size(), view.camera);
                    format!(
                        "`observe_camera` expects {} × {} pixels, and the target of camera {camera} has {width} × {height}, \
                         give both the same size",
                        shape.width, shape.height
                    )
                });
            }
            (_, image) => {
                let age = image.and_then(|image| clock.age(recording, &image));
                values[0] = age.map_or(NO_IMAGE, |age| age as f32);
            }
        }
    }
    problem
}

fn fits(image: &CameraImage, shape: ImageShape) -> bool {
    image.size() == [shape.width, shape.height] && image.pixels().len() == shape.bytes()
}
