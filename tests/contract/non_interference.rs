//! Contract, rule 8 (non-interference): recording does not change the simulation.

use crate::player::{Age, Player};
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, LogLevel, ScheduleBuildSettings, ScheduleLabel},
};
use bevy_experience::{plugin::ExperienceCapture, prelude::*, test_app::TestApp};
use bevy_reflect::{Reflect, TypePath};
use bevy_transform::components::Transform;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

#[derive(Component, Reflect)]
struct Noise(u32);

#[derive(Component, TypePath)]
struct Marked;

#[derive(Resource, Default)]
struct WorldHash(DefaultHasher);

/// Hashes a game that depends on what a recorder could disturb: the order of queries, archetypes, change detection, and the
/// ticks at which players are reset.
fn game(enabled: bool) -> u64 {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled,
        ..Default::default()
    });
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .observe::<Noise>()
            .observe_has::<Marked>()
            .observe_count::<Marked>()
            .observe_related::<ChildOf, Age>()
            .observe_single::<Marked, Age>()
            .observe_system(["players"], |players: PlayerValues, ages: Query<&Age>| {
                players
                    .into_iter()
                    .for_each(|(_, values)| values[0] = ages.iter().count() as f32);
            })
            .act::<Noise>()
            .reward_terms(["x"])
            .episodes(EpisodeRules {
                start: EpisodeStart::OnEvent,
                max_steps: 20,
                ..Default::default()
            }),
    );
    test.record(
        Recording::<Marked>::new("marked")
            .observe::<Age>()
            .observe_entities(
                EntityList::new("others", 3)
                    .kind::<Marked>("marked")
                    .kind::<Player>("player")
                    .with_field::<Age>(""),
            )
            .decision_interval(3)
            .buffers(BufferSettings {
                capacity: 4,
                ..Default::default()
            }),
    );
    test.init_resource::<WorldHash>();
    test.add_observer(
        |ended: On<EpisodeEnded>,
         mut ages: Query<&mut Age>,
         mut world_hash: ResMut<WorldHash>,
         mut commands: Commands| {
            world_hash.0.write_u32(7);
            if let Ok(mut age) = ages.get_mut(ended.entity) {
                age.0 = 0.0;
            }
            commands.trigger(BeginEpisode { entity: ended.entity });
        },
    );
    test.add_systems(
        FixedUpdate,
        (
            |mut players: Query<(&mut Age, &mut Noise, &mut Reward)>| {
                for (mut age, mut noise, mut reward) in &mut players {
                    noise.0 = noise.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    age.0 += (noise.0 >> 24) as f32;
                    // A bug in the game, which must have the same effect when it is recorded.
                    if noise.0 >> 24 == 3 {
                        age.0 = f32::NAN;
                    }
                    reward.add("x", f64::from(age.0));
                }
            },
            |players: Query<(Entity, &Age, &Noise)>, mut commands: Commands| {
                for (player, age, noise) in &players {
                    if age.0 > 900.0 || (age.0.is_nan() && noise.0 & 1 == 0) {
                        commands.trigger(EndEpisode::terminated(player, "old"));
                    }
                    match noise.0 >> 22 & 255 {
                        0 => commands.entity(player).insert(Marked),
                        1 => commands.entity(player).remove::<Marked>(),
                        2 => commands.entity(player).insert(DoNotRecord),
                        3 => commands.entity(player).remove::<DoNotRecord>(),
                        4 => {
                            commands.entity(player).despawn();
                            commands.spawn((
                                Player,
                                Age(1.0),
                                Noise(noise.0 ^ 0x5555),
                                AgentId(i64::from(noise.0 % 5)),
                                Transform::from_xyz(f32::from(noise.0 as u8), 0.0, 0.0),
                            ));
                            continue;
                        }
                        _ => continue,
                    };
                }
            },
            |players: Query<(Entity, Ref<Age>, &Noise, Ref<Reward>)>, mut world_hash: ResMut<WorldHash>| {
                for (entity, age, noise, reward) in &players {
                    (
                        entity.to_bits(),
                        age.0.to_bits(),
                        age.is_changed(),
                        noise.0,
                        reward.is_changed(),
                    )
                        .hash(&mut world_hash.0);
                }
            },
        )
            .chain(),
    );
    for seed in 0..12_u32 {
        test.world_mut().spawn((
            Player,
            Age(0.0),
            Noise(seed.wrapping_mul(0x9E37_79B9)),
            Transform::IDENTITY,
        ));
    }
    test.ticks(600);
    let hash = test.world().resource::<WorldHash>().0.finish();
    let recorded = test.report().recorded;
    assert_eq!(recorded > 1000, enabled, "{recorded}");
    hash
}

