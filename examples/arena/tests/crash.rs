//! A process that is killed at any moment leaves every player's steps up to that moment, without a hole, but for one flush
//! interval; with buffers in files, without even that. Whoever is killed while it recovers what another left does no harm.

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

/// Where the child writes, where it says how far it is, and which run it is.
const DATA: &str = "BEVY_EXPERIENCE_CRASH_DATA";
const PROGRESS: &str = "BEVY_EXPERIENCE_CRASH_PROGRESS";
const RUN: &str = "BEVY_EXPERIENCE_CRASH_RUN";
const RINGS: &str = "BEVY_EXPERIENCE_CRASH_RINGS";

const ROUNDS: u32 = 16;
const FLUSH: Duration = Duration::from_millis(50);
/// On a machine that is busy with other things the exporter's thread may have to wait so long for its turn.
const BUSY: Duration = Duration::from_millis(400);
/// No child lives to see this tick.
const TICKS: u64 = 40_000;

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
            flush_interval: FLUSH,
            journal: Some(JournalSettings {
                flush_interval: FLUSH,
                // Many segments come and go.
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

/// The child: plays until it is killed, and notes each tick when it is over.
#[test]
#[ignore = "run as a child of the other test"]
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
    // The first plays no tick.
    app.update();
    for tick in 0..TICKS {
        app.update();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let mut note = [0; 16];
        note[..8].copy_from_slice(&tick.to_le_bytes());
        note[8..].copy_from_slice(&now.to_le_bytes());
        progress.write_all(&note).unwrap();
        // A game's pace, more or less; without any, a second would be an hour.
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("nobody killed it");
}

/// How far a child came: the tick that was over when it was killed, and the one that was over so long before.
fn progress(path: &Path, before: Duration) -> Option<(i64, i64)> {
    let notes = fs::read(path).unwrap_or_default();
    let notes: Vec<(u64, u64)> = notes
        .chunks_exact(16)
        .map(|note| {
            let number = |at: usize| u64::from_le_bytes(note[at..at + 8].try_into().unwrap());
            (number(0), number(8))
        })
        .collect();
    let (last, killed) = *notes.last()?;
    let early = notes
        .iter()
        .rev()
        .find(|(_, at)| killed - at >= before.as_nanos() as u64);
    Some((last as i64, early.map_or(-1, |(tick, _)| *tick as i64)))
}

/// One step of a player, as it is compared.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    tick: i64,
    seen: Vec<f32>,
    done: Vec<f64>,
    reward: f64,
    led_to: Vec<f32>,
    ended: Option<String>,
}

/// Every player's steps, in order.
fn steps(episodes: impl Iterator<Item = Episode>) -> BTreeMap<i64, Vec<Step>> {
    let mut players: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for episode in episodes {
        let steps = players.entry(episode.info().agent_id).or_default();
        for transition in episode.transitions() {
            steps.push(Step {
                tick: transition.tick(),
                seen: transition.observation().to_vec(),
                done: transition.action().collect(),
                reward: transition.reward(),
                led_to: transition.next_observation().to_vec(),
                ended: (transition.terminated() || transition.truncated()).then(|| episode.reason().to_string()),
            });
        }
    }
    for steps in players.values_mut() {
        steps.sort_by_key(|step| step.tick);
    }
    players
}

/// The same game, played to its end by somebody whom nobody kills.
fn lived(ticks: u64) -> BTreeMap<i64, Vec<Step>> {
    let sink = MemorySink::default();
    let mut app = app(RunId::from_bits(1), |recording| recording.sink(sink.clone()));
    for _ in 0..=ticks {
        app.update();
        // Nothing is overwritten, however slow the exporter is.
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

struct Killed {
    run: RunId,
    progress: PathBuf,
}

/// Starts a child on the dataset, and kills it after a while.
fn kill_one(folder: &Path, number: u32, rings: Option<&Path>, chance: &mut StdRng) -> Killed {
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
    if chance.random_ratio(3, 4) {
        // Most are killed while they play, and the others while they set up or recover.
        let begun = Instant::now();
        while fs::metadata(&progress).map_or(0, |found| found.len()) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never played");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    std::thread::sleep(Duration::from_micros(chance.random_range(1_000..700_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "it ended by itself");
    Killed {
        run: RunId::from_bits(number),
        progress,
    }
}

#[track_caller]
fn check(recording: &RecordingData, killed: &Killed, in_files: bool, lived: &BTreeMap<i64, Vec<Step>>) -> u64 {
    let run = killed.run;
    // Of a run that was killed before it had an account nobody knows.
    let is_known = recording.path().join(format!("runs/{run}.json")).exists();
    let Some((last, early)) = progress(&killed.progress, FLUSH + BUSY) else {
        return 0;
    };
    let episodes = recording.episodes().map(Result::unwrap);
    let found = steps(episodes.filter(|episode| episode.info().run == run));
    let due = match (is_known, in_files) {
        (false, _) => -1,
        (true, false) => early,
        (true, true) => last,
    };
    for (agent, lived) in lived {
        let found = found.get(agent).map_or(&[][..], Vec::as_slice);
        for (index, (step, lived)) in found.iter().zip(lived).enumerate() {
            let is_last = index + 1 == found.len();
            if is_last && step.ended.as_deref() == Some("crash") {
                let ended = lived.ended.clone();
                assert_eq!(Step { ended, ..step.clone() }, *lived, "run {run}, agent {agent}");
            } else {
                assert_eq!(step, lived, "run {run}, agent {agent}, step {index} of {}", found.len());
            }
        }
        assert!(found.len() <= lived.len());
        // The next step that it would have had ends after what had to be saved.
        if let Some(missing) = lived.get(found.len()) {
            assert!(
                missing.tick + 1 > due,
                "run {run}, agent {agent}: the step of tick {} is missing, and those up to {due} were to be saved ({last} was over)",
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
    let mut chance = StdRng::seed_from_u64(u64::from(in_files));
    let killed: Vec<_> = (0..ROUNDS)
        // Each finds what all before it left, and recovers what the last of them had.
        .map(|round| kill_one(folder.path(), round + 1, rings, &mut chance))
        .collect();
    let data = folder.path().join("data");
    let dataset = Dataset::open(&data).unwrap();
    for found in dataset.recover(&RecoverSettings::default()).unwrap() {
        let recovery = found.recovery;
        assert!(recovery.failed.is_empty() && recovery.alive.is_empty(), "{recovery:?}");
        // A run that was killed before it had a lock has left nothing but perhaps its account.
        for recovered in &recovery.recovered {
            let torn = |unread: &String| unread.contains("no whole frame");
            assert!(recovered.unread.iter().all(torn), "{recovered:?}");
        }
    }
    let last = killed
        .iter()
        .filter_map(|killed| Some(progress(&killed.progress, FLUSH)?.0))
        .max();
    let lived = lived(last.unwrap() as u64 + 2);
    let recording = Dataset::open(&data).unwrap().recording(FIGHTER).unwrap().clone();
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    let transitions: u64 = killed
        .iter()
        .map(|killed| check(&recording, killed, in_files, &lived))
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
        let known = |name: &str| {
            let run = name.split('-').next().unwrap();
            recording.path().join(format!("runs/{run}.json")).exists()
        };
        let names = fs::read_dir(rings).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| known(name.to_str().unwrap())).collect();
        assert!(
            left.is_empty(),
            "files of buffers that were recovered are not left to lie about: {left:?}"
        );
    }
}

#[test]
fn killed_players_are_short_of_one_flush_at_most() {
    crash(false);
}

#[test]
fn killed_players_with_buffers_in_files_are_short_of_nothing() {
    crash(true);
}
