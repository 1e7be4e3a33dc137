//! `experience stats`.

use crate::{
    Verdict,
    args::Stats,
    output::{Failure, Output, count, number},
    plot,
};
use experience_dataset::ValueProfile;
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn run(arguments: &Stats, output: &mut Output) -> Result<Verdict, Failure> {
    let recordings = arguments.what.recordings()?;
    for recording in &recordings {
        let name = recording.folder_name();
        let stats = recording.stats()?;
        let profile = output.watched(name, |watch| recording.profile(watch))?;
        if let Some(path) = &arguments.plot {
            let path = match recordings.as_slice() {
                [_] => path.clone(),
                _ => beside(path, name),
            };
            let title = format!("{}: {} episodes", recording.name(), count(stats.episodes));
            plot::write(&path, &title, &profile)
                .map_err(|error| Failure::Arguments(format!("cannot draw `{}`: {error}", path.display())))?;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "stats": stats, "profile": profile }))?;
            continue;
        }
        output.line(format!(
            "`{name}`: {} transitions in {} episodes, {} terminated and {} truncated",
            count(stats.transitions),
            count(stats.episodes),
            count(stats.terminated),
            count(stats.truncated)
        ))?;
        let reasons = stats
            .reasons
            .iter()
            .map(|(reason, times)| vec![reason.clone(), count(*times)]);
        output.table(&["end reason", "episodes"], reasons.collect())?;
        let lengths = profile.lengths.iter().map(|length| *length as f64).collect();
        let rows = [
            quantiles("return", profile.returns.clone()),
            quantiles("length", lengths),
        ];
        output.table(
            &["of an episode", "least", "5 %", "half", "95 %", "greatest"],
            rows.into_iter().flatten().collect(),
        )?;
        let mut rows = Vec::new();
        for (kind, columns) in [
            ("observation", profile.observation.as_slice()),
            ("action", profile.action.as_slice()),
            ("reward", core::slice::from_ref(&profile.reward)),
            ("reward term", profile.reward_terms.as_slice()),
        ] {
            rows.extend(columns.iter().map(|column| row(kind, column)));
        }
        output.table(
            &["column", "name", "least", "mean", "deviation", "greatest", "not finite"],
            rows,
        )?;
    }
    Ok(Verdict::Fine)
}

/// `out.png` for the recording `fighter`: `out-fighter.png`. A folder's name is never a path.
fn beside(path: &Path, recording: &str) -> PathBuf {
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let extension = path.extension().map_or_else(
        || "png".to_owned(),
        |extension| extension.to_string_lossy().into_owned(),
    );
    path.with_file_name(format!("{stem}-{recording}.{extension}"))
}

/// How `values` spread; nothing where there are none.
fn quantiles(name: &str, mut values: Vec<f64>) -> Option<Vec<String>> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |part: f64| number(values[(part * last as f64).round() as usize]);
    Some(
        [name.to_owned()]
            .into_iter()
            .chain([0.0, 0.05, 0.5, 0.95, 1.0].map(at))
            .collect(),
    )
}

fn row(kind: &str, column: &ValueProfile) -> Vec<String> {
    let mut row = vec![kind.to_owned(), column.name.clone()];
    row.extend([column.min, column.mean, column.deviation, column.max].map(number));
    row.push(if column.non_finite == 0 {
        String::new()
    } else {
        count(column.non_finite)
    });
    row
}
