//! Contract, rule 8 (the game comes first): worlds that are saved, loaded or cloned are those of the game.
//!
//! [`save`] and [`load`] follow `DynamicWorld` of `bevy_world_serialization`, which this package does not depend on, because it
//! builds Bevy's assets.

use crate::{
    player::{Age, Player},
    support::{experience, grow_with_reward},
};
use bevy_app::prelude::*;
use bevy_ecs::{
    archetype::Archetype,
    component::ComponentCloneBehavior,
    entity::{EntityCloner, EntityHashMap, SceneEntityMapper},
    prelude::*,
    reflect::{AppTypeRegistry, ReflectComponent, ReflectResource},
    relationship::RelationshipHookMode,
    resource::IsResource,
};
use bevy_experience::{plugin::LiveSettings, prelude::*, test_app::TestApp};
use bevy_reflect::{
    Reflect,
    serde::{ReflectDeserializer, ReflectSerializer},
};
use core::time::Duration;
use serde::de::DeserializeSeed;
use serde_json::Value;

/// A component of the game that is part of its saved worlds.
#[derive(Component, Reflect, Default, Clone, Debug, PartialEq)]
#[reflect(Component)]
struct Level(u32);

/// The marker of a recording that is part of the game's saved worlds.
#[derive(Component, Reflect, Default, Clone)]
#[reflect(Component)]
struct Hero;

/// The serialized components of each entity, and the serialized resources.
#[derive(Debug, PartialEq)]
struct SavedWorld {
    entities: Vec<Vec<Value>>,
    resources: Vec<Value>,
}

fn save(world: &World) -> SavedWorld {
    let registry = world.resource::<AppTypeRegistry>().read();
    let mut saved = SavedWorld {
        entities: Vec::new(),
        resources: Vec::new(),
    };
    for entity in world.archetypes().iter().flat_map(Archetype::entities) {
        let entity = world.entity(entity.id());
        let is_resource = entity.contains::<IsResource>();
        let mut components = Vec::new();
        for &component in entity.archetype().components() {
            let info = world.components().get_info(component);
            let registration = info.and_then(|info| registry.get(info.type_id()?));
            let Some(registration) = registration else { continue };
            let path = registration.type_info().type_path();
            if !path.starts_with("contract") && !path.starts_with("bevy_experience") {
                // Some of Bevy's resources, such as `Time<Real>`, cannot be serialized.
                continue;
            }
            let is_saved = !is_resource || registration.data::<ReflectResource>().is_some();
            let Some(reflect) = registration.data::<ReflectComponent>().filter(|_| is_saved) else {
                continue;
            };
            if let Some(value) = reflect.reflect(entity) {
                components.push(serde_json::to_value(ReflectSerializer::new(value, &registry)).unwrap());
            }
        }
        if is_resource {
            saved.resources.append(&mut components);
        } else if !components.is_empty() {
            saved.entities.push(components);
        }
    }
    saved
}

/// Loads a saved world. Returns its entities.
fn load(world: &mut World, saved: &SavedWorld) -> Vec<Entity> {
    let registry = world.resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    let mut map = EntityHashMap::default();
    let entities: Vec<_> = saved.entities.iter().map(|_| world.spawn_empty().id()).collect();
    for (&entity, components) in entities.iter().zip(&saved.entities) {
        for component in components {
            let value = ReflectDeserializer::new(&registry)
                .deserialize(component)
                .unwrap_or_else(|error| panic!("{component} cannot be loaded: {error}"));
            let type_id = value.get_represented_type_info().unwrap().type_id();
            let reflect = registry.get_type_data::<ReflectComponent>(type_id).unwrap();
            let id = reflect.register_component(world);
            if matches!(
                world.components().get_info(id).unwrap().clone_behavior(),
                ComponentCloneBehavior::Ignore
            ) {
                continue;
            }
            SceneEntityMapper::world_scope(&mut map, world, |world, mapper| {
                reflect.apply_or_insert_mapped(
                    &mut world.entity_mut(entity),
                    &*value,
                    &registry,
                    mapper,
                    RelationshipHookMode::Skip,
                );
            });
        }
    }
    entities
}

fn hero_app() -> TestApp {
    let mut test = TestApp::new();
    test.register_type::<Hero>()
        .register_type::<Level>()
        .register_type::<LiveSettings>();
    test.record(Recording::<Hero>::new("hero").observe::<Age>().reward_terms(["step"]));
    test.add_systems(FixedUpdate, grow_with_reward);
    test
}

