//! `Recording::trust_change_ticks`: players whose change ticks report no change are not read.

use crate::{
    player::Player,
    support::{Choice, TableTag},
};
use bevy_app::prelude::*;
use bevy_ecs::{change_detection::DetectChangesMut, entity_disabling::Disabled, prelude::*};
use bevy_experience::{
    account::RunReport,
    prelude::*,
    test_app::TestApp,
    transition::{Episode, RunId},
};
use bevy_reflect::{Reflect, TypePath};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Component, Reflect)]
struct Place([f32; 2]);

/// Stored in a sparse set, not in a table.
#[derive(Component, Reflect)]
#[component(storage = "SparseSet")]
struct Mood(f32);

#[derive(Resource, Reflect)]
struct Weather(f32);

/// The marker of one entity that is no player.
#[derive(Component, TypePath)]
struct Solo;

#[derive(Resource)]
struct GameRng(StdRng);

/// Changes the place of a player from an observer.
#[derive(EntityEvent)]
struct Push {
    entity: Entity,
}

/// One tick of a random game, with each kind of change that change ticks report.
fn random_tick(
    mut game_rng: ResMut<GameRng>,
    mut weather: ResMut<Weather>,
    mut players: Query<(Entity, &mut Place, &mut Mood, &mut Choice, &mut Reward)>,
    mut commands: Commands,
) {
    let rng = &mut game_rng.0;
    for (entity, mut place, mut mood, mut choice, mut reward) in &mut players {
        match rng.random_range(0..120) {
            0 => place.0[0] += 1.0,
            1 => mood.0 += 1.0,
            2 => choice.0 += 1.0,
            // Marked as changed, with an equal value.
            3 => place.set_changed(),
            4 => commands.trigger(Push { entity }),
            5 => {
                commands.entity(entity).try_insert(TableTag);
            }
            6 => {
                commands.entity(entity).try_remove::<TableTag>();
            }
            7 => drop(commands.entity(entity).try_insert(Place([9.0; 2]))),
            8 => commands.entity(entity).despawn(),
            9 => commands.trigger(EndEpisode::terminated(entity, "death")),
            10 => {
                commands.entity(entity).try_insert(Disabled);
            }
            11..14 => reward.add("luck", 1.0),
            _ => {}
        }
    }
    for _ in 0..rng.random_range(0..4) {
        commands.spawn((Player, Place([0.0; 2]), Mood(0.0), Choice(0.0)));
    }
    if rng.random_range(0..30) == 0 {
        weather.0 += 1.0;
    }
}

fn push(push: On<Push>, mut players: Query<&mut Place>) {
    if let Ok(mut place) = players.get_mut(push.entity) {
        place.0[1] += 1.0;
    }
}

fn recording(reads: &Arc<AtomicUsize>) -> Recording<Player> {
    let reads = reads.clone();
    Recording::new("player")
        .observe::<Place>()
        .observe_with::<Mood>(["mood"], move |mood, out| {
            reads.fetch_add(1, Ordering::Relaxed);
            out[0] = mood.0;
        })
        .act::<Choice>()
        .reward_terms(["luck"])
        .mode(RecordMode::OnChange)
        .buffers(BufferSettings {
            capacity: 1024,
            ..Default::default()
        })
        .scaling(scaling())
}

fn scaling() -> PlayerScaling {
    PlayerScaling {
        expected_players: 1000,
        ..Default::default()
    }
}

/// The episodes of a game with every word of their rows, its report, and the number of reads of a player.
fn play(adjust: impl Fn(Recording<Player>) -> Recording<Player>) -> (Vec<(String, Vec<u64>)>, RunReport, usize) {
    let reads = Arc::default();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        run: Some(RunId::from_bits(7)),
        ..ExperiencePlugin::default()
    });
    test.record(adjust(recording(&reads)));
    test.insert_resource(GameRng(StdRng::seed_from_u64(3)))
        .insert_resource(Weather(0.0))
        .add_systems(FixedUpdate, random_tick)
        .add_observer(push);
    for index in 0..200 {
        let player = test
            .world_mut()
            .spawn((Player, Place([0.0; 2]), Mood(0.0), Choice(0.0)))
            .id();
        if index % 5 == 0 {
            test.world_mut().spawn((Mood(1.0), ChildOf(player)));
        }
    }
    test.world_mut().spawn((Solo, Place([1.0; 2])));
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..200 {
        test.ticks(1);
        // Changes right after a capture.
        let world = test.world_mut();
        let mut others = world.query_filtered::<(Option<&mut Mood>, Option<&mut Place>), Without<Player>>();
        for (mood, place) in others.iter_mut(world) {
            if let Some(mut mood) = mood.filter(|_| rng.random_range(0..60) == 0) {
                mood.0 += 1.0;
            }
            if let Some(mut place) = place.filter(|_| rng.random_range(0..20) == 0) {
                place.0[0] += 1.0;
            }
        }
        let mut disabled = world.query_filtered::<Entity, With<Disabled>>();
        for player in disabled.iter(world).collect::<Vec<_>>() {
            if rng.random_range(0..3) == 0 {
                world.entity_mut(player).remove::<Disabled>();
            }
        }
        let mut choices = world.query::<&mut Choice>();
        for mut choice in choices.iter_mut(world) {
            if rng.random_range(0..100) == 0 {
                choice.0 -= 0.5;
            }
        }
    }
    let contents = |episode: &Episode| {
        (
            format!("{:?} {}", episode.info(), episode.reason()),
            episode.rows().to_vec(),
        )
    };
    let episodes = test.finish().iter().map(contents).collect();
    (episodes, test.report(), reads.load(Ordering::Relaxed))
}

