//! The rules of the game.

use std::collections::{BTreeMap, BTreeSet};

use arena::{
    ArenaSettings, Clock, MatchId, Seats,
    bot::{Bot, Skill},
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Deed, Fighter, Gear, Intent, Life, Score},
    headless,
    rules::{BULLET_DAMAGE, COIN_REACH, FULL_HEALTH, RESPAWN_AFTER, ROUND, RUN_SPEED, SHOT_EVERY},
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3, Vec3Swizzles};
use bevy_transform::prelude::Transform;

/// An arena that has opened, in which nobody moves: the bots are gone and the coins out of reach.
fn still(settings: ArenaSettings) -> App {
    let mut app = headless(settings);
    app.update();
    let world = app.world_mut();
    let bots: Vec<Entity> = world.query_filtered::<Entity, With<Bot>>().iter(world).collect();
    for bot in bots {
        world.entity_mut(bot).remove::<Bot>();
    }
    let corner = 0.99 * world.resource::<ArenaSettings>().half();
    for mut transform in world.query_filtered::<&mut Transform, With<Coin>>().iter_mut(world) {
        transform.translation = Vec3::new(corner, corner, 0.0);
    }
    app
}

fn duel() -> App {
    still(ArenaSettings {
        players: 2,
        ..ArenaSettings::default()
    })
}

fn put(app: &mut App, agent: i64, position: Vec2) -> Entity {
    let entity = app
        .world()
        .resource::<Seats>()
        .entity(agent)
        .expect("the agent is here");
    app.world_mut()
        .get_mut::<Transform>(entity)
        .expect("fighters stand somewhere")
        .translation = position.extend(0.0);
    entity
}

fn set<T: Component<Mutability = bevy_ecs::component::Mutable>>(app: &mut App, entity: Entity, value: T) {
    *app.world_mut().get_mut::<T>(entity).expect("fighters have it") = value;
}

fn get<T: Component + Copy>(app: &App, entity: Entity) -> T {
    *app.world().get::<T>(entity).expect("fighters have it")
}

fn play(app: &mut App, seconds: f32) {
    for _ in 0..(seconds * 60.0).round() as u32 {
        app.update();
    }
}

fn shoot_right() -> Intent {
    Intent {
        aim: Vec2::X,
        deed: Deed::Shoot,
        ..Intent::default()
    }
}

#[test]
fn a_fighter_runs_where_it_steers_and_never_faster_than_it_can() {
    let mut app = duel();
    let fighter = put(&mut app, 0, Vec2::new(-10.0, 0.0));
    set(
        &mut app,
        fighter,
        Intent {
            steer: Vec2::new(1000.0, 0.0),
            ..Intent::default()
        },
    );
    play(&mut app, 2.0);
    let reached = get::<Transform>(&app, fighter).translation.xy();
    assert!(reached.x > 0.0 && reached.x <= -10.0 + 2.0 * RUN_SPEED, "{reached}");
    assert_eq!(reached.y, 0.0);
}

#[test]
fn walls_hold() {
    let mut app = duel();
    let fighter = put(&mut app, 0, Vec2::ZERO);
    let half = app.world().resource::<ArenaSettings>().half();
    set(
        &mut app,
        fighter,
        Intent {
            steer: Vec2::ONE,
            deed: Deed::Dash,
            ..Intent::default()
        },
    );
    play(&mut app, 10.0);
    let reached = get::<Transform>(&app, fighter).translation.xy();
    assert!(
        reached.max_element() < half && reached.min_element() > half - 1.0,
        "{reached}"
    );
}

#[test]
fn an_intent_that_is_no_number_moves_nobody() {
    let mut app = duel();
    let fighter = put(&mut app, 0, Vec2::ZERO);
    let nonsense = Intent {
        steer: Vec2::splat(f32::NAN),
        aim: Vec2::splat(f32::INFINITY),
        deed: Deed::Shoot,
    };
    set(&mut app, fighter, nonsense);
    play(&mut app, 1.0);
    assert_eq!(get::<Transform>(&app, fighter).translation, Vec3::ZERO);
    assert!(get::<Body>(&app, fighter).facing.is_normalized());
}

#[test]
fn a_dash_is_faster_than_a_run_and_takes_a_rest() {
    let mut app = duel();
    let fighter = put(&mut app, 0, Vec2::ZERO);
    set(
        &mut app,
        fighter,
        Intent {
            steer: Vec2::X,
            deed: Deed::Dash,
            ..Intent::default()
        },
    );
    app.update();
    assert!(get::<Body>(&app, fighter).velocity.x > 2.0 * RUN_SPEED);
    play(&mut app, 1.0);
    assert!(get::<Body>(&app, fighter).velocity.x < 1.1 * RUN_SPEED);
    assert!(get::<Gear>(&app, fighter).dash_in > 0.0);
}

