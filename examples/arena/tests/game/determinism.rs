//! Equal settings give equal worlds, whatever other plugins add.

use arena::{
    ArenaSettings, MatchId,
    coin::Coin,
    fighter::{Fighter, Score},
    headless, world_hash,
};
use bevy_app::{App, Update};
use bevy_ecs::prelude::*;
use bevy_transform::prelude::Transform;

use crate::support::{hash_after, update};

/// Several matches with churn.
fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 9,
        matches: 3,
        churn: true,
        ..ArenaSettings::default()
    }
}

#[test]
fn equal_settings_give_equal_worlds() {
    let hashes = [(); 2].map(|()| hash_after(1500, &mut headless(settings())));
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn another_seed_gives_another_world() {
    let other = ArenaSettings { seed: 8, ..settings() };
    assert_ne!(
        hash_after(10, &mut headless(settings())),
        hash_after(10, &mut headless(other))
    );
}

#[test]
fn every_tick_changes_the_hash() {
    let mut app = headless(settings());
    app.update();
    let mut last = world_hash(app.world_mut());
    for _ in 0..20 {
        app.update();
        let now = world_hash(app.world_mut());
        assert_ne!(last, now);
        last = now;
    }
}

/// A component of an unrelated plugin.
#[derive(Component)]
struct UnrelatedComponent;

/// A resource of an unrelated plugin.
#[derive(Resource, Default)]
struct UnrelatedResource;

#[test]
fn unrelated_plugins_do_not_change_the_game() {
    let mut app = headless(settings());
    // These shift entity ids before any fighter is spawned, and change archetypes and query order during the game.
    app.init_resource::<UnrelatedResource>();
    app.world_mut().spawn_batch((0..1000).map(|_| UnrelatedComponent));
    app.add_observer(|_: On<Add, Fighter>, mut commands: Commands| {
        commands.spawn(UnrelatedComponent);
    });
    app.add_systems(
        Update,
        |fighters: Query<(Entity, &Fighter, Has<UnrelatedComponent>)>,
         coins: Query<(Entity, &Coin)>,
         mut commands: Commands| {
            for (entity, fighter, is_marked) in &fighters {
                match (fighter.agent % 4, is_marked) {
                    (1, true) => _ = commands.entity(entity).remove::<UnrelatedComponent>(),
                    (0 | 1, false) => _ = commands.entity(entity).insert(UnrelatedComponent),
                    _ => {}
                }
            }
            for (entity, coin) in &coins {
                if coin.number.is_multiple_of(3) {
                    commands.entity(entity).insert(UnrelatedComponent);
                }
            }
        },
    );
    assert_eq!(hash_after(1500, &mut app), hash_after(1500, &mut headless(settings())));
}

/// The positions and scores of the fighters of one match, sorted.
fn match_state(app: &mut App, wanted: MatchId) -> Vec<String> {
    let world = app.world_mut();
    let mut query = world.query::<(&MatchId, &Fighter, &Transform, &Score)>();
    let mut all: Vec<_> = query
        .iter(world)
        .filter(|(match_id, ..)| **match_id == wanted)
        .map(|(_, fighter, transform, score)| format!("{} {:?} {score:?}", fighter.agent, transform.translation))
        .collect();
    all.sort();
    all
}

#[test]
fn other_matches_do_not_change_a_match() {
    let single = ArenaSettings {
        matches: 1,
        ..settings()
    };
    let (mut alone, mut beside) = (headless(single), headless(settings()));
    update(&mut alone, 1500);
    update(&mut beside, 1500);
    assert_eq!(
        match_state(&mut alone, MatchId(0)),
        match_state(&mut beside, MatchId(0))
    );
    assert_ne!(
        match_state(&mut beside, MatchId(0)),
        match_state(&mut beside, MatchId(1))
    );
}
