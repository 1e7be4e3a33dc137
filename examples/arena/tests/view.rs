//! Whatever a window adds, but its drawing: the game and its data are the same with it.

use std::{collections::BTreeMap, time::Duration};

use arena::{
    ArenaSettings, Clock, LastTick, LastTickPlugin, MatchId, Seats,
    bot::Bot,
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Fighter, Gear, Intent, Score},
    headless,
    human::{Human, HumanPlugin},
    record::recording,
    view::{Shown, Sight, View, ViewPlugin, standings},
    world_hash,
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::RunId};
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_math::Vec2;
use bevy_time::TimeUpdateStrategy;
use bevy_transform::prelude::Transform;

fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 8,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    }
}

/// The arena as a window plays it, without the window: frames are longer or shorter than ticks.
fn watched(settings: ArenaSettings) -> App {
    let mut app = headless(settings);
    app.add_plugins((ViewPlugin, LastTickPlugin));
    app
}

/// Frames of uneven length: some without a tick, some with several.
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

/// The rows of every episode, by agent, in order.
fn rows(app: &mut App, sink: &MemorySink) -> BTreeMap<i64, Vec<String>> {
    assert!(
        app.world_mut()
            .resource_mut::<Experience>()
            .close(Duration::from_secs(60))
    );
    let mut found = BTreeMap::<i64, Vec<String>>::new();
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| (episode.info().agent_id, episode.info().episode_id));
    for episode in &episodes {
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
fn a_game_that_is_watched_is_the_same_game_with_the_same_data() {
    let mut plain = headless(settings());
    let plain_sink = record(&mut plain);
    for _ in 0..=TICKS {
        plain.update();
    }
    let mut seen = watched(settings());
    let seen_sink = record(&mut seen);
    seen.insert_resource(LastTick(TICKS));
    let mut frames = 0;
    while !LastTick(TICKS).is_over(seen.world().resource::<Clock>()) {
        frame(&mut seen, frames);
        if frames.is_multiple_of(50) {
            let settings = settings();
            seen.world_mut().resource_mut::<Shown>().next_match(&settings);
        }
        frames += 1;
    }
    // It stands still from then on.
    (0..20).for_each(|number| frame(&mut seen, number));
    assert_eq!(seen.world().resource::<Clock>().tick, TICKS);
    assert_eq!(world_hash(seen.world_mut()), world_hash(plain.world_mut()));
    let (plain, seen) = (rows(&mut plain, &plain_sink), rows(&mut seen, &seen_sink));
    assert!(plain.len() == 16 && plain.values().all(|rows| rows.len() > 100));
    assert!(plain == seen, "other data");
}

/// What is on the floor of the match that is shown, and what is seen of it.
fn floor_and_views(app: &mut App) -> [BTreeMap<Entity, &'static str>; 2] {
    let world = app.world_mut();
    let shown = world.resource::<Shown>().match_id;
    let mut actors = world.query::<(Entity, &MatchId, Has<Fighter>, Has<Coin>, Has<Bullet>)>();
    let floor = actors
        .iter(world)
        .filter(|(_, its, ..)| **its == shown)
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
    let mut views = world.query::<&View>();
    let views = views
        .iter(world)
        .map(|view| {
            let kind = match view.sight {
                Sight::Fighter => "fighter",
                Sight::Coin => "coin",
                Sight::Bullet => "bullet",
            };
            (view.of, kind)
        })
        .collect();
    [floor, views]
}

#[test]
fn everything_of_the_match_that_is_shown_is_seen_and_nothing_else() {
    let mut app = watched(settings());
    let (mut most_bullets, mut fewest_fighters) = (0, usize::MAX);
    for number in 0..1500 {
        frame(&mut app, number);
        if number % 100 == 99 {
            let settings = settings();
            app.world_mut().resource_mut::<Shown>().next_match(&settings);
            frame(&mut app, 3);
        }
        let [floor, views] = floor_and_views(&mut app);
        assert_eq!(views, floor, "in frame {number}");
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
fn views_glide_between_two_ticks_and_leap_with_those_who_are_put_elsewhere() {
    let settings = ArenaSettings {
        players: 4,
        hz: 10,
        ..ArenaSettings::default()
    };
    let mut app = watched(settings);
    let mut places: Vec<Vec2> = Vec::new();
    let view_of = |app: &mut App, milliseconds| {
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(milliseconds)));
        app.update();
        let world = app.world_mut();
        let fighter = world.resource::<Seats>().entity(2).expect("it is here");
        let mut views = world.query::<(&View, &Transform)>();
        let view = views.iter(world).find(|(view, _)| view.of == fighter);
        let at = view.expect("it is seen").1.translation.truncate();
        (
            at,
            world
                .get::<Transform>(fighter)
                .expect("it stands")
                .translation
                .truncate(),
        )
    };
    view_of(&mut app, 0);
    for _ in 0..40 {
        view_of(&mut app, 100);
    }
    // Four frames a tick: each goes on as far as the last.
    for _ in 0..5 {
        places.push(view_of(&mut app, 25).0);
    }
    let steps: Vec<f32> = places.windows(2).map(|pair| pair[0].distance(pair[1])).collect();
    assert!(steps[0] > 0.01, "it stands still: {places:?}");
    for step in &steps[..3] {
        assert!((step - steps[0]).abs() < 0.02, "{steps:?}");
    }
    // Nobody runs so far in a tick.
    let world = app.world_mut();
    let fighter = world.resource::<Seats>().entity(2).expect("it is here");
    world.get_mut::<Transform>(fighter).expect("it stands").translation.x += 9.0;
    let (seen, stands) = view_of(&mut app, 110);
    assert!(seen.distance(stands) < 0.01, "{seen} is not {stands}");
}

fn press(app: &mut App, keys: &[KeyCode]) {
    let mut pressed = app.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    pressed.reset_all();
    keys.iter().for_each(|&key| pressed.press(key));
}

fn of_human<T: Component + Clone>(app: &App) -> T {
    let fighter = app.world().resource::<Seats>().entity(1).expect("it is here");
    app.world().get::<T>(fighter).expect("it has that").clone()
}

fn played_by_hand() -> App {
    let mut app = watched(ArenaSettings {
        players: 4,
        ..ArenaSettings::default()
    });
    app.add_plugins(HumanPlugin { agent: 1 });
    app.update();
    app
}

#[test]
fn the_keyboard_plays_one_fighter_and_bots_play_the_others() {
    let mut app = played_by_hand();
    let mut bots = app.world_mut().query::<(&Fighter, Has<Bot>)>();
    let by_hand: Vec<_> = bots
        .iter(app.world())
        .filter(|(_, has)| !has)
        .map(|(f, _)| f.agent)
        .collect();
    assert_eq!(by_hand, [1]);
    app.update();
    assert_eq!(of_human::<Intent>(&app), Intent::default());
    press(&mut app, &[KeyCode::KeyW, KeyCode::KeyD]);
    (0..30).for_each(|_| app.update());
    let body = of_human::<Body>(&app);
    assert!(
        body.velocity.x > 3.0 && (body.velocity.x - body.velocity.y).abs() < 1e-3,
        "{body:?}"
    );
    assert!(
        body.facing.distance(Vec2::ONE.normalize()) < 1e-5,
        "it looks ahead: {body:?}"
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
fn a_key_that_is_pressed_and_released_between_two_ticks_fires_once() {
    let mut app = played_by_hand();
    let short = |app: &mut App| {
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(1)));
        app.update();
    };
    short(&mut app);
    press(&mut app, &[KeyCode::ArrowUp]);
    app.world_mut()
        .resource_mut::<ButtonInput<KeyCode>>()
        .release(KeyCode::ArrowUp);
    short(&mut app);
    app.world_mut().resource_mut::<ButtonInput<KeyCode>>().reset_all();
    short(&mut app);
    assert_eq!(of_human::<Gear>(&app).shots, 0, "there was a tick");
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    (0..60).for_each(|_| app.update());
    assert_eq!(
        (of_human::<Gear>(&app).shots, of_human::<Body>(&app).facing),
        (1, Vec2::Y)
    );
}

#[test]
fn keys_that_are_meant_for_something_else_do_nothing() {
    let mut app = played_by_hand();
    press(&mut app, &[KeyCode::KeyW, KeyCode::Space]);
    app.update();
    assert_eq!(of_human::<Gear>(&app).shots, 1);
    app.world_mut().resource_mut::<Human>().away = true;
    app.update();
    assert_eq!(of_human::<Intent>(&app), Intent::default());
}

#[test]
fn a_human_who_left_and_came_back_still_plays_by_hand() {
    let mut app = headless(settings());
    app.add_plugins(HumanPlugin { agent: 1 });
    let mut was_away = false;
    for _ in 0..6000 {
        app.update();
        match app.world().resource::<Seats>().entity(1) {
            None => was_away = true,
            Some(fighter) if was_away => {
                assert!(app.world().get::<Bot>(fighter).is_none());
                return;
            }
            Some(_) => {}
        }
    }
    panic!("it never left and came back");
}

#[test]
fn the_best_come_first() {
    let mut app = headless(settings());
    (0..3000).for_each(|_| app.update());
    let ranked =
        app.world_mut()
            .run_system_cached(|fighters: Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>| {
                standings(&fighters, MatchId(1))
            });
    let ranked = ranked.expect("it runs");
    assert!(ranked.len() > 3 && ranked.iter().all(|standing| standing.agent >= 8));
    assert!(ranked[0].points() > 0.0);
    assert!(ranked.windows(2).all(|pair| pair[0].points() >= pair[1].points()));
}

#[test]
fn the_eye_goes_from_one_to_the_next_and_round() {
    let mut shown = Shown::default();
    let mut seen = Vec::new();
    for _ in 0..4 {
        shown.follow_next(&[3, 5, 9]);
        seen.push(shown.followed);
    }
    assert_eq!(seen, [Some(3), Some(5), Some(9), Some(3)]);
    shown.next_match(&settings());
    assert_eq!((shown.match_id, shown.followed), (MatchId(1), None));
    shown.next_match(&settings());
    assert_eq!(shown.match_id, MatchId(0));
    shown.follow_next(&[]);
    assert_eq!(shown.followed, None);
}

#[test]
fn the_last_tick_is_the_last_even_in_the_middle_of_a_frame() {
    let mut app = watched(settings());
    app.insert_resource(LastTick(100));
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(7));
    (0..30).for_each(|_| app.update());
    assert_eq!(app.world().resource::<Clock>().tick, 100);
    assert_eq!(hash_of_plain(100), world_hash(app.world_mut()));
}

/// The hash of the game that nobody watches, after so many ticks.
fn hash_of_plain(ticks: u64) -> u64 {
    let mut app = headless(settings());
    (0..=ticks).for_each(|_| app.update());
    world_hash(app.world_mut())
}
