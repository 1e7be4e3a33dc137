//! The command `experience merge`.

use crate::{
    Verdict,
    args::MergeArgs,
    output::{CommandError, Printer, count, counted},
    output_place::OutputPlace,
};
use experience_dataset::{Dataset, MergeSettings, merge};
use serde_json::json;

pub fn run(arguments: &MergeArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let datasets = arguments
        .datasets
        .iter()
        .map(Dataset::open)
        .collect::<Result<Vec<_>, _>>()?;
    let settings = MergeSettings {
        fill: arguments.fill,
        keep_apart: arguments.keep_apart,
    };
    let place = OutputPlace::new(&arguments.output)?;
    let merged = output.with_progress("merging", |watch| merge(&datasets, &place.path(), settings, watch))?;
    let to = place.finish()?;
    if output.is_json() {
        output.json(&json!({ "output": to, "merged": merged }))?;
        return Ok(Verdict::Clean);
    }
    for recording in merged {
        output.line(format!(
            "`{}`: {} of {}, from {}",
            recording.recording,
            counted(recording.transitions, "transition"),
            counted(recording.runs as u64, "run"),
            counted(recording.sources as u64, "folder")
        ))?;
        if recording.aligned > 0 {
            output.line(format!(
                "  {} of them were converted from another schema",
                count(recording.aligned)
            ))?;
        }
        if recording.same > 0 {
            output.line(format!(
                "  {} in several datasets, copied once",
                counted(recording.same as u64, "shard")
            ))?;
        }
    }
    output.line(format!("written to `{}`", to.display()))?;
    Ok(Verdict::Clean)
}
