//! The command `experience stats`.

use crate::{
    Verdict,
    args::StatsArgs,
    output::{CommandError, Printer, count, counted, number},
    plot,
};
use experience_dataset::{DatasetError, Profile, ValueProfile};
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn run(arguments: &StatsArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let recordings = arguments.source.recordings()?;
    for recording in &recordings {
        let name = recording.folder_name();
        let stats = recording.stats()?;
        let profile = output.with_progress(name, |watch| recording.profile(watch))?;
        if let Some(path) = &arguments.plot {
            let path = match recordings.as_slice() {
                [_] => path.clone(),
                _ => plot_path(path, name),
            };
            let title = format!("{}: {} episodes", recording.name(), count(stats.episodes));
            plot::write(&path, &title, &profile).map_err(|source| DatasetError::Io {
                action: "plot to",
                path,
                source,
            })?;
        }
        if output.is_json() {
            output.json(&json!({ "recording": name, "stats": stats, "profile": profile }))?;
            continue;
        }
        output.line(format!(
            "`{name}`: {} in {}, {} terminated and {} truncated",
            counted(stats.transitions, "transition"),
            counted(stats.episodes, "episode"),
            count(stats.terminated),
            count(stats.truncated)
        ))?;
        if stats.episodes == 0 {
            output.line("  `experience info` shows what its runs recorded")?;
            continue;
        }
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
            &["episode", "min", "5 %", "median", "95 %", "max"],
            rows.into_iter().flatten().collect(),
        )?;
        write_controllers(&profile, output)?;
        write_classes(&profile, output)?;
        let mut rows = Vec::new();
        for (kind, columns) in [
            ("observation", profile.observation.as_slice()),
            ("image", profile.images.as_slice()),
            ("action", profile.action.as_slice()),
            ("info", profile.info.as_slice()),
            ("reward", core::slice::from_ref(&profile.reward)),
            ("reward term", profile.reward_terms.as_slice()),
        ] {
            rows.extend(columns.iter().map(|column| row(kind, column)));
        }
        output.table(&["column", "name", "min", "mean", "std", "max", "non-finite"], rows)?;
    }
    Ok(Verdict::Clean)
}

/// What each controller did, if any is labelled.
fn write_controllers(profile: &Profile, output: &mut Printer) -> Result<(), CommandError> {
    if profile.controllers.iter().all(|profile| profile.controller.is_none()) {
        return Ok(());
    }
    let rows = profile.controllers.iter().map(|profile| {
        vec![
            profile.controller.clone().unwrap_or_else(|| "no label".to_owned()),
            count(profile.transitions),
            count(profile.episodes),
            profile.mean_return.map_or_else(String::new, number),
        ]
    });
    output.table(
        &["controller", "transitions", "episodes", "mean return"],
        rows.collect(),
    )?;
    let mixed = profile
        .episode_controllers
        .iter()
        .filter(|controller| controller.is_none());
    match mixed.count() as u64 {
        0 => Ok(()),
        mixed => output.line(format!("  {} by several controllers", counted(mixed, "episode"))),
    }
}

/// How often each alternative of each discrete action was chosen.
fn write_classes(profile: &Profile, output: &mut Printer) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for action in &profile.action_classes {
        let others = (action.others > 0).then_some(("other values", action.others));
        let classes = action.classes.iter().map(|class| (class.label.as_str(), class.count));
        for (label, chosen) in classes.chain(others) {
            let share = 100.0 * chosen as f64 / action.total().max(1) as f64;
            rows.push(vec![
                action.name.clone(),
                label.to_owned(),
                count(chosen),
                format!("{share:.2} %"),
            ]);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.table(&["action", "class", "transitions", "share"], rows)
}

/// The plot file of one of several recordings: `out-fighter.png` for `out.png` and the recording `fighter`.
fn plot_path(path: &Path, recording: &str) -> PathBuf {
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{recording}.png"))
}

/// A table row with the quantiles of `values`, or `None` if there are none.
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
