//! Merges several datasets into one.

mod align;
mod recode;
mod run_copies;

use super::{
    Dataset, DatasetError, Progress, RecordingData, RunAccount,
    dataset_builder::{DatasetBuilder, copy, copy_tags, rewrite, save_account},
    progress::ProgressMeter,
    shard::ShardReader,
    shard_rewriter::Recoder,
};
use crate::{
    sink::{layout, partial},
    store::source,
};
use align::RowMapping;
use experience_arrow::BatchEncoder;
use experience_core::{schema::Schema, transition::RunId};
use run_copies::{is_preferred, superseded_shards};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What [`merge`] does with recordings of one name and different schemas.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MergeSettings {
    /// The value of columns that a dataset lacks, in all of its rows. A missing mask allows every action. `None` makes a
    /// missing column an error.
    pub fill: Option<f64>,
    /// Writes recordings with different schemas to different folders, as [`DatasetSink`](crate::sink::DatasetSink) does.
    pub keep_apart: bool,
}

/// A recording of a merged dataset; see [`merge`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    /// The recording's name.
    pub recording: String,
    /// The hash of its schema, 16 hexadecimal digits.
    pub schema_hash: String,
    /// The number of recordings that were merged.
    pub sources: usize,
    /// The number of its transitions.
    pub transitions: u64,
    /// The number of its runs.
    pub runs: usize,
    /// Transitions that were converted from another schema.
    pub aligned: u64,
    /// Shards that were in several datasets and were copied once.
    pub same: usize,
}

/// Merges `datasets` into one dataset in the folder `to`, which appears when it is complete.
///
/// Shards of recordings with the same name and schema are copied. If the order or the bounds of columns differ, rows are
/// converted: columns are matched by name, and bounds become the wider ones. A missing column is an error unless
/// [`MergeSettings`] allow it. `watch` is called with the progress.
///
/// A run may be in several datasets, if one was copied while the run continued. Each of its episodes is taken once: from the copy
/// in which the run is closed, before one in which it was recovered, before one in which it is unfinished. The other copies may
/// hold no episode that this one lacks.
///
/// # Errors
/// If a file is damaged; if columns are missing, or differ in type, shape or version; if a run is in two datasets with
/// different content, so that it cannot be decided which to take; or if `to` is not empty or cannot be written.
pub fn merge(
    datasets: &[Dataset],
    to: &Path,
    settings: MergeSettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Merged>, DatasetError> {
    let mut groups: BTreeMap<(String, u64), Vec<&RecordingData>> = BTreeMap::new();
    let mut total: u64 = 0;
    for recording in datasets.iter().flat_map(Dataset::recordings) {
        let hash = if settings.keep_apart {
            recording.schema().hash()
        } else {
            0
        };
        groups
            .entry((recording.name().to_owned(), hash))
            .or_default()
            .push(recording);
        total = total.saturating_add(recording.transitions()?);
    }
    // Schemas that cannot be merged are refused before anything is written.
    let groups = groups
        .into_values()
        .map(|sources| Ok((union_schema(&sources, settings.fill)?, sources)))
        .collect::<Result<Vec<_>, DatasetError>>()?;
    let builder = DatasetBuilder::create(to, [])?;
    let mut meter = ProgressMeter::new(total, watch);
    let mut merged = Vec::new();
    for (schema, sources) in groups {
        let folder = builder.recording(&schema)?;
        let same: Vec<_> = sources
            .iter()
            .copied()
            .filter(|source| source.schema().hash() == schema.hash())
            .collect();
        let superseded = superseded_shards(&same)?;
        let mut merger = RecordingMerger::new(&schema, &folder, settings.fill, sources.len(), superseded);
        for source in sources {
            merger.add(source, &mut meter)?;
        }
        merged.push(merger.finish()?);
    }
    builder.finish()?;
    Ok(merged)
}

/// The schema with the columns of all `sources`.
fn union_schema(sources: &[&RecordingData], fill: Option<f64>) -> Result<Arc<Schema>, DatasetError> {
    let first = sources[0].schema();
    if sources.iter().all(|source| source.schema().hash() == first.hash()) {
        return Ok(first.clone());
    }
    let mut union = Schema::clone(first);
    for source in &sources[1..] {
        union = align::union(&union, source.schema())
            .map_err(|reason| DatasetError::unsuitable(source.path(), format!("it cannot be merged: {reason}")))?;
    }
    for source in sources {
        RowMapping::new(source.schema(), &union, fill)
            .map_err(|reason| DatasetError::unsuitable(source.path(), format!("it cannot be merged: {reason}")))?;
    }
    Ok(union.into_shared())
}

/// Merges recordings into one recording of the new dataset.
struct RecordingMerger<'a> {
    schema: &'a Arc<Schema>,
    folder: &'a Path,
    fill: Option<f64>,
    accounts: BTreeMap<RunId, RunAccount>,
    /// The source of each run, and whether it has the schema of the new recording.
    sources: HashMap<RunId, (PathBuf, bool)>,
    /// Shards that are left out, because another source holds their episodes.
    superseded: HashSet<PathBuf>,
    merged: Merged,
}

