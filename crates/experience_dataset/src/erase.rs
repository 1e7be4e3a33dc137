//! Erases an agent from the files of a dataset.

use super::{
    Dataset, DatasetError, Progress, RecordingData, RunAccount, RunStatus, dataset_builder::save_account,
    overview::unfinished, progress::ProgressMeter, shard::ShardReader, shard_rewriter::ShardRewriter,
};
use crate::{
    sink::{FileChecksum, compaction::Compactions, layout, partial, tag_file},
    store::{
        address,
        rewrite_place::{RewritePlace, kept_version},
        source,
    },
};
use arrow_array::BooleanArray;
use arrow_select::filter::filter_record_batch;
use experience_arrow::columns::{BatchColumns, ColumnId};
use experience_export::disk::{self, atomic::AtomicFile};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// The result of [`Dataset::erase`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Erasure {
    /// Episodes that were erased.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Shards that were rewritten, or removed because no other agent was in them.
    pub shards: u64,
    /// Accounts of runs that were updated.
    pub accounts: u64,
    /// Files that may still hold data of the agent, and what to do about them, one sentence each.
    pub unreached: Vec<String>,
}

/// The limits of an erasure, for users: data that [`Dataset::erase`] cannot reach.
pub const OUT_OF_REACH: &str = "\
Not erased: the agent in the observations of others (as a nearest player), copies and uploads of the dataset, models that were \
trained on it, and disk blocks that the file system has freed and not yet overwritten.";

/// A further limit of an erasure in an object store, for users.
pub const OUT_OF_REACH_IN_STORE: &str = "\
A bucket may keep the old content of what was rewritten or removed: as versions, by soft delete, under a lock, in replicas and in backups. \
What it is set to keep cannot be asked for here; where it has named a version, the version is listed as not erased. Look up its settings, \
and delete old versions by the store's own tools.";

pub(super) fn erase(dataset: &Dataset, agent: i64, watch: &mut dyn FnMut(Progress)) -> Result<Erasure, DatasetError> {
    // A compaction could write shards again that it has read before the erasure. One creates the file of the lock, which stays.
    let recordings = dataset.recordings().iter();
    let recordings = recordings.filter(|recording| layout::retention_lock_path(recording.path()).exists());
    let _locks = recordings
        .map(|recording| Compactions::lock(recording.path()).map_err(DatasetError::sink(recording.path())))
        .collect::<Result<Vec<_>, _>>()?;
    for recording in dataset.recordings() {
        // What an erasure has left that was interrupted.
        for folder in [layout::DATA, layout::PARTIAL, layout::RUNS] {
            disk::sweep(&recording.path().join(folder));
        }
    }
    let mut erased = Erasure::default();
    let mut total: u64 = 0;
    for recording in dataset.recordings() {
        total = total.saturating_add(recording.transitions()?);
    }
    let mut meter = ProgressMeter::new(total, watch);
    for recording in dataset.recordings() {
        refuse_links(recording)?;
    }
    for recording in dataset.recordings() {
        let outcome = erase_from(recording, agent, &mut erased, &mut meter);
        partial::remove_if_empty(recording.path());
        outcome?;
    }
    for recording in dataset.recordings() {
        verify(recording, agent)?;
    }
    Ok(erased)
}

/// Returns an error if a file of the recording is a symbolic link: a rewritten file would replace the link, and the file that it
/// names would keep the agent.
fn refuse_links(recording: &RecordingData) -> Result<(), DatasetError> {
    // A store has no links.
    if address::is_store(recording.path()) {
        return Ok(());
    }
    let accounts = recording.accounts()?;
    let tags = accounts
        .iter()
        .filter_map(|path| layout::account_run(path.file_name()?));
    let tags = tags.map(|run| tag_file::path(recording.path(), run));
    let tags: Vec<_> = tags.filter(|path| fs::symlink_metadata(path).is_ok()).collect();
    for path in recording.shards()?.into_iter().chain(accounts).chain(tags) {
        let metadata = fs::symlink_metadata(&path).map_err(DatasetError::io("open", &path))?;
        if metadata.is_symlink() {
            let reason = "it is a link to another file, which would keep the agent; replace the link by that file";
            return Err(DatasetError::write(&path, reason));
        }
    }
    Ok(())
}

