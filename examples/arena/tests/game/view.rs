//! What the window adds, apart from drawing: views, keyboard control and the tick limit. The game and its data stay the
//! same.

use std::{collections::BTreeMap, time::Duration};

use arena::{
    AgentSlots, ArenaSettings, Clock, MatchId, TickLimit, TickLimitPlugin,
    bot::Bot,
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Fighter, Gear, Intent, Score},
    headless,
    human::{Human, HumanPlugin},
    record::recording,
    view::{ActorKind, ActorView, Spectator, ViewPlugin, standings},
    world_hash,
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::RunId};
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_math::Vec2;
use bevy_time::TimeUpdateStrategy;
use bevy_transform::prelude::Transform;

use crate::support::{close, fighter_of, get, hash_after, update};

fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 8,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    }
}

/// A headless arena with the plugins of the window that do not draw.
fn with_views(settings: ArenaSettings) -> App {
    let mut app = headless(settings);
    app.add_plugins((ViewPlugin, TickLimitPlugin));
    app
}

/// Runs one frame. Lengths vary with `number`, so that some frames have no tick and others several.
fn frame(app: &mut App, number: u32) {
    let lengths = [3, 40, 17, 0, 61, 8, 16];
    let length = Duration::from_millis(lengths[number as usize % lengths.len()]);
    app.insert_resource(TimeUpdateStrategy::ManualDuration(length));
    app.update();
}

const TICKS: u64 = 1200;

fn record(app: &mut App) -> MemorySink {
    let sink = MemorySink::default();
    app.add_plugins(ExperiencePlugin {
        run: Some(RunId::from_bits(1)),
        ..ExperiencePlugin::default()
    });
    let settings = app.world().resource::<ArenaSettings>().clone();
    app.add_recording(recording(&settings).sink(sink.clone()));
    sink
}

/// Closes the recording and formats all transitions, by agent.
fn recorded_rows(app: &mut App, sink: &MemorySink) -> BTreeMap<i64, Vec<String>> {
    let mut found = BTreeMap::<i64, Vec<String>>::new();
    for episode in close(app, sink) {
        let rows = found.entry(episode.info().agent_id).or_default();
        rows.push(format!("{}", episode.reason()));
        for transition in episode.transitions() {
            rows.push(format!(
                "{} {:?} {:?} {} {:?}",
                transition.tick(),
                transition.observation(),
                transition.action().collect::<Vec<_>>(),
                transition.reward(),
                transition.next_observation(),
            ));
        }
    }
    found
}

#[test]
fn views_do_not_change_the_game_or_its_data() {
    let mut plain = headless(settings());
    let plain_sink = record(&mut plain);
    update(&mut plain, TICKS + 1);
    let mut viewed = with_views(settings());
    let viewed_sink = record(&mut viewed);
    viewed.insert_resource(TickLimit(TICKS));
    let mut frames = 0;
    while !TickLimit(TICKS).is_reached(viewed.world().resource::<Clock>()) {
        frame(&mut viewed, frames);
        if frames.is_multiple_of(50) {
            let settings = settings();
            viewed.world_mut().resource_mut::<Spectator>().next_match(&settings);
        }
        frames += 1;
    }
    // Further frames run no tick.
    (0..20).for_each(|number| frame(&mut viewed, number));
    assert_eq!(viewed.world().resource::<Clock>().tick, TICKS);
    assert_eq!(world_hash(viewed.world_mut()), world_hash(plain.world_mut()));
    let plain = recorded_rows(&mut plain, &plain_sink);
    let viewed = recorded_rows(&mut viewed, &viewed_sink);
    assert!(plain.len() == 16 && plain.values().all(|rows| rows.len() > 100));
    assert!(plain == viewed, "the recorded data differs");
}

/// The actors of the match that is watched, and the actors that have a view.
fn actors_and_views(app: &mut App) -> [BTreeMap<Entity, &'static str>; 2] {
    let world = app.world_mut();
    let watched = world.resource::<Spectator>().match_id;
    let mut actors = world.query::<(Entity, &MatchId, Has<Fighter>, Has<Coin>, Has<Bullet>)>();
    let actors = actors
        .iter(world)
        .filter(|(_, match_id, ..)| **match_id == watched)
        .map(|(entity, _, is_fighter, is_coin, _)| {
            let kind = if is_fighter {
                "fighter"
            } else if is_coin {
                "coin"
            } else {
                "bullet"
            };
            (entity, kind)
        })
        .collect();
    let mut views = world.query::<&ActorView>();
    let views = views
        .iter(world)
        .map(|view| {
            let kind = match view.kind {
                ActorKind::Fighter => "fighter",
                ActorKind::Coin => "coin",
                ActorKind::Bullet => "bullet",
            };
            (view.actor, kind)
        })
        .collect();
    [actors, views]
}

