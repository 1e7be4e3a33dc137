//! Where it is drawn: in a window, or into a file.

use std::{
    env, panic,
    path::{Path, PathBuf},
};

use bevy::{
    app::ScheduleRunnerPlugin,
    log::LogPlugin,
    prelude::*,
    render::{
        render_resource::TextureFormat,
        view::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk},
    },
    time::TimeUpdateStrategy,
    window::ExitCondition,
    winit::WinitPlugin,
};
use core::time::Duration;

use crate::{Clock, LastTick};

/// Where it is drawn.
#[derive(Clone, Debug)]
pub enum Screen {
    /// In a window, at the speed of the clock on the wall, until it is closed.
    Window,
    /// Into a file, without a display: when [`LastTick`] has been played, a picture is taken, and the app exits.
    Picture(Picture),
}

/// A picture that is to be taken.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file, which is overwritten. It ends in `.png`.
    pub file: PathBuf,
    /// Pixels: width and height.
    pub size: [u32; 2],
}

/// What the cameras draw on, where that is no window.
#[derive(Resource)]
pub(super) struct Canvas {
    pub(super) image: Handle<Image>,
    file: PathBuf,
}

/// Ticks in a frame until shortly before a picture, which otherwise takes long without a graphics card.
const HURRY: u32 = 20;
/// Frames before a picture in which one tick each is played: plots and windows settle.
const SETTLE: u64 = 60;

/// An app with Bevy's plugins, which shows what other plugins draw.
///
/// # Errors
/// Where there is no display or nothing to draw with, in words for the user.
pub fn open(screen: &Screen) -> Result<App, String> {
    if matches!(screen, Screen::Window) && !has_display() {
        return Err(no_display("neither `DISPLAY` nor `WAYLAND_DISPLAY` is set"));
    }
    let mut app = App::new();
    let log = LogPlugin {
        // What graphics drivers have to say in passing is for whoever asks for it, with `RUST_LOG`.
        filter: "warn,wgpu_hal=error,wgpu_core=error".to_owned(),
        ..LogPlugin::default()
    };
    match screen {
        Screen::Window => {
            let window = WindowPlugin {
                primary_window: Some(Window {
                    title: "The arena".to_owned(),
                    resolution: [1280, 800].into(),
                    ..Window::default()
                }),
                ..WindowPlugin::default()
            };
            let plugins = DefaultPlugins.set(log).set(window);
            quietly(|| _ = app.add_plugins(plugins)).map_err(|said| {
                let lacks_driver = said.contains("GPU");
                if lacks_driver {
                    no_driver(&said)
                } else {
                    no_display(&said)
                }
            })?;
        }
        Screen::Picture(picture) => {
            let window = WindowPlugin {
                primary_window: None,
                exit_condition: ExitCondition::DontExit,
                ..WindowPlugin::default()
            };
            let plugins = DefaultPlugins.set(log).set(window).disable::<WinitPlugin>();
            quietly(|| _ = app.add_plugins(plugins)).map_err(|said| no_driver(&said))?;
            app.add_plugins(ScheduleRunnerPlugin::run_loop(Duration::ZERO));
            set_up(&mut app, picture);
        }
    }
    Ok(app)
}

fn set_up(app: &mut App, picture: &Picture) {
    let [width, height] = picture.size;
    let image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    let image = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    app.insert_resource(Canvas {
        image,
        file: picture.file.clone(),
    })
    .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
    .add_systems(First, hurry)
    .add_systems(Last, take);
}

/// Plays many ticks in a frame while nobody looks, and then one.
fn hurry(clock: Res<Clock>, last: Option<Res<LastTick>>, mut pace: ResMut<TimeUpdateStrategy>) {
    let left = last.map_or(0, |last| last.0.saturating_sub(clock.tick));
    *pace = TimeUpdateStrategy::FixedTimesteps(if left > SETTLE + u64::from(HURRY) { HURRY } else { 1 });
}

/// Takes the picture, after the last tick.
fn take(
    clock: Res<Clock>,
    last: Option<Res<LastTick>>,
    canvas: Res<Canvas>,
    mut is_asked_for: Local<bool>,
    mut commands: Commands,
) {
    let is_time = last.is_none_or(|last| last.is_over(&clock));
    if is_time && !core::mem::replace(&mut *is_asked_for, true) {
        let mut save = save_to_disk(canvas.file.clone());
        let taken = move |captured: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
            save(captured);
            exit.write(AppExit::Success);
        };
        commands.spawn(Screenshot::image(canvas.image.clone())).observe(taken);
    }
}

/// Whether there is something to open a window on, as far as that can be seen beforehand.
fn has_display() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(all(unix, not(target_os = "macos")))
        || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].into_iter().any(is_set)
}

fn no_display(said: &str) -> String {
    format!(
        "no window can be opened ({said}): start it where there is a display, play without `--window`, or take a picture with \
         `--screenshot <FILE>`"
    )
}

fn no_driver(said: &str) -> String {
    format!(
        "nothing can be drawn ({said}): install a Vulkan driver; Debian's `libvulkan1 mesa-vulkan-drivers` need no graphics card"
    )
}

/// Does what may panic because of the machine it runs on, and says with what words it did.
fn quietly(work: impl FnOnce()) -> Result<(), String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(panic::AssertUnwindSafe(work));
    panic::set_hook(hook);
    done.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("the window system gives no reason")
            .to_owned()
    })
}

/// Whether a picture can be written there: `None`, or what is wrong.
#[must_use]
pub fn refuse_file(file: &Path) -> Option<String> {
    if file.extension().is_none_or(|extension| extension != "png") {
        return Some(format!("`{}` does not end in `.png`", file.display()));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| format!("`{}` is no folder: make it first", folder.display()))
}
