//! Observers of the game that use `Experience` while the plugin works.

use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

/// What observers found: recordings, and captures so far.
#[derive(Resource, Default)]
struct Found(Vec<(usize, i64)>);

fn look(experience: &Experience, found: &mut Found) {
    found.0.push((experience.recordings().count(), experience.tick()));
}

#[test]
fn an_observer_of_the_reward_that_a_capture_inserts_finds_the_recordings() {
    let mut test = TestApp::new();
    test.init_resource::<Found>();
    // The marker is in use before the recording is added, so that no `Reward` comes with it.
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_observer(
        |insert: On<Insert, Reward>, experience: Res<Experience>, mut found: ResMut<Found>, mut commands: Commands| {
            look(&experience, &mut found);
            commands.trigger(EndEpisode::terminated(insert.entity, "goal"));
            commands.trigger(BeginEpisode { entity: insert.entity });
        },
    );
    test.ticks(3);
    assert_eq!(test.world().resource::<Found>().0, [(1, 0)]);
    assert!(test.world().entity(player).contains::<Reward>());
    assert_eq!(test.finish().iter().map(Episode::len).sum::<usize>(), 2);
}

#[test]
fn observers_of_ends_find_the_recordings() {
    let mut test = TestApp::new();
    test.init_resource::<Found>();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_observer(
        |_: On<EndEpisode>, experience: Res<Experience>, mut found: ResMut<Found>| {
            look(&experience, &mut found);
        },
    );
    test.add_observer(
        |_: On<EpisodeEnded>, mut experience: ResMut<Experience>, mut found: ResMut<Found>| {
            look(&experience, &mut found);
            experience.pause("the round is over");
        },
    );
    test.add_observer(
        |_: On<Despawn, Player>, experience: Res<Experience>, mut found: ResMut<Found>| {
            look(&experience, &mut found);
        },
    );
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().despawn(player);
    assert_eq!(test.world().resource::<Found>().0, [(1, 3); 3]);
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
    // Bevy has lost the schedule that panicked, so no tick follows: the app is closed.
    assert!(!test.finish().is_empty(), "what was recorded is written");
}
