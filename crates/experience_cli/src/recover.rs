//! The command `experience recover`.

use crate::{
    Verdict,
    args::RecoverArgs,
    output::{CommandError, Printer, count},
};
use experience_dataset::{Dataset, RecoverSettings, RecoveredRecording};
use serde_json::json;

pub fn run(recover: &RecoverArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&recover.dataset)?;
    let settings = RecoverSettings {
        include_unclear: recover.include_unclear,
        discard_damaged: recover.discard_damaged,
    };
    let recordings = dataset.recover(&settings)?;
    // Lost transitions are expected after a crash. Data that could not be read needs the user's attention.
    let is_complete = |found: &RecoveredRecording| {
        let recovery = &found.recovery;
        recovery.failed.is_empty()
            && recovery.unclear.is_empty()
            && recovery.recovered.iter().all(|run| run.unread.is_empty())
    };
    let is_refused = |found: &RecoveredRecording| !found.recovery.refused.is_empty();
    let verdict = if recordings.iter().any(is_refused) {
        Verdict::Failure
    } else if recordings.iter().all(is_complete) {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        output.json(&json!({ "recordings": recordings }))?;
        return Ok(verdict);
    }
    if recordings.is_empty() {
        output.line(format!("there is nothing to recover in `{}`", dataset.path().display()))?;
    }
    for found in &recordings {
        print(found, output)?;
    }
    Ok(verdict)
}

fn print(found: &RecoveredRecording, output: &mut Printer) -> Result<(), CommandError> {
    let (name, recovery) = (&found.recording, &found.recovery);
    for run in &recovery.recovered {
        output.line(format!(
            "{name}: run {}: recovered {} transitions in {} episodes, {} of them truncated; {} transitions are lost",
            run.run,
            count(run.transitions),
            count(run.episodes),
            count(run.cut_short),
            count(run.lost)
        ))?;
        for unread in &run.unread {
            output.line(format!("{name}: run {}: NOT READ: {unread}", run.run))?;
        }
        if let Some(kept) = &run.kept {
            output.line(format!(
                "{name}: run {}: its damaged segments are kept in `{}`; `--discard-damaged` removes them",
                run.run,
                kept.display()
            ))?;
        }
    }
    for run in &recovery.alive {
        output.line(format!("{name}: run {run} is alive, and is unchanged"))?;
    }
    for run in &recovery.unclear {
        output.line(format!(
            "{name}: run {run} may be alive, because its lock file is missing; if it is dead, recover it with \
             `--include-unclear`"
        ))?;
    }
    for folder in &recovery.discarded {
        output.line(format!("{name}: removed `{}`", folder.display()))?;
    }
    for (run, error) in recovery.failed.iter().chain(&recovery.refused) {
        output.line(format!("{name}: run {run}: NOT RECOVERED: {error}"))?;
    }
    Ok(())
}