#[test]
fn a_saved_world_holds_only_what_the_game_inserted_and_loads_again() {
    let mut test = hero_app();
    let hero = (Hero, Level(3), Age(0.0));
    test.world_mut().spawn((hero, AgentId(7), DoNotRecord));
    let rewarded = (Hero, Level(4), Age(0.0), AgentId(8), Controller::script("hunter"));
    let rewarded = test.world_mut().spawn(rewarded).id();
    test.ticks(3);
    let mut reward = test.world_mut().get_mut::<Reward>(rewarded).unwrap();
    reward.add("step", 2.0);
    reward.add_to("hero", "bonus", 1.0);

    let saved = save(test.world());
    let text = format!("{saved:?}");
    assert!(
        !text.contains("Reward"),
        "inserted by the plugin, not by the game: {text}"
    );
    assert!(
        !text.contains("LiveSettings"),
        "settings of the process, not of the game: {text}"
    );
    assert_eq!(saved.entities.len(), 2, "{text}");

    let mut loaded = hero_app();
    let heroes = load(loaded.world_mut(), &saved);
    assert_eq!(save(loaded.world()).entities, saved.entities);
    let world = loaded.world();
    let first = world.entity(heroes[0]);
    assert_eq!(
        (first.get::<AgentId>(), first.get::<Level>()),
        (Some(&AgentId(7)), Some(&Level(3)))
    );
    assert!(first.contains::<DoNotRecord>(), "consent is part of the saved world");
    assert_eq!(world.get::<AgentId>(heroes[1]), Some(&AgentId(8)));
    assert_eq!(world.get::<Controller>(heroes[1]), Some(&Controller::script("hunter")));
    assert_eq!(
        world.get::<Reward>(heroes[1]),
        Some(&Reward::default()),
        "a reward belongs to one tick of one run"
    );
    loaded.world_mut().entity_mut(heroes[1]).insert(Age(0.0));
    loaded.ticks(3);
    let episodes = loaded.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!((episodes[0].info().agent_id, episodes[0].total_reward()), (8, 2.0));
}

#[test]
fn a_world_without_the_plugin_loads_a_saved_world() {
    let mut test = hero_app();
    test.world_mut().spawn((Hero, Level(3), Age(0.0)));
    test.ticks(2);
    let saved = save(test.world());
    let mut other = App::new();
    other.register_type::<Hero>().register_type::<Level>();
    let heroes = load(other.world_mut(), &saved);
    assert_eq!(other.world().get::<Level>(heroes[0]), Some(&Level(3)));
}

#[test]
fn every_registered_type_can_be_serialized_and_deserialized() {
    let test = hero_app();
    let registry = test.world().resource::<AppTypeRegistry>().read();
    let mut reward = Reward::default();
    reward.add("coin", 1.0);
    let live = LiveSettings {
        flush_interval: Duration::from_millis(30),
        ..Default::default()
    };
    let controllers = [
        Controller::Person,
        Controller::script("hunter"),
        Controller::policy("fighter", 3),
    ];
    let values: [&dyn Reflect; 4] = [&AgentId(-3), &DoNotRecord, &reward, &live];
    let controllers = controllers.iter().map(|controller| controller as &dyn Reflect);
    let values = values.into_iter().chain(controllers);
    for value in values {
        let text = serde_json::to_string(&ReflectSerializer::new(value.as_partial_reflect(), &registry)).unwrap();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let loaded = ReflectDeserializer::new(&registry).deserialize(&mut deserializer);
        assert!(loaded.is_ok(), "{text}: {loaded:?}");
    }
}

#[test]
fn a_clone_of_a_player_is_a_player_of_its_own() {
    let mut test = hero_app();
    let hero = (Hero, Level(3), Age(0.0), AgentId(7), Controller::Person);
    let hero = test.world_mut().spawn(hero).id();
    test.ticks(3);
    test.world_mut().get_mut::<Reward>(hero).unwrap().add("bonus", 100.0);
    let clone = test.world_mut().entity_mut(hero).clone_and_spawn();
    test.world_mut().entity_mut(clone).insert(Age(50.0));
    let world = test.world();
    assert_eq!(world.get::<AgentId>(clone), None, "an agent id identifies one player");
    assert_eq!(
        world.get::<Reward>(clone),
        Some(&Reward::default()),
        "the reward was given to the original"
    );
    assert_eq!(world.get::<Level>(clone), Some(&Level(3)));
    assert_eq!(world.get::<Controller>(clone), Some(&Controller::Person));
    test.ticks(3);
    test.world_mut().despawn(clone);
    test.ticks(3);
    assert_eq!(experience(&mut test).players("hero").count(), 1);
    let episodes = test.finish();
    let found: Vec<_> = episodes
        .iter()
        .map(|episode| (episode.len(), episode.total_reward(), episode.reason().to_string()))
        .collect();
    assert_eq!(
        found,
        [(8, 108.0, "shutdown".to_owned()), (2, 2.0, "left".to_owned())],
        "the original, and then the clone"
    );
    assert_eq!(test.report().refused_agents, 0);
    let opted_out = test.world_mut().spawn((Hero, DoNotRecord)).id();
    let clone = test.world_mut().entity_mut(opted_out).clone_and_spawn();
    assert!(
        test.world().entity(clone).contains::<DoNotRecord>(),
        "consent is copied"
    );
}

#[test]
fn a_player_that_is_moved_to_another_entity_keeps_its_agent_id_and_its_reward() {
    let mut test = hero_app();
    let hero = test.world_mut().spawn((Hero, Age(0.0), AgentId(7))).id();
    test.world_mut().get_mut::<Reward>(hero).unwrap().add("step", 1.0);
    let target = test.world_mut().spawn_empty().id();
    let mut cloner = EntityCloner::build_opt_out(test.world_mut());
    cloner.move_components(true);
    cloner.clone_entity(hero, target);
    let world = test.world();
    assert_eq!(world.get::<AgentId>(target), Some(&AgentId(7)));
    assert_eq!(world.get::<Reward>(target).map(Reward::total), Some(1.0));
}

#[test]
fn the_marker_of_other_tests_needs_no_reflection() {
    // A player whose components are not registered is cloned without them, and still has a `Reward`.
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(2);
    let clone = test.world_mut().entity_mut(player).clone_and_spawn();
    test.ticks(2);
    test.world_mut().despawn(clone);
    test.ticks(2);
    assert_eq!(test.finish().len(), 1);
}
