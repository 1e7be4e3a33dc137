//! Recovery after SIGKILL at random moments. The dataset holds every player's transitions without gaps up to one
//! journal flush before the kill, and with file-backed buffers up to the kill itself. A kill during recovery loses
//! nothing.

// The games of these tests are headless. A build with the window would play them again.
#![cfg(not(feature = "window"))]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arena::{
    ArenaSettings, headless,
    record::{FIGHTER, buffers, recording},
};
use bevy_app::App;
use bevy_experience::{
    dataset::{Dataset, RecordingData, RecoverSettings, RunStatus},
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
    transition::{Episode, RunId},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Environment variables that the child reads: the dataset's folder, the progress file, the run id, and the folder of
/// file-backed buffers.
const DATA: &str = "BEVY_EXPERIENCE_CRASH_DATA";
const PROGRESS: &str = "BEVY_EXPERIENCE_CRASH_PROGRESS";
const RUN: &str = "BEVY_EXPERIENCE_CRASH_RUN";
const RINGS: &str = "BEVY_EXPERIENCE_CRASH_RINGS";

/// Children that are started and killed, one after the other.
const CHILDREN: u32 = 16;
/// The flush interval of the journal and of the exporter.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// How long the exporter thread may wait for a processor on a busy machine.
const SCHEDULING_DELAY: Duration = Duration::from_millis(400);
/// More ticks than a child plays before it is killed.
const MAX_TICKS: u64 = 40_000;

fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 6,
        churn: true,
        ..ArenaSettings::default()
    }
}

fn app(run: RunId, edit: impl FnOnce(Recording<arena::fighter::Fighter>) -> Recording<arena::fighter::Fighter>) -> App {
    let settings = settings();
    let mut app = headless(settings.clone());
    app.add_plugins(ExperiencePlugin {
        run: Some(run),
        export: ExportSettings {
            flush_interval: FLUSH_INTERVAL,
            journal: Some(JournalSettings {
                flush_interval: FLUSH_INTERVAL,
                // Small, so that many segments are written and deleted.
                segment_bytes: 64 << 10,
                ..JournalSettings::default()
            }),
            ..ExportSettings::default()
        },
        ..ExperiencePlugin::default()
    });
    app.add_recording(edit(recording(&settings)));
    app
}

/// The child process: plays until it is killed, and writes each finished tick with its time to the progress file.
#[test]
#[ignore = "runs only as a child process of the other tests"]
fn play_until_killed() {
    let Ok(data) = std::env::var(DATA) else { return };
    let run: u32 = std::env::var(RUN).unwrap().parse().unwrap();
    let mut progress = File::create(std::env::var(PROGRESS).unwrap()).unwrap();
    let mut app = app(RunId::from_bits(run), |recording| {
        let sink = DatasetSink::new(data).with_shard_bytes(48 << 10);
        let recording = recording.sink(sink);
        match std::env::var(RINGS) {
            Ok(rings) => recording.buffers(BufferSettings {
                memory: Memory::File(rings.into()),
                ..buffers(&settings())
            }),
            Err(_) => recording,
        }
    });
    // The first update plays no tick.
    app.update();
    for tick in 0..MAX_TICKS {
        app.update();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&tick.to_le_bytes());
        entry[8..].copy_from_slice(&now.to_le_bytes());
        progress.write_all(&entry).unwrap();
        // Roughly real time: at full speed, much more would be recorded per flush interval than in a game.
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("the child was not killed");
}

/// The last tick that a child finished, and the last that it had finished `before` that; `None` if it finished none.
fn progress(path: &Path, before: Duration) -> Option<(i64, i64)> {
    let entries = fs::read(path).unwrap_or_default();
    let entries: Vec<(u64, u64)> = entries
        .chunks_exact(16)
        .map(|entry| {
            let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
            (number(0), number(8))
        })
        .collect();
    let (last, killed) = *entries.last()?;
    let early = entries
        .iter()
        .rev()
        .find(|(_, at)| killed - at >= before.as_nanos() as u64);
    Some((last as i64, early.map_or(-1, |(tick, _)| *tick as i64)))
}

/// A transition, to compare with that of the uninterrupted game.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    tick: i64,
    observation: Vec<f32>,
    action: Vec<f64>,
    reward: f64,
    next_observation: Vec<f32>,
    end_reason: Option<String>,
}

/// The transitions of every agent, by tick.
fn steps(episodes: impl Iterator<Item = Episode>) -> BTreeMap<i64, Vec<Step>> {
    let mut players: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for episode in episodes {
        let steps = players.entry(episode.info().agent_id).or_default();
        for transition in episode.transitions() {
            steps.push(Step {
                tick: transition.tick(),
                observation: transition.observation().to_vec(),
                action: transition.action().collect(),
                reward: transition.reward(),
                next_observation: transition.next_observation().to_vec(),
                end_reason: (transition.terminated() || transition.truncated()).then(|| episode.reason().to_string()),
            });
        }
    }
    for steps in players.values_mut() {
        steps.sort_by_key(|step| step.tick);
    }
    players
}

/// The transitions of the same game, without a kill.
fn uninterrupted(ticks: u64) -> BTreeMap<i64, Vec<Step>> {
    let sink = MemorySink::default();
    let mut app = app(RunId::from_bits(1), |recording| recording.sink(sink.clone()));
    for _ in 0..=ticks {
        app.update();
        // Flushing here keeps a slow exporter from losing rows to overwrites.
        let reports = app.world().resource::<Experience>().reports(FIGHTER);
        if reports.first().is_some_and(|report| report.pending > 1000) {
            let mut experience = app.world_mut().resource_mut::<Experience>();
            assert!(experience.flush(Duration::from_secs(60)));
        }
    }
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(60)));
    let report = experience.reports(FIGHTER).remove(0);
    assert_eq!(report.dropped, 0);
    steps(sink.episodes().into_iter())
}