#[test]
fn the_same_seed_yields_the_same_world_with_recording_enabled_and_disabled() {
    assert_eq!(game(true), game(false));
}

#[test]
fn episode_ended_is_triggered_with_recording_enabled_and_disabled() {
    for enabled in [true, false] {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            enabled,
            ..Default::default()
        });
        test.record(Recording::<Player>::new("player").observe::<Age>());
        test.add_observer(|ended: On<EpisodeEnded>, mut ages: Query<&mut Age>| {
            ages.get_mut(ended.entity).unwrap().0 = -1.0;
        });
        let player = test.world_mut().spawn((Player, Age(5.0))).id();
        test.ticks(3);
        test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        test.ticks(1);
        assert_eq!(test.world().get::<Age>(player).unwrap().0, -1.0);
    }
}

#[test]
fn systems_of_the_plugin_are_not_ambiguous_with_systems_of_the_game() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .act::<Noise>()
            .read_actions_after(FixedPreUpdate),
    );
    // Unordered systems of a game, without conflicts among themselves, in each schedule next to a schedule of the plugin.
    // `First` and `Last` are left out, because Bevy's own systems are ambiguous there.
    let labels: [InternedScheduleLabel; 6] = [
        Update.intern(),
        FixedFirst.intern(),
        FixedPreUpdate.intern(),
        FixedUpdate.intern(),
        FixedPostUpdate.intern(),
        FixedLast.intern(),
    ];
    for label in labels {
        test.add_systems(label, |mut ages: Query<&mut Age>| {
            for mut age in &mut ages {
                age.0 += 1.0;
            }
        });
        test.add_systems(label, |mut noises: Query<&mut Noise>| {
            for mut noise in &mut noises {
                noise.0 += 1;
            }
        });
        test.add_systems(label, |rewards: Query<&Reward>| assert!(rewards.iter().count() < 10));
    }
    let strict = ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..Default::default()
    };
    for label in labels.into_iter().chain([ExperienceCapture.intern()]) {
        test.edit_schedule(label, |schedule| {
            schedule.set_build_settings(strict.clone());
        });
    }
    test.world_mut().spawn((Player, Age(0.0), Noise(0)));
    test.ticks(3);
    assert_eq!(test.finish()[0].len(), 2);
}

#[test]
fn the_plugin_adds_no_system_to_schedules_of_the_game() {
    let systems = |plugin: Option<ExperiencePlugin>| {
        let mut app = App::new();
        if let Some(plugin) = plugin {
            app.add_plugins(plugin);
            app.add_recording(
                Recording::<Player>::new("player")
                    .observe::<Age>()
                    .read_actions_after(FixedPreUpdate),
            );
        }
        let labels = [
            First.intern(),
            Last.intern(),
            FixedFirst.intern(),
            FixedLast.intern(),
            FixedPreUpdate.intern(),
        ];
        labels.map(|label| app.get_schedule(label).map_or(0, Schedule::systems_len))
    };
    assert_eq!(systems(Some(ExperiencePlugin::default())), systems(None));
}

#[test]
fn an_app_without_a_runner_records() {
    // `App::update` alone, without a runner and without `Plugin::finish`.
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        bevy_time::TimePlugin,
        ExperiencePlugin::default(),
    ))
    .insert_resource(bevy_time::TimeUpdateStrategy::FixedTimesteps(1))
    .add_recording(Recording::<Player>::new("player").observe::<Age>().sink(sink.clone()));
    app.world_mut().spawn((Player, Age(0.0)));
    for _ in 0..5 {
        app.update();
    }
    drop(app);
    assert_eq!(sink.episodes()[0].len(), 3);
}

#[test]
fn an_app_with_a_runner_records_and_closes() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        bevy_time::TimePlugin,
        bevy_app::ScheduleRunnerPlugin::run_loop(core::time::Duration::ZERO),
        ExperiencePlugin::default(),
    ))
    .insert_resource(bevy_time::TimeUpdateStrategy::FixedTimesteps(1))
    .add_recording(Recording::<Player>::new("player").observe::<Age>().sink(sink.clone()))
    .add_systems(Update, |mut count: Local<u32>, mut exit: MessageWriter<AppExit>| {
        *count += 1;
        if *count == 6 {
            exit.write(AppExit::Success);
        }
    });
    app.world_mut().spawn((Player, Age(0.0)));
    app.run();
    assert_eq!(sink.episodes()[0].len(), 4);
    assert_eq!(sink.episodes()[0].reason(), &EndReason::SHUTDOWN);
}
