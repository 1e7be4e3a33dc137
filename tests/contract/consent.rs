//! Contract, rule 9 (consent): a player with `DoNotRecord` leaves no row.

use crate::{
    player::{Age, Player, grow},
    support::play,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_transform::components::Transform;

#[test]
fn a_player_with_do_not_record_leaves_no_row() {
    let mut test = play(Recording::new("player"));
    test.world_mut().spawn((Player, Age(0.0), DoNotRecord));
    test.world_mut().spawn((Player, Age(50.0)));
    test.ticks(4);
    let buffers = test.world().resource::<Experience>().buffers("player").unwrap().clone();
    assert_eq!(buffers.len(), 1);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].row(0).observation(), [51.0]);
}

#[test]
fn opting_out_within_an_episode_discards_it() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(4);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(4);
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(4);
    test.world_mut().entity_mut(player).remove::<DoNotRecord>();
    test.ticks(3);
    let episodes = test.finish();
    let first_observations: Vec<_> = episodes.iter().map(|episode| episode.row(0).observation()[0]).collect();
    assert_eq!(
        first_observations,
        [1.0, 13.0],
        "the first had ended, the second is discarded, the third began after the opt-in"
    );
    let report = test.report();
    assert_eq!((report.discarded, report.pending, report.dropped), (3, 0, 0));
    assert_eq!(report.recorded, report.exported + report.discarded);
}

#[test]
fn opting_out_takes_precedence_over_an_end_of_the_same_tick() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(4);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(2);
    assert!(test.finish().is_empty());
}

#[test]
fn opting_out_holds_when_the_buffer_overflows() {
    // The exporter does not poll, so that rows, and the `Discard` row among them, may be overwritten before they are drained.
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: bevy_experience::export::ExportSettings {
            poll_interval: core::time::Duration::from_secs(3600),
            flush_interval: core::time::Duration::from_secs(3600),
            ..Default::default()
        },
        ..Default::default()
    });
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .buffers(BufferSettings {
                capacity: 1024,
                ..Default::default()
            }),
    );
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0), AgentId(1))).id();
    test.ticks(10);
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(1);
    test.world_mut().entity_mut(player).remove::<DoNotRecord>();
    test.ticks(1500);
    let episodes = test.finish();
    let report = test.report();
    assert_eq!(report.recorded, report.exported + report.dropped + report.discarded);
    for episode in &episodes {
        assert!(
            episode.row(0).observation()[0] > 11.0,
            "a row of the discarded episode was exported"
        );
    }
}

#[test]
fn sensors_do_not_report_a_player_with_do_not_record() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_nearest::<Player>(1, 10.0));
    test.world_mut().spawn((Player, Transform::default()));
    let hidden = test
        .world_mut()
        .spawn((Player, Transform::from_xyz(1.0, 0.0, 0.0), DoNotRecord))
        .id();
    test.ticks(2);
    test.world_mut().entity_mut(hidden).remove::<DoNotRecord>();
    test.ticks(2);
    let episodes = test.finish();
    let present: Vec<_> = (0..4).map(|row| episodes[0].row(row).observation()[0]).collect();
    assert_eq!(present, [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn episode_ended_is_triggered_for_a_player_with_do_not_record() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0), DoNotRecord)).id();
    test.add_observer(|ended: On<EpisodeEnded>, mut players: Query<&mut Age>| {
        players.get_mut(ended.entity).unwrap().0 = 0.0;
    });
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().flush();
    assert_eq!(test.world().get::<Age>(player).unwrap().0, 0.0);
}
