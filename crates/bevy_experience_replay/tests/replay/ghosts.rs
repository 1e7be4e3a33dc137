//! Ghosts are not recorded, and show final observations.

use crate::game::{self, Body, Hero};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_experience_replay::Replay;
use bevy_reflect::Reflect;

#[test]
fn a_ghost_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    game::play(folder.path(), &game::still(5));
    let mut app = game::app();
    let ghost = game::spawn_ghost(&mut app, Replay::new(game::episode(folder.path())));
    app.world_mut().entity_mut(ghost).insert(Hero);
    app.ticks(3);
    app.world_mut().entity_mut(ghost).remove::<DoNotRecord>();
    assert!(app.world_mut().get::<DoNotRecord>(ghost).is_some());
    app.ticks(3);
    assert_eq!(app.world_mut().resource::<Experience>().players("hero").count(), 0);
    // With its replay it goes, and the entity becomes a player.
    app.world_mut().entity_mut(ghost).remove::<(Replay, DoNotRecord)>();
    assert!(app.world_mut().get::<DoNotRecord>(ghost).is_none());
    app.ticks(3);
    assert_eq!(app.world_mut().resource::<Experience>().players("hero").count(), 1);
    app.world_mut().despawn(ghost);
    let episodes = app.finish();
    assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [2]);
}

#[derive(Component, Reflect, Clone, Copy, Debug, PartialEq)]
struct Health(f32);

#[test]
fn the_last_step_is_the_final_observation() {
    let mut app = game::with_replays(TestApp::new());
    app.record(Recording::<Hero>::new("mortal").observe::<Health>());
    app.add_systems(
        FixedUpdate,
        |mut heroes: Query<(Entity, &mut Health), Without<Replay>>, mut commands: Commands| {
            for (hero, mut health) in &mut heroes {
                health.0 -= 1.0;
                if health.0 == 0.0 {
                    commands.trigger(EndEpisode::terminated(hero, "death"));
                }
            }
        },
    );
    app.add_observer(|ended: On<EpisodeEnded>, mut heroes: Query<&mut Health>| {
        if let Ok(mut health) = heroes.get_mut(ended.entity) {
            health.0 = 100.0;
        }
    });
    app.world_mut().spawn((Hero, Health(4.0)));
    app.ticks(6);
    let episode = app.finish().remove(0);
    // Recording is closed, and replays go on.
    let ghost = app.world_mut().spawn((Replay::new(episode), Health(0.5))).id();
    let mut shown = Vec::new();
    for _ in 0..5 {
        app.ticks(1);
        shown.push(app.world_mut().get::<Health>(ghost).unwrap().0);
    }
    assert_eq!(shown, [3.0, 2.0, 1.0, 0.0, 0.0]);
}

#[test]
fn replays_do_not_change_what_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    game::play(folder.path(), &game::still(5));
    let recorded = |ghosts: usize| {
        let mut app = game::app();
        app.add_systems(FixedUpdate, |mut heroes: Query<&mut Body, Without<Replay>>| {
            heroes.iter_mut().for_each(|mut body| body.place.x += 1.0);
        });
        app.world_mut().spawn((
            Hero,
            Body::default(),
            game::Mind::default(),
            game::Screen::default(),
            game::Intent::default(),
        ));
        for _ in 0..ghosts {
            let ghost = game::spawn_ghost(&mut app, Replay::new(game::episode(folder.path())));
            app.world_mut().entity_mut(ghost).insert(Hero);
        }
        app.ticks(8);
        let episodes = app.finish();
        let rows = episodes.iter().flat_map(Episode::transitions);
        rows.map(|transition| transition.observation().to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(recorded(3), recorded(0));
}