#[test]
fn bullets_hurt_whom_they_meet_and_reward_who_fired() {
    let mut app = duel();
    let shooter = put(&mut app, 0, Vec2::ZERO);
    let target = put(&mut app, 1, Vec2::new(5.0, 0.3));
    set(&mut app, shooter, shoot_right());
    app.update();
    set(&mut app, shooter, Intent::default());
    play(&mut app, 0.5);
    assert_eq!(get::<Body>(&app, target).health, FULL_HEALTH - BULLET_DAMAGE);
    assert_eq!(get::<Body>(&app, shooter).health, FULL_HEALTH);
    assert_eq!(get::<Score>(&app, shooter).hits, 1);
    assert_eq!(app.world_mut().query::<&Bullet>().iter(app.world()).count(), 0);
}

#[test]
fn the_weapon_takes_its_time() {
    let mut app = duel();
    let shooter = put(&mut app, 0, Vec2::ZERO);
    put(&mut app, 1, Vec2::new(0.0, 9.0));
    set(&mut app, shooter, shoot_right());
    play(&mut app, 10.0 * SHOT_EVERY);
    let shots = get::<Gear>(&app, shooter).shots;
    assert!((9..=11).contains(&shots), "{shots}");
}

#[test]
fn the_dead_lie_for_a_while_and_stand_up_elsewhere() {
    let mut app = duel();
    put(&mut app, 0, Vec2::new(0.0, 9.0));
    let victim = put(&mut app, 1, Vec2::ZERO);
    set(
        &mut app,
        victim,
        Body {
            health: 0.0,
            ..Body::default()
        },
    );
    set(
        &mut app,
        victim,
        Intent {
            steer: Vec2::X,
            aim: Vec2::X,
            deed: Deed::Shoot,
        },
    );
    play(&mut app, RESPAWN_AFTER - 0.1);
    assert_eq!(
        get::<Transform>(&app, victim).translation,
        Vec3::ZERO,
        "corpses do not move"
    );
    assert_eq!(get::<Gear>(&app, victim).shots, 0, "nor do they shoot");
    assert_eq!(get::<Score>(&app, victim).deaths, 1);
    assert!(!get::<Body>(&app, victim).is_alive());
    play(&mut app, 0.2);
    assert_eq!(get::<Body>(&app, victim).health, FULL_HEALTH);
    assert_ne!(get::<Transform>(&app, victim).translation, Vec3::ZERO);
    assert_eq!(
        get::<Life>(&app, victim),
        Life {
            number: 1,
            respawn_in: 0.0
        }
    );
    assert_eq!(get::<Score>(&app, victim).deaths, 1);
}

#[test]
fn two_who_shoot_each_other_in_one_tick_both_score_and_both_die() {
    let mut app = duel();
    let pair = [put(&mut app, 0, Vec2::ZERO), put(&mut app, 1, Vec2::new(5.0, 0.0))];
    for (fighter, aim) in pair.into_iter().zip([Vec2::X, Vec2::NEG_X]) {
        set(
            &mut app,
            fighter,
            Body {
                health: BULLET_DAMAGE,
                ..Body::default()
            },
        );
        set(
            &mut app,
            fighter,
            Intent {
                aim,
                deed: Deed::Shoot,
                ..Intent::default()
            },
        );
    }
    play(&mut app, 0.5);
    for fighter in pair {
        assert_eq!(
            get::<Score>(&app, fighter),
            Score {
                coins: 0,
                hits: 1,
                deaths: 1
            }
        );
    }
}

#[test]
fn a_coin_goes_to_the_nearest_and_turns_up_elsewhere() {
    let mut app = duel();
    let near = put(&mut app, 1, Vec2::new(0.2, 0.0));
    let far = put(&mut app, 0, Vec2::new(-0.4 * COIN_REACH, 0.0));
    let world = app.world_mut();
    let coin = world
        .query_filtered::<Entity, With<Coin>>()
        .iter(world)
        .next()
        .expect("there are coins");
    world
        .get_mut::<Transform>(coin)
        .expect("coins lie somewhere")
        .translation = Vec3::ZERO;
    app.update();
    assert_eq!((get::<Score>(&app, near).coins, get::<Score>(&app, far).coins), (1, 0));
    assert_ne!(get::<Transform>(&app, coin).translation, Vec3::ZERO);
    assert_eq!(get::<Coin>(&app, coin).moves, 1);
}

