//! Same settings, same world, whatever else lives in it.

use arena::{ArenaSettings, MatchId, coin::Coin, fighter::Fighter, headless, world_hash};
use bevy_app::{App, Update};
use bevy_ecs::prelude::*;

fn hash_after(ticks: u32, mut app: App) -> u64 {
    for _ in 0..=ticks {
        app.update();
    }
    world_hash(app.world_mut())
}

fn busy() -> ArenaSettings {
    ArenaSettings {
        players: 9,
        matches: 3,
        churn: true,
        ..ArenaSettings::default()
    }
}

#[test]
fn same_seed_same_world() {
    assert_eq!(hash_after(1500, headless(busy())), hash_after(1500, headless(busy())));
}

#[test]
fn another_seed_another_world() {
    let other = ArenaSettings { seed: 8, ..busy() };
    assert_ne!(hash_after(10, headless(busy())), hash_after(10, headless(other)));
}

#[test]
fn every_tick_changes_the_hash() {
    let mut app = headless(busy());
    app.update();
    let mut last = world_hash(app.world_mut());
    for _ in 0..20 {
        app.update();
        let now = world_hash(app.world_mut());
        assert_ne!(last, now);
        last = now;
    }
}

/// Something that a stranger's plugin leaves lying about.
#[derive(Component)]
struct Clutter;

#[derive(Resource, Default)]
struct Bookkeeping;

#[test]
fn strangers_in_the_world_change_nothing() {
    let mut app = headless(busy());
    // Entity ids shift before anyone is spawned, archetypes divide and queries change their order in mid-game.
    app.init_resource::<Bookkeeping>();
    app.world_mut().spawn_batch((0..1000).map(|_| Clutter));
    app.add_observer(|_: On<Add, Fighter>, mut commands: Commands| {
        commands.spawn(Clutter);
    });
    app.add_systems(
        Update,
        |fighters: Query<(Entity, &Fighter, Has<Clutter>)>, coins: Query<(Entity, &Coin)>, mut commands: Commands| {
            for (entity, fighter, cluttered) in &fighters {
                match (fighter.agent % 4, cluttered) {
                    (1, true) => _ = commands.entity(entity).remove::<Clutter>(),
                    (0 | 1, false) => _ = commands.entity(entity).insert(Clutter),
                    _ => {}
                }
            }
            for (entity, coin) in &coins {
                if coin.number.is_multiple_of(3) {
                    commands.entity(entity).insert(Clutter);
                }
            }
        },
    );
    assert_eq!(hash_after(1500, app), hash_after(1500, headless(busy())));
}

/// Everything about one match, in one list.
fn state_of(app: &mut App, wanted: MatchId) -> Vec<String> {
    let world = app.world_mut();
    let mut query = world.query::<(
        &MatchId,
        &Fighter,
        &bevy_transform::prelude::Transform,
        &arena::fighter::Score,
    )>();
    let mut all: Vec<_> = query
        .iter(world)
        .filter(|(match_id, ..)| **match_id == wanted)
        .map(|(_, fighter, transform, score)| format!("{} {:?} {score:?}", fighter.agent, transform.translation))
        .collect();
    all.sort();
    all
}

#[test]
fn a_match_is_the_same_with_and_without_others_beside_it() {
    let alone = ArenaSettings { matches: 1, ..busy() };
    let (mut alone, mut beside) = (headless(alone), headless(busy()));
    for _ in 0..1500 {
        alone.update();
        beside.update();
    }
    assert_eq!(state_of(&mut alone, MatchId(0)), state_of(&mut beside, MatchId(0)));
    assert_ne!(state_of(&mut beside, MatchId(0)), state_of(&mut beside, MatchId(1)));
}
