//! The command `experience doctor`.

use crate::{
    Verdict,
    args::RecordingArgs,
    output::{CommandError, Printer, counted},
};
use experience_dataset::Severity;
use serde_json::json;

/// The maximum number of places printed for a finding.
const MAX_PLACES: usize = 5;

pub fn run(source: &RecordingArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let mut verdict = Verdict::Clean;
    for recording in source.recordings()? {
        let name = recording.folder_name();
        let diagnosis = output.with_progress(name, |watch| recording.diagnose(watch))?;
        if !diagnosis.is_healthy() {
            verdict = Verdict::Problems;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "healthy": diagnosis.is_healthy(), "diagnosis": diagnosis }))?;
            continue;
        }
        let checked = format!(
            "{} in {}",
            counted(diagnosis.transitions, "transition"),
            counted(diagnosis.episodes, "episode")
        );
        if diagnosis.findings.is_empty() {
            output.line(format!("`{name}`: no problem found in {checked}"))?;
            continue;
        }
        output.line(format!("`{name}`: {checked}"))?;
        for finding in &diagnosis.findings {
            let severity = match finding.severity {
                Severity::Error => "ERROR  ",
                Severity::Warning => "WARNING",
                Severity::Note => "note   ",
            };
            output.line(format!("\n{severity} {}", finding.what))?;
            for place in finding.places.iter().take(MAX_PLACES) {
                output.line(format!("          {place}"))?;
            }
            if finding.places.len() > MAX_PLACES {
                output.line("          and more: `--json` lists the first twenty")?;
            }
            output.line(format!("        Likely cause: {}.", finding.cause))?;
        }
    }
    Ok(verdict)
}
