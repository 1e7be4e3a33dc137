//! `experience doctor`.

use crate::{
    Verdict,
    args::What,
    output::{Failure, Output, count},
};
use experience_dataset::Severity;
use serde_json::json;

pub fn run(what: &What, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Fine;
    for recording in what.recordings()? {
        let name = recording.folder_name();
        let found = output.watched(name, |watch| recording.diagnose(watch))?;
        if !found.is_healthy() {
            verdict = Verdict::Wrong;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "healthy": found.is_healthy(), "diagnosis": found }))?;
            continue;
        }
        let looked_at = format!(
            "{} transitions in {} episodes",
            count(found.transitions),
            count(found.episodes)
        );
        if found.findings.is_empty() {
            output.line(format!("`{name}`: nothing found in {looked_at}"))?;
            continue;
        }
        output.line(format!("`{name}`: {looked_at}"))?;
        for finding in &found.findings {
            let severity = match finding.severity {
                Severity::Error => "ERROR  ",
                Severity::Warning => "WARNING",
                Severity::Note => "note   ",
            };
            output.line(format!("\n{severity} {}", finding.what))?;
            for place in &finding.places {
                output.line(format!("          {place}"))?;
            }
            output.line(format!("        Likely: {}.", finding.cause))?;
        }
    }
    Ok(verdict)
}
