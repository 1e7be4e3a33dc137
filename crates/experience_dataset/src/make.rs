//! A new dataset that comes into being whole.

use super::{
    Dataset, DatasetError, RecordingData, RunAccount, ShardAccount,
    atomic::{Beside, NewFolder},
    progress::Meter,
};
use crate::{
    arrow::BatchEncoder,
    sink::{OtherSchema, card, encoding::Encoding, layout, place},
};
use experience_core::{
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::disk;
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use std::{
    collections::{BTreeMap, btree_map},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Loaders like few large files.
const SHARD_BYTES: usize = 128 << 20;
const ROW_GROUP_ROWS: usize = 1 << 16;
const ROW_GROUP_BYTES: usize = 32 << 20;

/// A dataset that is being made beside its place. Dropped before it is finished, it is gone.
pub(super) struct Maker {
    folder: NewFolder,
}

impl Maker {
    /// Begins a dataset that will stand at `to`, where nothing is yet, or an empty folder.
    pub(super) fn begin(to: &Path) -> Result<Self, DatasetError> {
        let folder = NewFolder::begin(to)?;
        Ok(Self { folder })
    }

    /// The folder of a recording, which is made where it is missing; one of other columns and the same name stands beside it.
    pub(super) fn recording(&self, schema: &Schema) -> Result<PathBuf, DatasetError> {
        place::prepare(self.folder.path(), schema, OtherSchema::Sibling)
            .map_err(|error| DatasetError::write(self.folder.to(), error))
    }

    /// Brings the dataset to its place.
    pub(super) fn finish(self) -> Result<Dataset, DatasetError> {
        card::update(self.folder.path()).map_err(|error| DatasetError::write(self.folder.to(), error))?;
        let to = self.folder.to().to_owned();
        self.folder.land()?;
        Dataset::open(to)
    }
}

/// Writes every episode of a recording anew, as `each` makes it, into `folder`. Returns the shards of each run.
pub(super) fn rewrite(
    recording: &RecordingData,
    folder: &Path,
    schema: &Arc<Schema>,
    meter: &mut Meter,
    mut each: impl FnMut(&Episode) -> Result<Episode, DatasetError>,
) -> Result<BTreeMap<RunId, Vec<ShardAccount>>, DatasetError> {
    let mut writers: BTreeMap<RunId, RunWriter> = BTreeMap::new();
    for episode in recording.episodes() {
        let episode = episode?;
        let made = each(&episode)?;
        let writer = match writers.entry(episode.info().run) {
            btree_map::Entry::Occupied(writer) => writer.into_mut(),
            btree_map::Entry::Vacant(place) => place.insert(RunWriter::new(folder, schema, episode.info().run)?),
        };
        writer.write(made)?;
        meter.add(episode.len());
    }
    writers
        .into_iter()
        .map(|(run, writer)| Ok((run, writer.finish()?)))
        .collect()
}

/// Copies a file as it is.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), DatasetError> {
    disk::copy(from, to).map_err(DatasetError::io("copy", from))
}

/// Writes the account of a run into a recording's folder.
pub(super) fn write_account(recording: &Path, account: &RunAccount) -> Result<(), DatasetError> {
    let mut json = serde_json::to_vec_pretty(account).expect("an account holds only strings, numbers and lists");
    json.push(b'\n');
    let mut file = Beside::create(&recording.join(layout::RUNS).join(layout::account_name(account.run)))?;
    file.write(|to| io::Write::write_all(to, &json))?;
    file.land()
}

/// Writes the episodes of a run into shards.
struct RunWriter {
    folder: PathBuf,
    run: RunId,
    encoder: BatchEncoder,
    open: Option<Open>,
    shards: Vec<ShardAccount>,
}

struct Open {
    writer: ArrowWriter<Beside>,
    account: ShardAccount,
}

impl RunWriter {
    /// Begins with the first shard of a run, in the folder of a recording of `schema`.
    fn new(recording: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Self, DatasetError> {
        let encoder = BatchEncoder::new(schema.clone()).map_err(|error| DatasetError::write(recording, error))?;
        Ok(Self {
            folder: recording.join(layout::DATA),
            run,
            encoder,
            open: None,
            shards: Vec::new(),
        })
    }

    fn write(&mut self, episode: Episode) -> Result<(), DatasetError> {
        let transitions = episode.len() as u64;
        let path = self.folder.clone();
        let encode = |error: ParquetError| DatasetError::write(&path, error);
        let batch = self
            .encoder
            .encode(&[episode])
            .map_err(|error| DatasetError::write(&path, error))?;
        let open = match &mut self.open {
            Some(open) => open,
            None => self
                .open
                .insert(Self::begin(&self.folder, self.run, self.shards.len(), &self.encoder)?),
        };
        // An episode is never divided between two row groups.
        let rows = open.writer.in_progress_rows();
        let is_full = rows + batch.num_rows() > ROW_GROUP_ROWS || open.writer.in_progress_size() > ROW_GROUP_BYTES;
        if rows > 0 && is_full {
            open.writer.flush().map_err(encode)?;
        }
        open.writer.write(&batch).map_err(encode)?;
        open.account.episodes += 1;
        open.account.transitions += transitions;
        if open.writer.bytes_written() + open.writer.in_progress_size() >= SHARD_BYTES {
            self.end_shard()?;
        }
        Ok(())
    }

    fn begin(folder: &Path, run: RunId, index: usize, encoder: &BatchEncoder) -> Result<Open, DatasetError> {
        let index = u32::try_from(index).map_err(|_| DatasetError::write(folder, "there are too many shards"))?;
        let file = layout::shard_name(run, index);
        let encode = |error: ParquetError| DatasetError::write(folder, error);
        let properties = Encoding::default().properties(encoder.arrow_schema()).map_err(encode)?;
        let beside = Beside::create(&folder.join(&file))?;
        Ok(Open {
            writer: ArrowWriter::try_new(beside, encoder.arrow_schema().clone(), Some(properties)).map_err(encode)?,
            account: ShardAccount {
                file,
                episodes: 0,
                transitions: 0,
            },
        })
    }

    fn end_shard(&mut self) -> Result<(), DatasetError> {
        if let Some(open) = self.open.take() {
            let file = open
                .writer
                .into_inner()
                .map_err(|error| DatasetError::write(&self.folder, error))?;
            file.land()?;
            self.shards.push(open.account);
        }
        Ok(())
    }

    /// Finishes the last shard, and tells of all of them.
    fn finish(mut self) -> Result<Vec<ShardAccount>, DatasetError> {
        self.end_shard()?;
        Ok(self.shards)
    }
}
