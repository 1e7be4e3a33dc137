//! Contract, rule 8 (non-interference): a warm tick with recording allocates as often as one without.

#[path = "support/allocations.rs"]
mod allocations;

use allocations::allocations;
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::SingleThreadedExecutor};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_math::Vec2;
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;
use std::thread::available_parallelism;

#[derive(Component, Reflect)]
struct Player;

#[derive(Reflect, Clone, Copy)]
enum Weapon {
    Bow,
    Wand,
}

#[derive(Component, Reflect)]
struct Kit {
    weapon: Weapon,
    charge: Option<f32>,
    aim: Vec2,
}

#[derive(Component, Reflect)]
struct Intent(Vec2);

#[derive(Component, Reflect)]
struct Allowed([bool; 9]);

#[derive(Component, Reflect)]
struct Eye([[[u8; 3]; 8]; 8]);

#[derive(Component, Reflect)]
struct Ball(f32);

#[derive(Resource, Reflect)]
struct Weather {
    wind: f32,
}

/// Each source that reads more than the players' own tables.
fn with_other_sources(recording: Recording<Player>) -> Recording<Player> {
    recording
        .observe_resource::<Weather>()
        .observe_single::<Ball, Transform>()
        .observe_related::<Children, Ball>()
        .observe_optional::<Ball>()
        .observe_has::<ChildOf>()
        .observe_count::<Ball>()
        .observe_world_position()
        .observe_system(
            ["transforms"],
            |players: PlayerValues, transforms: Query<&Transform>| {
                for (player, values) in players {
                    values[0] = transforms.get(player).map_or(0.0, |transform| transform.translation.x);
                }
            },
        )
        .act_resource_discrete_with::<Weather>("windy", 2, |weather| i64::from(weather.wind > 0.5))
        .act_related_with::<Children, Ball>(["ball"], |ball, out| out[0] = ball.map_or(0.0, |ball| ball.0))
}

fn expecting(players: u16) -> PlayerScaling {
    PlayerScaling {
        expected_players: usize::from(players),
        ..Default::default()
    }
}

fn game(enabled: bool, recording: impl Fn(Recording<Player>) -> Recording<Player>) -> u64 {
    let mut test = warm(100, enabled, recording);
    let before = allocations();
    test.ticks(200);
    allocations() - before
}

/// A game that has run for 60 ticks, and allocated all that is kept.
fn warm(players: u16, enabled: bool, recording: impl Fn(Recording<Player>) -> Recording<Player>) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled,
        ..Default::default()
    });
    test.record(recording(
        Recording::<Player>::new("player")
            .observe::<Transform>()
            .observe::<Kit>()
            .observe_with::<Intent>(["speed"], |intent, out| out[0] = intent.0.length())
            .observe_nearest_with(Nearest::<Player>::new(3, 50.0).xy().with_field::<Kit>("aim"))
            .observe_entities(
                EntityList::new("others", 8)
                    .kind::<Player>("player")
                    .within(3.0)
                    .order(EntityOrder::Id)
                    .with_field::<Kit>("aim"),
            )
            .act::<Intent>()
            .action_mask::<Allowed>()
            .reward_terms(["a", "b"])
            .scaling(expecting(players))
            .buffers(BufferSettings {
                // Holds all ticks of a test: a gap, where the exporter thread is starved, allocates its event.
                capacity: 512,
                ..Default::default()
            }),
    ));
    test.add_systems(
        FixedUpdate,
        |mut players: Query<(&mut Transform, &mut Kit, &mut Intent, &mut Reward)>,
         mut weather: ResMut<Weather>,
         mut tick: Local<u32>| {
            *tick += 1;
            weather.wind += 0.125;
            for (mut transform, mut kit, mut intent, mut reward) in &mut players {
                transform.translation.x += 0.5;
                kit.weapon = if tick.is_multiple_of(3) {
                    Weapon::Bow
                } else {
                    Weapon::Wand
                };
                kit.charge = (tick.is_multiple_of(2)).then_some(1.0);
                kit.aim.x += 1.0;
                intent.0.y += 0.25;
                reward.add(if tick.is_multiple_of(2) { "a" } else { "b" }, 1.0);
            }
        },
    );
    test.insert_resource(Weather { wind: 0.0 });
    test.world_mut().spawn((Ball(1.0), Transform::default()));
    for id in 0..players {
        let player = test.world_mut().spawn((
            Player,
            Controller::script("bot"),
            Transform::from_xyz(f32::from(id), 0.0, 0.0),
            Kit {
                weapon: Weapon::Bow,
                charge: None,
                aim: Vec2::ZERO,
            },
            Intent(Vec2::ONE),
            Allowed([true; 9]),
            Eye([[[7; 3]; 8]; 8]),
        ));
        let player = player.id();
        test.world_mut().spawn((Ball(2.0), ChildOf(player)));
    }
    // The allocations of a multi-threaded executor depend on timing.
    for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
        schedule.set_executor(SingleThreadedExecutor::new());
    }
    test.ticks(60);
    test
}

