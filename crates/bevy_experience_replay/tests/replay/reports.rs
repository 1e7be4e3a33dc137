//! What is not restored is reported with its reason.

use crate::game::{self, Hero};
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    restore::{Restoration, Unrestored},
    test_app::TestApp,
};
use bevy_experience_replay::Replay;
use bevy_math::DVec2;
use bevy_reflect::prelude::*;
use bevy_transform::components::Transform;

#[derive(Component, Reflect, Default)]
struct Wide {
    far: DVec2,
    count: i64,
    seed: u32,
}

#[derive(Component, Reflect, Default)]
#[component(immutable)]
struct Team(u8);

#[derive(Component, Reflect, Default)]
struct Ball {
    size: f32,
}

#[derive(Resource, Reflect, Default)]
struct Weather {
    rain: f32,
}

#[derive(Component, Reflect, Default)]
struct Weapon {
    ammo: u32,
}

#[derive(Component, Reflect, Default)]
struct Steering {
    wheel: f32,
}

fn recording() -> Recording<Hero> {
    Recording::<Hero>::new("hero")
        .observe::<Wide>()
        .observe::<Team>()
        .observe_with::<Transform>(["height"], |transform, out| out[0] = transform.translation.y)
        .observe_world_position_fields(["x"])
        .observe_resource::<Weather>()
        .observe_single::<Ball, Ball>()
        .observe_related::<Children, Weapon>()
        .observe_nearest::<Ball>(1, 10.0)
        .observe_count::<Ball>()
        .observe_image_with::<Transform>(
            "view",
            ImageShape {
                height: 1,
                width: 2,
                channels: 1,
            },
            |_, pixels| pixels.fill(3),
        )
        .act::<Steering>()
        .act_with::<Steering>(["half"], |steering, out| out[0] = steering.wheel / 2.0)
        .act_resource::<Weather>()
        .allow_lossy()
}

#[test]
fn each_column_that_is_not_restored_has_a_reason() {
    let mut app = game::with_replays(TestApp::new());
    app.record(recording());
    app.init_resource::<Weather>();
    let hero = || {
        let wide = Wide {
            seed: (1 << 24) + 1,
            ..Default::default()
        };
        (wide, Team(3), Transform::default(), Steering { wheel: 0.5 })
    };
    app.world_mut().spawn((Hero, hero()));
    app.ticks(4);
    let episode = app.finish().remove(0);
    let ghost = app
        .world_mut()
        .spawn((Replay::new(episode).with_actions(), hero()))
        .id();
    app.world_mut().get_mut::<Steering>(ghost).unwrap().wheel = 0.0;
    app.ticks(1);
    assert_eq!(app.world_mut().get::<Steering>(ghost).unwrap().wheel, 0.5);

    let report = game::replay(&mut app, ghost).report().unwrap().clone();
    let none = Restoration::None;
    let expected = [
        ("wide.far.x", Restoration::Rounded),
        ("wide.far.y", Restoration::Rounded),
        ("wide.count", Restoration::Exact),
        ("wide.seed", Restoration::Rounded),
        ("team", none(Unrestored::Immutable)),
        ("height", none(Unrestored::Function)),
        ("world_position.x", none(Unrestored::WorldPosition)),
        ("weather.rain", none(Unrestored::Resource)),
        ("ball.ball.size", none(Unrestored::OtherEntity)),
        ("ball.ball.present", none(Unrestored::OtherEntity)),
        ("children.weapon.ammo", none(Unrestored::OtherEntity)),
        ("children.weapon.present", none(Unrestored::OtherEntity)),
        ("ball.count", none(Unrestored::Count)),
        ("view", none(Unrestored::Function)),
        ("steering.wheel", Restoration::Exact),
        ("half", none(Unrestored::Function)),
    ];
    let columns = report.columns.iter();
    let found: Vec<_> = columns
        .map(|column| (column.name.as_str(), column.restoration))
        .collect();
    for expected in expected {
        assert!(found.contains(&expected), "{expected:?}: {found:#?}");
    }
    let of_list = found
        .iter()
        .filter(|(_, restoration)| *restoration == none(Unrestored::Entities));
    assert_eq!(of_list.count(), 4, "present, dx, dy and dz: {found:#?}");
    let text = report.to_string();
    assert!(
        text.contains("as `f32` recorded them: `wide.far.x`, `wide.far.y`, `wide.seed`"),
        "{text}"
    );
    assert!(
        text.contains("not restored: `height`, `view`, `half` (a function computes it"),
        "{text}"
    );
    assert!(!text.contains('\n'));
}
