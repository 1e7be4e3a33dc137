//! The command `experience split`.

use crate::{
    Verdict,
    args::SplitArgs,
    output::{CommandError, Printer, count, number},
    output_place::OutputPlace,
};
use experience_dataset::{SplitSettings, split};
use serde_json::json;

pub fn run(arguments: &SplitArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let recording = arguments.source.recording()?;
    let settings = SplitSettings {
        parts: arguments.parts.clone(),
        by: arguments.by.into(),
        seed: arguments.seed,
    };
    let place = OutputPlace::new(&arguments.output)?;
    let parts = output.with_progress("splitting", |watch| split(&recording, &place.path(), &settings, watch))?;
    let to = place.finish()?;
    if output.is_json() {
        output.json(&json!({
            "output": to,
            "recording": recording.folder_name(),
            "by": settings.by,
            "seed": settings.seed,
            "parts": parts,
        }))?;
        return Ok(Verdict::Clean);
    }
    let rows = parts.into_iter().map(|part| {
        vec![
            part.name,
            number(part.share),
            count(part.groups),
            count(part.episodes),
            count(part.transitions),
        ]
    });
    output.table(&["part", "share", "groups", "episodes", "transitions"], rows.collect())?;
    output.line(format!(
        "written to `{}`, a dataset in the folder of each part",
        to.display()
    ))?;
    Ok(Verdict::Clean)
}