#[test]
fn a_warm_tick_allocates_nothing() {
    let without = game(false, |recording| recording);
    let before = allocations();
    drop(core::hint::black_box(vec![0_u8; 64]));
    assert_eq!(allocations(), before + 1, "the counter works");
    assert_eq!(game(true, |recording| recording), without);
    let shape = ImageShape {
        height: 6,
        width: 5,
        channels: 1,
    };
    assert_eq!(
        game(true, |recording| recording
            .observe_image::<Eye>()
            .observe_image_with::<Intent>("drawn", shape, |_, pixels| pixels.fill(1))),
        without
    );
    assert_eq!(game(true, with_other_sources), without);
    assert_eq!(
        game(true, |recording| with_other_sources(recording)
            .mode(RecordMode::OnChange)
            .trust_change_ticks()),
        without
    );
    assert_eq!(game(true, |recording| recording.decision_interval(3)), without);
    assert_eq!(game(true, |recording| recording.mode(RecordMode::OnChange)), without);
    assert_eq!(
        game(true, |recording| recording
            .mode(RecordMode::OnChange)
            .trust_change_ticks()),
        without
    );
    assert_eq!(
        game(true, |recording| recording.read_actions_after(FixedPreUpdate)),
        without
    );
    assert_eq!(
        game(true, |recording| recording.scaling(PlayerScaling {
            pool_above: Some(0),
            ..expecting(100)
        })),
        without
    );
}

/// The minimum and the maximum of allocations on the game's thread in one tick, of 200.
fn each_tick(
    players: u16,
    enabled: bool,
    recording: impl Fn(Recording<Player>) -> Recording<Player>,
) -> (Option<u64>, Option<u64>) {
    let mut test = warm(players, enabled, recording);
    let tick = |_| {
        let before = allocations();
        test.ticks(1);
        allocations() - before
    };
    let ticks: Vec<u64> = (0..200).map(tick).collect();
    (ticks.iter().min().copied(), ticks.iter().max().copied())
}

#[test]
fn parallel_capture_allocates_per_thread_and_not_per_player() {
    let threads = available_parallelism().map_or(1, |threads| threads.get() as u64);
    if threads == 1 {
        return;
    }
    assert_eq!(each_tick(300, false, |recording| recording), (Some(0), Some(0)));
    for players in [300, 1000] {
        for pool_above in [0, usize::MAX] {
            let parallel = |recording: Recording<Player>| {
                recording.scaling(PlayerScaling {
                    parallel_above: Some(0),
                    pool_above: Some(pool_above),
                    ..expecting(players)
                })
            };
            let (least, most) = each_tick(players, true, parallel);
            // A list and a task for each thread, and their scope. A few more depend on how long threads wait for each other.
            assert!(least >= Some(1), "one thread captured all players");
            assert!(most <= Some(2 * threads + 6), "{players} players: {most:?}");
        }
    }
}

/// What a game with a policy allocates in 200 warm ticks. `is_shown`: something shows the decisions for one player.
fn policy_game(acts: bool, is_shown: bool) -> u64 {
    let mut test = TestApp::new();
    test.insert_resource(Weather { wind: 0.25 });
    test.record(
        Recording::<Player>::new("player")
            .observe::<Transform>()
            .observe_resource::<Weather>()
            .act::<Kick>()
            .action_mask::<Feet>()
            .policy_info()
            .scaling(expecting(100)),
    );
    test.add_policy(Policy::<Player>::for_recording("player").random());
    let mut shown = None;
    for player in 0..100_u16 {
        let body = Transform::from_xyz(f32::from(player), 0.0, 0.0);
        let mut player = test
            .world_mut()
            .spawn((Player, body, Kick::default(), Feet([true, false])));
        if acts {
            player.insert(PolicyControlled::default());
        }
        if is_shown {
            shown = Some(player.id());
        }
    }
    for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
        schedule.set_executor(SingleThreadedExecutor::new());
    }
    let mut decisions = 0;
    let mut play = |test: &mut TestApp, ticks: usize| {
        for _ in 0..ticks {
            test.ticks(1);
            let mut experience = test.world_mut().resource_mut::<Experience>();
            if let Some(player) = shown {
                let decision = experience.policy_decision("player", player);
                decisions += decision.map_or(0, |decision| u32::from(!decision.heads.is_empty()));
            }
        }
    };
    play(&mut test, 60);
    let before = allocations();
    play(&mut test, 200);
    let allocated = allocations() - before;
    let actions = test
        .world()
        .resource::<Experience>()
        .policies("player")
        .next()
        .unwrap()
        .actions;
    // The first call begins to keep them, and a player acts from its second tick on.
    assert_eq!(decisions, if is_shown { 259 } else { 0 });
    assert_eq!(actions, if acts { 100 * 259 } else { 0 });
    allocated
}

