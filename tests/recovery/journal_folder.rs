//! Recovery of the journals in `JournalSettings::folder`, which belong to recordings without a dataset.

#[path = "../support/log_lines.rs"]
mod log_lines;

use crate::{
    game::{TIMEOUT, manual_flush},
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RunStatus, adopt_journals},
    export::ExportSettings,
    journal::{JournalReader, JournalSettings, Record, run_folders},
    prelude::*,
    sink::{RecordingInfo, RunReport, Sink, SinkError},
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use log_lines::LogLines;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use tempfile::tempdir;

/// Names the folder in the process that is killed.
const FOLDER: &str = "EXPERIENCE_TEST_JOURNALS";
const TICKS: usize = 100;
const EPISODE: u32 = 30;

/// A sink that takes nothing: its first write does not return.
struct StuckSink;

impl Sink for StuckSink {
    fn describe(&self) -> std::borrow::Cow<'_, str> {
        "stuck".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        loop {
            std::thread::park();
        }
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

fn game(folder: &Path, sink: impl Sink) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            poll_interval: Duration::from_millis(1),
            batch: 1,
            queue_bytes: 1,
            journal: Some(JournalSettings {
                flush_interval: Duration::ZERO,
                folder: Some(folder.to_owned()),
                ..JournalSettings::default()
            }),
            ..manual_flush()
        },
        ..ExperiencePlugin::default()
    });
    let rules = EpisodeRules {
        max_steps: EPISODE,
        ..EpisodeRules::default()
    };
    test.record(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .episodes(rules)
            .sink(sink),
    );
    test.add_systems(FixedUpdate, grow);
    test
}

/// The only journal in `folder`, once it exists.
fn journal(folder: &Path) -> PathBuf {
    let begun = Instant::now();
    loop {
        if let [journal] = &*run_folders(folder).unwrap() {
            return journal.clone();
        }
        assert!(begun.elapsed() < TIMEOUT, "there is no journal");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the journal in `folder` has `expected` rows.
fn wait_for_rows(folder: &Path, expected: usize) {
    let begun = Instant::now();
    loop {
        let (mut rows, mut row_bytes) = (0, 1);
        JournalReader::read(&journal(folder), |_, record| match record {
            Record::Head(head) => row_bytes = head.row_bytes as usize,
            Record::Rows { rows: bytes, .. } => rows += bytes.len() / row_bytes,
            _ => {}
        })
        .unwrap();
        if rows == expected {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "{rows} rows instead of {expected}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Plays in the process that is killed. Three episodes have ended, and the sink has taken none of them.
fn play_until_killed(folder: &Path) -> ! {
    let mut test = game(folder, StuckSink);
    test.ticks(1);
    journal(folder);
    test.world_mut().spawn((Player, Age(0.0), AgentId(7)));
    test.ticks(TICKS);
    // Each episode begins with a row that is no transition.
    wait_for_rows(folder, TICKS + 3);
    std::process::abort();
}

/// Plays in another process until it is killed.
fn killed(folder: &Path) {
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "journal_folder::journals_of_a_killed_process_become_a_dataset",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
}

fn recover(folder: &Path) -> Vec<Episode> {
    let dataset = Dataset::open(folder).unwrap();
    let recovered = dataset.recover(&RecoverSettings::default()).unwrap();
    for found in &recovered {
        assert!(
            found.recovery.failed.is_empty() && found.recovery.refused.is_empty(),
            "{found:?}"
        );
    }
    let recording = dataset.recording("player").unwrap();
    assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
    let runs = recording.runs().unwrap();
    assert!(runs.iter().all(|run| run.status == RunStatus::Recovered), "{runs:?}");
    let mut episodes: Vec<_> = recording.episodes().map(Result::unwrap).collect();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    episodes
}

#[test]
fn journals_of_a_killed_process_become_a_dataset() {
    if let Some(folder) = env::var_os(FOLDER) {
        play_until_killed(Path::new(&folder));
    }
    let folder = tempdir().unwrap();
    killed(folder.path());
    // The next process says what is left, and how to get it.
    let lines = LogLines::default();
    let mut next = lines.collect(|| game(folder.path(), MemorySink::default()));
    let warning = lines.warning();
    assert!(lines.lines().contains(&warning));
    assert!(warning.contains("1 journals with"), "{warning}");
    assert!(
        warning.contains(&format!("`experience recover {}`", folder.path().display())),
        "{warning}"
    );
    next.ticks(5);
    next.finish();

    let found = adopt_journals(folder.path(), false).unwrap();
    assert_eq!(found.adopted.len(), 1, "{found:?}");
    assert_eq!(found.adopted[0].recording, "player");
    assert!(!folder.path().join("journal").exists(), "nothing is left");
    let episodes = recover(folder.path());
    let lengths: Vec<_> = episodes.iter().map(Episode::len).collect();
    assert_eq!(lengths, [30, 30, 30, TICKS - 91]);
    assert_eq!(episodes[3].reason(), &EndReason::CRASH);
    let observed = episodes
        .iter()
        .flat_map(|episode| episode.transitions().map(|step| step.next_observation()[0]));
    let mut observed: Vec<_> = observed.collect();
    observed.dedup();
    assert!(
        observed.windows(2).all(|pair| pair[1] > pair[0]),
        "no row is doubled: {observed:?}"
    );
    assert!(adopt_journals(folder.path(), false).unwrap().is_empty());

    // A second run of the same folder is added to the dataset.
    killed(folder.path());
    assert_eq!(adopt_journals(folder.path(), false).unwrap().adopted.len(), 1);
    assert_eq!(recover(folder.path()).len(), 8);
}

#[test]
fn a_journal_of_a_live_process_stays_and_one_without_a_lock_is_unclear() {
    let folder = tempdir().unwrap();
    let mut test = game(folder.path(), MemorySink::default());
    test.ticks(1);
    let live = journal(folder.path());
    test.world_mut().spawn((Player, Age(0.0), AgentId(7)));
    test.ticks(10);
    wait_for_rows(folder.path(), 10);
    let found = adopt_journals(folder.path(), true).unwrap();
    assert_eq!((&*found.alive, found.adopted.len()), (&[live.clone()][..], 0));

    // What a process of a version without locks leaves.
    let copied = tempdir().unwrap();
    let copy = copied.path().join("journal").join(live.file_name().unwrap());
    crate::game::copy(&live, &copy);
    assert_eq!(
        adopt_journals(copied.path(), false).unwrap().unclear,
        std::slice::from_ref(&copy)
    );
    let found = adopt_journals(copied.path(), true).unwrap();
    assert_eq!(found.adopted.len(), 1, "{found:?}");
    let [episode] = &*recover(copied.path()) else { panic!() };
    assert_eq!(episode.len(), 9);
    test.finish();
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a clean close leaves nothing"
    );
}

#[test]
fn a_journal_whose_head_is_damaged_stays() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("journal/00000007-0");
    fs::create_dir_all(&journal).unwrap();
    fs::write(journal.join("00000.journal"), [7; 100]).unwrap();
    let found = adopt_journals(folder.path(), true).unwrap();
    assert_eq!((found.failed.len(), found.adopted.len()), (1, 0), "{found:?}");
    assert!(journal.join("00000.journal").exists());
}
