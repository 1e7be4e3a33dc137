//! Packs whole episodes of many shards into few.

use super::{
    DatasetError, ShardAccount,
    shard::ShardReader,
    shard_rewriter::{Recoder, ShardRewriter},
};
use crate::sink::{partial, shard_name::ShardName};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use experience_arrow::{
    BatchEncoder,
    columns::{BatchColumns, ColumnId},
};
use experience_core::{schema::Schema, transition::RunId};
use experience_export::disk::atomic::AtomicFile;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A shard that is complete and not committed.
pub(super) struct PackedShard {
    pub(super) run: RunId,
    pub(super) file: AtomicFile,
    pub(super) account: ShardAccount,
}

/// Writes episodes to shards of one recording. Each shard holds episodes of one run.
///
/// A row group ends between two episodes, unless one episode is larger than its limits.
pub(super) struct ShardPacker<'a> {
    recording: PathBuf,
    /// The number of transitions of each episode.
    lengths: &'a HashMap<i64, u64>,
    /// A shard is complete when it has about this many bytes.
    shard_bytes: usize,
    /// The number of the next shard of each run.
    next_index: HashMap<RunId, u32>,
    open: Option<OpenShard>,
    packed: Vec<PackedShard>,
}

struct OpenShard {
    writer: ShardRewriter,
    schema: SchemaRef,
    name: ShardName,
    episodes: u64,
}

impl<'a> ShardPacker<'a> {
    /// A packer of shards in the folder `recording`.
    pub(super) fn new(recording: &Path, lengths: &'a HashMap<i64, u64>, shard_bytes: usize) -> Self {
        Self {
            recording: recording.to_owned(),
            lengths,
            shard_bytes,
            next_index: HashMap::new(),
            open: None,
            packed: Vec::new(),
        }
    }

    /// Sets the number of the next shard of a run, which is 0 otherwise.
    pub(super) fn set_next_index(&mut self, run: RunId, index: u32) {
        self.next_index.insert(run, index);
    }

    /// Appends rows of `shard` in the types of an encoder, the next ones of whole episodes.
    pub(super) fn write(&mut self, shard: &ShardReader, batch: &RecordBatch) -> Result<(), DatasetError> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let view = BatchColumns::new(shard.schema(), batch);
        let (ids, runs) = (view.i64(ColumnId::EpisodeId), view.i64(ColumnId::Run));
        let steps = view.i32(ColumnId::Step);
        let row_bytes = batch.get_array_memory_size().div_ceil(rows);
        let mut from = 0;
        for row in (0..rows).filter(|row| steps.value(*row) == 0) {
            let run = run_of(shard, runs.value(row))?;
            let length = self.lengths.get(&ids.value(row)).copied().unwrap_or(1);
            let more = usize::try_from(length).map_or(usize::MAX, |length| (row - from).saturating_add(length));
            let cut = match &self.open {
                Some(open) if open.accepts(run, &batch.schema(), self.shard_bytes) => {
                    if !open.writer.would_exceed_row_group(more, more.saturating_mul(row_bytes)) {
                        continue;
                    }
                    Cut::RowGroup
                }
                _ => Cut::Shard,
            };
            self.write_rows(shard, &batch.slice(from, row - from), row_bytes)?;
            from = row;
            match cut {
                Cut::Shard => {
                    self.end_shard()?;
                    self.begin_shard(run, shard.schema(), &batch.schema())?;
                }
                Cut::RowGroup => self.open.iter_mut().try_for_each(|open| open.writer.end_row_group())?,
            }
        }
        self.write_rows(shard, &batch.slice(from, rows - from), row_bytes)
    }

    fn write_rows(&mut self, shard: &ShardReader, rows: &RecordBatch, row_bytes: usize) -> Result<(), DatasetError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let Some(open) = &mut self.open else {
            return Err(DatasetError::damaged(
                shard.path(),
                "its first row is not the first of an episode",
            ));
        };
        // Only an episode that is larger than a row group exceeds its limits.
        if open.writer.would_exceed_row_group(rows.num_rows(), 0) {
            open.writer.end_row_group()?;
        }
        let is_last = BatchColumns::new(shard.schema(), rows).is_last();
        open.episodes += is_last.true_count() as u64;
        open.writer.write(rows, rows.num_rows().saturating_mul(row_bytes))
    }

    fn begin_shard(&mut self, run: RunId, schema: &Arc<Schema>, arrow: &SchemaRef) -> Result<(), DatasetError> {
        let index = self.next_index.entry(run).or_default();
        let name = ShardName::new(run, *index);
        *index = index.saturating_add(1);
        let partial = partial::path(&self.recording, &name.to_string());
        let file = partial::create(&self.recording, &name.to_string()).map_err(DatasetError::io("create", &partial))?;
        self.open = Some(OpenShard {
            writer: ShardRewriter::new(&name.path(&self.recording), file, schema, arrow)?,
            schema: arrow.clone(),
            name,
            episodes: 0,
        });
        Ok(())
    }

    fn end_shard(&mut self) -> Result<(), DatasetError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let transitions = open.writer.rows();
        let (file, checksum) = open.writer.finish()?;
        self.packed.push(PackedShard {
            run: open.name.run(),
            file,
            account: ShardAccount {
                file: open.name.to_string(),
                episodes: open.episodes,
                transitions,
                checksum: Some(checksum),
                committed: None,
            },
        });
        Ok(())
    }

    /// Completes the last shard. Returns all shards.
    pub(super) fn finish(mut self) -> Result<Vec<PackedShard>, DatasetError> {
        self.end_shard()?;
        Ok(self.packed)
    }
}

/// What ends between two episodes.
enum Cut {
    RowGroup,
    Shard,
}

impl OpenShard {
    /// Whether the shard takes another episode of `run` with the columns of `schema`.
    fn accepts(&self, run: RunId, schema: &SchemaRef, shard_bytes: usize) -> bool {
        self.name.run() == run && self.schema == *schema && self.writer.bytes() < shard_bytes
    }
}

fn run_of(shard: &ShardReader, run: i64) -> Result<RunId, DatasetError> {
    let bits = u32::try_from(run).map_err(|_| {
        DatasetError::damaged(
            shard.path(),
            format!("it holds rows of run {run}, which is not a valid run"),
        )
    })?;
    Ok(RunId::from_bits(bits))
}

/// Copies the episodes of a shard to packers: each to the one that `part_of` returns for its id, or to none.
pub(super) fn pack(
    shard: &ShardReader,
    encoder: &BatchEncoder,
    packers: &mut [ShardPacker],
    part_of: impl Fn(i64) -> Option<usize>,
    mut copied: impl FnMut(usize),
) -> Result<(), DatasetError> {
    let recoder = Recoder::new(shard, encoder);
    for group in 0..shard.row_groups() {
        for batch in shard.row_group(group)? {
            let batch = recoder.recode(batch?)?;
            let ids = BatchColumns::new(shard.schema(), &batch).i64(ColumnId::EpisodeId);
            let parts: Vec<_> = ids.values().iter().map(|id| part_of(*id)).collect();
            for (part, packer) in packers.iter_mut().enumerate() {
                let kept: BooleanArray = parts.iter().map(|found| Some(*found == Some(part))).collect();
                let rows = filter_record_batch(&batch, &kept)
                    .map_err(|error| DatasetError::damaged(shard.path(), error.to_string()))?;
                packer.write(shard, &rows)?;
            }
            copied(batch.num_rows());
        }
    }
    Ok(())
}