#[derive(Reflect, Clone, Copy, Default)]
enum Foot {
    #[default]
    Left,
    Right,
}

#[derive(Component, Reflect)]
struct Feet([bool; 2]);

#[derive(Component, Reflect, Default)]
struct Kick {
    aim: Vec2,
    foot: Foot,
}

#[test]
fn a_warm_tick_with_a_policy_allocates_as_often_as_one_without() {
    let without = policy_game(false, false);
    assert_eq!(policy_game(true, false), without);
    assert_eq!(policy_game(true, true), without);
}

/// A policy in an ONNX file: the plugin allocates nothing beside what one call of the model allocates.
#[cfg(feature = "policy_onnx")]
mod policy_in_onnx {
    use super::*;
    use bevy_experience::policy::{ActionBatch, ObservationBatch, OnnxModel, PolicyLayout, PolicyModel};
    use std::sync::Arc;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/policy/player.onnx");
    const PLAYERS: usize = 100;
    const TICKS: u64 = 200;

    macro_rules! components {
        ($($name:ident),*) => {
            $(#[derive(Component, Reflect, Default)] struct $name([f32; 4]);)*
        };
    }
    components!(Place, Motion, Aim, Strength);

    #[derive(Reflect, Default)]
    enum Deed {
        #[default]
        Hold,
        Shoot,
        Dash,
    }

    #[derive(Component, Reflect, Default)]
    struct Intent {
        turn: f32,
        deed: Deed,
    }

    fn recording() -> Recording<Player> {
        Recording::<Player>::new("player")
            .observe::<Place>()
            .observe::<Motion>()
            .observe::<Aim>()
            .observe::<Strength>()
            .act::<Intent>()
            .policy_info()
            .scaling(expecting(PLAYERS as u16))
    }

    /// The layout of the recording, which a file is loaded for.
    fn layout() -> Arc<PolicyLayout> {
        let found = Arc::<std::sync::Mutex<Option<PolicyLayout>>>::default();
        let taken = found.clone();
        let mut test = TestApp::new();
        test.record(recording());
        test.add_policy(
            Policy::<Player>::for_recording("player").file(MODEL, move |path, layout| {
                *taken.lock().unwrap() = Some(layout.clone());
                Ok(Box::new(OnnxModel::load(path, layout)?))
            }),
        );
        let layout = found.lock().unwrap().take().unwrap();
        Arc::new(layout)
    }

    /// Allocations of one call, once it is warm.
    fn call(players: usize) -> u64 {
        let layout = layout();
        let mut model = OnnxModel::load(MODEL, &layout).unwrap();
        let mut observations = ObservationBatch::new(layout.clone());
        for player in 0..players {
            observations.push(player as i64, &[0.5; 16], &[]);
        }
        let mut actions = ActionBatch::new(layout);
        let mut allocated = 0;
        for _ in 0..8 {
            actions.begin(players);
            let before = allocations();
            model.act(&observations, &mut actions).unwrap();
            allocated = allocations() - before;
        }
        allocated
    }

    /// Allocations of 200 warm ticks.
    fn game(acts: bool) -> u64 {
        let mut test = TestApp::new();
        test.record(recording());
        test.add_policy(Policy::<Player>::for_recording("player").onnx(MODEL));
        for player in 0..PLAYERS {
            let values = [player as f32; 4];
            let components = (Place(values), Motion(values), Aim(values), Strength(values));
            let mut player = test.world_mut().spawn((Player, components, Intent::default()));
            if acts {
                player.insert(PolicyControlled::default());
            }
        }
        for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
            schedule.set_executor(SingleThreadedExecutor::new());
        }
        test.ticks(60);
        let before = allocations();
        test.ticks(TICKS as usize);
        let allocated = allocations() - before;
        let experience = test.world().resource::<Experience>();
        let actions = experience.policies("player").next().unwrap().actions;
        assert_eq!(actions, if acts { PLAYERS as u64 * 259 } else { 0 });
        allocated
    }

    #[test]
    fn a_warm_tick_allocates_what_the_call_of_the_model_does() {
        let (one, many) = (call(1), call(PLAYERS));
        assert_eq!(
            game(true) - game(false),
            TICKS * many,
            "one call: {one} for a player, {many} for all"
        );
        assert!(
            many <= one + 4,
            "{one} allocations for one player, and {many} for {PLAYERS}"
        );
    }
}
