//! A dataset on a full disk: a small tmpfs, where the test is allowed to mount one.
#![cfg(target_os = "linux")]

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RunStatus},
    export::{ExportSettings, RetrySettings},
    journal::JournalSettings,
    prelude::*,
    sink::Sink,
    test_app::TestApp,
};
use bevy_reflect::Reflect;
use core::time::Duration;
use std::{fs, io::Write, path::Path, process::Command, time::Instant};
use tempfile::TempDir;

#[derive(Component)]
struct Player;

/// Values that do not compress.
#[derive(Component, Reflect)]
struct Noise([f32; 32]);

/// A tmpfs of 1 MiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn noise(mut players: Query<&mut Noise>, mut state: Local<u32>) {
    for mut noise in &mut players {
        for value in &mut noise.0 {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = f32::from_bits(0x3f00_0000 | *state >> 9);
        }
    }
}

fn settings() -> ExportSettings {
    ExportSettings {
        flush_interval: Duration::from_millis(5),
        retry: RetrySettings {
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(10),
            patience: Duration::from_millis(200),
        },
        // The disk is a sixteenth of a default segment.
        journal: Some(JournalSettings {
            segment_bytes: 32 << 10,
            flush_interval: Duration::from_millis(5),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Four players, whose steps are as large on the disk as in memory.
fn game(sink: impl Sink + 'static) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: settings(),
        ..Default::default()
    });
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Noise>()
            .episodes(EpisodeRules {
                max_steps: 16,
                ..Default::default()
            })
            .sink(sink),
    );
    test.add_systems(FixedUpdate, noise);
    for _ in 0..4 {
        test.world_mut().spawn((Player, Noise([0.0; 32])));
    }
    test
}

#[track_caller]
fn play_until(test: &mut TestApp, mut done: impl FnMut(&TestApp) -> bool) {
    let begun = Instant::now();
    while !done(test) {
        assert!(begun.elapsed() < Duration::from_secs(60), "timed out");
        test.ticks(1);
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output")]
fn a_full_disk_pauses_recording_and_freed_space_resumes_it() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let root = disk.path().join("data");
    let mut test = game(DatasetSink::new(&root).with_shard_bytes(64 << 10));
    let report = |test: &TestApp| test.world().resource::<Experience>().reports("player").remove(0);
    let reason = |test: &TestApp| test.world().resource::<Experience>().pause_reason("player");
    // A file of another program takes half of the disk.
    let other = disk.path().join("other");
    fs::write(&other, vec![0; 512 << 10]).unwrap();
    test.ticks(2);
    for round in 0..2 {
        // Rows in flight when the disk fills may still fit, so recording may resume for a while.
        let (mut recorded, mut since) = (0, Instant::now());
        play_until(&mut test, |test| {
            let now = report(test).recorded;
            if reason(test).is_none() || now != recorded {
                (recorded, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_millis(500)
        });
        assert!(matches!(reason(&test), Some(PauseReason::StorageFull(_))));
        assert!(recorded > 200, "{round}: {recorded}");
        assert_eq!(report(&test).dropped, 0);
        if round == 0 {
            fs::remove_file(&other).unwrap();
        } else {
            // A reader moves half of the shards away, which frees space.
            let data = root.join("player/data");
            let mut shards: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).collect();
            shards.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
            shards.sort();
            fs::create_dir(disk.path().with_extension("taken")).unwrap();
            for shard in &shards[..shards.len() / 2] {
                let to = disk.path().with_extension("taken").join(shard.file_name().unwrap());
                fs::copy(shard, to).unwrap();
                fs::remove_file(shard).unwrap();
            }
        }
        play_until(&mut test, |test| {
            reason(test).is_none() && report(test).recorded > recorded
        });
        // Fills the disk at once while rows are in flight, so that the sink fails too, not only the journal.
        let rest = disk.path().join("rest");
        let mut filler = fs::File::create(&rest).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        drop(filler);
        play_until(&mut test, |test| reason(test).is_some());
        let begun = Instant::now();
        play_until(&mut test, |_| begun.elapsed() > Duration::from_millis(100));
        fs::remove_file(&rest).unwrap();
        play_until(&mut test, |test| reason(test).is_none());
    }
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(
        !experience.close(Duration::from_secs(30)),
        "shards of the run were moved away"
    );
    let mut report = report(&test);
    assert!(report.missing > 0, "{report:?}");
    assert_eq!(
        (report.exported + report.missing, report.dropped, report.pending),
        (report.recorded, report.missing, 0)
    );
    assert!(report.failures > 1);
    // The close itself was refused after the account was written.
    report.failures -= 1;
    let dataset = Dataset::open(&root).unwrap();
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    assert_eq!(validation.transitions, report.exported);
    let run = player.runs().unwrap().remove(0);
    assert_eq!((run.status, run.account), (RunStatus::Closed, report.clone()));
    // Puts the moved shards back, to read the whole dataset.
    let whole = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(&root).arg(whole.path()).status();
    assert!(copied.unwrap().success());
    let taken = disk.path().with_extension("taken");
    for entry in fs::read_dir(&taken).unwrap() {
        let path = entry.unwrap().path();
        let to = whole.path().join("data/player/data").join(path.file_name().unwrap());
        fs::copy(path, to).unwrap();
    }
    fs::remove_dir_all(taken).unwrap();
    let dataset = Dataset::open(whole.path().join("data")).unwrap();
    let player = dataset.recording("player").unwrap();
    assert_eq!(player.transitions().unwrap(), report.recorded);
    let mut paused = 0;
    for episode in player.episodes() {
        paused += usize::from(episode.unwrap().reason() == &EndReason::PAUSED);
    }
    assert!(paused >= 4, "{paused} episodes ended with a pause");
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output")]
fn segments_on_a_full_disk_lose_no_row() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let root = disk.path().join("data");
    let mut test = game(JournalSink::new(&root).with_segment_bytes(32 << 10));
    let report = |test: &TestApp| test.world().resource::<Experience>().reports("player").remove(0);
    let reason = |test: &TestApp| test.world().resource::<Experience>().pause_reason("player");
    let other = disk.path().join("other");
    fs::write(&other, vec![0; 512 << 10]).unwrap();
    play_until(&mut test, |test| {
        matches!(reason(test), Some(PauseReason::StorageFull(_)))
    });
    let recorded = report(&test).recorded;
    assert!(recorded > 200, "{recorded}");
    fs::remove_file(&other).unwrap();
    play_until(&mut test, |test| {
        reason(test).is_none() && report(test).recorded > recorded + 100
    });
    assert!(
        test.world_mut()
            .resource_mut::<Experience>()
            .close(Duration::from_secs(30))
    );
    let report = report(&test);
    assert_eq!(
        (report.exported, report.dropped, report.pending),
        (report.recorded, 0, 0)
    );
    // Shards and segments do not fit beside each other, so a copy is recovered.
    let whole = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(&root).arg(whole.path()).status();
    assert!(copied.unwrap().success());
    let dataset = Dataset::open(whole.path().join("data")).unwrap();
    let recovered = dataset.recover(&RecoverSettings::default()).unwrap();
    let run = &recovered[0].recovery.recovered[0];
    assert_eq!((run.transitions, run.lost), (report.recorded, 0), "{run:?}");
    let player = Dataset::open(whole.path().join("data")).unwrap();
    let player = player.recording("player").unwrap();
    assert!(player.validate(&mut |_| {}).unwrap().is_valid());
    assert_eq!(player.runs().unwrap()[0].account, report);
}