/// Whether a file has other names, under which its old content stays when this one is replaced.
fn has_other_names(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).is_ok_and(|metadata| metadata.nlink() > 1)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn hard_link(path: &Path) -> String {
    format!(
        "`{}` was a hard link: the same file has another name, under which it holds the agent; remove that file too",
        path.display()
    )
}

/// What a store keeps of the content of a file that is replaced or removed.
fn version_of(path: &Path) -> Result<Option<String>, DatasetError> {
    kept_version(path).map_err(DatasetError::io("open", path))
}

/// A shard without the agent that is written and not yet committed.
struct ShardWithoutAgent {
    path: PathBuf,
    /// `None` if no row is left.
    file: Option<AtomicFile>,
    checksum: FileChecksum,
    /// Erased episodes and transitions, by run.
    erased: BTreeMap<i64, (u64, u64)>,
}

fn erase_from(
    recording: &RecordingData,
    agent: i64,
    erased: &mut Erasure,
    meter: &mut ProgressMeter,
) -> Result<(), DatasetError> {
    let accounts = recording
        .accounts()?
        .iter()
        .map(|path| recording.account(path))
        .collect::<Result<Vec<_>, DatasetError>>()?;
    let place = RewritePlace::of(recording.path())
        .map_err(DatasetError::io("create a temporary folder for", recording.path()))?;
    // All shards are rewritten before the first is replaced, so most errors leave the recording unchanged.
    let mut rewritten = Vec::new();
    for path in recording.shards()? {
        let Some(shard) = ShardReader::open(recording.schema(), &path)? else {
            continue;
        };
        if shard
            .bounds(ColumnId::AgentId)
            .is_none_or(|(min, max)| (min..=max).contains(&agent))
        {
            rewritten.extend(rewrite_without(recording.path(), place.as_ref(), &shard, agent, meter)?);
        } else {
            meter.add(usize::try_from(shard.rows()).unwrap_or(0));
        }
    }
    let mut changed_runs = HashSet::new();
    let mut checksums = HashMap::new();
    for shard in rewritten {
        for (run, (episodes, transitions)) in shard.erased {
            changed_runs.insert(run);
            erased.episodes += episodes;
            erased.transitions += transitions;
        }
        erased.shards += 1;
        if has_other_names(&shard.path) {
            erased.unreached.push(hard_link(&shard.path));
        }
        match shard.file {
            Some(mut file) => {
                file.commit().map_err(DatasetError::io("replace", &shard.path))?;
                if let Some(place) = &place {
                    let uploaded = place
                        .upload(&shard.path, shard.checksum)
                        .map_err(DatasetError::io("replace", &shard.path))?;
                    erased.unreached.extend(uploaded);
                }
                checksums.insert(shard.path, shard.checksum);
            }
            None => {
                erased.unreached.extend(version_of(&shard.path)?);
                source::remove(&shard.path).map_err(DatasetError::io("remove", &shard.path))?;
            }
        }
    }
    for mut account in accounts {
        let has_tags = erase_tags(recording, &account, agent, erased)?;
        let mentions_agent = mentions(&account, agent);
        let is_changed =
            changed_runs.contains(&account.run.get()) || mentions_agent || contradicts_shards(recording, &account)?;
        if is_changed {
            erase_from_account(recording, &mut account, agent, &checksums)?;
            if mentions_agent {
                erased.unreached.extend(version_of(&account.path(recording.path()))?);
            }
            save_account(recording.path(), &account)?;
        }
        erased.accounts += u64::from(is_changed || has_tags);
        if account.status == RunStatus::Journaled {
            erased.unreached.push(format!(
                "run {} of `{}` has episodes in segments: recover it, and erase again",
                account.run,
                recording.folder_name()
            ));
        }
        if account.status == RunStatus::Running {
            erased.unreached.push(format!(
                "run {} of `{}` is not closed: if its process is alive, it may write more data of the agent; erase again when it \
                 has ended",
                account.run,
                recording.folder_name()
            ));
        }
    }
    for path in unfinished(recording)? {
        erased.unreached.push(format!(
            "`{}` is unfinished and cannot be read; remove it if no process is writing it",
            path.display()
        ));
    }
    let damaged = recording.path().join(layout::DAMAGED);
    if damaged.exists() {
        erased.unreached.push(format!(
            "`{}` holds parts of journals that could not be read: remove them with `experience recover --discard-damaged`",
            damaged.display()
        ));
    }
    let journal = recording.path().join(layout::JOURNALS);
    if journal.exists() {
        erased
            .unreached
            .push(format!(
                "`{}` holds rows that are not in shards yet: run `experience recover`, or wait until the game has ended, and erase \
                 again",
                journal.display()
            ));
    }
    Ok(())
}

