//! The quick start of the README, unchanged, in a game that moves in `Update` and in one that moves in fixed ticks.

use super::games::{app, close, run};
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_transform::prelude::*;

#[derive(Component)]
struct Fighter;

#[derive(Component, Reflect)]
struct Health(f32);

#[derive(Component, Reflect)]
struct Intent {
    turn: f32,
    shoot: bool,
}

/// What the game consumed: the action, and the place and health after it.
#[derive(Resource, Default)]
struct Consumed(Vec<(f32, bool, f32, f32)>);

fn decide(mut fighters: Query<&mut Intent>, mut count: Local<u32>) {
    *count += 1;
    for mut intent in &mut fighters {
        intent.turn = (*count % 7) as f32;
        intent.shoot = count.is_multiple_of(3);
    }
}

fn fight(mut fighters: Query<(&Intent, &mut Transform, &mut Health)>, mut consumed: ResMut<Consumed>) {
    for (intent, mut transform, mut health) in &mut fighters {
        transform.translation.x += intent.turn;
        health.0 -= if intent.shoot { 5.0 } else { 1.0 };
        consumed
            .0
            .push((intent.turn, intent.shoot, transform.translation.x, health.0));
    }
}

fn score(mut fighters: Query<(Entity, &Health, &mut Reward)>, mut commands: Commands) {
    for (fighter, health, mut reward) in &mut fighters {
        reward.add("alive", 0.01);
        if health.0 <= 0.0 {
            commands.trigger(EndEpisode::terminated(fighter, "death"));
        }
    }
}

fn respawn(ended: On<EpisodeEnded>, mut fighters: Query<(&mut Transform, &mut Health)>) {
    if let Ok((mut transform, mut health)) = fighters.get_mut(ended.entity) {
        *transform = Transform::IDENTITY;
        health.0 = 100.0;
    }
}

fn play(hertz: u32, schedule: InternedScheduleLabel) {
    let sink = MemorySink::default();
    let mut app = app();
    app.init_resource::<Consumed>()
        .add_recording(
            Recording::<Fighter>::new("fighter")
                .observe_fields::<Transform>(["translation.x", "translation.y"])
                .observe::<Health>()
                .act::<Intent>()
                .reward_terms(["alive"])
                .sink(sink.clone()),
        )
        .add_systems(schedule, (decide, fight, score).chain())
        .add_observer(respawn);
    app.world_mut().spawn((
        Fighter,
        Transform::IDENTITY,
        Health(100.0),
        Intent {
            turn: 0.0,
            shoot: false,
        },
    ));
    run(&mut app, hertz, 300);
    close(&mut app);
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    let rows: Vec<_> = episodes
        .iter()
        .flat_map(Episode::transitions)
        .map(|transition| {
            assert!((transition.reward() - 0.01).abs() < 1e-9);
            let action: Vec<_> = transition.action().collect();
            let next = transition.next_observation();
            (action[0] as f32, action[1] != 0.0, next[0], next[2])
        })
        .collect();
    let consumed = &app.world().resource::<Consumed>().0;
    assert!(consumed.len() > 100);
    assert_eq!(rows, consumed[1..], "{schedule:?} at {hertz} Hz");
    let deaths = consumed[1..].iter().filter(|step| step.3 <= 0.0).count();
    let terminated = episodes.iter().filter(|episode| {
        episode
            .transitions()
            .last()
            .is_some_and(bevy_experience::transition::Transition::terminated)
    });
    assert_eq!(terminated.count(), deaths);
}

#[test]
fn every_row_is_right_in_both_loops() {
    for hertz in [30, 60, 64, 144] {
        play(hertz, Update.intern());
        play(hertz, FixedUpdate.intern());
    }
}
