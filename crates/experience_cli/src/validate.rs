//! The command `experience validate`.

use crate::{
    Verdict,
    args::RecordingArgs,
    output::{CommandError, Printer, count, counted},
};
use serde_json::json;

pub fn run(source: &RecordingArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let mut verdict = Verdict::Clean;
    for recording in source.recordings()? {
        let name = recording.folder_name();
        let validation = output.with_progress(name, |watch| recording.validate(watch))?;
        if !validation.is_valid() {
            verdict = Verdict::Problems;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "valid": validation.is_valid(), "validation": validation }))?;
            continue;
        }
        for shard in &validation.rewritten {
            output.line(format!(
                "`{}` was rewritten by {}: its checksum is not known",
                shard.file.display(),
                if shard.by.is_empty() {
                    "another program"
                } else {
                    &shard.by
                }
            ))?;
        }
        for violation in &validation.violations {
            output.line(violation.to_string())?;
        }
        let checked = format!(
            "{} in {}",
            counted(validation.transitions, "transition"),
            counted(validation.episodes, "episode")
        );
        if validation.is_valid() {
            output.line(format!("`{name}` is valid: {checked}"))?;
            continue;
        }
        let unlisted = validation.count() - validation.violations.len() as u64;
        if unlisted > 0 {
            output.line(format!("and {} more", count(unlisted)))?;
        }
        output.line(format!(
            "`{name}` is NOT valid: {checked}, {}",
            counted(validation.count(), "violation")
        ))?;
        let rows = validation
            .broken
            .iter()
            .map(|(rule, number)| vec![rule.text().to_owned(), count(*number)]);
        output.table(&["rule", "violations"], rows.collect())?;
    }
    Ok(verdict)
}