/// Writes the shard without the agent's rows, or returns `None` if it has none.
///
/// Other rows are copied with columns that this crate does not know. Row groups are kept, so that no episode is divided between
/// two.
fn rewrite_without(
    recording: &Path,
    place: Option<&RewritePlace>,
    shard: &ShardReader,
    agent: i64,
    meter: &mut ProgressMeter,
) -> Result<Option<ShardWithoutAgent>, DatasetError> {
    if !contains(shard, agent, meter)? {
        return Ok(None);
    }
    let file = match place {
        Some(place) => place.create(shard.path()),
        None => partial::replace(recording, shard.path()),
    };
    let file = file.map_err(DatasetError::io("replace", shard.path()))?;
    let mut writer = ShardRewriter::new(shard.path(), file, shard.schema(), shard.arrow_schema())?;
    let mut erased: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for group in 0..shard.row_groups() {
        for batch in shard.row_group(group)? {
            let batch = batch?;
            let ids = [
                ColumnId::AgentId,
                ColumnId::Run,
                ColumnId::Terminated,
                ColumnId::Truncated,
            ];
            let kept = erase_rows(shard.columns(&shard.conform(&ids, &batch)?), agent, &mut erased);
            let kept = filter_record_batch(&batch, &kept)
                .map_err(|error| DatasetError::damaged(shard.path(), error.to_string()))?;
            writer.write(&kept, kept.get_array_memory_size())?;
        }
        writer.end_row_group()?;
    }
    let rows = writer.rows();
    let (file, checksum) = writer.finish()?;
    Ok(Some(ShardWithoutAgent {
        path: shard.path().to_owned(),
        checksum,
        file: (rows > 0).then_some(file),
        erased,
    }))
}

/// Whether the shard has a row of the agent. Reads one column.
fn contains(shard: &ShardReader, agent: i64, meter: &mut ProgressMeter) -> Result<bool, DatasetError> {
    let mut contains = false;
    for batch in shard.batches(&[ColumnId::AgentId], None)? {
        let batch = batch?;
        contains |= shard.columns(&batch).i64(ColumnId::AgentId).values().contains(&agent);
        meter.add(batch.num_rows());
    }
    Ok(contains)
}

/// Marks the rows of a batch that are kept, and counts those of the agent, by run.
fn erase_rows(batch: BatchColumns<'_>, agent: i64, erased: &mut BTreeMap<i64, (u64, u64)>) -> BooleanArray {
    let (agents, runs) = (batch.i64(ColumnId::AgentId), batch.i64(ColumnId::Run));
    let is_last = batch.is_last();
    for row in (0..batch.rows()).filter(|row| agents.value(*row) == agent) {
        let (episodes, transitions) = erased.entry(runs.value(row)).or_default();
        *episodes += u64::from(is_last.value(row));
        *transitions += 1;
    }
    agents.values().iter().map(|other| Some(*other != agent)).collect()
}

