//! Measures what the readback of cameras costs: frames per second, and the time of the main thread per frame, with 1 and with 16
//! cameras of 84 × 84 pixels that are drawn, and drawn and recorded.
//!
//!     cargo run --release -p bevy_experience_camera --example readback_cost
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy::{
    camera::RenderTarget,
    log::LogPlugin,
    prelude::*,
    render::{RenderPlugin, renderer::RenderAdapterInfo},
    time::TimeUpdateStrategy,
    window::ExitCondition,
    winit::WinitPlugin,
};
use bevy_experience::prelude::*;
use bevy_experience_camera::{
    CameraReadback, ExperienceCameraPlugin, PlayerCameras, RecordingCameraExt, camera_target,
};
use std::{
    env, fs,
    time::{Duration, Instant},
};

const WARM_UP: u32 = 100;
const SIDE: u32 = 84;

#[derive(Component)]
struct Player;

fn main() {
    let frames = env::args()
        .nth(1)
        .and_then(|argument| argument.parse().ok())
        .unwrap_or(1000);
    println!("cameras  recorded  frames/s  main thread µs/frame  median frame µs  mean age  report");
    for cameras in [1, 16] {
        for is_recorded in [false, true, false, true] {
            measure(cameras, is_recorded, frames);
        }
    }
}

fn measure(cameras: usize, is_recorded: bool, frames: u32) {
    let mut app = app();
    let sink = MemorySink::default();
    if is_recorded {
        app.add_plugins((ExperiencePlugin::default(), ExperienceCameraPlugin::default()))
            .add_recording(
                Recording::<Player>::new("player")
                    .observe_camera("eye", SIDE as usize, SIDE as usize)
                    .buffers(BufferSettings {
                        capacity: 256,
                        ..default()
                    })
                    .sink(sink.clone()),
            );
    }
    for _ in 0..cameras {
        let target = app
            .world_mut()
            .resource_mut::<Assets<Image>>()
            .add(camera_target(SIDE, SIDE));
        let camera = (Camera2d, Msaa::Off, RenderTarget::Image(target.into()));
        let camera = app.world_mut().spawn(camera).id();
        app.world_mut().spawn((Player, PlayerCameras::new("eye", camera)));
    }
    for index in 0..50 {
        let position = Vec3::new((index % 10) as f32 * 8.0 - 36.0, (index / 10) as f32 * 8.0 - 16.0, 0.0);
        app.world_mut().spawn((
            Sprite::from_color(Color::srgb(0.2, 0.8, 0.6), Vec2::splat(5.0)),
            Transform::from_translation(position),
        ));
    }
    while app.plugins_state() == bevy::app::PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(2));
    }
    app.finish();
    app.cleanup();
    (0..WARM_UP).for_each(|_| app.update());
    let (start, busy) = (Instant::now(), main_thread_time());
    let mut times = Vec::with_capacity(frames as usize);
    for _ in 0..frames {
        let frame = Instant::now();
        app.update();
        times.push(frame.elapsed());
    }
    let (elapsed, busy) = (start.elapsed(), main_thread_time() - busy);
    times.sort_unstable();
    let mut age = f32::NAN;
    let mut report = String::new();
    if is_recorded {
        report = format!("{:?}", app.world().resource::<CameraReadback>().report());
        app.world_mut()
            .resource_mut::<Experience>()
            .close(Duration::from_secs(30));
        let episodes = sink.episodes();
        let ages = episodes
            .iter()
            .flat_map(|episode| (0..episode.len()).map(|row| episode.row(row).observation()[0]));
        let ages: Vec<f32> = ages.collect();
        age = ages.iter().sum::<f32>() / ages.len() as f32;
    }
    println!(
        "{cameras:>7}  {is_recorded:>8}  {:>8.0}  {:>20.1}  {:>15.1}  {age:>8.2}  {report}",
        f64::from(frames) / elapsed.as_secs_f64(),
        busy.as_secs_f64() * 1e6 / f64::from(frames),
        times[times.len() / 2].as_secs_f64() * 1e6,
    );
}

fn app() -> App {
    let window = WindowPlugin {
        primary_window: None,
        exit_condition: ExitCondition::DontExit,
        ..default()
    };
    let render = RenderPlugin {
        synchronous_pipeline_compilation: true,
        ..default()
    };
    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .set(window)
            .set(render)
            .disable::<LogPlugin>()
            .disable::<WinitPlugin>(),
    )
    .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
    .add_systems(Startup, |adapter: Option<Res<RenderAdapterInfo>>| {
        if let Some(adapter) = adapter {
            println!("# {} ({})", adapter.name, adapter.driver_info);
        }
    });
    app
}

/// The processor time of this thread. Zero where the system does not state it.
fn main_thread_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
