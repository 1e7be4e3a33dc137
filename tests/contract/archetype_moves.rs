//! Players that move between archetypes, so that each capture reads them in another order.

use crate::{
    player::Player,
    support::{SparseTag, TableTag},
};
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The agent id, and the tick.
#[derive(Component, Reflect)]
struct Stamp([f32; 2]);

/// Plays a game in which each row holds its agent id and tick. Returns the number of recorded transitions.
fn play(recording: Recording<Player>) -> usize {
    let mut test = TestApp::new();
    test.record(recording.observe::<Stamp>());
    let mut rng = StdRng::seed_from_u64(5);
    let spawn = |world: &mut World, id: u16| {
        let stamp = Stamp([f32::from(id), 0.0]);
        (id, world.spawn((Player, AgentId(i64::from(id)), stamp)).id())
    };
    let mut players: Vec<_> = (0..300).map(|id| spawn(test.world_mut(), id)).collect();
    let mut steps = 0;
    for tick in 0..60_u8 {
        for place in (0..players.len()).rev() {
            let (_, player) = players[place];
            let world = test.world_mut();
            world.get_mut::<Stamp>(player).unwrap().0[1] = f32::from(tick);
            let mut entity = world.entity_mut(player);
            match rng.random_range(0..40) {
                0 => {
                    entity.insert(TableTag);
                }
                1 => {
                    entity.remove::<TableTag>();
                }
                2 => {
                    entity.insert(SparseTag);
                }
                3 => {
                    entity.remove::<SparseTag>();
                }
                4 if tick > 0 => {
                    // Despawned at once, and a new entity takes over its index.
                    entity.despawn();
                    players.swap_remove(place);
                }
                _ => {}
            }
        }
        steps += players.len();
        let id = 1000 + u16::from(tick);
        players.push(spawn(test.world_mut(), id));
        test.world_mut().get_mut::<Stamp>(players.last().unwrap().1).unwrap().0[1] = f32::from(tick);
        test.ticks(1);
    }
    let mut recorded = 0;
    for episode in test.finish() {
        for (index, row) in (0..).zip(episode.transitions()) {
            let agent = episode.info().agent_id;
            let (before, after) = (row.observation(), row.next_observation());
            assert_eq!([before[0], after[0]], [agent as f32; 2], "row of another agent");
            // A player that leaves is read in the same tick.
            assert_eq!(after[1], before[1] + 1.0, "agent {agent}, step {index}");
            recorded += 1;
        }
    }
    let report = test.report();
    assert_eq!((report.recorded, report.dropped), (recorded as u64, 0));
    assert!(recorded >= steps - 300, "{recorded} of {steps}");
    recorded
}

#[test]
fn rows_stay_with_their_agent_across_archetype_moves() {
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
