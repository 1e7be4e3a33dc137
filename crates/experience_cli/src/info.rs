//! The command `experience info`.

use crate::{
    Verdict,
    args::RecordingArgs,
    fleet,
    output::{CommandError, Printer, bytes, count, counted},
};
use experience_core::schema::{Column, Schema, Space};
use experience_dataset::{Overview, RecordingData, RunStatus, is_address};
use serde_json::json;

/// The maximum number of actions, and of controllers, that are printed.
const MAX_ROWS: usize = 16;

pub fn run(source: &RecordingArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let mut verdict = Verdict::Clean;
    for recording in source.recordings()? {
        let overview = recording.overview()?;
        if !overview.damaged.is_empty() {
            verdict = Verdict::Problems;
        }
        if output.is_json() {
            output.json(&json!({
                "recording": recording.name(),
                "folder": recording.folder_name(),
                "schema_hash": format!("{:016x}", recording.schema().hash()),
                "schema": recording.schema().as_ref(),
                "episodes": overview.episodes(),
                // Of a damaged recording they are not known.
                "agent_totals": recording.agent_totals().ok(),
                "overview": overview,
            }))?;
        } else {
            print(&recording, &overview, output)?;
        }
    }
    Ok(verdict)
}

fn print(recording: &RecordingData, overview: &Overview, output: &mut Printer) -> Result<(), CommandError> {
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
    let (transitions, shards) = (
        counted(overview.transitions, "transition"),
        counted(overview.shards, "shard"),
    );
    let (episodes, agents) = (
        counted(overview.episodes(), "episode"),
        counted(overview.agents, "agent"),
    );
    let listed = overview
        .runs
        .iter()
        .flat_map(|run| &run.shards)
        .map(|shard| shard.transitions);
    let size = bytes(overview.bytes);
    // Episodes and agents are counted by the accounts, which may be missing.
    output.line(if listed.fold(0, u64::saturating_add) == overview.transitions {
        format!("  {transitions} in {episodes} of {agents}, in {shards} of {size}")
    } else {
        format!("  {transitions} in {shards} of {size}; the accounts of the runs list {episodes} of {agents}")
    })?;
    print_columns(schema, output)?;
    print_summary(overview, output)?;
    print_runs(overview, output)?;
    if is_address(recording.path()) {
        fleet::print(overview, output)?;
    }
    for (path, reason) in &overview.damaged {
        output.line(format!("  UNREADABLE `{}`: {reason}", path.display()))?;
    }
    for path in &overview.journals {
        output.line(format!(
            "  journal `{}`: its run is alive or died; `experience recover` recovers runs that died",
            path.display()
        ))?;
    }
    for path in &overview.segments {
        output.line(format!(
            "  segments `{}`: their episodes are in no shard yet; `experience recover` writes them to shards when the run has ended",
            path.display()
        ))?;
    }
    for path in &overview.damaged_journals {
        output.line(format!(
            "  damaged `{}`: parts of a journal that could not be read; `experience recover --discard-damaged` removes them",
            path.display()
        ))?;
    }
    for path in &overview.unfinished {
        output.line(format!(
            "  unfinished `{}`: a process is writing it, or died while writing it; readers ignore it",
            path.display()
        ))?;
    }
    Ok(())
}

fn print_columns(schema: &Schema, output: &mut Printer) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for (kind, columns) in [
        ("observation", schema.observation()),
        ("image", schema.images()),
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

fn status(status: RunStatus) -> &'static str {
    match status {
        // Its process is alive, or died.
        RunStatus::Running => "not closed",
        RunStatus::Closed => "closed",
        RunStatus::Recovered => "recovered",
        RunStatus::Journaled => "in segments",
    }
}

