//! Contract, rule 7 (loss): each recorded transition is exported, or counted as lost.

use crate::{
    player::{Age, Player, grow},
    support::{app_with_idle_exporter, assert_balanced},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::{ExportSettings, RetrySettings},
    journal::JournalSettings,
    prelude::*,
    schema::Schema,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

/// A sink whose `write` is a closure.
struct FnSink<F>(Mutex<F>);

impl<F: FnMut(&[Episode]) -> Result<(), SinkError> + Send + 'static> Sink for FnSink<F> {
    fn describe(&self) -> Cow<'_, str> {
        "closure".into()
    }
    fn check(&mut self, _: &Schema) -> Result<(), SinkError> {
        Ok(())
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        (self.0.get_mut().unwrap())(episodes)
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

fn fn_sink(write: impl FnMut(&[Episode]) -> Result<(), SinkError> + Send + 'static) -> impl Sink {
    FnSink(Mutex::new(write))
}

#[test]
fn counts_balance_at_any_moment() {
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .buffers(BufferSettings {
                capacity: 8,
                ..Default::default()
            }),
    );
    test.add_systems(FixedUpdate, grow);
    let players: Vec<_> = (0..10)
        .map(|_| test.world_mut().spawn((Player, Age(0.0))).id())
        .collect();
    for tick in 0..300 {
        test.ticks(1);
        if tick % 7 == 0 {
            let player = players[tick % players.len()];
            test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        }
        assert_balanced(&test.report());
    }
    let episodes = test.finish();
    let report = test.report();
    assert_balanced(&report);
    assert_eq!(report.pending, 0);
    assert_eq!(
        report.exported,
        episodes.iter().map(|episode| episode.len() as u64).sum::<u64>()
    );
    assert_eq!(report.episodes, episodes.len() as u64);
    // Each capture except the first of a player closes a transition. Each of the 43 ends between ticks costs one.
    assert_eq!(report.recorded, 10 * 299 - 43);
}

#[test]
fn dropped_rows_end_the_episode_with_gap_and_are_counted() {
    let mut test = app_with_idle_exporter();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .buffers(BufferSettings {
                capacity: 16,
                ..Default::default()
            }),
    );
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0)));
    // The game wakes the exporter every 4 captures. Where the exporter is late, rows are overwritten.
    test.ticks(2);
    test.ticks(1000);
    let episodes = test.finish();
    let report = test.report();
    assert_balanced(&report);
    assert_eq!(report.pending, 0);
    assert_eq!(report.recorded, 1001);
    for pair in episodes.windows(2) {
        assert_eq!(pair[0].reason(), &EndReason::GAP);
        assert_eq!(pair[1].info().continues, Some(pair[0].info().episode_id));
    }
    for episode in &episodes {
        for transition in episode.transitions() {
            assert_eq!(transition.observation()[0] + 1.0, transition.next_observation()[0]);
        }
    }
    assert_eq!(episodes.is_empty(), report.exported == 0);
}

