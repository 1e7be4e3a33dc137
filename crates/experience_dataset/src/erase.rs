//! Removes every trace of an agent from a dataset's files.

use super::{
    Dataset, DatasetError, Progress, RecordingData, RunAccount, RunStatus, atomic::Beside, make::write_account,
    overview::unfinished, progress::Meter, shard::Shard,
};
use crate::{
    arrow::Content,
    sink::{encoding::Encoding, layout},
};
use arrow_array::{BooleanArray, RecordBatch, cast::AsArray, types::Int64Type};
use arrow_select::filter::filter_record_batch;
use experience_export::disk;
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// What was erased, and what was not; see [`Dataset::erase`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Erased {
    /// Episodes that are gone.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Shards that were written anew, or removed because nothing else was in them.
    pub shards: u64,
    /// Accounts of runs that named the agent, or that name other counts now.
    pub accounts: u64,
    /// What may still hold something of the agent, and why it was not reached.
    pub unreached: Vec<String>,
}

/// What `erase` never reaches, wherever the dataset lies.
pub const OUT_OF_REACH: &str = "\
Not reached: the agent as others saw it (a nearest player in their observations), copies and uploads of the dataset, what was \
trained on it, and the blocks that the file system has freed and not yet overwritten.";

pub(super) fn erase(dataset: &Dataset, agent: i64, watch: &mut dyn FnMut(Progress)) -> Result<Erased, DatasetError> {
    let mut erased = Erased::default();
    let mut total: u64 = 0;
    for recording in dataset.recordings() {
        total = total.saturating_add(recording.transitions()?);
    }
    let mut meter = Meter::new(total, watch);
    for recording in dataset.recordings() {
        erase_from(recording, agent, &mut erased, &mut meter)?;
    }
    for recording in dataset.recordings() {
        verify(recording, agent)?;
    }
    Ok(erased)
}

/// A shard without the agent, written and still beside its place.
struct Rewritten {
    path: PathBuf,
    /// Nothing where no row is left.
    file: Option<Beside>,
    /// Episodes and transitions that are gone, by run.
    gone: BTreeMap<i64, (u64, u64)>,
}

fn erase_from(
    recording: &RecordingData,
    agent: i64,
    erased: &mut Erased,
    meter: &mut Meter,
) -> Result<(), DatasetError> {
    let accounts = recording
        .accounts()?
        .iter()
        .map(|path| recording.account(path))
        .collect::<Result<Vec<_>, DatasetError>>()?;
    // Whatever can fail is tried first: until everything is written beside, nothing has changed.
    let mut rewritten = Vec::new();
    for path in recording.shards()? {
        let shard = Shard::open(recording.schema(), &path)?;
        if shard
            .bounds(Content::AgentId)
            .is_none_or(|(least, greatest)| (least..=greatest).contains(&agent))
        {
            rewritten.extend(without(&shard, agent, meter)?);
        } else {
            meter.add(usize::try_from(shard.rows()).unwrap_or(0));
        }
    }
    let mut touched = HashSet::new();
    for shard in rewritten {
        for (run, (episodes, transitions)) in shard.gone {
            touched.insert(run);
            erased.episodes += episodes;
            erased.transitions += transitions;
        }
        erased.shards += 1;
        match shard.file {
            Some(file) => file.land()?,
            None => disk::remove(&shard.path).map_err(DatasetError::io("remove", &shard.path))?,
        }
    }
    for mut account in accounts {
        if touched.contains(&account.run.get()) || names(&account, agent) {
            forget(recording, &mut account, agent)?;
            erased.accounts += 1;
            write_account(recording.path(), &account)?;
        }
        if account.status == RunStatus::Running {
            erased.unreached.push(format!(
                "run {} of `{}` did not end in order: if its process is alive, it may write more of the agent; erase again \
                 when it has ended",
                account.run,
                recording.folder_name()
            ));
        }
    }
    for path in unfinished(recording)? {
        erased.unreached.push(format!(
            "`{}` is unfinished and cannot be read; remove it if no process writes it",
            path.display()
        ));
    }
    let journal = recording.path().join(layout::JOURNALS);
    if journal.exists() {
        erased
            .unreached
            .push(format!(
                "`{}` holds rows on their way into shards: run `experience recover`, or wait until the game has ended, and erase \
                 again",
                journal.display()
            ));
    }
    Ok(())
}

