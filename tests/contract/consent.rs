//! Contract, rule 9: who does not want to be recorded is not.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;

#[derive(Component, Reflect)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

fn grow(mut players: Query<&mut Age>) {
    for mut age in &mut players {
        age.0 += 1.0;
    }
}

fn play() -> TestApp {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test
}

#[test]
fn a_player_that_does_not_want_to_be_recorded_leaves_no_row() {
    let mut test = play();
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
fn opting_out_in_mid_episode_discards_the_open_episode() {
    let mut test = play();
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(4);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(4);
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(4);
    test.world_mut().entity_mut(player).remove::<DoNotRecord>();
    test.ticks(3);
    let episodes = test.finish();
    let begun: Vec<_> = episodes.iter().map(|episode| episode.row(0).observation()[0]).collect();
    assert_eq!(
        begun,
        [1.0, 13.0],
        "the first was over; the second is gone; the third was wanted again"
    );
    let report = test.report();
    assert_eq!((report.discarded, report.pending, report.dropped), (3, 0, 0));
    assert_eq!(report.recorded, report.exported + report.discarded);
}

#[test]
fn opting_out_outweighs_an_end_of_the_same_tick() {
    let mut test = play();
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(4);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(2);
    assert!(test.finish().is_empty());
}

#[test]
fn opting_out_is_kept_even_when_the_buffer_overflows() {
    // The exporter is asleep, so nothing is drained until the buffer has long lost the row that says so.
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
            "nothing of the episode that was opted out of"
        );
    }
}

#[test]
fn sensors_do_not_see_who_is_not_recorded() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe_nearest::<Player>(1, 10.0));
    test.world_mut().spawn((Player, Transform::default()));
    let shy = test
        .world_mut()
        .spawn((Player, Transform::from_xyz(1.0, 0.0, 0.0), DoNotRecord))
        .id();
    test.ticks(2);
    test.world_mut().entity_mut(shy).remove::<DoNotRecord>();
    test.ticks(2);
    let episodes = test.finish();
    let present: Vec<_> = (0..4).map(|row| episodes[0].row(row).observation()[0]).collect();
    assert_eq!(present, [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn a_player_that_is_not_recorded_is_reset_like_any_other() {
    let mut test = play();
    let player = test.world_mut().spawn((Player, Age(0.0), DoNotRecord)).id();
    test.add_observer(|ended: On<EpisodeEnded>, mut players: Query<&mut Age>| {
        players.get_mut(ended.entity).unwrap().0 = 0.0;
    });
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.world_mut().flush();
    assert_eq!(test.world().get::<Age>(player).unwrap().0, 0.0);
}
