//! The rules of the game.

use std::collections::{BTreeMap, BTreeSet};

use arena::{
    ArenaSettings, Clock, MatchId,
    bot::{Bot, Skill},
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Deed, Fighter, Gear, Intent, RespawnState, Score},
    headless,
    rules::{BULLET_DAMAGE, COIN_RADIUS, FULL_HEALTH, RESPAWN_SECONDS, ROUND_SECONDS, RUN_SPEED, SHOT_COOLDOWN},
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3, Vec3Swizzles};
use bevy_transform::prelude::Transform;

use crate::support::{fighter_of, get, set, update};

/// An arena after startup, without bots, and with all coins in a corner.
fn without_bots(settings: ArenaSettings) -> App {
    let mut app = headless(settings);
    app.update();
    let world = app.world_mut();
    let bots: Vec<Entity> = world.query_filtered::<Entity, With<Bot>>().iter(world).collect();
    for bot in bots {
        world.entity_mut(bot).remove::<Bot>();
    }
    let corner = 0.99 * world.resource::<ArenaSettings>().half_extent();
    for mut transform in world.query_filtered::<&mut Transform, With<Coin>>().iter_mut(world) {
        transform.translation = Vec3::new(corner, corner, 0.0);
    }
    app
}

/// Two fighters without bots.
fn duel() -> App {
    without_bots(ArenaSettings {
        players: 2,
        ..ArenaSettings::default()
    })
}

/// Moves an agent's fighter, and returns its entity.
fn place_fighter(app: &mut App, agent: i64, position: Vec2) -> Entity {
    let fighter = fighter_of(app, agent);
    set(app, fighter, Transform::from_translation(position.extend(0.0)));
    fighter
}

/// Plays at the default tick rate.
fn play(app: &mut App, seconds: f32) {
    update(app, (seconds * 60.0).round() as u64);
}

fn shoot_right() -> Intent {
    Intent {
        aim: Vec2::X,
        deed: Deed::Shoot,
        ..Intent::default()
    }
}