#[test]
fn drop_newest_counts_all_refused_rows() {
    let mut test = app_with_idle_exporter();
    let recording = Recording::<Player>::new("player").observe::<Age>();
    test.record(recording.buffers(BufferSettings {
        capacity: 16,
        overflow: Overflow::DropNewest,
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, grow);
    let first = test.world_mut().spawn((Player, Age(0.0))).id();
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(500);
    test.world_mut().despawn(first);
    test.ticks(100);
    let episodes = test.finish();
    let report = test.report();
    assert_balanced(&report);
    assert_eq!(
        report.pending, 0,
        "refused rows are counted even where no row follows them"
    );
    assert_eq!(report.recorded, 499 + 599);
    assert!(report.exported >= 15, "the oldest rows were kept");
    for episode in &episodes {
        for transition in episode.transitions() {
            assert_eq!(transition.observation()[0] + 1.0, transition.next_observation()[0]);
        }
    }
}

#[test]
fn all_buffer_kinds_record_the_same_episodes() {
    let play = |kind| {
        let mut test = TestApp::new();
        let overflow = Overflow::Block(Duration::from_secs(20));
        test.record(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .buffers(BufferSettings {
                    kind,
                    overflow,
                    ..Default::default()
                }),
        );
        test.add_systems(FixedUpdate, grow);
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(700);
        test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        test.ticks(700);
        let episodes = test.finish();
        let report = test.report();
        assert_eq!((report.dropped, report.pending), (0, 0));
        episodes
            .iter()
            .map(|episode| (episode.len(), episode.row(episode.len()).observation()[0]))
            .collect::<Vec<_>>()
    };
    let ring = play(BufferKind::Ring);
    assert_eq!(ring, [(699, 700.0), (699, 1400.0)]);
    assert_eq!(play(BufferKind::Queue), ring);
    assert_eq!(play(BufferKind::Mutex), ring);
}

#[test]
fn overflow_block_loses_no_row() {
    let mut test = TestApp::new();
    let overflow = Overflow::Block(Duration::from_secs(20));
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .buffers(BufferSettings {
                capacity: 8,
                overflow,
                ..Default::default()
            }),
    );
    test.add_systems(FixedUpdate, grow);
    for _ in 0..5 {
        test.world_mut().spawn((Player, Age(0.0)));
    }
    test.ticks(2000);
    let episodes = test.finish();
    let report = test.report();
    assert_eq!((report.dropped, report.pending), (0, 0));
    assert_eq!(report.exported, 5 * 1999);
    assert_eq!(episodes.len(), 5);
}

/// A sink that is slower than the game. Its first write reports that it began, and waits for `go`.
fn slow(begun: mpsc::Sender<()>, go: mpsc::Receiver<()>, exported: Arc<Mutex<Vec<Episode>>>) -> impl Sink {
    let mut held = Some(go);
    fn_sink(move |episodes| {
        if let Some(go) = held.take() {
            begun.send(()).unwrap();
            go.recv().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
        exported.lock().unwrap().extend_from_slice(episodes);
        Ok(())
    })
}

#[test]
fn a_journalled_backlog_of_a_slow_sink_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        let (begun, has_begun) = mpsc::channel();
        let (go, wait_for_go) = mpsc::channel();
        let exported = Arc::new(Mutex::new(Vec::new()));
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            // One small batch waits in memory for the sink, without a time limit.
            export: ExportSettings {
                batch: 256,
                queue_bytes: 1,
                patience: Duration::from_secs(3600),
                journal: Some(JournalSettings {
                    folder: Some(folder.path().to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        });
        test.add_recording(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .buffers(BufferSettings {
                    kind,
                    capacity: 8,
                    // The game waits for the exporter, which waits for no sink.
                    overflow: Overflow::Block(Duration::from_secs(20)),
                    ..Default::default()
                })
                .episodes(EpisodeRules {
                    max_steps: 50,
                    ..Default::default()
                })
                .sink(slow(begun, wait_for_go, exported.clone())),
        );
        test.add_systems(FixedUpdate, grow);
        for id in 0..5 {
            test.world_mut().spawn((Player, Age(0.0), AgentId(id)));
        }
        // From here on the sink is in its first write.
        test.ticks(52);
        while has_begun.try_recv().is_err() {
            test.ticks(1);
        }
        test.ticks(2000);
        let reports = test.world().resource::<Experience>().reports("player");
        let stats = test.world().resource::<Experience>().buffers("player").unwrap().stats();
        assert_balanced(&reports[0]);
        assert_eq!((reports[0].dropped, stats.dropped), (0, 0), "{kind:?}");
        assert!(reports[0].pending > 5 * 1900, "{kind:?}: {reports:?}");
        assert!(stats.len <= 5 * 8, "{kind:?}: {stats:?}");
        go.send(()).unwrap();
        let mut experience = test.world_mut().resource_mut::<Experience>();
        assert!(experience.close(Duration::from_secs(60)));
        let report = experience.reports("player").remove(0);
        assert_balanced(&report);
        assert_eq!((report.dropped, report.pending), (0, 0), "{kind:?}");
        assert_eq!(report.recorded, report.exported, "{kind:?}");
        let episodes = exported.lock().unwrap();
        for agent in 0..5 {
            let own = episodes.iter().filter(|episode| episode.info().agent_id == agent);
            let ages: Vec<_> = own
                .flat_map(Episode::transitions)
                .map(|transition| transition.observation()[0])
                .collect();
            assert!(ages.len() as u64 * 5 == report.exported, "{kind:?}");
            assert!(
                ages.windows(2).all(|pair| pair[0] + 1.0 == pair[1]),
                "{kind:?}: in order"
            );
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{kind:?}");
    }
}

#[test]
fn a_journal_folder_that_cannot_be_created_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let set_up = |enabled| {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            enabled,
            export: ExportSettings {
                journal: Some(JournalSettings {
                    folder: Some(file.join("journals")),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        });
        test.record(Recording::<Player>::new("player").observe::<Age>());
        test.ticks(1);
    };
    // A disabled plugin creates no folder.
    set_up(false);
    let refused = std::panic::catch_unwind(|| set_up(true)).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("JournalSettings::folder") && message.contains("a file/journals"),
        "{message}"
    );
}

#[test]
fn overflow_block_waits_at_most_its_timeout() {
    let mut test = TestApp::new();
    let timeout = Duration::from_millis(20);
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .buffers(BufferSettings {
                capacity: 4,
                overflow: Overflow::Block(timeout),
                ..Default::default()
            })
            .episodes(EpisodeRules {
                max_steps: 1,
                ..Default::default()
            })
            .sink(fn_sink(|_| {
                std::thread::sleep(Duration::from_secs(2));
                Ok(())
            })),
    );
    for _ in 0..64 {
        test.world_mut().spawn((Player, Age(0.0)));
    }
    let begun = Instant::now();
    test.ticks(20);
    // One deadline for all players of a tick. 64 deadlines in each of 20 ticks would take 25 seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_failing_sink_counts_its_losses_and_the_others_export_all() {
    let good = MemorySink::default();
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            retry: RetrySettings {
                patience: Duration::from_millis(100),
                ..Default::default()
            },
            ..Default::default()
        },
        ..Default::default()
    });
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .sink(fn_sink(|_| Err(SinkError::Other("full".to_owned()))))
            .sink(fn_sink(|_| panic!("a bug in a sink")))
            .sink(good.clone()),
    );
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0)));
    test.ticks(50);
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(20)));
    let reports = experience.reports("player");
    for report in &reports {
        assert_balanced(report);
        assert_eq!(report.pending, 0);
    }
    let dropped: Vec<_> = reports.iter().map(|report| report.dropped).collect();
    assert_eq!(dropped, [49, 49, 0]);
    assert_eq!(good.episodes().len(), 1);
}

