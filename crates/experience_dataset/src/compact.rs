//! Compacts a dataset: many small shards become few large ones.

use super::{
    Dataset, DatasetError, Progress, RecordingData, RunAccount, ShardAccount,
    dataset_builder::DatasetBuilder,
    episode_table::open,
    progress::ProgressMeter,
    selection::{SelectionSource, SelectionTarget, check_shards, unfinished},
    shard_packer::{ShardPacker, pack},
};
use crate::sink::{
    compaction::{Compactions, PendingCompaction},
    layout, partial,
    run_shard_writer::SHARD_BYTES,
    shard_name::ShardName,
    tag_file,
};
use experience_arrow::{BatchEncoder, columns::ColumnId};
use experience_core::{account::DISCARDED_TAG, transition::RunId};
use experience_export::disk;
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// Settings of [`compact`] and [`Dataset::compact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactSettings {
    /// A shard is complete when it has about this many bytes. Shards of at least half as many stay as they are, if no smaller
    /// ones come before them.
    pub shard_bytes: usize,
}

impl Default for CompactSettings {
    /// Shards of 128 MiB, as recordings have them.
    fn default() -> Self {
        Self {
            shard_bytes: SHARD_BYTES,
        }
    }
}

/// The result of a compaction for one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The name of the recording's folder.
    pub recording: String,
    /// The number of shards before.
    pub before: u64,
    /// The number of shards after.
    pub after: u64,
    /// The transitions in the shards that were rewritten.
    pub transitions: u64,
    /// Episodes that were discarded after they had ended, and are in no shard any more.
    pub discarded: u64,
    /// Runs whose shards were left as they are, and why, one sentence each.
    pub skipped: Vec<String>,
}

/// Writes a copy of `dataset` with few shards to the folder `to`, which appears when it is complete. Each run has shards of its
/// own. Nothing else changes. `watch` is called with the progress.
///
/// # Errors
/// If a run is being recorded or is not recovered; if a file is damaged; or if `to` is not empty, is within the source, or cannot be
/// written.
pub fn compact(
    dataset: &Dataset,
    to: &Path,
    settings: CompactSettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Compacted>, DatasetError> {
    let mut total: u64 = 0;
    for recording in dataset.recordings() {
        total = total.saturating_add(recording.transitions()?.saturating_mul(2));
    }
    let builder = DatasetBuilder::create(to, [dataset.path()])?;
    let mut meter = ProgressMeter::new(total, watch);
    let mut compacted = Vec::new();
    for recording in dataset.recordings() {
        let source = SelectionSource::read(recording, &mut meter)?;
        let target = SelectionTarget {
            folder: builder.recording(recording.schema())?,
            selection: String::new(),
        };
        let targets = core::slice::from_ref(&target);
        let kept: HashSet<i64> = source.table.kept().map(|episode| episode.id).collect();
        let part_of = |id| kept.contains(&id).then_some(0);
        let counts = source.write(targets, settings.shard_bytes, part_of, &mut meter)?;
        let counts = counts.first().copied().unwrap_or_default();
        compacted.push(Compacted {
            recording: recording.folder_name().to_owned(),
            before: recording.shards()?.len() as u64,
            after: counts.shards,
            transitions: counts.transitions,
            discarded: source.table.episodes.len() as u64 - counts.episodes,
            skipped: Vec::new(),
        });
    }
    builder.copy_card(dataset.path())?;
    builder.finish()?;
    Ok(compacted)
}

/// Compacts the shards of `dataset` in place; see [`Dataset::compact`].
pub(super) fn compact_in_place(
    dataset: &Dataset,
    settings: CompactSettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Compacted>, DatasetError> {
    let mut plans = Vec::new();
    let mut total: u64 = 0;
    for recording in dataset.recordings() {
        layout::check_links(recording.path()).map_err(|(link, target)| {
            let reason = format!(
                "it is a link to `{}`, outside of the recording; replace it by a folder",
                target.display()
            );
            DatasetError::write(&link, reason)
        })?;
        let lock = Compactions::lock(recording.path()).map_err(DatasetError::sink(recording.path()))?;
        for folder in [layout::PARTIAL, layout::RUNS] {
            disk::sweep(&recording.path().join(folder));
        }
        let plan = RecordingPlan::new(recording, settings)?;
        total = plan
            .runs
            .iter()
            .fold(total, |total, run| total.saturating_add(run.transitions()));
        plans.push((plan, lock));
    }
    let mut meter = ProgressMeter::new(total, watch);
    let mut compacted = Vec::new();
    for (plan, _lock) in plans {
        compacted.push(plan.run(settings, &mut meter)?);
    }
    Ok(compacted)
}

/// What is compacted of one recording.
struct RecordingPlan<'a> {
    recording: &'a RecordingData,
    runs: Vec<RunPlan>,
    compacted: Compacted,
}

/// The shards of a run that are replaced: the last ones, so that the order of episodes stays.
struct RunPlan {
    account: RunAccount,
    /// Episodes of the run that were discarded after they had ended.
    discarded: HashSet<i64>,
    old: Vec<ShardAccount>,
    next_index: u32,
}

impl RunPlan {
    fn transitions(&self) -> u64 {
        self.old.iter().map(|shard| shard.transitions).sum()
    }
}

impl<'a> RecordingPlan<'a> {
    fn new(recording: &'a RecordingData, settings: CompactSettings) -> Result<Self, DatasetError> {
        let shards = recording.shards()?;
        let discarded = recording.discarded()?;
        let mut plan = Self {
            recording,
            runs: Vec::new(),
            compacted: Compacted {
                recording: recording.folder_name().to_owned(),
                before: shards.len() as u64,
                after: shards.len() as u64,
                ..Compacted::default()
            },
        };
        for account in recording.runs()? {
            if let Some(reason) = unfinished(recording.path(), &account) {
                plan.compacted.skipped.push(reason);
                continue;
            }
            let of_run = |id: &&i64| **id >> 32 == account.run.get();
            let discarded = discarded.iter().filter(of_run).copied().collect();
            plan.runs
                .extend(RunPlan::new(recording, account, discarded, &shards, settings)?);
        }
        Ok(plan)
    }

    /// Compacts each run, one after the other.
    fn run(mut self, settings: CompactSettings, meter: &mut ProgressMeter) -> Result<Compacted, DatasetError> {
        let folder = self.recording.path();
        for run in core::mem::take(&mut self.runs) {
            remove_partial(folder, run.account.run);
            let transitions = run.transitions();
            let old = run.old.len() as u64;
            let result = compact_run(self.recording, run, settings, meter);
            // Also after an error.
            partial::remove_if_empty(folder);
            let (new, discarded) = result?;
            self.compacted.after = self.compacted.after - old + new;
            self.compacted.discarded += discarded;
            self.compacted.transitions += transitions;
        }
        partial::remove_if_empty(folder);
        Ok(self.compacted)
    }
}

/// Removes what a compaction has left of a run, whose process died while it wrote new shards. The run is over, and the caller holds
/// the lock of the recording, so that no other process writes them. Errors are ignored: readers open none of these files.
fn remove_partial(recording: &Path, run: RunId) {
    for entry in fs::read_dir(recording.join(layout::PARTIAL))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let shard = name
            .to_str()
            .and_then(|name| ShardName::parse(name.strip_suffix(layout::UNFINISHED)?));
        if shard.is_some_and(|shard| shard.run() == run) {
            disk::remove_unfinished(&entry.path());
        }
    }
}