#[test]
fn a_fighter_runs_where_it_steers_at_running_speed_at_most() {
    let mut app = duel();
    let fighter = place_fighter(&mut app, 0, Vec2::new(-10.0, 0.0));
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
fn walls_stop_fighters() {
    let mut app = duel();
    let fighter = place_fighter(&mut app, 0, Vec2::ZERO);
    let half = app.world().resource::<ArenaSettings>().half_extent();
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
fn a_non_finite_intent_does_not_move_a_fighter() {
    let mut app = duel();
    let fighter = place_fighter(&mut app, 0, Vec2::ZERO);
    let non_finite = Intent {
        steer: Vec2::splat(f32::NAN),
        aim: Vec2::splat(f32::INFINITY),
        deed: Deed::Shoot,
    };
    set(&mut app, fighter, non_finite);
    play(&mut app, 1.0);
    assert_eq!(get::<Transform>(&app, fighter).translation, Vec3::ZERO);
    assert!(get::<Body>(&app, fighter).facing.is_normalized());
}

#[test]
fn a_dash_is_faster_than_running_and_has_a_cooldown() {
    let mut app = duel();
    let fighter = place_fighter(&mut app, 0, Vec2::ZERO);
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
fn a_hit_damages_the_target_and_scores_for_the_shooter() {
    let mut app = duel();
    let shooter = place_fighter(&mut app, 0, Vec2::ZERO);
    let target = place_fighter(&mut app, 1, Vec2::new(5.0, 0.3));
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
fn shots_have_a_cooldown() {
    let mut app = duel();
    let shooter = place_fighter(&mut app, 0, Vec2::ZERO);
    place_fighter(&mut app, 1, Vec2::new(0.0, 9.0));
    set(&mut app, shooter, shoot_right());
    play(&mut app, 10.0 * SHOT_COOLDOWN);
    let shots = get::<Gear>(&app, shooter).shots;
    assert!((9..=11).contains(&shots), "{shots}");
}

#[test]
fn a_dead_fighter_does_nothing_and_respawns_elsewhere() {
    let mut app = duel();
    place_fighter(&mut app, 0, Vec2::new(0.0, 9.0));
    let victim = place_fighter(&mut app, 1, Vec2::ZERO);
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
    play(&mut app, RESPAWN_SECONDS - 0.1);
    assert_eq!(
        get::<Transform>(&app, victim).translation,
        Vec3::ZERO,
        "dead fighters do not move"
    );
    assert_eq!(get::<Gear>(&app, victim).shots, 0, "dead fighters do not shoot");
    assert_eq!(get::<Score>(&app, victim).deaths, 1);
    assert!(!get::<Body>(&app, victim).is_alive());
    play(&mut app, 0.2);
    assert_eq!(get::<Body>(&app, victim).health, FULL_HEALTH);
    assert_ne!(get::<Transform>(&app, victim).translation, Vec3::ZERO);
    assert_eq!(
        get::<RespawnState>(&app, victim),
        RespawnState {
            respawns: 1,
            respawn_in: 0.0
        }
    );
    assert_eq!(get::<Score>(&app, victim).deaths, 1);
}

#[test]
fn fighters_that_kill_each_other_in_one_tick_both_score() {
    let mut app = duel();
    let pair = [
        place_fighter(&mut app, 0, Vec2::ZERO),
        place_fighter(&mut app, 1, Vec2::new(5.0, 0.0)),
    ];
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
        let score = get::<Score>(&app, fighter);
        assert_eq!((score.coins, score.hits, score.kills, score.deaths), (0, 1, 1, 1));
    }
}

#[test]
fn a_coin_goes_to_the_nearest_fighter_and_moves() {
    let mut app = duel();
    let near = place_fighter(&mut app, 1, Vec2::new(0.2, 0.0));
    let far = place_fighter(&mut app, 0, Vec2::new(-0.4 * COIN_RADIUS, 0.0));
    let world = app.world_mut();
    let coin = world
        .query_filtered::<Entity, With<Coin>>()
        .iter(world)
        .next()
        .expect("there are coins");
    world
        .get_mut::<Transform>(coin)
        .expect("coins have a transform")
        .translation = Vec3::ZERO;
    app.update();
    assert_eq!((get::<Score>(&app, near).coins, get::<Score>(&app, far).coins), (1, 0));
    assert_ne!(get::<Transform>(&app, coin).translation, Vec3::ZERO);
    assert_eq!(get::<Coin>(&app, coin).relocations, 1);
}

#[test]
fn neither_bullets_nor_coins_reach_another_match() {
    let mut app = without_bots(ArenaSettings {
        players: 1,
        matches: 2,
        ..ArenaSettings::default()
    });
    let shooter = place_fighter(&mut app, 0, Vec2::ZERO);
    let other = place_fighter(&mut app, 1, Vec2::new(3.0, 0.0));
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
        let score = get::<Score>(&app, fighter);
        assert_eq!((score.coins, score.hits, score.kills, score.deaths), (0, 0, 0, 0));
    }
}

#[test]
fn the_end_of_a_round_resets_all_fighters() {
    let mut app = duel();
    let dead = place_fighter(&mut app, 0, Vec2::ZERO);
    let alive = place_fighter(&mut app, 1, Vec2::new(0.0, 9.0));
    set(
        &mut app,
        alive,
        Score {
            coins: 7,
            ..Score::default()
        },
    );
    play(&mut app, ROUND_SECONDS - 1.0);
    set(
        &mut app,
        dead,
        Body {
            health: 0.0,
            ..Body::default()
        },
    );
    set(&mut app, alive, shoot_right());
    play(&mut app, 1.0);
    for fighter in [dead, alive] {
        assert_eq!(get::<Score>(&app, fighter), Score::default());
        assert_eq!(get::<Body>(&app, fighter).health, FULL_HEALTH);
        assert_eq!(get::<RespawnState>(&app, fighter).respawns, 1);
    }
    assert_eq!(app.world_mut().query::<&Bullet>().iter(app.world()).count(), 0);
}

#[test]
fn with_churn_agents_leave_and_join_again_under_their_ids() {
    let mut app = headless(ArenaSettings {
        players: 6,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    });
    let mut sessions = BTreeMap::<i64, BTreeSet<u32>>::new();
    let (mut fewest, mut most) = (usize::MAX, 0);
    for _ in 0..60 * 60 * 2 {
        app.update();
        let world = app.world_mut();
        let present: Vec<Fighter> = world.query::<&Fighter>().iter(world).copied().collect();
        let agents: BTreeSet<i64> = present.iter().map(|fighter| fighter.agent).collect();
        assert_eq!(agents.len(), present.len(), "an agent is present twice");
        for fighter in &present {
            sessions.entry(fighter.agent).or_default().insert(fighter.session);
        }
        (fewest, most) = (fewest.min(present.len()), most.max(present.len()));
    }
    assert!(sessions.keys().copied().eq(0..12));
    assert!(sessions.values().all(|sessions| sessions.len() >= 2), "{sessions:?}");
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
    update(&mut app, 3000);
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
