//! Prints the runs that upload to an object store: which are alive, how far they are behind, and what was lost.

use crate::output::{CommandError, Printer, bytes, count};
use experience_dataset::{Overview, RunAccount, RunStatus};
use std::collections::BTreeMap;

/// Prints the fleet of a recording in a store.
pub fn print(overview: &Overview, output: &mut Printer) -> Result<(), CommandError> {
    let uploading: Vec<_> = overview
        .runs
        .iter()
        .filter_map(|run| Some((run, run.upload.as_ref()?)))
        .collect();
    let is_alive = |run: &RunAccount| {
        run.upload
            .as_ref()
            .is_some_and(experience_dataset::UploadState::is_alive)
    };
    let alive = uploading.iter().filter(|(run, _)| is_alive(run)).count();
    let over = overview
        .runs
        .iter()
        .filter(|run| run.status != RunStatus::Running)
        .count();
    output.line(format!(
        "  fleet: {} runs alive, {} dead, {over} over",
        count(alive as u64),
        count((uploading.len() - alive) as u64)
    ))?;
    let rows = uploading.iter().map(|(run, upload)| {
        vec![
            run.run.to_string(),
            if is_alive(run) { "alive" } else { "dead" }.to_owned(),
            format!("{:.0} s", upload.age()),
            count(upload.pending_shards),
            bytes(upload.pending_bytes),
            count(run.account.pending.saturating_add(unlisted(run))),
            count(run.account.dropped),
            count(upload.failures),
            run.build.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        output.table(
            &[
                "run",
                "state",
                "last sign",
                "waiting shards",
                "size",
                "not in store",
                "dropped",
                "failed requests",
                "build",
            ],
            rows,
        )?;
    }
    let mut builds: BTreeMap<&str, u64> = BTreeMap::new();
    for run in &overview.runs {
        *builds.entry(run.build.as_deref().unwrap_or("unnamed")).or_default() += 1;
    }
    if builds.len() > 1 {
        let builds: Vec<_> = builds.iter().map(|(build, runs)| format!("{build} ({runs})")).collect();
        output.line(format!("  builds: {}", builds.join(", ")))?;
    }
    if uploading.len() > alive {
        output.line(
            "  runs that are dead have rows on their hosts: the next game there uploads them, or `experience recover` with this address",
        )?;
    }
    Ok(())
}

/// Transitions that the run has taken and that are in no shard in the store.
fn unlisted(run: &RunAccount) -> u64 {
    let listed = run.shards.iter().fold(run.retired.transitions, |sum, shard| {
        sum.saturating_add(shard.transitions)
    });
    run.account.exported.saturating_sub(listed)
}
