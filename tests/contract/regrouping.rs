//! Players whom every capture meets in another order than the one before.

use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[derive(Component)]
struct Player;

/// Who it is, and at which tick.
#[derive(Component, Reflect)]
struct Mark([f32; 2]);

/// A player with it stands in another table.
#[derive(Component)]
struct Banner;

/// The same, but its table is the one without it.
#[derive(Component)]
#[component(storage = "SparseSet")]
struct Ribbon;

/// How many steps were recorded of players of whom each row says who it is and when.
fn play(recording: Recording<Player>) -> usize {
    let mut test = TestApp::new();
    test.record(recording.observe::<Mark>());
    let mut rng = StdRng::seed_from_u64(5);
    let spawn = |world: &mut World, id: u16| {
        let mark = Mark([f32::from(id), 0.0]);
        (id, world.spawn((Player, AgentId(i64::from(id)), mark)).id())
    };
    let mut players: Vec<_> = (0..300).map(|id| spawn(test.world_mut(), id)).collect();
    let mut steps = 0;
    for tick in 0..60_u8 {
        for place in (0..players.len()).rev() {
            let (_, player) = players[place];
            let world = test.world_mut();
            world.get_mut::<Mark>(player).unwrap().0[1] = f32::from(tick);
            let mut entity = world.entity_mut(player);
            match rng.random_range(0..40) {
                0 => {
                    entity.insert(Banner);
                }
                1 => {
                    entity.remove::<Banner>();
                }
                2 => {
                    entity.insert(Ribbon);
                }
                3 => {
                    entity.remove::<Ribbon>();
                }
                4 if tick > 0 => {
                    // It is gone at once, and somebody new takes over its index.
                    entity.despawn();
                    players.swap_remove(place);
                }
                _ => {}
            }
        }
        steps += players.len();
        let id = 1000 + u16::from(tick);
        players.push(spawn(test.world_mut(), id));
        test.world_mut().get_mut::<Mark>(players.last().unwrap().1).unwrap().0[1] = f32::from(tick);
        test.ticks(1);
    }
    let mut seen = 0;
    for episode in test.finish() {
        for (index, row) in (0..).zip(episode.transitions()) {
            let agent = episode.info().agent_id;
            let (before, after) = (row.observation(), row.next_observation());
            assert_eq!([before[0], after[0]], [agent as f32; 2], "another's row");
            // One who left was seen when it did, in the same tick.
            assert_eq!(after[1], before[1] + 1.0, "agent {agent}, step {index}");
            seen += 1;
        }
    }
    let report = test.report();
    assert_eq!((report.recorded, report.dropped), (seen as u64, 0));
    assert!(seen >= steps - 300, "{seen} of {steps}");
    seen
}

#[test]
fn each_row_is_its_own_players_wherever_that_stands() {
    let own = play(Recording::new("own"));
    let shared = play(Recording::new("shared").scaling(PlayerScaling {
        pool_above: Some(0),
        ..Default::default()
    }));
    let some = play(Recording::new("some").scaling(PlayerScaling {
        pool_above: Some(310),
        ..Default::default()
    }));
    assert_eq!((own, own), (shared, some));
}
