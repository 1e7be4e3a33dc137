//! Episodes that do not fit, are damaged or are not there: a clear sentence each, and the game goes on.

use crate::game::{self, Body, Hero, HeroState, Mind, Screen, Shield};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, DatasetError, EpisodeQuery},
    prelude::*,
    restore::{Restoration, RestoreError, Unrestored},
    test_app::TestApp,
    transition::{Episode, EpisodeInfo},
};
use bevy_experience_replay::{Replay, ReplayPlugin};
use bevy_reflect::Reflect;
use std::fs;

/// A dataset with one episode of 5 ticks for each of `runs` runs.
fn dataset(runs: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..runs {
        let script: Vec<_> = (0..5)
            .map(|lives| HeroState {
                body: Body {
                    lives,
                    ..Default::default()
                },
                shield: (lives == 3).then(Shield::default),
                ..Default::default()
            })
            .collect();
        game::play(folder.path(), &script);
    }
    folder
}

fn find(folder: &tempfile::TempDir, query: &EpisodeQuery) -> Result<Episode, DatasetError> {
    Dataset::open(folder.path())?.recording("hero")?.episode(query)
}

/// The error of a replay in `app`, which plays on.
fn error(mut app: TestApp, replay: Replay) -> String {
    #[derive(Resource, Default)]
    struct Ticks(u32);

    app.init_resource::<Ticks>()
        .add_systems(FixedUpdate, |mut ticks: ResMut<Ticks>| ticks.0 += 1);
    let ghost = app.world_mut().spawn((replay, Body::default())).id();
    app.ticks(5);
    assert_eq!(app.world_mut().resource::<Ticks>().0, 5);
    assert_eq!(app.world_mut().get::<Body>(ghost).unwrap().lives, 0);
    let replay = game::replay(&mut app, ghost);
    assert_eq!((replay.step(), replay.report()), (0, None));
    replay.error().unwrap().to_string()
}

#[test]
fn episodes_are_found_by_run_id_and_agent() {
    let folder = dataset(3);
    let all: Vec<_> = Dataset::open(folder.path())
        .unwrap()
        .recording("hero")
        .unwrap()
        .episodes()
        .map(Result::unwrap)
        .collect();
    assert_eq!(all.len(), 3);
    for (index, expected) in all.iter().enumerate() {
        let &EpisodeInfo { run, episode_id, .. } = expected.info();
        for query in [
            EpisodeQuery::new().run(run),
            EpisodeQuery::new().episode(episode_id),
            EpisodeQuery::new().episode(episode_id).run(run).agent(7),
            EpisodeQuery::new().agent(7).skip(index),
            EpisodeQuery::new().skip(index),
        ] {
            let found = find(&folder, &query).unwrap();
            assert_eq!(found.info(), expected.info(), "{query}");
            assert_eq!(found.rows(), expected.rows(), "{query}");
        }
    }
    let (first, second) = (all[0].info(), all[1].info());
    for query in [
        EpisodeQuery::new().agent(8),
        EpisodeQuery::new().episode(-1),
        EpisodeQuery::new().run(first.run).episode(second.episode_id),
        EpisodeQuery::new().skip(3),
    ] {
        let error = find(&folder, &query).unwrap_err().to_string();
        assert!(error.contains(&format!("has no episode with {query}")), "{error}");
    }
}

#[test]
fn a_damaged_shard_hides_its_own_episodes_alone() {
    let folder = dataset(2);
    let recording = Dataset::open(folder.path()).unwrap().recording("hero").unwrap().clone();
    let ids: Vec<_> = recording
        .episodes()
        .map(|episode| episode.unwrap().info().episode_id)
        .collect();
    let shard = &recording.shards().unwrap()[0];
    let mut bytes = fs::read(shard).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(shard, bytes).unwrap();
    assert_eq!(
        find(&folder, &EpisodeQuery::new().episode(ids[1]))
            .unwrap()
            .info()
            .episode_id,
        ids[1]
    );
    let error = find(&folder, &EpisodeQuery::new().episode(ids[0])).unwrap_err();
    assert!(matches!(error, DatasetError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(&*shard.to_string_lossy()), "{error}");
}

#[test]
fn another_schema_is_refused_with_what_differs() {
    #[derive(Component, Reflect, Default)]
    struct Cape(f32);

    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let mut app = game::with_replays(TestApp::new());
    let recording = Recording::<Hero>::new("hero").observe_fields::<Body>(["place", "lives", "debt", "fuel", "is_wet"]);
    app.record(recording.observe::<Cape>());
    let error = error(app, Replay::new(episode));
    for part in [
        "`hero`",
        "`cape` is only here",
        "`body.stance` is only there",
        "image column `screen` is only there",
    ] {
        assert!(error.contains(part), "`{part}`: {error}");
    }
}

#[test]
fn an_enum_with_other_variants_is_another_schema() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();

    #[derive(Reflect, Default)]
    enum Stance {
        #[default]
        Stand,
        Lie,
        Crouch,
    }
    #[derive(Component, Reflect, Default)]
    #[reflect(@ColumnName("body"))]
    struct OtherBody {
        stance: Stance,
    }
    let mut app = game::with_replays(TestApp::new());
    app.record(Recording::<Hero>::new("hero").observe::<OtherBody>());
    let error = error(app, Replay::new(episode));
    assert!(
        error.contains("observation column `body.stance` has another type, shape or space"),
        "{error}"
    );
}