fn print_runs(overview: &Overview, output: &mut Printer) -> Result<(), CommandError> {
    let rows = overview.runs.iter().map(|run| {
        let report = &run.account;
        let mut row = vec![run.run.to_string(), status(run.status).to_owned()];
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
        return output.line("  no accounts of runs");
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
    let total = |count: fn(&experience_core::account::RunReport) -> u64| {
        overview
            .runs
            .iter()
            .map(|run| count(&run.account))
            .fold(0, u64::saturating_add)
    };
    for (number, what) in [
        (
            total(|report| report.orphaned_rewards),
            "rewards given outside of any episode",
        ),
        (
            total(|report| report.non_finite),
            "transitions dropped because a value was not finite",
        ),
        (
            total(|report| report.refused_agents),
            "players refused because another had their agent id, or it was negative",
        ),
        (
            total(|report| report.empty_episodes),
            "episodes that ended without a transition",
        ),
        (
            total(|report| report.unbuffered_agents),
            "players not recorded for lack of buffer memory",
        ),
        (
            total(|report| report.failures),
            "failed sink operations, most of which succeeded when repeated",
        ),
        (
            overview
                .runs
                .iter()
                .map(|run| run.retired.transitions)
                .fold(0, u64::saturating_add),
            "transitions deleted by retention",
        ),
    ] {
        if number > 0 {
            output.line(format!("  {what}: {}", count(number)))?;
        }
    }
    if overview.discarded_episodes > 0 {
        output.line(format!(
            "  {} discarded after they had ended: readers skip them, and `experience compact` removes them",
            counted(overview.discarded_episodes, "episode")
        ))?;
    }
    print_filtered(overview, output)
}

/// Prints the most frequent class of each discrete action, and the steps of each controller, as far as footers have them.
fn print_summary(overview: &Overview, output: &mut Printer) -> Result<(), CommandError> {
    let summary = &overview.summary;
    let share = |steps: u64| format!("{:.2} %", 100.0 * steps as f64 / summary.transitions.max(1) as f64);
    let classes = summary.action_classes.iter().filter_map(|action| {
        // The first of those that are equally frequent.
        let class = action.classes.iter().rev().max_by_key(|class| class.count)?;
        Some(vec![
            action.name.clone(),
            class.label.clone(),
            count(class.count),
            share(class.count),
        ])
    });
    let is_labelled = summary.controllers.iter().any(|found| found.controller.is_some());
    let controllers = summary.controllers.iter().filter(|_| is_labelled).map(|found| {
        vec![
            found.controller.clone().unwrap_or_else(|| "no label".to_owned()),
            count(found.transitions),
            share(found.transitions),
        ]
    });
    let tables: [(&[&str], Vec<Vec<String>>); 2] = [
        (&["action", "most frequent", "transitions", "share"], classes.collect()),
        (&["controller", "transitions", "share"], controllers.collect()),
    ];
    for (head, mut rows) in tables {
        let others = rows.len().saturating_sub(MAX_ROWS) as u64;
        rows.truncate(MAX_ROWS);
        if summary.transitions > 0 && !rows.is_empty() {
            output.table(head, rows)?;
            if others > 0 {
                output.line(format!("  and {} more: `experience stats` prints them", count(others)))?;
            }
        }
    }
    let rest = overview.transitions.saturating_sub(summary.transitions);
    if rest > 0 {
        output.line(format!(
            "  {} in shards without a summary: `experience stats` reads their rows",
            counted(rest, "transition")
        ))?;
    }
    Ok(())
}

/// Prints what filters and splits have left out.
fn print_filtered(overview: &Overview, output: &mut Printer) -> Result<(), CommandError> {
    let (mut episodes, mut transitions) = (0_u64, 0_u64);
    let mut selections: Vec<&str> = Vec::new();
    for filtered in overview.runs.iter().map(|run| &run.filtered) {
        episodes = episodes.saturating_add(filtered.episodes);
        transitions = transitions.saturating_add(filtered.transitions);
        for by in &filtered.by {
            if !selections.contains(&by.as_str()) {
                selections.push(by);
            }
        }
    }
    if episodes == 0 {
        return Ok(());
    }
    output.line(format!(
        "  {} in {} were left out: {}",
        counted(transitions, "transition"),
        counted(episodes, "episode"),
        selections.join("; ")
    ))
}