/// A child that was killed.
struct KilledRun {
    run: RunId,
    progress: PathBuf,
}

/// Starts a child on the dataset, and kills it after a random time.
fn run_and_kill(folder: &Path, number: u32, rings: Option<&Path>, rng: &mut StdRng) -> KilledRun {
    let progress = folder.join(format!("progress-{number}"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "play_until_killed", "--ignored"])
        .env(DATA, folder.join("data"))
        .env(PROGRESS, &progress)
        .env(RUN, number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(rings) = rings {
        command.env(RINGS, rings);
    }
    let mut child = command.spawn().unwrap();
    if rng.random_ratio(3, 4) {
        // Three quarters are killed while they play, the others during set-up or recovery.
        let started = Instant::now();
        while fs::metadata(&progress).map_or(0, |found| found.len()) == 0 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the child finished no tick"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    std::thread::sleep(Duration::from_micros(rng.random_range(1_000..700_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child exited before it was killed");
    KilledRun {
        run: RunId::from_bits(number),
        progress,
    }
}

#[track_caller]
/// Compares the transitions of a killed run with the uninterrupted game, and returns their count.
fn check(recording: &RecordingData, killed: &KilledRun, in_files: bool, expected: &BTreeMap<i64, Vec<Step>>) -> u64 {
    let run = killed.run;
    // A run that was killed before it wrote its account has no recorded transitions.
    let is_known = recording.path().join(format!("runs/{run}.json")).exists();
    let Some((last, early)) = progress(&killed.progress, FLUSH_INTERVAL + SCHEDULING_DELAY) else {
        return 0;
    };
    let episodes = recording.episodes().map(Result::unwrap);
    let found = steps(episodes.filter(|episode| episode.info().run == run));
    let must_have = match (is_known, in_files) {
        (false, _) => -1,
        (true, false) => early,
        (true, true) => last,
    };
    for (agent, expected) in expected {
        let found = found.get(agent).map_or(&[][..], Vec::as_slice);
        for (index, (step, expected)) in found.iter().zip(expected).enumerate() {
            let is_last = index + 1 == found.len();
            if is_last && step.end_reason.as_deref() == Some("crash") {
                let end_reason = expected.end_reason.clone();
                assert_eq!(
                    Step {
                        end_reason,
                        ..step.clone()
                    },
                    *expected,
                    "run {run}, agent {agent}"
                );
            } else {
                assert_eq!(
                    step,
                    expected,
                    "run {run}, agent {agent}, step {index} of {}",
                    found.len()
                );
            }
        }
        assert!(found.len() <= expected.len());
        // The first missing transition ends after the last tick that had to be saved.
        if let Some(missing) = expected.get(found.len()) {
            assert!(
                missing.tick + 1 > must_have,
                "run {run}, agent {agent}: the transition of tick {} is missing, but all up to tick {must_have} had to be saved, of {last}",
                missing.tick
            );
        }
    }
    found.values().map(|steps| steps.len() as u64).sum()
}

fn crash(in_files: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rings = folder.path().join("rings");
    let rings = in_files.then_some(rings.as_path());
    let mut rng = StdRng::seed_from_u64(u64::from(in_files));
    let killed: Vec<_> = (0..CHILDREN)
        // Each child recovers what the one before it left.
        .map(|round| run_and_kill(folder.path(), round + 1, rings, &mut rng))
        .collect();
    let data = folder.path().join("data");
    let dataset = Dataset::open(&data).unwrap();
    for found in dataset.recover(&RecoverSettings::default()).unwrap() {
        let recovery = found.recovery;
        assert!(recovery.failed.is_empty() && recovery.alive.is_empty(), "{recovery:?}");
        for recovered in &recovery.recovered {
            // A journal file that was created just before the kill may hold no whole frame.
            let is_torn = |unread: &String| unread.contains("no whole frame");
            assert!(recovered.unread.iter().all(is_torn), "{recovered:?}");
        }
    }
    let last = killed
        .iter()
        .filter_map(|killed| Some(progress(&killed.progress, FLUSH_INTERVAL)?.0))
        .max();
    let expected = uninterrupted(last.unwrap() as u64 + 2);
    let recording = Dataset::open(&data).unwrap().recording(FIGHTER).unwrap().clone();
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    let transitions: u64 = killed
        .iter()
        .map(|killed| check(&recording, killed, in_files, &expected))
        .sum();
    assert!(transitions > 1000, "{transitions}");
    assert_eq!(transitions, validation.transitions);
    for run in recording.runs().unwrap() {
        assert_eq!(
            (run.status, run.account.pending),
            (RunStatus::Recovered, 0),
            "{}",
            run.run
        );
    }
    assert!(!recording.path().join("journal").exists());
    if let Some(rings) = rings {
        let has_account = |name: &str| {
            let run = name.split('-').next().unwrap();
            recording.path().join(format!("runs/{run}.json")).exists()
        };
        let names = fs::read_dir(rings).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| has_account(name.to_str().unwrap())).collect();
        assert!(left.is_empty(), "files of recovered buffers were not deleted: {left:?}");
    }
}

#[test]
fn a_kill_loses_at_most_one_journal_flush() {
    crash(false);
}

#[test]
fn a_kill_loses_nothing_with_file_backed_buffers() {
    crash(true);
}
