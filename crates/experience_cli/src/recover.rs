//! The command `experience recover`.

use crate::{
    Verdict,
    args::RecoverArgs,
    output::{CommandError, Printer, count, counted},
};
use experience_dataset::{
    AdoptedJournals, Dataset, DatasetError, RecoverSettings, RecoveredRecording, RecoveredRun, adopt_journals,
    is_address,
};
use serde_json::json;

pub fn run(recover: &RecoverArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    if is_address(&recover.dataset) {
        return recover_staged(recover, output);
    }
    // The folder may be that of journals without a dataset, which becomes one.
    let journals = adopt_journals(&recover.dataset, recover.include_unclear)?;
    let settings = RecoverSettings {
        include_unclear: recover.include_unclear,
        discard_damaged: recover.discard_damaged,
    };
    let recordings = match Dataset::open(&recover.dataset) {
        Ok(dataset) => dataset.recover(&settings)?,
        // There are journals, and none could be moved into a dataset.
        Err(DatasetError::NotADataset { .. }) if !journals.is_empty() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    // Lost transitions and a last write that was cut short are expected after a crash. Data that could not be read needs the
    // user's attention.
    let is_complete = |found: &RecoveredRecording| {
        let recovery = &found.recovery;
        recovery.failed.is_empty()
            && recovery.unclear.is_empty()
            && recovery.recovered.iter().all(|run| run.damage().next().is_none())
    };
    let refused: usize = recordings.iter().map(|found| found.recovery.refused.len()).sum();
    let refused = refused + journals.refused.len();
    let is_adopted = journals.unclear.is_empty() && journals.failed.is_empty();
    let verdict = if is_adopted && recordings.iter().all(is_complete) {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        let mut document = json!({ "recordings": recordings });
        if !journals.is_empty() {
            document["journals"] = json!(journals);
        }
        output.json(&document)?;
    } else {
        if recordings.is_empty() && journals.is_empty() {
            output.line(format!(
                "there is nothing to recover in `{}`",
                recover.dataset.display()
            ))?;
        }
        print_journals(&journals, output)?;
        for found in &recordings {
            print(found, output)?;
        }
    }
    match refused {
        0 => Ok(verdict),
        refused => Err(CommandError::NotDone(format!(
            "{} could not be recovered; nothing of them was removed, so recover again when the cause is gone",
            counted(refused as u64, "run")
        ))),
    }
}

/// Uploads the runs that wait on this host for an object store.
#[cfg(feature = "object_store")]
fn recover_staged(recover: &RecoverArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let settings = RecoverSettings {
        include_unclear: recover.include_unclear,
        discard_damaged: recover.discard_damaged,
    };
    let found = experience_dataset::upload_staged(&recover.dataset, recover.staging.as_deref(), &settings)?;
    if output.is_json() {
        let names = |runs: &[(experience_core::transition::RunId, std::path::PathBuf)]| -> Vec<_> {
            runs.iter()
                .map(|(run, folder)| json!({ "run": run.to_string(), "folder": folder }))
                .collect()
        };
        let failed = found.failed.iter();
        let failed: Vec<_> = failed
            .map(|(run, folder, error)| json!({ "run": run.to_string(), "folder": folder, "error": error }))
            .collect();
        output.json(&json!({
            "completed": names(&found.completed),
            "kept": names(&found.kept),
            "alive": names(&found.alive),
            "failed": failed
        }))?;
    } else {
        if found == experience_dataset::StagedUploads::default() {
            output.line(format!("no run waits on this host for `{}`", recover.dataset.display()))?;
        }
        for (run, folder) in &found.completed {
            output.line(format!(
                "run {run}: uploaded as a whole, and `{}` was removed",
                folder.display()
            ))?;
        }
        for (run, folder) in &found.kept {
            output.line(format!(
                "run {run}: uploaded as a whole, but `{}` stays, with parts of its journal that could not be read; `--discard-damaged` \
                 removes them",
                folder.display()
            ))?;
        }
        for (run, folder) in &found.alive {
            output.line(format!(
                "run {run}: its process is alive, or may be, so `{}` is unchanged; if it is dead, use `--include-unclear`",
                folder.display()
            ))?;
        }
        for (run, folder, error) in &found.failed {
            output.line(format!("run {run} in `{}`: NOT UPLOADED: {error}", folder.display()))?;
        }
    }
    match found.failed.len() {
        0 if found.kept.is_empty() => Ok(Verdict::Clean),
        // Data that could not be read needs the user's attention.
        0 => Ok(Verdict::Problems),
        failed => Err(CommandError::NotDone(format!(
            "{} could not be uploaded as a whole; nothing of them was removed, so recover again when the cause is gone",
            counted(failed as u64, "run")
        ))),
    }
}

/// Without the feature, opening the dataset says what is missing.
#[cfg(not(feature = "object_store"))]
fn recover_staged(recover: &RecoverArgs, _: &mut Printer) -> Result<Verdict, CommandError> {
    Dataset::open(&recover.dataset)?;
    Ok(Verdict::Clean)
}

fn print_journals(journals: &AdoptedJournals, output: &mut Printer) -> Result<(), CommandError> {
    for journal in &journals.adopted {
        output.line(format!(
            "{}: run {}: its journal was moved into the dataset",
            journal.recording, journal.run
        ))?;
    }
    for path in &journals.alive {
        output.line(format!(
            "the process of the journal `{}` is alive: it is unchanged",
            path.display()
        ))?;
    }
    for path in &journals.unclear {
        output.line(format!(
            "the process of the journal `{}` may be alive: its lock file is missing, or was written on another host or copied less \
             than a minute ago; try again in a minute, or if it is dead, recover it with `--include-unclear`",
            path.display()
        ))?;
    }
    for (path, error) in journals.failed.iter().chain(&journals.refused) {
        output.line(format!("the journal `{}`: NOT RECOVERED: {error}", path.display()))?;
    }
    Ok(())
}

fn print(found: &RecoveredRecording, output: &mut Printer) -> Result<(), CommandError> {
    let (name, recovery) = (&found.recording, &found.recovery);
    for run in &recovery.recovered {
        if run.closed {
            output.line(format!(
                "{name}: run {}: wrote {} in {} from its segments to shards; lost {}",
                run.run,
                counted(run.transitions, "transition"),
                counted(run.episodes, "episode"),
                counted(run.lost, "transition")
            ))?;
            print_unread(name, run, output)?;
            continue;
        }
        output.line(format!(
            "{name}: run {}: recovered {} in {}, of which {} {} open and truncated; lost at least {}{}",
            run.run,
            counted(run.transitions, "transition"),
            counted(run.episodes, "episode"),
            count(run.cut_short),
            if run.cut_short == 1 { "was" } else { "were" },
            counted(run.lost, "transition"),
            run.after_last_tick()
        ))?;
        if !run.torn.is_empty() {
            output.line(format!(
                "{name}: run {}: its process died in the middle of a write, which is among what is lost",
                run.run
            ))?;
        }
        print_unread(name, run, output)?;
        if let Some(buffers) = &run.kept_buffers {
            output.line(format!(
                "{name}: run {}: the buffer files in `{}` were read and stay, because nothing proves that they are of this dataset",
                run.run,
                buffers.display()
            ))?;
        }
    }
    for run in &recovery.alive {
        output.line(format!("{name}: run {run} is alive, and is unchanged"))?;
    }
    for run in &recovery.unclear {
        output.line(format!(
            "{name}: run {run} may be alive: its lock file is missing, or it gave a sign of life on another host less than a \
             minute ago; try again in a minute, or if it is dead, recover it with `--include-unclear`"
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

/// Prints what could not be read.
fn print_unread(name: &str, run: &RecoveredRun, output: &mut Printer) -> Result<(), CommandError> {
    for unread in run.damage() {
        output.line(format!("{name}: run {}: NOT READ: {unread}", run.run))?;
    }
    if let Some(kept) = &run.kept {
        output.line(format!(
            "{name}: run {}: its damaged segments are kept in `{}`; `--discard-damaged` removes them",
            run.run,
            kept.display()
        ))?;
    }
    Ok(())
}
