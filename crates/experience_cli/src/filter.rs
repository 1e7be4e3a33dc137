//! The command `experience filter`.

use crate::{
    Verdict,
    args::FilterArgs,
    output::{CommandError, Printer, counted},
    output_place::OutputPlace,
};
use experience_dataset::filter;
use serde_json::json;

pub fn run(arguments: &FilterArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let recording = arguments.source.recording()?;
    let conditions = arguments.conditions();
    let place = OutputPlace::new(&arguments.output)?;
    let filtered = output.with_progress("filtering", |watch| {
        filter(&recording, &place.path(), &conditions, watch)
    })?;
    let to = place.finish()?;
    if output.is_json() {
        output.json(&json!({ "output": to, "filtered": filtered }))?;
        return Ok(Verdict::Clean);
    }
    output.line(format!(
        "`{}`: {} in {} selected by: {}",
        filtered.recording,
        counted(filtered.transitions, "transition"),
        counted(filtered.episodes, "episode"),
        filtered.selection
    ))?;
    output.line(format!(
        "  left out: {} in {}, which count as discarded in the new accounts",
        counted(filtered.left_out_transitions, "transition"),
        counted(filtered.left_out_episodes, "episode")
    ))?;
    if filtered.mixed_episodes > 0 {
        output.line(format!(
            "  {} had another controller for a part: left out, because an episode is selected as a whole",
            counted(filtered.mixed_episodes, "episode")
        ))?;
    }
    output.line(format!("written to `{}`", to.display()))?;
    Ok(Verdict::Clean)
}
