//! `experience info`.

use crate::{
    Verdict,
    args::What,
    output::{Failure, Output, bytes, count},
};
use experience_core::schema::{Column, Schema, Space};
use experience_dataset::{Overview, RecordingData};
use serde_json::json;

pub fn run(what: &What, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Fine;
    for recording in what.recordings()? {
        let overview = recording.overview()?;
        if !overview.damaged.is_empty() {
            verdict = Verdict::Wrong;
        }
        if output.is_json() {
            output.json(&json!({
                "recording": recording.name(),
                "folder": recording.folder_name(),
                "schema_hash": format!("{:016x}", recording.schema().hash()),
                "schema": recording.schema().as_ref(),
                "episodes": overview.episodes(),
                "overview": overview,
            }))?;
        } else {
            print(&recording, &overview, output)?;
        }
    }
    Ok(verdict)
}

fn print(recording: &RecordingData, overview: &Overview, output: &mut Output) -> Result<(), Failure> {
    let schema = recording.schema();
    let version = schema
        .version()
        .map_or_else(String::new, |version| format!(", version {version:?}"));
    output.line(format!(
        "recording `{}`{version}, schema {:016x}",
        recording.name(),
        schema.hash()
    ))?;
    output.line(format!("  in `{}`", recording.path().display()))?;
    output.line(format!(
        "  {} transitions in {} episodes of {} agents, in {} {} of {}",
        count(overview.transitions),
        count(overview.episodes()),
        count(overview.agents),
        count(overview.shards),
        if overview.shards == 1 { "shard" } else { "shards" },
        bytes(overview.bytes)
    ))?;
    print_columns(schema, output)?;
    print_runs(overview, output)?;
    for (path, reason) in &overview.damaged {
        output.line(format!("  DAMAGED `{}`: {reason}", path.display()))?;
    }
    for path in &overview.journals {
        output.line(format!(
            "  journal `{}`: of a run that is alive, or died: `experience recover` brings into shards what a dead one left",
            path.display()
        ))?;
    }
    for path in &overview.unfinished {
        output.line(format!(
            "  unfinished `{}`: a process writes it, or died over it; no reader looks at it",
            path.display()
        ))?;
    }
    Ok(())
}

fn print_columns(schema: &Schema, output: &mut Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (kind, columns) in [
        ("observation", schema.observation()),
        ("action", schema.action()),
        ("info", schema.info()),
    ] {
        rows.extend(columns.iter().map(|column| row(kind, column)));
    }
    if schema.action_mask_width() > 0 {
        let width = schema.action_mask_width();
        rows.push(vec![
            "action_mask".to_owned(),
            String::new(),
            "bool".to_owned(),
            format!("[{width}]"),
            String::new(),
        ]);
    }
    for term in schema.reward_terms() {
        rows.push(vec![
            "reward term".to_owned(),
            term.clone(),
            "f32".to_owned(),
            String::new(),
            String::new(),
        ]);
    }
    output.table(&["column", "name", "type", "shape", "values"], rows)
}

fn row(kind: &str, column: &Column) -> Vec<String> {
    let values = match &column.space {
        Space::Box { low: None, high: None } => String::new(),
        Space::Box { low, high } => {
            let bound =
                |bound: &Option<f64>, none: &str| bound.map_or_else(|| none.to_owned(), |bound| bound.to_string());
            format!("{} to {}", bound(low, "-inf"), bound(high, "inf"))
        }
        Space::Discrete { n, labels } if labels.is_empty() => format!("one of {n}"),
        Space::Discrete { labels, .. } => labels.join(", "),
    };
    let shape = if column.shape.is_empty() {
        String::new()
    } else {
        format!("{:?}", column.shape)
    };
    vec![
        kind.to_owned(),
        column.name.clone(),
        format!("{:?}", column.dtype).to_lowercase(),
        shape,
        values,
    ]
}

fn print_runs(overview: &Overview, output: &mut Output) -> Result<(), Failure> {
    let rows = overview.runs.iter().map(|run| {
        let report = &run.account;
        let mut row = vec![run.run.to_string(), format!("{:?}", run.status).to_lowercase()];
        row.extend(
            [
                report.recorded,
                report.exported,
                report.dropped,
                report.discarded,
                report.pending,
            ]
            .map(count),
        );
        row.push(count(run.shards.len() as u64));
        row
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return output.line("  no run has an account here");
    }
    output.table(
        &[
            "run",
            "status",
            "recorded",
            "exported",
            "dropped",
            "discarded",
            "pending",
            "shards",
        ],
        rows,
    )?;
    let agents = |count: fn(&experience_core::account::RunReport) -> u64| {
        overview
            .runs
            .iter()
            .map(|run| count(&run.account))
            .fold(0, u64::saturating_add)
    };
    for (number, what) in [
        (
            agents(|report| report.orphaned_rewards),
            "rewards given outside of any episode",
        ),
        (
            agents(|report| report.non_finite),
            "transitions dropped because a value was not finite",
        ),
        (
            agents(|report| report.refused_agents),
            "players refused because another had their agent id",
        ),
        (
            agents(|report| report.empty_episodes),
            "episodes that ended without a transition",
        ),
        (
            agents(|report| report.unbuffered_agents),
            "players not recorded because there was no memory for their buffers",
        ),
        (
            agents(|report| report.failures),
            "times that a sink failed, most of which another attempt made good",
        ),
        (
            overview
                .runs
                .iter()
                .map(|run| run.retired.transitions)
                .fold(0, u64::saturating_add),
            "transitions removed to keep no more than was wanted",
        ),
    ] {
        if number > 0 {
            output.line(format!("  {what}: {}", count(number)))?;
        }
    }
    Ok(())
}
