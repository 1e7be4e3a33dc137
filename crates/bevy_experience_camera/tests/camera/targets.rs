//! Targets of all kinds are recorded right, or are black with the age -1.

use crate::game::*;
use bevy::{
    camera::{Hdr, RenderTarget},
    prelude::*,
    render::render_resource::{Extent3d, TextureFormat, TextureUsages},
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_experience_camera::{PlayerCameras, camera_target};

fn target(format: TextureFormat, view_format: Option<TextureFormat>) -> Image {
    let mut image = Image::new_target_texture(16, 16, format, view_format);
    image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    image
}

fn ages(episode: &Episode) -> Vec<f32> {
    let rows = (0..=episode.len()).map(|row| episode.row(row));
    rows.map(|row| {
        assert!(row.observation()[1] >= 0.0 || is_black(row.image(0)));
        row.observation()[1]
    })
    .collect()
}

#[test]
fn encodings_have_the_same_colours() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 16, 16));
    let targets = [
        target(TextureFormat::Rgba8UnormSrgb, None),
        target(TextureFormat::Bgra8UnormSrgb, None),
        target(TextureFormat::Rgba8Unorm, Some(TextureFormat::Rgba8UnormSrgb)),
        target(TextureFormat::Rgba8Unorm, None),
    ];
    for target in targets {
        let camera = spawn_camera(&mut app, target, 0);
        spawn_player(&mut app, camera);
    }
    // Other tone mappings change the colours.
    let hdr = spawn_camera(&mut app, camera_target(16, 16), 0);
    app.world_mut()
        .entity_mut(hdr)
        .insert((Hdr, bevy::core_pipeline::tonemapping::Tonemapping::None));
    spawn_player(&mut app, hdr);
    start(&mut app);
    // All count the ticks of all players.
    run(&mut app, [1; 30]);
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes.len(), 5);
    for (index, episode) in episodes.iter().enumerate() {
        let last = episode.row(episode.len());
        let [ticks, age] = *last.observation() else { panic!() };
        assert!(age > 0.0, "{index}: {:?}", ages(episode));
        let (shown, expected) = (pixel(last.image(0), 16, 8, 8), background((ticks - age) as i64));
        // Linear bytes have few steps in dark colours, and HDR colours are rounded twice.
        let tolerance = [0, 0, 0, 6, 1][index];
        for (shown, expected) in shown.into_iter().zip(expected) {
            assert!(
                shown.abs_diff(expected) <= tolerance,
                "{index}: {shown} instead of {expected}"
            );
        }
    }
}

#[test]
fn targets_that_cannot_be_recorded_are_black() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 16, 16));
    let mut no_copy = camera_target(16, 16);
    no_copy.texture_descriptor.usage -= TextureUsages::COPY_SRC;
    let cameras = [
        spawn_camera(&mut app, no_copy, 0),
        spawn_camera(&mut app, target(TextureFormat::Rgba16Float, None), 0),
        spawn_camera(&mut app, camera_target(8, 16), 0),
        // Draws to the window, which does not exist.
        app.world_mut().spawn(Camera2d).id(),
        app.world_mut()
            .spawn((Camera2d, RenderTarget::None { size: UVec2::ONE }))
            .id(),
        // No camera, and none any more.
        app.world_mut().spawn_empty().id(),
        spawn_camera(&mut app, camera_target(16, 16), 0),
    ];
    app.world_mut().despawn(cameras[6]);
    for camera in cameras {
        spawn_player(&mut app, camera);
    }
    // Looks through a camera of another name.
    let other = spawn_camera(&mut app, camera_target(16, 16), 0);
    app.world_mut()
        .spawn((Player, Ticks(0.0), PlayerCameras::new("other", other)));
    start(&mut app);
    run(&mut app, [1; 30]);
    let report = report(&app);
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes.len(), cameras.len() + 1);
    for episode in &episodes {
        assert!(ages(episode).iter().all(|age| *age == -1.0));
    }
    // All but the one of another size and the one of another name.
    assert!(report.refused >= 6 * 29 && report.received > 30, "{report:?}");
}

#[test]
fn cameras_may_be_resized_replaced_deactivated_and_despawned() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 16, 16));
    let camera = spawn_camera(&mut app, camera_target(16, 16), 0);
    let player = spawn_player(&mut app, camera);
    start(&mut app);
    let age = |app: &App| {
        let image = app.world().get::<PlayerCameras>(player)?.image("eye")?;
        let clock = app.world().resource::<bevy_experience_camera::CameraClock>();
        Some((image.size(), clock.age("player", &image)?))
    };
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(size, age)| size == [16, 16] && age < 10));
    // Another size.
    let RenderTarget::Image(target) = app.world().get::<RenderTarget>(camera).expect("a target") else {
        panic!("an image");
    };
    let id = target.handle.id();
    let mut images = app.world_mut().resource_mut::<Assets<Image>>();
    images.get_mut(id).expect("an image").resize(Extent3d {
        width: 32,
        height: 8,
        depth_or_array_layers: 1,
    });
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(size, age)| size == [32, 8] && age < 10));
    // Another target.
    let target = app
        .world_mut()
        .resource_mut::<Assets<Image>>()
        .add(camera_target(16, 16));
    app.world_mut()
        .entity_mut(camera)
        .insert(RenderTarget::Image(target.into()));
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(size, age)| size == [16, 16] && age < 10));
    // Not active: the last image ages.
    app.world_mut().get_mut::<Camera>(camera).expect("a camera").is_active = false;
    run(&mut app, [1; 20]);
    assert!(
        age(&app).is_some_and(|(_, age)| (15..30).contains(&age)),
        "{:?}",
        age(&app)
    );
    app.world_mut().get_mut::<Camera>(camera).expect("a camera").is_active = true;
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(_, age)| age < 10));
    app.world_mut().despawn(camera);
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(_, age)| age >= 15));
    // A new one.
    let camera = spawn_camera(&mut app, camera_target(16, 16), 0);
    app.world_mut()
        .entity_mut(player)
        .insert(PlayerCameras::new("eye", camera));
    assert_eq!(age(&app), None);
    run(&mut app, [1; 20]);
    assert!(age(&app).is_some_and(|(_, age)| age < 10));
    report(&app);
    let episodes = finish(&mut app, &sink);
    // The first frame has no tick. The player was never missing, and every image shows what its row states.
    assert_eq!((episodes.len(), episodes[0].len()), (1, 138));
    let mut with_image = 0;
    for row in (0..=episodes[0].len()).map(|row| episodes[0].row(row)) {
        let [ticks, age] = *row.observation() else { panic!() };
        if age >= 0.0 {
            with_image += 1;
            assert_eq!(ticks_of(pixel(row.image(0), 16, 15, 15)), (ticks - age) as i64);
        } else {
            assert!(is_black(row.image(0)));
        }
    }
    assert!(with_image > 80, "{with_image}");
}
