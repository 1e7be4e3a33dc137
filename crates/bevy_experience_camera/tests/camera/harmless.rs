//! The world is the same with and without a recording of cameras, and without a renderer the game goes on.

use crate::game::*;
use bevy::prelude::*;
use bevy_experience::prelude::*;
use bevy_experience_camera::{CameraReadback, CameraReport, ExperienceCameraPlugin, PlayerCameras, camera_target};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Something that the game spawns, with an id that depends on all spawns before.
#[derive(Component)]
struct Particle(u32);

fn spawn_particles(particles: Query<(Entity, &Particle)>, mut commands: Commands, mut count: Local<u32>) {
    *count += 1;
    commands.spawn(Particle(count.wrapping_mul(2_654_435_761)));
    for (entity, particle) in &particles {
        if particle.0.is_multiple_of(3) {
            commands.entity(entity).despawn();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    /// The cameras are copied and recorded.
    Cameras,
    /// The plugins are disabled, and nothing is copied.
    Nothing,
    /// The plugin for cameras is not there.
    WithoutPlugin,
}

/// What the game does, without and with the ids of entities.
fn world_hashes(recorded: Recorded) -> Option<[u64; 2]> {
    let (_guard, mut app) = app(true)?;
    app.add_plugins(ExperiencePlugin {
        enabled: recorded != Recorded::Nothing,
        ..default()
    })
    .add_systems(FixedUpdate, (count_ticks, spawn_particles).chain());
    let sink = MemorySink::default();
    if recorded != Recorded::WithoutPlugin {
        let memory_budget = if recorded == Recorded::Cameras { 64 << 20 } else { 0 };
        app.add_plugins(ExperienceCameraPlugin { memory_budget })
            .add_recording(recording(&sink, 16, 16));
    }
    for shade in 0..3 {
        let camera = spawn_camera(&mut app, camera_target(16, 16), shade);
        spawn_player(&mut app, camera);
    }
    // `Changed` does not see images that arrive.
    app.insert_resource(Changes(0)).add_systems(Update, count_changes);
    start(&mut app);
    run(&mut app, [1, 0, 2].into_iter().cycle().take(60));
    assert_eq!(app.world().resource::<Changes>().0, 3);
    let (mut values, mut ids) = (DefaultHasher::new(), DefaultHasher::new());
    let mut particles = app.world_mut().query::<(Entity, &Particle)>();
    for (entity, particle) in particles.iter(app.world()) {
        particle.0.hash(&mut values);
        (entity.to_bits(), particle.0).hash(&mut ids);
    }
    let mut players = app.world_mut().query::<(Entity, &Ticks)>();
    for (entity, ticks) in players.iter(app.world()) {
        ticks.0.to_bits().hash(&mut values);
        (entity.to_bits(), ticks.0.to_bits()).hash(&mut ids);
    }
    match recorded {
        Recorded::Cameras => assert!(report(&app).received > 30),
        Recorded::Nothing => assert_eq!(report(&app).received, 0),
        Recorded::WithoutPlugin => {}
    }
    Some([values.finish(), ids.finish()])
}

#[derive(Resource)]
struct Changes(usize);

fn count_changes(changed: Query<(), Changed<PlayerCameras>>, mut changes: ResMut<Changes>) {
    changes.0 += changed.iter().count();
}

#[test]
fn the_world_is_the_same_with_and_without_cameras() {
    let Some(recorded) = world_hashes(Recorded::Cameras) else {
        return;
    };
    assert_eq!(Some(recorded), world_hashes(Recorded::Nothing));
    // In Bevy resources are entities, so a plugin shifts the ids.
    assert_eq!(
        Some(recorded[0]),
        world_hashes(Recorded::WithoutPlugin).map(|hashes| hashes[0])
    );
}

/// Runs without a renderer, and returns the ages.
fn ages_without_renderer(adds_plugin: bool) -> Vec<f32> {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, ExperiencePlugin::default()))
        .add_systems(FixedUpdate, count_ticks);
    if adds_plugin {
        app.add_plugins(ExperienceCameraPlugin::default());
    }
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 4, 4));
    let camera = app.world_mut().spawn_empty().id();
    spawn_player(&mut app, camera);
    start(&mut app);
    run(&mut app, [1; 5]);
    if adds_plugin {
        let report = app.world().resource::<CameraReadback>().report();
        assert_eq!(report, CameraReport::default());
    }
    let episodes = finish(&mut app, &sink);
    let rows = (0..=episodes[0].len()).map(|row| episodes[0].row(row));
    rows.map(|row| {
        assert!(is_black(row.image(0)));
        row.observation()[1]
    })
    .collect()
}

#[test]
fn images_are_black_without_a_renderer() {
    // The first frame has no tick.
    assert_eq!(ages_without_renderer(true), [-1.0; 4]);
}

#[test]
fn images_are_black_without_the_plugin() {
    assert_eq!(ages_without_renderer(false), [-1.0; 4]);
}

#[test]
fn a_shape_without_pixels_is_refused_at_set_up() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, ExperiencePlugin::default()));
    let error = app.try_add_recording(recording(&MemorySink::default(), 0, 84)).err();
    let error = error.expect("an error").to_string();
    assert!(error.contains("`eye`") || error.contains("eye"), "{error}");
}

#[test]
fn images_of_speculative_ticks_are_black() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    app.insert_resource(SpeculativeTicks {
        simulated: 0,
        confirmed: 0,
    });
    let advance = |mut ticks: ResMut<SpeculativeTicks>| {
        ticks.simulated += 1;
        ticks.confirmed = ticks.simulated;
    };
    app.add_systems(FixedUpdate, advance);
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    let camera = spawn_camera(&mut app, camera_target(8, 8), 0);
    spawn_player(&mut app, camera);
    start(&mut app);
    run(&mut app, [1; 20]);
    assert_eq!(report(&app).refused, 20);
    let episodes = finish(&mut app, &sink);
    assert!(episodes[0].len() > 10);
    assert!((0..episodes[0].len()).all(|row| episodes[0].row(row).observation()[1] == -1.0));
}