impl RunPlan {
    /// What is compacted of a run; `None` if it has no two small shards side by side, and no shard with a discarded episode.
    fn new(
        recording: &RecordingData,
        account: RunAccount,
        discarded: HashSet<i64>,
        shards: &[PathBuf],
        settings: CompactSettings,
    ) -> Result<Option<Self>, DatasetError> {
        let own = |path: &PathBuf| {
            let name = ShardName::parse(path.file_name()?.to_str()?)?;
            (name.run() == account.run).then_some(name)
        };
        let mut names: Vec<ShardName> = shards.iter().filter_map(own).collect();
        names.sort();
        let mut sizes = Vec::new();
        for name in &names {
            let path = name.path(recording.path());
            let metadata = fs::symlink_metadata(&path).map_err(DatasetError::io("open", &path))?;
            if metadata.is_symlink() {
                let reason = "it is a link to another file; replace the link by that file, or compact to a new dataset";
                return Err(DatasetError::write(&path, reason));
            }
            sizes.push(metadata.len());
        }
        let is_small = |size: u64| size < settings.shard_bytes as u64 / 2;
        let small = sizes.windows(2).position(|pair| is_small(pair[0]) && is_small(pair[1]));
        let holding = first_with(recording, &names, &discarded)?;
        let Some(first) = small.into_iter().chain(holding).min() else {
            return Ok(None);
        };
        let next_index = names.last().map_or(0, |name| name.index().saturating_add(1));
        let mut old = Vec::new();
        for name in &names[first..] {
            let file = name.to_string();
            let listed = account.shards.iter().find(|shard| shard.file == file);
            old.push(listed.cloned().ok_or_else(|| {
                let reason = format!("it does not list the shard `{file}`: `experience validate` says what differs");
                DatasetError::unsuitable(&account.path(recording.path()), reason)
            })?);
        }
        Ok(Some(Self {
            account,
            discarded,
            old,
            next_index,
        }))
    }
}

/// The index of the first of the shards `names` that holds one of `episodes`. Reads one column.
fn first_with(
    recording: &RecordingData,
    names: &[ShardName],
    episodes: &HashSet<i64>,
) -> Result<Option<usize>, DatasetError> {
    if episodes.is_empty() {
        return Ok(None);
    }
    for (index, name) in names.iter().enumerate() {
        let shard = open(recording, &name.path(recording.path()))?;
        for batch in shard.batches(&[ColumnId::EpisodeId], None)? {
            let batch = batch?;
            let ids = shard.columns(&batch).i64(ColumnId::EpisodeId).values();
            if ids.iter().any(|id| episodes.contains(id)) {
                return Ok(Some(index));
            }
        }
    }
    Ok(None)
}

