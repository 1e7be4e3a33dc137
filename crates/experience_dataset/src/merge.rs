//! Several datasets become one.

mod align;

use super::{
    Dataset, DatasetError, Progress, RecordingData, RunAccount,
    make::{Maker, copy, rewrite, write_account},
    progress::Meter,
    shard::Shard,
};
use crate::sink::layout;
use align::RowPlan;
use experience_core::{schema::Schema, transition::RunId};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, btree_map},
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What to do where recordings of one name have other columns; see [`merge`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MergeSettings {
    /// Gives columns that a dataset lacks this value in all of its rows. A missing mask allows everything.
    pub fill: Option<f64>,
    /// Leaves recordings with other columns apart, in folders of their own, as a recorder does.
    pub keep_apart: bool,
}

/// A recording of a merged dataset; see [`merge`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    /// The recording's name.
    pub recording: String,
    /// The hash of its columns, 16 hexadecimal digits.
    pub schema_hash: String,
    /// From how many folders it comes.
    pub sources: usize,
    /// Its transitions.
    pub transitions: u64,
    /// Its runs.
    pub runs: usize,
    /// Transitions whose rows were laid out anew, because their columns were others.
    pub aligned: u64,
    /// Files that were the same in two datasets, and are there once.
    pub same: usize,
}

/// Makes one dataset of several, in the folder `to`, which comes into being when all of it is written.
///
/// Recordings of one name and the same columns are put together as they are, file by file. Where columns stand in another
/// order, or have other bounds, rows are laid out anew: columns are found by their names, and bounds become the wider ones.
/// Where a column is missing, that is refused unless [`MergeSettings`] say what to do. `watch` is told how far it is.
///
/// A run may be in several of the datasets, where one was copied and went on: its shards are taken once.
///
/// # Errors
/// When a file is damaged; when columns are missing, or have another type, shape or meaning; when a run is in two datasets and
/// its files differ; or when `to` cannot be written.
pub fn merge(
    datasets: &[Dataset],
    to: &Path,
    settings: MergeSettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Merged>, DatasetError> {
    let mut groups: BTreeMap<(String, u64), Vec<&RecordingData>> = BTreeMap::new();
    let mut total: u64 = 0;
    for recording in datasets.iter().flat_map(Dataset::recordings) {
        let apart = if settings.keep_apart {
            recording.schema().hash()
        } else {
            0
        };
        groups
            .entry((recording.name().to_owned(), apart))
            .or_default()
            .push(recording);
        total = total.saturating_add(recording.transitions()?);
    }
    // What cannot be aligned is refused before anything is written.
    let groups = groups
        .into_values()
        .map(|sources| Ok((target(&sources, settings.fill)?, sources)))
        .collect::<Result<Vec<_>, DatasetError>>()?;
    let maker = Maker::begin(to)?;
    let mut meter = Meter::new(total, watch);
    let mut merged = Vec::new();
    for (schema, sources) in groups {
        let folder = maker.recording(&schema)?;
        let mut target = Target::new(&schema, &folder, settings.fill, sources.len());
        for source in sources {
            target.take(source, &mut meter)?;
        }
        merged.push(target.finish()?);
    }
    maker.finish()?;
    Ok(merged)
}

/// The columns that all of `sources` get.
fn target(sources: &[&RecordingData], fill: Option<f64>) -> Result<Arc<Schema>, DatasetError> {
    let first = sources[0].schema();
    if sources.iter().all(|source| source.schema().hash() == first.hash()) {
        return Ok(first.clone());
    }
    let mut union = Schema::clone(first);
    for source in &sources[1..] {
        union = align::union(&union, source.schema())
            .map_err(|reason| DatasetError::write(source.path(), format!("it cannot be merged: {reason}")))?;
    }
    for source in sources {
        RowPlan::new(source.schema(), &union, fill)
            .map_err(|reason| DatasetError::write(source.path(), format!("it cannot be merged: {reason}")))?;
    }
    Ok(union.into_shared())
}

/// A recording of the new dataset.
struct Target<'a> {
    schema: &'a Arc<Schema>,
    folder: &'a Path,
    fill: Option<f64>,
    accounts: BTreeMap<RunId, RunAccount>,
    /// Where each run was found, and whether its rows were laid out anew.
    found: HashMap<RunId, (PathBuf, bool)>,
    merged: Merged,
}