impl<'a> RecordingMerger<'a> {
    fn new(
        schema: &'a Arc<Schema>,
        folder: &'a Path,
        fill: Option<f64>,
        sources: usize,
        superseded: HashSet<PathBuf>,
    ) -> Self {
        Self {
            superseded,
            schema,
            folder,
            fill,
            accounts: BTreeMap::new(),
            sources: HashMap::new(),
            merged: Merged {
                recording: schema.name().to_owned(),
                schema_hash: format!("{:016x}", schema.hash()),
                sources,
                transitions: 0,
                runs: 0,
                aligned: 0,
                same: 0,
            },
        }
    }

    fn add(&mut self, source: &RecordingData, meter: &mut ProgressMeter) -> Result<(), DatasetError> {
        let mut accounts = source.runs()?;
        let is_same = source.schema().hash() == self.schema.hash();
        for account in &accounts {
            if let Some((other, other_is_same)) = self.sources.get(&account.run)
                && !(is_same && *other_is_same)
            {
                return Err(duplicate_run(account.run, source.path(), other));
            }
        }
        if is_same {
            self.copy(source, &mut accounts, meter)?;
        } else {
            self.convert(source, &mut accounts, meter)?;
        }
        for account in accounts {
            self.sources.insert(account.run, (source.path().to_owned(), is_same));
            match self.accounts.entry(account.run) {
                btree_map::Entry::Vacant(entry) => {
                    copy_tags(source.path(), self.folder, account.run)?;
                    entry.insert(account);
                }
                // One dataset was copied while the run continued.
                btree_map::Entry::Occupied(mut entry) => {
                    if is_preferred(&account, entry.get()) {
                        copy_tags(source.path(), self.folder, account.run)?;
                        entry.insert(account);
                    }
                }
            }
        }
        Ok(())
    }