/// Replaces the shards of one run. Returns the number of new ones, and of the discarded episodes that are not in them.
fn compact_run(
    recording: &RecordingData,
    plan: RunPlan,
    settings: CompactSettings,
    meter: &mut ProgressMeter,
) -> Result<(u64, u64), DatasetError> {
    let (folder, run) = (recording.path(), plan.account.run);
    // Those that stay keep their checksums.
    check_shards(recording, run, &plan.old)?;
    let encoder = BatchEncoder::new(recording.schema().clone()).map_err(|error| DatasetError::write(folder, error))?;
    let paths: Vec<_> = plan
        .old
        .iter()
        .map(|shard| folder.join(layout::DATA).join(&shard.file))
        .collect();
    let lengths = lengths(recording, &paths)?;
    let mut packer = [ShardPacker::new(folder, &lengths, settings.shard_bytes)];
    packer[0].set_next_index(run, plan.next_index);
    for path in &paths {
        pack(
            &open(recording, path)?,
            &encoder,
            &mut packer,
            |id| (!plan.discarded.contains(&id)).then_some(0),
            |rows| meter.add(rows),
        )?;
    }
    let [packer] = packer;
    let mut packed = packer.finish()?;
    let committed = plan.old.iter().map(|shard| plan.account.commit_time(shard)).max();
    for shard in &mut packed {
        if shard.run != run {
            let reason = format!("it holds rows of run {}; `experience validate` names them", shard.run);
            return Err(DatasetError::unsuitable(&paths[0], reason));
        }
        shard.account.committed = committed;
    }
    let before = sum(plan.old.iter());
    let gone = lengths.iter().filter(|(id, _)| plan.discarded.contains(id));
    let gone = gone.fold((0_u64, 0_u64), |gone, (_, length)| (gone.0 + 1, gone.1 + length));
    let mut after = sum(packed.iter().map(|shard| &shard.account));
    after = (after.0 + gone.0, after.1 + gone.1);
    if before != after {
        let reason = format!(
            "it counts {} transitions in {} episodes in the shards that are compacted, and they hold {} in {}: `experience \
             validate` says what differs",
            before.1, before.0, after.1, after.0
        );
        return Err(DatasetError::unsuitable(&plan.account.path(folder), reason));
    }
    let pending = PendingCompaction {
        run,
        old: plan.old,
        new: packed.iter().map(|shard| shard.account.clone()).collect(),
    };
    Compactions::begin(folder, pending).map_err(DatasetError::sink(folder))?;
    let mut exchange = || -> Result<(), DatasetError> {
        for shard in &mut packed {
            let path = folder.join(layout::DATA).join(&shard.account.file);
            shard.file.commit().map_err(DatasetError::io("write", &path))?;
        }
        Ok(())
    };
    let exchanged = exchange();
    let ended = Compactions::end(folder).map_err(DatasetError::sink(folder));
    exchanged.and(ended)?;
    if gone.0 > 0 {
        forget_discarded(recording, run, &lengths)?;
    }
    Ok((packed.len() as u64, gone.0))
}

/// Removes the tags of discarded episodes that are in no shard any more. Where the process dies before it, the tags name episodes that
/// are not in the dataset, which has no effect.
fn forget_discarded(recording: &RecordingData, run: RunId, gone: &HashMap<i64, u64>) -> Result<(), DatasetError> {
    let mut tags = recording.run_tags(run)?;
    let discarded: HashSet<i64> = tags
        .iter()
        .filter(|tag| tag.tag == DISCARDED_TAG && gone.contains_key(&tag.episode_id))
        .map(|tag| tag.episode_id)
        .collect();
    tags.retain(|tag| !discarded.contains(&tag.episode_id));
    let path = tag_file::path(recording.path(), run);
    tag_file::replace(&path, tags).map_err(DatasetError::io("write", &path))
}

/// The episodes and transitions of all `shards`.
fn sum<'a>(shards: impl Iterator<Item = &'a ShardAccount>) -> (u64, u64) {
    shards.fold((0, 0), |sum, shard| (sum.0 + shard.episodes, sum.1 + shard.transitions))
}

/// The number of transitions of each episode in `shards`. Reads one column.
fn lengths(recording: &RecordingData, shards: &[PathBuf]) -> Result<HashMap<i64, u64>, DatasetError> {
    let mut lengths = HashMap::new();
    for path in shards {
        let shard = open(recording, path)?;
        for batch in shard.batches(&[ColumnId::EpisodeId], None)? {
            for id in shard.columns(&batch?).i64(ColumnId::EpisodeId).values() {
                *lengths.entry(*id).or_default() += 1;
            }
        }
    }
    Ok(lengths)
}