impl<'a> Target<'a> {
    fn new(schema: &'a Arc<Schema>, folder: &'a Path, fill: Option<f64>, sources: usize) -> Self {
        Self {
            schema,
            folder,
            fill,
            accounts: BTreeMap::new(),
            found: HashMap::new(),
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

    fn take(&mut self, source: &RecordingData, meter: &mut Meter) -> Result<(), DatasetError> {
        let mut accounts = source.runs()?;
        let is_same = source.schema().hash() == self.schema.hash();
        for account in &accounts {
            if let Some((other, other_is_same)) = self.found.get(&account.run)
                && !(is_same && *other_is_same)
            {
                return Err(twice(account.run, source.path(), other));
            }
        }
        if is_same {
            self.copy(source, meter)?;
        } else {
            self.align(source, &mut accounts, meter)?;
        }
        for account in accounts {
            self.found.insert(account.run, (source.path().to_owned(), is_same));
            match self.accounts.entry(account.run) {
                btree_map::Entry::Vacant(place) => {
                    place.insert(account);
                }
                // One dataset was copied, and the run went on.
                btree_map::Entry::Occupied(mut there) => {
                    if account.updated > there.get().updated {
                        there.insert(account);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the shards as they are.
    fn copy(&mut self, source: &RecordingData, meter: &mut Meter) -> Result<(), DatasetError> {
        for path in source.shards()? {
            let shard = Shard::open(source.schema(), &path)?;
            meter.add(usize::try_from(shard.rows()).unwrap_or(0));
            let Some(name) = path.file_name() else { continue };
            let to = self.folder.join(layout::DATA).join(name);
            if !to.exists() {
                copy(&path, &to)?;
                self.merged.transitions += shard.rows();
            } else if same_content(&path, &to)? {
                self.merged.same += 1;
            } else {
                return Err(DatasetError::write(
                    &path,
                    "another dataset has a shard of this name that holds something else: one of the two was changed, or two runs \
                     drew the same number; leave one of them out",
                ));
            }
        }
        Ok(())
    }

    /// Lays the rows out anew.
    fn align(
        &mut self,
        source: &RecordingData,
        accounts: &mut [RunAccount],
        meter: &mut Meter,
    ) -> Result<(), DatasetError> {
        let plan = RowPlan::new(source.schema(), self.schema, self.fill)
            .map_err(|reason| DatasetError::write(source.path(), reason))?;
        let (found, merged) = (&self.found, &mut self.merged);
        let shards = rewrite(source, self.folder, self.schema, meter, |episode| {
            let run = episode.info().run;
            if let Some((other, _)) = found.get(&run) {
                return Err(twice(run, source.path(), other));
            }
            merged.transitions += episode.len() as u64;
            merged.aligned += episode.len() as u64;
            Ok(plan.convert(episode, self.schema))
        })?;
        for account in &mut *accounts {
            account.schema_hash = format!("{:016x}", self.schema.hash());
            account.shards.clear();
        }
        for (run, shards) in shards {
            self.found.insert(run, (source.path().to_owned(), false));
            if let Some(account) = accounts.iter_mut().find(|account| account.run == run) {
                account.shards = shards;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Merged, DatasetError> {
        for account in self.accounts.values() {
            write_account(self.folder, account)?;
        }
        self.merged.runs = self.accounts.len();
        Ok(self.merged)
    }
}

fn twice(run: RunId, here: &Path, there: &Path) -> DatasetError {
    let reason = format!(
        "run {run} is in `{}` too, where its columns are others: its episodes would stand there twice; leave one of them out",
        there.display()
    );
    DatasetError::write(here, reason)
}

fn same_content(a: &Path, b: &Path) -> Result<bool, DatasetError> {
    let len = |path: &Path| {
        fs::metadata(path)
            .map(|metadata| metadata.len())
            .map_err(DatasetError::io("read", path))
    };
    if len(a)? != len(b)? {
        return Ok(false);
    }
    let open = |path: &Path| {
        File::open(path)
            .map(BufReader::new)
            .map_err(DatasetError::io("open", path))
    };
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
