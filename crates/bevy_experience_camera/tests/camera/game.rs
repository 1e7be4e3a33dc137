//! A game whose cameras show the tick as their background, and its apps.

use bevy::{
    app::PanicHandlerPlugin,
    camera::RenderTarget,
    ecs::system::RunSystemOnce,
    log::LogPlugin,
    prelude::*,
    render::{RenderPlugin, pipelined_rendering::PipelinedRenderingPlugin},
    time::TimeUpdateStrategy,
    window::ExitCondition,
    winit::WinitPlugin,
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_experience_camera::{CameraReadback, CameraReport, ExperienceCameraPlugin, PlayerCameras};
use std::{
    env,
    io::{self, Write},
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Two renderers at once overload a software driver.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[derive(Component)]
pub struct Player;

/// The number of fixed ticks so far.
#[derive(Component, Reflect)]
pub struct Ticks(pub f32);

/// The number of frames so far.
#[derive(Component, Reflect)]
pub struct Frames(pub f32);

/// Adds its number to the blue of the background.
#[derive(Component)]
pub struct Shade(pub u8);

/// The background after this many ticks. Different for the first 51,200.
pub fn background(ticks: i64) -> [u8; 3] {
    [(ticks % 200) as u8 + 20, (ticks / 200) as u8, 77]
}

/// The ticks that a background stands for.
pub fn ticks_of([red, green, blue]: [u8; 3]) -> i64 {
    assert!(red >= 20 && blue == 77, "{red} {green} {blue} is no background");
    i64::from(green) * 200 + i64::from(red) - 20
}

pub fn paint(camera: &mut Camera, shade: u8, ticks: i64) {
    let [red, green, blue] = background(ticks);
    camera.clear_color = ClearColorConfig::Custom(Color::srgb_u8(red, green, blue + shade));
}

/// Counts the ticks, and shows them.
pub fn count_ticks(mut players: Query<&mut Ticks>, mut cameras: Query<(&mut Camera, &Shade)>) {
    for mut ticks in &mut players {
        ticks.0 += 1.0;
        for (mut camera, shade) in &mut cameras {
            paint(&mut camera, shade.0, ticks.0 as i64);
        }
    }
}

/// The guard of the renderer, and an app with a renderer and no window. `None` without a graphics driver.
pub fn app(is_pipelined: bool) -> Option<(MutexGuard<'static, ()>, App)> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let window = WindowPlugin {
        primary_window: None,
        exit_condition: ExitCondition::DontExit,
        ..default()
    };
    let render = RenderPlugin {
        synchronous_pipeline_compilation: true,
        ..default()
    };
    let plugins = DefaultPlugins
        .set(window)
        .set(render)
        .disable::<LogPlugin>()
        .disable::<WinitPlugin>()
        .disable::<PanicHandlerPlugin>();
    let plugins = if is_pipelined {
        plugins
    } else {
        plugins.disable::<PipelinedRenderingPlugin>()
    };
    let mut app = App::new();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let added = catch_unwind(AssertUnwindSafe(|| {
        app.add_plugins(plugins);
        wait_for_plugins(&mut app);
    }));
    panic::set_hook(hook);
    if added.is_err() {
        assert!(
            env::var_os("EXPERIENCE_REQUIRE_GPU").is_none(),
            "there is no graphics driver"
        );
        // Not captured by the test harness, unlike `eprintln`.
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = writeln!(
            io::stderr(),
            "SKIPPED {name}: there is no graphics driver; Debian's libvulkan1 and mesa-vulkan-drivers draw without a GPU"
        );
        return None;
    }
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    Some((guard, app))
}

/// [`app`] with the plugins of this crate, and the game.
pub fn recorded_app(is_pipelined: bool) -> Option<(MutexGuard<'static, ()>, App)> {
    let (guard, mut app) = app(is_pipelined)?;
    app.add_plugins((ExperiencePlugin::default(), ExperienceCameraPlugin::default()))
        .add_systems(FixedUpdate, count_ticks);
    Some((guard, app))
}

/// A recording of the ticks and of the camera `eye`.
pub fn recording(sink: &MemorySink, width: usize, height: usize) -> Recording<Player> {
    use bevy_experience_camera::RecordingCameraExt;
    Recording::new("player")
        .observe::<Ticks>()
        .observe_camera("eye", width, height)
        .sink(sink.clone())
}

pub fn wait_for_plugins(app: &mut App) {
    while app.plugins_state() == bevy::app::PluginsState::Adding {
        thread::sleep(Duration::from_millis(2));
    }
}

pub fn start(app: &mut App) {
    wait_for_plugins(app);
    app.finish();
    app.cleanup();
}

/// Frames with these numbers of ticks.
pub fn run(app: &mut App, ticks_per_frame: impl IntoIterator<Item = u32>) {
    for ticks in ticks_per_frame {
        app.insert_resource(TimeUpdateStrategy::FixedTimesteps(ticks));
        app.update();
    }
}

/// A camera that draws to `target`.
pub fn spawn_camera(app: &mut App, target: Image, shade: u8) -> Entity {
    let target = app.world_mut().resource_mut::<Assets<Image>>().add(target);
    let mut camera = Camera::default();
    paint(&mut camera, shade, 0);
    let target = RenderTarget::Image(target.into());
    app.world_mut()
        .spawn((Camera2d, Msaa::Off, camera, target, Shade(shade)))
        .id()
}

pub fn spawn_player(app: &mut App, camera: Entity) -> Entity {
    app.world_mut()
        .spawn((Player, Ticks(0.0), PlayerCameras::new("eye", camera)))
        .id()
}

pub fn report(app: &App) -> CameraReport {
    let report = app.world().resource::<CameraReadback>().report();
    let CameraReport {
        requested,
        received,
        skipped,
        refused,
        failed,
        in_flight,
        ..
    } = report;
    assert_eq!(
        requested,
        received + skipped + refused + failed + in_flight,
        "{report:?}"
    );
    report
}

/// All episodes, in the order of their players.
pub fn finish(app: &mut App, sink: &MemorySink) -> Vec<Episode> {
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(30)));
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| core::cmp::Reverse(episode.info().agent_id));
    episodes
}

/// The image of a row that has one of this width: its pixel at `x` and `y`.
pub fn pixel(image: &[u8], width: usize, x: usize, y: usize) -> [u8; 3] {
    let start = (y * width + x) * 3;
    [image[start], image[start + 1], image[start + 2]]
}

pub fn is_black(image: &[u8]) -> bool {
    image.iter().all(|byte| *byte == 0)
}

/// Ends all episodes.
pub fn end_episodes(app: &mut App) {
    let end = |players: Query<Entity, With<Player>>, mut commands: Commands| {
        for player in &players {
            commands.trigger(EndEpisode::terminated(player, "test"));
        }
    };
    app.world_mut().run_system_once(end).expect("the system runs");
}