fn compare(adjust: impl Fn(Recording<Player>) -> Recording<Player>) {
    let (episodes, report, reads) = play(&adjust);
    let (trusted, trusted_report, trusted_reads) = play(|recording| adjust(recording).trust_change_ticks());
    assert!(episodes.len() > 400, "{}", episodes.len());
    assert_eq!(episodes, trusted);
    assert_eq!(report, trusted_report);
    assert!(trusted_reads * 3 < reads, "{trusted_reads} of {reads} reads");
}

#[test]
fn trusting_change_ticks_records_the_same_rows() {
    compare(|recording| recording);
    compare(|recording| {
        recording.scaling(PlayerScaling {
            pool_above: Some(0),
            ..scaling()
        })
    });
}

#[test]
fn a_changed_resource_is_read_for_all_players() {
    compare(Recording::observe_resource::<Weather>);
}

#[test]
fn components_that_are_removed_are_seen_without_reading_all_players() {
    compare(Recording::observe_has::<TableTag>);
}

#[test]
fn all_players_are_read_where_a_source_does_not_report_changes() {
    for adjust in [
        |recording: Recording<Player>| recording.observe_related::<Children, Mood>(),
        |recording: Recording<Player>| recording.observe_single::<Solo, Place>(),
        |recording: Recording<Player>| recording.observe_count::<TableTag>(),
        |recording: Recording<Player>| {
            recording.observe_system(["sum"], |players: PlayerValues, moods: Query<&Mood>| {
                let sum: f32 = moods.iter().map(|mood| mood.0).sum();
                players.into_iter().for_each(|(_, values)| values[0] = sum);
            })
        },
    ] {
        let (episodes, report, _) = play(adjust);
        let (trusted, trusted_report, _) = play(|recording| adjust(recording).trust_change_ticks());
        assert!(episodes.len() > 400, "{}", episodes.len());
        assert_eq!(episodes, trusted);
        assert_eq!(report, trusted_report);
    }
}

#[test]
fn all_players_are_read_where_change_ticks_are_not_enough() {
    for adjust in [
        |recording: Recording<Player>| recording.decision_interval(2),
        |recording: Recording<Player>| recording.read_actions_after(FixedPreUpdate),
        |recording: Recording<Player>| recording.mode(RecordMode::EveryTick),
    ] {
        let (episodes, report, reads) = play(adjust);
        let trusted = play(|recording| adjust(recording).trust_change_ticks());
        assert_eq!((episodes, report, reads), trusted);
    }
}

/// The documented limit: such a write is recorded with the next detected change.
#[test]
fn writes_that_bypass_change_detection_are_recorded_late() {
    let places = |recording: Recording<Player>| {
        let mut test = TestApp::new();
        test.record(recording.observe::<Place>().mode(RecordMode::OnChange));
        let player = test.world_mut().spawn((Player, Place([0.0; 2]))).id();
        for tick in 0..12 {
            let mut place = test.world_mut().get_mut::<Place>(player).unwrap();
            match tick {
                5 => place.bypass_change_detection().0[0] = 1.0,
                8 => place.0[1] = 1.0,
                _ => {}
            }
            test.ticks(1);
        }
        let episodes = test.finish();
        let transitions = episodes[0].transitions();
        transitions
            .map(|step| (step.ticks(), step.next_observation().to_vec()))
            .collect::<Vec<_>>()
    };
    let read = places(Recording::new("read"));
    let trusted = places(Recording::new("trusted").trust_change_ticks());
    assert_eq!(read, [(5, vec![1.0, 0.0]), (3, vec![1.0, 1.0]), (3, vec![1.0, 1.0])]);
    assert_eq!(trusted, [(8, vec![1.0, 1.0]), (3, vec![1.0, 1.0])]);
}
