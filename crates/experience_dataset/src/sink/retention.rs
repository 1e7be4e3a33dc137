//! Keeping the last so many bytes of a recording.
//!
//! Shards of this run and of runs that are over go, oldest first. A shard is first named in its account as one that goes, with
//! what of whom is in it, and then deleted; whoever reads the account sees for himself which of the two has come to pass. So
//! the accounts are right at any moment, and a process that dies on the way leaves nothing wrong.

use super::{
    account::{AgentCounts, RunAccount, RunStatus},
    files, layout, lock,
};
use crate::arrow::Content;
use arrow_array::{cast::AsArray, types::Int64Type};
use experience_core::{schema::Schema, transition::RunId};
use experience_export::{SinkError, disk};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
    time::SystemTime,
};

/// A shard that may go.
struct Candidate {
    modified: SystemTime,
    bytes: u64,
    run: RunId,
    file: String,
}

/// Deletes the oldest shards of `own` and of runs that are over, until at most `keep` bytes are left or only the newest shard
/// of `own`. Whether there was anything to do.
pub(super) fn keep_last(recording: &Path, schema: &Schema, own: &mut RunAccount, keep: u64) -> Result<bool, SinkError> {
    let Some(_cleaning) = lock::cleaning(recording) else {
        return Ok(false);
    };
    let data = recording.join(layout::DATA);
    let newest = own.shards.last().map(|shard| shard.file.clone());
    let mut others = over(recording, own.run)?;
    let mut candidates: Vec<_> = others
        .iter()
        .chain([&*own])
        .flat_map(|account| candidates(&data, account))
        .collect();
    // Shards of one run that were written within one tick of the clock are in the order of their names.
    candidates.sort_by(|a, b| (a.modified, &a.file).cmp(&(b.modified, &b.file)));
    let mut bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let mut going: BTreeMap<RunId, Vec<String>> = BTreeMap::new();
    for candidate in candidates {
        if bytes <= keep {
            break;
        }
        if Some(&candidate.file) != newest.as_ref() {
            bytes -= candidate.bytes;
            going.entry(candidate.run).or_default().push(candidate.file);
        }
    }
    let mut worked = false;
    for account in others.iter_mut().chain([own]) {
        let names = going.remove(&account.run).unwrap_or_default();
        // What an earlier process did not come to is done with the rest.
        if !names.is_empty() || account.is_retiring() {
            retire(recording, schema, account, &names)?;
            worked = true;
        }
    }
    Ok(worked)
}

/// The accounts of runs other than `own` that are over: they ended, or their process died.
fn over(recording: &Path, own: RunId) -> Result<Vec<RunAccount>, SinkError> {
    let runs = recording.join(layout::RUNS);
    let mut over = Vec::new();
    for entry in fs::read_dir(&runs).map_err(files::failed("list", &runs))? {
        let path = entry.map_err(files::failed("list", &runs))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // What cannot be read is left alone, and so is what it speaks of.
        let account = disk::read(&path)
            .ok()
            .and_then(|content| serde_json::from_slice::<RunAccount>(&content).ok());
        let is_over = |account: &RunAccount| {
            account.run != own && (account.status != RunStatus::Running || lock::is_dead(recording, account.run))
        };
        over.extend(account.filter(is_over));
    }
    Ok(over)
}

fn candidates<'a>(data: &'a Path, account: &'a RunAccount) -> impl Iterator<Item = Candidate> + 'a {
    account.shards.iter().filter_map(|shard| {
        // An account that was tampered with could name any file; a shard of a run bears the run's name.
        if !shard.file.starts_with(&account.run.to_string()) || shard.file.contains(['/', '\\']) {
            return None;
        }
        let found = fs::metadata(data.join(&shard.file)).ok()?;
        Some(Candidate {
            modified: found.modified().ok()?,
            bytes: found.len(),
            run: account.run,
            file: shard.file.clone(),
        })
    })
}

/// Deletes shards of a run, and what was on its way out already.
fn retire(recording: &Path, schema: &Schema, account: &mut RunAccount, names: &[String]) -> Result<(), SinkError> {
    let data = recording.join(layout::DATA);
    for name in names {
        match agents(&data.join(name), schema) {
            Ok(agents) => account.begin_to_retire(name, agents),
            // Whose data goes could not be said.
            Err(error) => tracing::warn!("cannot remove the shard `{name}`, because it cannot be read: {error}"),
        }
    }
    account.save(recording)?;
    for name in account.retiring() {
        let path = data.join(name);
        match disk::remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(files::failed("remove", &path)(error));
            }
            _ => {}
        }
    }
    disk::sync_folder(&data);
    account.settle(recording);
    account.save(recording)
}

/// What of whom is in a shard.
fn agents(path: &Path, schema: &Schema) -> Result<BTreeMap<i64, AgentCounts>, Box<dyn core::error::Error>> {
    let columns = [Content::AgentId, Content::Terminated, Content::Truncated].map(|content| content.name(schema));
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(AsRef::as_ref));
    let mut agents = BTreeMap::<i64, AgentCounts>::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let column = |name: &str| batch.column_by_name(name).ok_or("a column is missing");
        let ids = column(columns[0].as_ref())?
            .as_primitive_opt::<Int64Type>()
            .ok_or("`agent_id` is no integer")?;
        let mut flags = Vec::new();
        for name in &columns[1..] {
            flags.push(column(name.as_ref())?.as_boolean_opt().ok_or("a flag is none")?);
        }
        for (row, agent) in ids.values().iter().enumerate() {
            let counts = agents.entry(*agent).or_default();
            counts.transitions += 1;
            counts.episodes += u64::from(flags.iter().any(|flag| flag.value(row)));
        }
    }
    Ok(agents)
}
