//! `experience validate`.

use crate::{
    Verdict,
    args::What,
    output::{Failure, Output, count},
};
use serde_json::json;

pub fn run(what: &What, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Fine;
    for recording in what.recordings()? {
        let name = recording.folder_name();
        let found = output.watched(name, |watch| recording.validate(watch))?;
        if !found.is_valid() {
            verdict = Verdict::Wrong;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "valid": found.is_valid(), "validation": found }))?;
            continue;
        }
        for violation in &found.violations {
            output.line(violation.to_string())?;
        }
        let looked_at = format!(
            "{} transitions in {} episodes",
            count(found.transitions),
            count(found.episodes)
        );
        if found.is_valid() {
            output.line(format!("`{name}` is valid: {looked_at}"))?;
            continue;
        }
        let unnamed = found.count() - found.violations.len() as u64;
        if unnamed > 0 {
            output.line(format!("and {} more", count(unnamed)))?;
        }
        output.line(format!(
            "`{name}` is NOT valid: {looked_at}, {} violations",
            count(found.count())
        ))?;
        let rows = found
            .broken
            .iter()
            .map(|(rule, number)| vec![rule.text().to_owned(), count(*number)]);
        output.table(&["broken rule", "times"], rows.collect())?;
    }
    Ok(verdict)
}
