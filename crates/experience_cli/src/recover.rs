//! The command `experience recover`.

use crate::{
    Verdict,
    args::RecoverArgs,
    output::{CommandError, Printer, count, counted},
};
use experience_dataset::{Dataset, RecoverSettings, RecoveredRecording};
use serde_json::json;

pub fn run(recover: &RecoverArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&recover.dataset)?;
    let settings = RecoverSettings {
        include_unclear: recover.include_unclear,
    };
    let recordings = dataset.recover(&settings)?;
    // Lost transitions and a last write that was cut short are expected after a crash. Data that could not be read needs the
    // user's attention.
    let is_complete = |found: &RecoveredRecording| {
        let recovery = &found.recovery;
        recovery.unclear.is_empty() && recovery.recovered.iter().all(|run| run.damage().next().is_none())
    };
    let failed = recordings
        .iter()
        .map(|found| found.recovery.failed.len())
        .sum::<usize>();
    let verdict = if recordings.iter().all(is_complete) {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        output.json(&json!({ "recordings": recordings }))?;
    } else {
        if recordings.is_empty() {
            output.line(format!("there is nothing to recover in `{}`", dataset.path().display()))?;
        }
        for found in &recordings {
            print(found, output)?;
        }
    }
    match failed {
        0 => Ok(verdict),
        failed => Err(CommandError::NotDone(format!(
            "{} could not be recovered; nothing of them was removed, so recover again when the cause is gone",
            counted(failed as u64, "run")
        ))),
    }
}

fn print(found: &RecoveredRecording, output: &mut Printer) -> Result<(), CommandError> {
    let (name, recovery) = (&found.recording, &found.recovery);
    for run in &recovery.recovered {
        output.line(format!(
            "{name}: run {}: recovered {} in {}, of which {} {} open and truncated; lost {}",
            run.run,
            counted(run.transitions, "transition"),
            counted(run.episodes, "episode"),
            count(run.cut_short),
            if run.cut_short == 1 { "was" } else { "were" },
            counted(run.lost, "transition")
        ))?;
        if !run.torn.is_empty() {
            output.line(format!(
                "{name}: run {}: its process died in the middle of a write, which is among what is lost",
                run.run
            ))?;
        }
        for unread in run.damage() {
            output.line(format!("{name}: run {}: NOT READ: {unread}", run.run))?;
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
    for (run, error) in &recovery.failed {
        output.line(format!("{name}: run {run}: NOT RECOVERED: {error}"))?;
    }
    Ok(())
}