/// Erases the agent from a run's account.
///
/// Its exported transitions become discarded ones, so that the counts still add up. Shards are counted from their files,
/// because an erasure that was interrupted may have replaced some of them. `checksums` are those of the shards that this
/// erasure has replaced.
fn erase_from_account(
    recording: &RecordingData,
    account: &mut RunAccount,
    agent: i64,
    checksums: &HashMap<PathBuf, FileChecksum>,
) -> Result<(), DatasetError> {
    let mut erased = account.erase_retired(agent);
    account.account.agents.remove(&agent);
    account.account.tags.retain(|tag| tag.agent_id != agent);
    let existing: HashSet<PathBuf> = recording.shards()?.into_iter().collect();
    let mut shards = Vec::new();
    for mut shard in core::mem::take(&mut account.shards) {
        let path = shard.name(account.run).map(|name| name.path(recording.path()));
        let Some(path) = path.filter(|path| existing.contains(path)) else {
            erased.episodes += shard.episodes;
            erased.transitions += shard.transitions;
            continue;
        };
        let Some(open) = ShardReader::open(recording.schema(), &path)? else {
            continue;
        };
        if open.rows() != shard.transitions {
            let (episodes, transitions) = (count_episodes(&open)?, open.rows());
            erased.episodes += shard.episodes.saturating_sub(episodes);
            erased.transitions += shard.transitions.saturating_sub(transitions);
            (shard.episodes, shard.transitions) = (episodes, transitions);
            shard.checksum = match checksums.get(&path) {
                Some(checksum) => Some(*checksum),
                None => Some(FileChecksum::read(&path).map_err(DatasetError::io("read", &path))?),
            };
        }
        shards.push(shard);
    }
    account.shards = shards;
    let report = &mut account.account;
    let transitions = erased.transitions.min(report.exported);
    report.exported -= transitions;
    report.discarded = report.discarded.saturating_add(transitions);
    report.episodes = report.episodes.saturating_sub(erased.episodes);
    Ok(())
}

/// Whether a shard is gone, or has other rows than the account states: an erasure was interrupted before it updated the account.
fn contradicts_shards(recording: &RecordingData, account: &RunAccount) -> Result<bool, DatasetError> {
    for shard in &account.shards {
        let Some(path) = shard.name(account.run).map(|name| name.path(recording.path())) else {
            continue;
        };
        let open = ShardReader::open(recording.schema(), &path)?;
        if open.is_none_or(|open| open.rows() != shard.transitions) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Erases the tags of the agent from the file of a run. Returns whether there were some.
fn erase_tags(
    recording: &RecordingData,
    account: &RunAccount,
    agent: i64,
    erased: &mut Erasure,
) -> Result<bool, DatasetError> {
    let mut tags = recording.run_tags(account.run)?;
    let before = tags.len();
    tags.retain(|tag| tag.agent_id != agent);
    if tags.len() == before {
        return Ok(false);
    }
    let path = tag_file::path(recording.path(), account.run);
    if has_other_names(&path) {
        erased.unreached.push(hard_link(&path));
    }
    erased.unreached.extend(version_of(&path)?);
    tag_file::replace(&path, tags).map_err(DatasetError::io("write", &path))?;
    Ok(true)
}

/// Whether an account, which version 0.1.0 wrote, has totals or tags of the agent.
fn mentions(account: &RunAccount, agent: i64) -> bool {
    let account = &account.account;
    account.agents.contains_key(&agent) || account.tags.iter().any(|tag| tag.agent_id == agent)
}

fn count_episodes(shard: &ShardReader) -> Result<u64, DatasetError> {
    let mut count = 0;
    for batch in shard.batches(&[ColumnId::Terminated, ColumnId::Truncated], None)? {
        count += shard.columns(&batch?).is_last().true_count() as u64;
    }
    Ok(count)
}

/// Reads the recording again, and returns an error if it still mentions the agent.
fn verify(recording: &RecordingData, agent: i64) -> Result<(), DatasetError> {
    let still_present = |path: &Path| {
        let reason = format!("agent {agent} is still in it; another process may have written it since: erase again");
        DatasetError::write(path, reason)
    };
    let mut ignore = |_| {};
    for path in recording.shards()? {
        let shard = ShardReader::open(recording.schema(), &path)?;
        if let Some(shard) = shard
            && contains(&shard, agent, &mut ProgressMeter::new(0, &mut ignore))?
        {
            return Err(still_present(&path));
        }
    }
    for path in recording.accounts()? {
        let account = recording.account(&path)?;
        if mentions(&account, agent) {
            return Err(still_present(&path));
        }
        if recording.run_tags(account.run)?.iter().any(|tag| tag.agent_id == agent) {
            return Err(still_present(&tag_file::path(recording.path(), account.run)));
        }
    }
    Ok(())
}
