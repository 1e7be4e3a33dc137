//! Contract, rule 9 (consent): a player with `DoNotRecord` leaves no row.

use crate::{
    player::{Age, Player, grow},
    support::play,
};
use bevy_app::{AppExit, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    buffer::{PlayerBuffers, Sampler, ring::Reader},
    export::ExportSettings,
    prelude::*,
    test_app::TestApp,
};
use bevy_time::TimeUpdateStrategy;
use bevy_transform::components::Transform;
use core::time::Duration;
use rand::{SeedableRng, rngs::StdRng};
use std::sync::Arc;

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
        export: ExportSettings {
            poll_interval: Duration::from_secs(3600),
            flush_interval: Duration::from_secs(3600),
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

/// Everything that gives out rows of a recording's buffers, created before a player opts out.
struct Readers {
    sampler: Sampler,
    readers: Vec<Reader>,
    buffers: Arc<PlayerBuffers>,
}

impl Readers {
    fn new(test: &TestApp) -> Self {
        let experience = test.world().resource::<Experience>();
        let buffers = experience.buffers("player").unwrap().clone();
        let mut sampler = Sampler::new(experience.schema("player").unwrap());
        sampler.watch(buffers.readers()).unwrap();
        Self {
            sampler,
            readers: buffers.readers().collect(),
            buffers,
        }
    }

    /// The numbers of rows that the sampler, clones of the readers, and peeks return.
    fn counts(&mut self) -> [usize; 3] {
        let sampled = self.sampler.sample(8, &mut StdRng::seed_from_u64(1)).len();
        let read = self
            .readers
            .iter()
            .map(|reader| reader.clone().read(usize::MAX, |_| ()).steps);
        let mut peeked = 0;
        for (_, buffer) in self.buffers.iter() {
            buffer.peek_all(&mut |_| peeked += 1);
        }
        for shard in self.buffers.pool().into_iter().flat_map(|pool| pool.shards()) {
            bevy_experience::buffer::TransitionBuffer::peek_all(&**shard, &mut |_| peeked += 1);
        }
        [sampled, read.sum(), peeked]
    }
}

/// An app with one player, whose rows are not drained.
fn undrained(kind: BufferKind, pool_above: Option<usize>) -> (TestApp, Entity) {
    let hour = Duration::from_secs(3600);
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            poll_interval: hour,
            flush_interval: hour,
            ..Default::default()
        },
        ..Default::default()
    });
    let recording = Recording::<Player>::new("player").observe::<Age>();
    let recording = recording.buffers(BufferSettings {
        kind,
        ..Default::default()
    });
    test.record(recording.scaling(PlayerScaling {
        pool_above,
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    (test, player)
}

#[test]
fn no_reader_from_before_the_opt_out_returns_a_row_of_the_discarded_episode() {
    let apps = [
        (BufferKind::Ring, None),
        (BufferKind::Ring, Some(0)),
        (BufferKind::Queue, None),
        (BufferKind::Mutex, None),
    ];
    for (kind, pool_above) in apps {
        let (mut test, player) = undrained(kind, pool_above);
        test.ticks(8);
        let mut readers = Readers::new(&test);
        let before = readers.counts();
        if kind == BufferKind::Ring {
            assert_eq!(before, [8, 8, 8], "{pool_above:?}");
        }
        test.world_mut().entity_mut(player).insert(DoNotRecord);
        assert_eq!(readers.counts(), [0, 0, 0], "{kind:?} {pool_above:?}");
        test.ticks(2);
        assert_eq!(readers.counts(), [0, 0, 0], "{kind:?} {pool_above:?}");
        // Rows after the opt-in are those of a new episode.
        test.world_mut().entity_mut(player).remove::<DoNotRecord>();
        test.ticks(3);
        let episodes = test.finish();
        assert_eq!((episodes.len(), episodes[0].row(0).observation()[0]), (1, 11.0));
    }
}

#[test]
fn a_discarded_episode_is_not_sampled_while_its_player_plays_on() {
    let (mut test, player) = undrained(BufferKind::Ring, None);
    test.ticks(8);
    let mut readers = Readers::new(&test);
    let mut experience = test.world_mut().resource_mut::<Experience>();
    experience.discard_episode("player", player).unwrap();
    assert_eq!(readers.counts(), [0, 0, 0]);
    test.ticks(4);
    let [sampled, read, _] = readers.counts();
    assert_eq!((sampled, read), (8, 4), "rows of the next episode are returned");
}

#[test]
fn opting_out_holds_when_no_capture_follows() {
    // Fixed ticks stop in a pause menu, from which the game is left.
    for exits in [true, false] {
        let mut test = play(Recording::new("player"));
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(4);
        test.insert_resource(TimeUpdateStrategy::FixedTimesteps(0));
        test.world_mut().entity_mut(player).insert(DoNotRecord);
        test.ticks(2);
        if exits {
            test.world_mut().write_message(AppExit::Success);
            test.update();
        }
        assert!(test.finish().is_empty(), "{exits}");
        let report = test.report();
        assert_eq!((report.recorded, report.discarded, report.exported), (3, 3, 0));
    }
}

#[test]
fn opting_out_removes_the_tags_of_the_discarded_episode() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(3);
    let mut experience = test.world_mut().resource_mut::<Experience>();
    experience.tag_episode("player", player, "lucky").unwrap();
    test.world_mut().entity_mut(player).insert(DoNotRecord);
    test.ticks(1);
    test.finish();
    assert!(test.report().tags.is_empty(), "{:?}", test.report().tags);
}

#[test]
fn opting_out_and_in_between_two_captures_discards_the_episode() {
    let mut test = play(Recording::new("player"));
    let player = test.world_mut().spawn((Player, Age(0.0))).id();
    test.ticks(4);
    test.world_mut()
        .entity_mut(player)
        .insert(DoNotRecord)
        .remove::<DoNotRecord>();
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].row(0).observation(), [5.0]);
}