/// The shard without the agent's rows, or nothing where it has none.
///
/// Rows are copied as they stand, with columns that this crate does not know, and so are row groups: an episode is never
/// divided between two.
fn without(shard: &Shard, agent: i64, meter: &mut Meter) -> Result<Option<Rewritten>, DatasetError> {
    let encode = |error: ParquetError| DatasetError::write(shard.path(), error);
    if !holds(shard, agent, meter)? {
        return Ok(None);
    }
    let schema = shard.arrow_schema().clone();
    let properties = Encoding::default().properties(&schema).map_err(encode)?;
    let file = Beside::create(shard.path())?;
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(encode)?;
    let mut gone: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let mut left = 0;
    for group in 0..shard.row_groups() {
        for batch in shard.whole_group(group)? {
            let batch = batch?;
            let others = count_others(shard, &batch, agent, &mut gone);
            let kept = filter_record_batch(&batch, &others)
                .map_err(|error| DatasetError::damaged(shard.path(), error.to_string()))?;
            left += kept.num_rows();
            writer.write(&kept).map_err(encode)?;
        }
        writer.flush().map_err(encode)?;
    }
    let mut file = writer.into_inner().map_err(encode)?;
    file.seal()?;
    Ok(Some(Rewritten {
        path: shard.path().to_owned(),
        file: (left > 0).then_some(file),
        gone,
    }))
}

/// Whether the shard has a row of the agent. Reads one small column.
fn holds(shard: &Shard, agent: i64, meter: &mut Meter) -> Result<bool, DatasetError> {
    let mut holds = false;
    for batch in shard.batches(&[Content::AgentId], None)? {
        let batch = batch?;
        holds |= batch[Content::AgentId.name(shard.schema()).as_str()]
            .as_primitive::<Int64Type>()
            .values()
            .contains(&agent);
        meter.add(batch.num_rows());
    }
    Ok(holds)
}

/// Which rows of a batch are others', and what goes with the rest.
fn count_others(shard: &Shard, batch: &RecordBatch, agent: i64, gone: &mut BTreeMap<i64, (u64, u64)>) -> BooleanArray {
    let longs = |content: Content| batch[content.name(shard.schema()).as_str()].as_primitive::<Int64Type>();
    let (agents, runs) = (longs(Content::AgentId), longs(Content::Run));
    let flags = [Content::Terminated, Content::Truncated]
        .map(|flag| batch[flag.name(shard.schema()).as_str()].as_boolean().clone());
    for row in (0..batch.num_rows()).filter(|row| agents.value(*row) == agent) {
        let (episodes, transitions) = gone.entry(runs.value(row)).or_default();
        *episodes += u64::from(flags.iter().any(|flag| flag.value(row)));
        *transitions += 1;
    }
    agents.values().iter().map(|other| Some(*other != agent)).collect()
}

/// Takes the agent out of a run's account.
///
/// What was exported of the agent is discarded now, so that the account still closes. Shards are counted as they are, not as
/// they were before: an erasure that was interrupted is finished by another.
fn forget(recording: &RecordingData, account: &mut RunAccount, agent: i64) -> Result<(), DatasetError> {
    account.forget_retired(agent);
    account.account.tags.retain(|tag| tag.agent_id != agent);
    if let Some(totals) = account.account.agents.remove(&agent) {
        let report = &mut account.account;
        let transitions = totals.transitions.min(report.exported);
        report.exported -= transitions;
        report.discarded = report.discarded.saturating_add(transitions);
        report.episodes = report.episodes.saturating_sub(totals.episodes);
    }
    let there: HashSet<PathBuf> = recording.shards()?.into_iter().collect();
    let folder = recording.path().join(layout::DATA);
    let mut shards = Vec::new();
    for mut shard in core::mem::take(&mut account.shards) {
        let path = folder.join(&shard.file);
        if !there.contains(&path) {
            continue;
        }
        let open = Shard::open(recording.schema(), &path)?;
        if open.rows() != shard.transitions {
            shard.transitions = open.rows();
            shard.episodes = episodes(&open)?;
        }
        shards.push(shard);
    }
    account.shards = shards;
    Ok(())
}

/// Whether an account has something of the agent beside its shards.
fn names(account: &RunAccount, agent: i64) -> bool {
    let account = &account.account;
    account.agents.contains_key(&agent) || account.tags.iter().any(|tag| tag.agent_id == agent)
}

fn episodes(shard: &Shard) -> Result<u64, DatasetError> {
    let mut count = 0;
    for batch in shard.batches(&[Content::Terminated, Content::Truncated], None)? {
        let batch = batch?;
        let flag = |content: Content| batch[content.name(shard.schema()).as_str()].as_boolean().true_count() as u64;
        count += flag(Content::Terminated) + flag(Content::Truncated);
    }
    Ok(count)
}

/// Reads everything again, and finds nothing of the agent.
fn verify(recording: &RecordingData, agent: i64) -> Result<(), DatasetError> {
    let remains = |path: &Path| {
        let reason = format!("agent {agent} is still in it; another process may have written it just now: erase again");
        DatasetError::write(path, reason)
    };
    let mut nobody = |_| {};
    for path in recording.shards()? {
        let shard = Shard::open(recording.schema(), &path)?;
        if holds(&shard, agent, &mut Meter::new(0, &mut nobody))? {
            return Err(remains(&path));
        }
    }
    for path in recording.accounts()? {
        if names(&recording.account(&path)?, agent) {
            return Err(remains(&path));
        }
    }
    Ok(())
}