#[test]
fn a_recording_that_does_not_exist_is_refused_with_those_that_do() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let mut app = game::with_replays(TestApp::new());
    app.record(Recording::<Hero>::new("villain").observe::<Body>());
    let error = error(app, Replay::new(episode));
    assert!(
        error.contains("`hero`") && error.contains("`villain`") && error.contains("add_recording"),
        "{error}"
    );

    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let mut app = App::new();
    app.add_plugins(ReplayPlugin);
    let ghost = app.world_mut().spawn(Replay::new(episode)).id();
    (0..3).for_each(|_| app.update());
    let replay = app.world().get::<Replay>(ghost).unwrap();
    assert!(matches!(replay.error(), Some(RestoreError::UnknownRecording { known, .. }) if known.is_empty()));
}

#[test]
fn actions_may_differ_unless_they_are_written() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let app = || {
        let mut app = game::with_replays(TestApp::new());
        app.record(
            Recording::<Hero>::new("hero")
                .observe::<Body>()
                .observe_fields::<Mind>(["hope", "fear"])
                .observe_optional::<Shield>()
                .observe_has::<game::Stunned>()
                .observe_image::<Screen>()
                .bounds("mind.hope", 0.0, 1.0),
        );
        app
    };
    let mut replayed = app();
    let ghost = game::spawn_ghost(&mut replayed, Replay::new(episode.clone()));
    replayed.ticks(5);
    assert_eq!(game::state_of(&mut replayed, ghost).body.lives, 4);
    let error = error(app(), Replay::new(episode).with_actions());
    assert!(error.contains("action column `intent.turn` is only there"), "{error}");
}

#[test]
fn a_ghost_without_a_component_shows_the_others() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    // Neither is the default of the shield known.
    let mut app = TestApp::new();
    app.record(game::recording());
    app.add_plugins(ReplayPlugin);
    let ghost = app
        .world_mut()
        .spawn((Replay::new(episode), Body::default(), Screen::default()))
        .id();
    app.ticks(4);
    assert_eq!(app.world_mut().get::<Body>(ghost).unwrap().lives, 3);
    let missing = game::replay(&mut app, ghost).report().unwrap().missing.clone();
    assert_eq!(
        missing,
        [core::any::type_name::<Mind>(), core::any::type_name::<Shield>()]
    );
    // It is restored once it is there.
    app.world_mut().entity_mut(ghost).insert(Mind {
        fear: 9.0,
        ..Default::default()
    });
    app.ticks(1);
    assert_eq!(app.world_mut().get::<Mind>(ghost).unwrap().fear, 0.0);
}

#[test]
fn gaps_are_reported() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let info = EpisodeInfo {
        continues: Some(41),
        ..*episode.info()
    };
    let (schema, rows) = (episode.schema().clone(), episode.rows().to_vec());
    let episode = Episode::new(schema, info, rows, Outcome::Truncated, EndReason::GAP);
    let mut app = game::app();
    let ghost = game::spawn_ghost(&mut app, Replay::new(episode));
    app.ticks(1);
    let report = game::replay(&mut app, ghost).report().unwrap().clone();
    assert_eq!((report.continues, report.ends_in_gap), (Some(41), true));
    let text = report.to_string();
    assert!(
        text.contains("it continues episode 41; it ends where steps were lost"),
        "{text}"
    );
}

#[test]
fn a_one_hot_without_a_class_is_not_restored() {
    let episode = find(&dataset(1), &EpisodeQuery::new()).unwrap();
    let schema = episode.schema().clone();
    let feature = schema
        .feature_names()
        .iter()
        .position(|name| name == "body.stance=Stand")
        .unwrap();
    let mut rows = episode.rows().to_vec();
    // The second row has no class.
    let row = &mut rows[schema.layout().row_words()..2 * schema.layout().row_words()];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    bytes[schema.layout().observation().start + 4 * feature..][..4].fill(0);
    let episode = Episode::new(schema, *episode.info(), rows, Outcome::Truncated, EndReason::GAP);
    let mut app = game::app();
    let ghost = game::spawn_ghost(&mut app, Replay::new(episode));
    app.ticks(3);
    let report = game::replay(&mut app, ghost).report().unwrap().clone();
    let (column, reason) = report.unrestored().next().unwrap();
    assert_eq!(
        (column.name.as_str(), reason),
        ("body.stance", Unrestored::NoClass { rows: 1 })
    );
    assert_eq!(column.restoration, Restoration::None(reason));
    assert_eq!(report.unrestored().count(), 1);
    assert_eq!(report.missing, Vec::<&str>::new());
    assert!(
        report
            .to_string()
            .contains("not restored: `body.stance` (1 of its rows"),
        "{report}"
    );
}

#[test]
fn episodes_of_other_ghosts_are_not_mixed() {
    let folder = dataset(1);
    let mut app = game::app();
    let ghosts = [0, 2].map(|step| {
        let mut replay = Replay::new(find(&folder, &EpisodeQuery::new()).unwrap()).paused();
        replay.seek(step);
        game::spawn_ghost(&mut app, replay)
    });
    app.ticks(2);
    assert_eq!(ghosts.map(|ghost| game::state_of(&mut app, ghost).body.lives), [0, 2]);
    // Another episode on the same ghost begins anew.
    let again = Replay::new(find(&folder, &EpisodeQuery::new()).unwrap());
    app.world_mut().entity_mut(ghosts[1]).insert(again);
    app.ticks(1);
    assert_eq!(game::state_of(&mut app, ghosts[1]).body.lives, 0);
}
