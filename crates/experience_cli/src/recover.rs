//! `experience recover`.

use crate::{
    Verdict,
    args::Recover,
    output::{Failure, Output, count},
};
use experience_dataset::{Dataset, RecoverSettings, RecoveredRecording};
use serde_json::json;

pub fn run(recover: &Recover, output: &mut Output) -> Result<Verdict, Failure> {
    let dataset = Dataset::open(&recover.dataset)?;
    let settings = RecoverSettings {
        include_unclear: recover.include_unclear,
    };
    let recordings = dataset.recover(&settings)?;
    // What was lost is counted, and in order; what could not be recovered is for somebody to look at.
    let is_whole = |found: &RecoveredRecording| {
        let recovery = &found.recovery;
        recovery.failed.is_empty()
            && recovery.unclear.is_empty()
            && recovery.recovered.iter().all(|run| run.unread.is_empty())
    };
    let verdict = if recordings.iter().all(is_whole) {
        Verdict::Fine
    } else {
        Verdict::Wrong
    };
    if output.is_json() {
        output.json(&json!({ "recordings": recordings }))?;
        return Ok(verdict);
    }
    if recordings.is_empty() {
        output.line(format!("there is nothing to recover in `{}`", dataset.path().display()))?;
    }
    for found in &recordings {
        say(found, output)?;
    }
    Ok(verdict)
}

fn say(found: &RecoveredRecording, output: &mut Output) -> Result<(), Failure> {
    let (name, recovery) = (&found.recording, &found.recovery);
    for run in &recovery.recovered {
        output.line(format!(
            "{name}: run {}: {} transitions in {} episodes were recovered, {} of them cut short; {} transitions are lost",
            run.run,
            count(run.transitions),
            count(run.episodes),
            count(run.cut_short),
            count(run.lost)
        ))?;
        for unread in &run.unread {
            output.line(format!("{name}: run {}: NOT READ: {unread}", run.run))?;
        }
    }
    for run in &recovery.alive {
        output.line(format!("{name}: run {run} is alive, and was left alone"))?;
    }
    for run in &recovery.unclear {
        output.line(format!(
            "{name}: run {run} may be alive: it has no lock; if it is known to be dead, recover it with `--include-unclear`"
        ))?;
    }
    for (run, error) in &recovery.failed {
        output.line(format!("{name}: run {run}: NOT RECOVERED: {error}"))?;
    }
    Ok(())
}