#[test]
fn neither_bullets_nor_coins_reach_another_match() {
    let mut app = still(ArenaSettings {
        players: 1,
        matches: 2,
        ..ArenaSettings::default()
    });
    let shooter = put(&mut app, 0, Vec2::ZERO);
    let other = put(&mut app, 1, Vec2::new(3.0, 0.0));
    let world = app.world_mut();
    for (match_id, mut transform) in world
        .query_filtered::<(&MatchId, &mut Transform), With<Coin>>()
        .iter_mut(world)
    {
        transform.translation = if *match_id == MatchId(0) {
            Vec3::new(3.0, 0.0, 0.0)
        } else {
            Vec3::ZERO
        };
    }
    set(&mut app, shooter, shoot_right());
    play(&mut app, 1.0);
    assert_eq!(get::<Body>(&app, other).health, FULL_HEALTH);
    for fighter in [shooter, other] {
        assert_eq!(get::<Score>(&app, fighter), Score::default());
    }
}

#[test]
fn a_round_ends_for_everyone() {
    let mut app = duel();
    let corpse = put(&mut app, 0, Vec2::ZERO);
    let alive = put(&mut app, 1, Vec2::new(0.0, 9.0));
    set(
        &mut app,
        alive,
        Score {
            coins: 7,
            hits: 0,
            deaths: 0,
        },
    );
    play(&mut app, ROUND - 1.0);
    set(
        &mut app,
        corpse,
        Body {
            health: 0.0,
            ..Body::default()
        },
    );
    set(&mut app, alive, shoot_right());
    play(&mut app, 1.0);
    for fighter in [corpse, alive] {
        assert_eq!(get::<Score>(&app, fighter), Score::default());
        assert_eq!(get::<Body>(&app, fighter).health, FULL_HEALTH);
        assert_eq!(get::<Life>(&app, fighter).number, 1);
    }
    assert_eq!(app.world_mut().query::<&Bullet>().iter(app.world()).count(), 0);
}

#[test]
fn with_churn_agents_leave_and_come_back_under_their_ids() {
    let mut app = headless(ArenaSettings {
        players: 6,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    });
    let mut visits = BTreeMap::<i64, BTreeSet<u32>>::new();
    let (mut fewest, mut most) = (usize::MAX, 0);
    for _ in 0..60 * 60 * 2 {
        app.update();
        let world = app.world_mut();
        let present: Vec<Fighter> = world.query::<&Fighter>().iter(world).copied().collect();
        let agents: BTreeSet<i64> = present.iter().map(|fighter| fighter.agent).collect();
        assert_eq!(agents.len(), present.len(), "nobody is here twice");
        for fighter in &present {
            visits.entry(fighter.agent).or_default().insert(fighter.visit);
        }
        (fewest, most) = (fewest.min(present.len()), most.max(present.len()));
    }
    assert!(visits.keys().copied().eq(0..12));
    assert!(visits.values().all(|visits| visits.len() >= 2), "{visits:?}");
    assert!(fewest < 12 && most == 12);
    assert_eq!(app.world().resource::<Clock>().tick, 60 * 60 * 2 - 1);
}

#[test]
fn the_skills_differ() {
    let mut app = headless(ArenaSettings {
        players: 12,
        matches: 4,
        ..ArenaSettings::default()
    });
    for _ in 0..3000 {
        app.update();
    }
    let mut totals = BTreeMap::<usize, Score>::new();
    let world = app.world_mut();
    for (bot, score) in world.query::<(&Bot, &Score)>().iter(world) {
        let total = totals
            .entry(Skill::ALL.iter().position(|skill| *skill == bot.skill).unwrap_or(9))
            .or_default();
        total.coins += score.coins;
        total.hits += score.hits;
        total.deaths += score.deaths;
    }
    let [wanderer, collector, hunter] = [totals[&0], totals[&1], totals[&2]];
    assert!(
        collector.coins > 2 * hunter.coins && collector.coins > 2 * wanderer.coins,
        "{totals:?}"
    );
    assert!(
        hunter.hits > 2 * collector.hits && collector.hits > wanderer.hits,
        "{totals:?}"
    );
    assert!(
        hunter.deaths > 0 && collector.deaths > 0 && wanderer.deaths > 0,
        "{totals:?}"
    );
}