#[test]
fn exactly_the_actors_of_the_watched_match_have_views() {
    let mut app = with_views(settings());
    let (mut most_bullets, mut fewest_fighters) = (0, usize::MAX);
    for number in 0..1500 {
        frame(&mut app, number);
        if number % 100 == 99 {
            let settings = settings();
            app.world_mut().resource_mut::<Spectator>().next_match(&settings);
            frame(&mut app, 3);
        }
        let [actors, views] = actors_and_views(&mut app);
        assert_eq!(views, actors, "in frame {number}");
        let count = |wanted| views.values().filter(|&&kind| kind == wanted).count();
        assert_eq!(count("coin"), 16);
        most_bullets = most_bullets.max(count("bullet"));
        fewest_fighters = fewest_fighters.min(count("fighter"));
    }
    assert!(
        most_bullets > 2 && fewest_fighters < 8,
        "{most_bullets} {fewest_fighters}"
    );
}

#[test]
fn views_are_interpolated_between_ticks_but_not_over_teleports() {
    let settings = ArenaSettings {
        players: 4,
        hz: 10,
        ..ArenaSettings::default()
    };
    let mut app = with_views(settings);
    let mut positions: Vec<Vec2> = Vec::new();
    // Runs a frame and returns the positions of a fighter's view and of the fighter.
    let frame_positions = |app: &mut App, milliseconds| {
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(milliseconds)));
        app.update();
        let world = app.world_mut();
        let fighter = world.resource::<AgentSlots>().entity(2).expect("the agent is present");
        let mut views = world.query::<(&ActorView, &Transform)>();
        let view = views.iter(world).find(|(view, _)| view.actor == fighter);
        let position = view.expect("the fighter has a view").1.translation.truncate();
        (
            position,
            world
                .get::<Transform>(fighter)
                .expect("fighters have a transform")
                .translation
                .truncate(),
        )
    };
    frame_positions(&mut app, 0);
    for _ in 0..40 {
        frame_positions(&mut app, 100);
    }
    // Four frames per tick, in each of which the view moves equally far.
    for _ in 0..5 {
        positions.push(frame_positions(&mut app, 25).0);
    }
    let steps: Vec<f32> = positions.windows(2).map(|pair| pair[0].distance(pair[1])).collect();
    assert!(steps[0] > 0.01, "the view does not move: {positions:?}");
    for step in &steps[..3] {
        assert!((step - steps[0]).abs() < 0.02, "{steps:?}");
    }
    // Farther than any fighter moves in a tick.
    let world = app.world_mut();
    let fighter = world.resource::<AgentSlots>().entity(2).expect("the agent is present");
    world
        .get_mut::<Transform>(fighter)
        .expect("fighters have a transform")
        .translation
        .x += 9.0;
    let (view, fighter) = frame_positions(&mut app, 110);
    assert!(view.distance(fighter) < 0.01, "{view} is not {fighter}");
}

/// Releases all keys and presses these.
fn press(app: &mut App, keys: &[KeyCode]) {
    let mut pressed = app.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    pressed.reset_all();
    keys.iter().for_each(|&key| pressed.press(key));
}

/// A component of the fighter under keyboard control.
fn of_human<T: Component + Copy>(app: &App) -> T {
    get(app, fighter_of(app, 1))
}

/// An arena in which the keyboard controls agent 1.
fn with_keyboard() -> App {
    let mut app = with_views(ArenaSettings {
        players: 4,
        ..ArenaSettings::default()
    });
    app.add_plugins(HumanPlugin { agent: 1 });
    app.update();
    app
}