#[test]
fn a_sink_that_never_returns_does_not_delay_the_shutdown() {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            close_timeout: Duration::from_millis(200),
            ..Default::default()
        },
        ..Default::default()
    });
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .episodes(EpisodeRules {
                max_steps: 1,
                ..Default::default()
            })
            .sink(fn_sink(|_| {
                std::thread::sleep(Duration::from_secs(3600));
                Ok(())
            })),
    );
    test.world_mut().spawn((Player, Age(0.0)));
    let begun = Instant::now();
    test.ticks(2000);
    drop(test);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[cfg(feature = "dataset")]
#[test]
fn totals_by_agent_match_the_episodes() {
    use bevy_experience::dataset::Dataset;
    let folder = tempfile::tempdir().unwrap();
    let mut test = TestApp::new();
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .reward_terms(["tick"])
            .sink(DatasetSink::new(folder.path())),
    );
    test.add_systems(FixedUpdate, |mut players: Query<&mut Reward>| {
        for mut reward in &mut players {
            reward.add("tick", 0.5);
        }
    });
    for id in [4, 9] {
        test.world_mut().spawn((Player, Age(0.0), AgentId(id)));
    }
    test.ticks(11);
    test.finish();
    assert!(test.report().agents.is_empty(), "a report has no totals by agent");
    let dataset = Dataset::open(folder.path()).unwrap();
    let agents = dataset.recording("player").unwrap().agent_totals().unwrap();
    assert_eq!(agents.keys().copied().collect::<Vec<_>>(), [4, 9]);
    for totals in agents.values() {
        assert_eq!((totals.episodes, totals.transitions, totals.total_reward), (1, 10, 5.0));
    }
}

#[test]
fn buffers_of_despawned_players_are_freed() {
    let mut test = TestApp::new();
    test.record(Recording::<Player>::new("player").observe::<Age>());
    for _ in 0..50 {
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(3);
        test.world_mut().despawn(player);
        test.ticks(1);
    }
    let buffers = test.world().resource::<Experience>().buffers("player").unwrap().clone();
    test.ticks(1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !buffers.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(buffers.is_empty());
    assert_eq!(test.finish().len(), 50);
}
