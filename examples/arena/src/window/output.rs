//! The render target: a window, or an offscreen image that is saved as a screenshot.

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

use crate::{Clock, TickLimit};

/// What the arena is drawn to.
#[derive(Clone, Debug)]
pub enum RenderOutput {
    /// A window, in real time, until it is closed.
    Window,
    /// A file. Needs no display. The screenshot is taken when the [`TickLimit`] is reached, and the app exits.
    Screenshot(ScreenshotFile),
}

/// The file and size of a screenshot.
#[derive(Clone, Debug)]
pub struct ScreenshotFile {
    /// The path, which ends in `.png`. An existing file is overwritten.
    pub path: PathBuf,
    /// Width and height, in pixels.
    pub size: [u32; 2],
}

/// The image that the cameras draw to in place of a window.
#[derive(Resource)]
pub(super) struct OffscreenTarget {
    pub(super) image: Handle<Image>,
    path: PathBuf,
}

/// Ticks per frame until shortly before the screenshot, because frames are slow without a GPU.
const FAST_FORWARD_TICKS: u32 = 20;
/// Frames of one tick each before the screenshot, in which plots and windows reach their final layout.
const FINAL_FRAMES: u64 = 60;

/// An app with Bevy's default plugins for this output.
///
/// # Errors
/// A message for the user when there is no display or no graphics driver.
pub fn create_app(output: &RenderOutput) -> Result<App, String> {
    if matches!(output, RenderOutput::Window) && !may_have_display() {
        return Err(no_display("neither `DISPLAY` nor `WAYLAND_DISPLAY` is set"));
    }
    let mut app = App::new();
    let log = LogPlugin {
        // Messages of graphics drivers are hidden unless `RUST_LOG` enables them.
        filter: "warn,wgpu_hal=error,wgpu_core=error".to_owned(),
        ..LogPlugin::default()
    };
    match output {
        RenderOutput::Window => {
            let window = WindowPlugin {
                primary_window: Some(Window {
                    title: "The arena".to_owned(),
                    resolution: [1280, 800].into(),
                    ..Window::default()
                }),
                ..WindowPlugin::default()
            };
            let plugins = DefaultPlugins.set(log).set(window);
            catch_panic(|| _ = app.add_plugins(plugins)).map_err(|reason| {
                let lacks_driver = reason.contains("GPU");
                if lacks_driver {
                    no_driver(&reason)
                } else {
                    no_display(&reason)
                }
            })?;
        }
        RenderOutput::Screenshot(file) => {
            let window = WindowPlugin {
                primary_window: None,
                exit_condition: ExitCondition::DontExit,
                ..WindowPlugin::default()
            };
            let plugins = DefaultPlugins.set(log).set(window).disable::<WinitPlugin>();
            catch_panic(|| _ = app.add_plugins(plugins)).map_err(|reason| no_driver(&reason))?;
            app.add_plugins(ScheduleRunnerPlugin::run_loop(Duration::ZERO));
            add_offscreen_target(&mut app, file);
        }
    }
    Ok(app)
}

fn add_offscreen_target(app: &mut App, file: &ScreenshotFile) {
    let [width, height] = file.size;
    let image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    let image = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    app.insert_resource(OffscreenTarget {
        image,
        path: file.path.clone(),
    })
    .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
    .add_systems(First, set_ticks_per_frame)
    .add_systems(Last, take_screenshot);
}

/// Runs many ticks per frame until the last frames before the screenshot, and then one.
fn set_ticks_per_frame(clock: Res<Clock>, limit: Option<Res<TickLimit>>, mut strategy: ResMut<TimeUpdateStrategy>) {
    let ticks_left = limit.map_or(0, |limit| limit.0.saturating_sub(clock.tick));
    let is_far = ticks_left > FINAL_FRAMES + u64::from(FAST_FORWARD_TICKS);
    *strategy = TimeUpdateStrategy::FixedTimesteps(if is_far { FAST_FORWARD_TICKS } else { 1 });
}

/// Takes the screenshot once, after the last tick, and exits when it is saved.
fn take_screenshot(
    clock: Res<Clock>,
    limit: Option<Res<TickLimit>>,
    target: Res<OffscreenTarget>,
    mut was_requested: Local<bool>,
    mut commands: Commands,
) {
    let is_due = limit.is_none_or(|limit| limit.is_reached(&clock));
    if is_due && !core::mem::replace(&mut *was_requested, true) {
        let mut save = save_to_disk(target.path.clone());
        let save_and_exit = move |captured: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
            save(captured);
            exit.write(AppExit::Success);
        };
        commands
            .spawn(Screenshot::image(target.image.clone()))
            .observe(save_and_exit);
    }
}

/// Whether a window system may be running, judged by environment variables.
fn may_have_display() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(all(unix, not(target_os = "macos")))
        || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].into_iter().any(is_set)
}

fn no_display(reason: &str) -> String {
    format!(
        "no window can be opened ({reason}): start the arena where there is a display, play without `--window`, or save a screenshot \
         with `--screenshot <FILE>`"
    )
}

fn no_driver(reason: &str) -> String {
    format!(
        "nothing can be drawn ({reason}): install a Vulkan driver; Debian's `libvulkan1 mesa-vulkan-drivers` work without a GPU"
    )
}

/// Runs `f`, and returns the message if it panics. Bevy's plugins panic where there is no display or driver.
fn catch_panic(f: impl FnOnce()) -> Result<(), String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(panic::AssertUnwindSafe(f));
    panic::set_hook(hook);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("the window system gives no reason")
            .to_owned()
    })
}

/// Checks that a screenshot can be saved at a path.
///
/// # Errors
/// A message for the user when the path does not end in `.png`, or its folder does not exist.
pub fn check_screenshot_path(path: &Path) -> Result<(), String> {
    if path.extension().is_none_or(|extension| extension != "png") {
        return Err(format!("`{}` does not end in `.png`", path.display()));
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("`{}` is not a folder: create it first", folder.display()))
        }
        _ => Ok(()),
    }
}