    /// Copies the shards of a source with the same schema. Those that another tool or an earlier version has written get the
    /// Arrow schema of the others, because loaders fail if it differs between two shards.
    fn copy(
        &mut self,
        source: &RecordingData,
        accounts: &mut [RunAccount],
        meter: &mut ProgressMeter,
    ) -> Result<(), DatasetError> {
        let encoder =
            BatchEncoder::new(self.schema.clone()).map_err(|error| DatasetError::write(source.path(), error))?;
        for path in source.shards()? {
            let Some(shard) = ShardReader::open(source.schema(), &path)? else {
                return Err(DatasetError::write(
                    &path,
                    "another process removed the shard during the merge; merge again, or after the process has ended",
                ));
            };
            meter.add(usize::try_from(shard.rows()).unwrap_or(0));
            let Some(name) = path.file_name().filter(|_| !self.superseded.contains(&path)) else {
                continue;
            };
            let to = self.folder.join(layout::DATA).join(name);
            let recoder = Recoder::new(&shard, &encoder);
            if recoder.is_current() {
                if self.is_new(&path, &path, &to, &shard)? {
                    copy(&path, &to)?;
                }
                continue;
            }
            let name = name.to_string_lossy();
            let (mut recoded, checksum) = recode::recode(&shard, &recoder, self.folder, &name)?;
            let mut listed = accounts.iter_mut().flat_map(|account| &mut account.shards);
            if let Some(listed) = listed.find(|listed| listed.file == name && listed.checksum.is_some()) {
                listed.checksum = Some(checksum);
            }
            if self.is_new(&path, &partial::path(self.folder, &name), &to, &shard)? {
                recoded.commit().map_err(DatasetError::io("write", &to))?;
            }
        }
        partial::remove_if_empty(self.folder);
        Ok(())
    }

    /// Counts the shard at `path`, whose content in the new dataset is that of `content`. Returns whether it is not there yet.
    fn is_new(&mut self, path: &Path, content: &Path, to: &Path, shard: &ShardReader) -> Result<bool, DatasetError> {
        if !to.exists() {
            self.merged.transitions += shard.rows();
            return Ok(true);
        }
        if !same_content(content, to)? {
            return Err(DatasetError::unsuitable(
                path,
                "another dataset has a shard of this name with different content: one of the two was changed, or two runs have \
                 the same id; leave one of them out",
            ));
        }
        self.merged.same += 1;
        Ok(false)
    }

    /// Converts the rows of a source with another schema.
    fn convert(
        &mut self,
        source: &RecordingData,
        accounts: &mut [RunAccount],
        meter: &mut ProgressMeter,
    ) -> Result<(), DatasetError> {
        let mapping = RowMapping::new(source.schema(), self.schema, self.fill)
            .map_err(|reason| DatasetError::unsuitable(source.path(), reason))?;
        let (sources, merged) = (&self.sources, &mut self.merged);
        let shards = rewrite(source, self.folder, self.schema, meter, |episode| {
            let run = episode.info().run;
            if let Some((other, _)) = sources.get(&run) {
                return Err(duplicate_run(run, source.path(), other));
            }
            merged.transitions += episode.len() as u64;
            merged.aligned += episode.len() as u64;
            Ok(mapping.convert(episode, self.schema))
        })?;
        for account in &mut *accounts {
            account.schema_hash = format!("{:016x}", self.schema.hash());
            account.shards.clear();
        }
        for (run, shards) in shards {
            self.sources.insert(run, (source.path().to_owned(), false));
            if let Some(account) = accounts.iter_mut().find(|account| account.run == run) {
                account.shards = shards;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Merged, DatasetError> {
        for account in self.accounts.values() {
            save_account(self.folder, account)?;
        }
        self.merged.runs = self.accounts.len();
        Ok(self.merged)
    }
}

fn duplicate_run(run: RunId, here: &Path, there: &Path) -> DatasetError {
    let reason = format!(
        "run {run} is also in `{}`, with another schema, so its episodes would be duplicated; leave one of them out",
        there.display()
    );
    DatasetError::unsuitable(here, reason)
}

fn same_content(a: &Path, b: &Path) -> Result<bool, DatasetError> {
    let len = |path: &Path| source::size(path).map_err(DatasetError::io("read", path));
    if len(a)? != len(b)? {
        return Ok(false);
    }
    let open = |path: &Path| source::open(path).map_err(DatasetError::io("open", path));
    let (mut left, mut right) = (open(a)?, open(b)?);
    let mut buffers = [vec![0; 1 << 16], vec![0; 1 << 16]];
    loop {
        let [x, y] = &mut buffers;
        let read = fill(&mut left, x).map_err(DatasetError::io("read", a))?;
        if read != fill(&mut right, y).map_err(DatasetError::io("read", b))? || x[..read] != y[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