#[test]
fn the_keyboard_controls_one_fighter_and_bots_the_others() {
    let mut app = with_keyboard();
    let mut bots = app.world_mut().query::<(&Fighter, Has<Bot>)>();
    let without_bot: Vec<_> = bots
        .iter(app.world())
        .filter(|(_, has_bot)| !has_bot)
        .map(|(fighter, _)| fighter.agent)
        .collect();
    assert_eq!(without_bot, [1]);
    app.update();
    assert_eq!(of_human::<Intent>(&app), Intent::default());
    press(&mut app, &[KeyCode::KeyW, KeyCode::KeyD]);
    update(&mut app, 30);
    let body = of_human::<Body>(&app);
    assert!(
        body.velocity.x > 3.0 && (body.velocity.x - body.velocity.y).abs() < 1e-3,
        "{body:?}"
    );
    assert!(
        body.facing.distance(Vec2::ONE.normalize()) < 1e-5,
        "the weapon does not point ahead: {body:?}"
    );
    press(&mut app, &[KeyCode::KeyW, KeyCode::ArrowLeft]);
    app.update();
    assert_eq!(of_human::<Body>(&app).facing, Vec2::NEG_X);
    assert_eq!(of_human::<Gear>(&app).shots, 1);
    press(&mut app, &[KeyCode::KeyW, KeyCode::ShiftLeft]);
    app.update();
    assert!(of_human::<Body>(&app).velocity.y > 20.0);
}

#[test]
fn a_key_pressed_and_released_between_two_ticks_fires_once() {
    let mut app = with_keyboard();
    let short_frame = |app: &mut App| {
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(1)));
        app.update();
    };
    short_frame(&mut app);
    press(&mut app, &[KeyCode::ArrowUp]);
    app.world_mut()
        .resource_mut::<ButtonInput<KeyCode>>()
        .release(KeyCode::ArrowUp);
    short_frame(&mut app);
    app.world_mut().resource_mut::<ButtonInput<KeyCode>>().reset_all();
    short_frame(&mut app);
    assert_eq!(of_human::<Gear>(&app).shots, 0, "a tick ran in a short frame");
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    update(&mut app, 60);
    assert_eq!(
        (of_human::<Gear>(&app).shots, of_human::<Body>(&app).facing),
        (1, Vec2::Y)
    );
}

#[test]
fn keys_do_nothing_while_keyboard_control_is_suspended() {
    let mut app = with_keyboard();
    press(&mut app, &[KeyCode::KeyW, KeyCode::Space]);
    app.update();
    assert_eq!(of_human::<Gear>(&app).shots, 1);
    app.world_mut().resource_mut::<Human>().is_suspended = true;
    app.update();
    assert_eq!(of_human::<Intent>(&app), Intent::default());
}

#[test]
fn keyboard_control_outlives_an_absence_of_its_agent() {
    let mut app = headless(settings());
    app.add_plugins(HumanPlugin { agent: 1 });
    let mut was_absent = false;
    for _ in 0..6000 {
        app.update();
        match app.world().resource::<AgentSlots>().entity(1) {
            None => was_absent = true,
            Some(fighter) if was_absent => {
                assert!(app.world().get::<Bot>(fighter).is_none());
                return;
            }
            Some(_) => {}
        }
    }
    panic!("the agent never left and joined again");
}

#[test]
fn standings_are_sorted_by_points() {
    let mut app = headless(settings());
    update(&mut app, 3000);
    let ranked =
        app.world_mut()
            .run_system_cached(|fighters: Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>| {
                standings(&fighters, MatchId(1))
            });
    let ranked = ranked.expect("the system runs");
    assert!(ranked.len() > 3 && ranked.iter().all(|standing| standing.agent >= 8));
    assert!(ranked[0].points() > 0.0);
    assert!(ranked.windows(2).all(|pair| pair[0].points() >= pair[1].points()));
}

#[test]
fn following_cycles_through_agents_and_matches() {
    let mut spectator = Spectator::default();
    let mut followed = Vec::new();
    for _ in 0..4 {
        spectator.follow_next(&[3, 5, 9]);
        followed.push(spectator.followed);
    }
    assert_eq!(followed, [Some(3), Some(5), Some(9), Some(3)]);
    spectator.next_match(&settings());
    assert_eq!((spectator.match_id, spectator.followed), (MatchId(1), None));
    spectator.next_match(&settings());
    assert_eq!(spectator.match_id, MatchId(0));
    spectator.follow_next(&[]);
    assert_eq!(spectator.followed, None);
}

#[test]
fn the_tick_limit_holds_in_the_middle_of_a_frame() {
    let mut app = with_views(settings());
    app.insert_resource(TickLimit(100));
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(7));
    update(&mut app, 30);
    assert_eq!(app.world().resource::<Clock>().tick, 100);
    assert_eq!(hash_after(100, &mut headless(settings())), world_hash(app.world_mut()));
}
