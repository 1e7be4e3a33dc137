//! The command `experience compact`.

use crate::{
    Verdict,
    args::CompactArgs,
    output::{CommandError, Printer, count, counted},
    output_place::OutputPlace,
};
use experience_dataset::{CompactSettings, Dataset, compact};
use serde_json::json;

pub fn run(arguments: &CompactArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&arguments.dataset)?;
    let settings = CompactSettings::default();
    let place = arguments.output.as_deref().map(OutputPlace::new).transpose()?;
    let compacted = output.with_progress("compacting", |watch| match &place {
        Some(place) => compact(&dataset, &place.path(), settings, watch),
        None => dataset.compact(settings, watch),
    })?;
    let to = place.map(OutputPlace::finish).transpose()?;
    // Shards that were left as they are need the user's attention.
    let verdict = if compacted.iter().all(|recording| recording.skipped.is_empty()) {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        output.json(&json!({ "output": to, "compacted": compacted }))?;
        return Ok(verdict);
    }
    for recording in compacted {
        output.line(format!(
            "`{}`: {} became {}",
            recording.recording,
            counted(recording.before, "shard"),
            count(recording.after)
        ))?;
        if recording.discarded > 0 {
            output.line(format!(
                "  {} removed, which had been discarded while they were recorded",
                counted(recording.discarded, "episode")
            ))?;
        }
        for skipped in recording.skipped {
            output.line(format!("  NOT COMPACTED: {skipped}"))?;
        }
    }
    if let Some(to) = &to {
        output.line(format!("written to `{}`", to.display()))?;
    }
    Ok(verdict)
}
