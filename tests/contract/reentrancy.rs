//! Observers of the game that access `Experience` while the plugin runs.

use crate::player::{Age, Player};
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What observers read: the number of recordings and the tick.
#[derive(Resource, Default)]
struct Readings(Vec<(usize, i64)>);

fn read(experience: &Experience, readings: &mut Readings) {
    readings.0.push((
        experience.recordings().count(),
        experience.tick("player").unwrap_or_default(),
    ));
}

#[test]
fn an_observer_of_an_inserted_reward_can_read_the_recordings() {
    let mut test = TestApp::new();
    test.init_resource::<Readings>();
    // The marker is in use before the recording is added, so that no `Reward` comes with it.
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_observer(
        |insert: On<Insert, Reward>,
         experience: Res<Experience>,
         mut readings: ResMut<Readings>,
         mut commands: Commands| {
            read(&experience, &mut readings);
            commands.trigger(EndEpisode::terminated(insert.entity, "goal"));
            commands.trigger(BeginEpisode { entity: insert.entity });
        },
    );
    test.ticks(3);
    assert_eq!(test.world().resource::<Readings>().0, [(1, 0)]);
    assert!(test.world().entity(player).contains::<Reward>());
    assert_eq!(test.finish().iter().map(Episode::len).sum::<usize>(), 2);
}

#[test]
fn observers_of_ends_can_read_the_recordings() {
    let mut test = TestApp::new();
    test.init_resource::<Readings>();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_observer(
        |_: On<EndEpisode>, experience: Res<Experience>, mut readings: ResMut<Readings>| {
            read(&experience, &mut readings);
        },
    );
    test.add_observer(
        |_: On<EpisodeEnded>, mut experience: ResMut<Experience>, mut readings: ResMut<Readings>| {
            read(&experience, &mut readings);
            experience.pause("the round is over");
        },
    );
    test.add_observer(
        |_: On<Despawn, Player>, experience: Res<Experience>, mut readings: ResMut<Readings>| {
            read(&experience, &mut readings);
        },
    );
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().despawn(player);
    assert_eq!(test.world().resource::<Readings>().0, [(1, 3); 3]);
    assert!(test.world().resource::<Experience>().is_paused());
    assert_eq!(test.finish().len(), 1);
}

#[test]
fn a_panic_while_an_end_is_staged_loses_no_recording() {
    let panics = Arc::<AtomicBool>::default();
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_with::<Age>(["age"], {
        let panics = panics.clone();
        move |age, out| {
            assert!(!panics.load(Ordering::Relaxed), "a bug in the game");
            out[0] = age.0;
        }
    }));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    panics.store(true, Ordering::Relaxed);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    }));
    assert!(ended.is_err());
    assert_eq!(test.world().resource::<Experience>().recordings().count(), 1);
    let captured = catch_unwind(AssertUnwindSafe(|| test.ticks(1)));
    assert!(captured.is_err());
    assert_eq!(test.world().resource::<Experience>().recordings().count(), 1);
    // Bevy drops a schedule that panics, so no further tick can run.
    assert!(!test.finish().is_empty(), "recorded rows are written");
}
