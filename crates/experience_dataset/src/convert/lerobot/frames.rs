//! Writes frames to Parquet files, and computes their statistics.

use super::{FILE_BYTES, FILES_PER_CHUNK, STATES, commit, images, writer};
use crate::{DatasetError, ValueProfile, image_histogram::ImageHistogram, sink::ROW_GROUP_BYTES};
use arrow_array::{ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema as ArrowSchema};
use core::ops::Range;
use experience_core::{
    schema::{Column, DType, Schema},
    transition::{Episode, Transition},
};
use experience_export::disk::atomic::AtomicFile;
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Arc};

/// The location of an episode's frames.
pub(super) struct EpisodeLocation {
    pub(super) len: usize,
    pub(super) file: usize,
    pub(super) rows: Range<i64>,
}

/// Writes frames to Parquet files.
pub(super) struct FrameWriter<'a> {
    root: &'a Path,
    schema: &'a Schema,
    arrow: Arc<ArrowSchema>,
    fps: u32,
    open: Option<ArrowWriter<AtomicFile>>,
    files: usize,
    index: i64,
    stats: FrameStats,
}

impl<'a> FrameWriter<'a> {
    pub(super) fn new(root: &'a Path, schema: &'a Schema, fps: u32) -> Self {
        let list = |width: usize| match width {
            // `LeRobot` stores a vector of one value as a scalar.
            1 => DataType::Float32,
            _ => DataType::FixedSizeList(
                Field::new_list_field(DataType::Float32, true).into(),
                i32::try_from(width).unwrap_or(i32::MAX),
            ),
        };
        let fields = [
            ("action", list(schema.action_width())),
            ("next.reward", DataType::Float32),
            ("next.done", DataType::Boolean),
            ("next.terminated", DataType::Boolean),
            ("next.truncated", DataType::Boolean),
            ("agent_id", DataType::Int64),
            ("tick", DataType::Int64),
            ("controller", DataType::Utf8),
            ("timestamp", DataType::Float32),
            ("frame_index", DataType::Int64),
            ("episode_index", DataType::Int64),
            ("index", DataType::Int64),
            ("task_index", DataType::Int64),
        ];
        let states = STATES.map(|name| (name, list(schema.observation_width())));
        let states = states.into_iter().filter(|_| schema.observation_width() > 0);
        let plain = |(name, kind): (&str, _)| Field::new(name, kind, true);
        let mut all: Vec<_> = states.map(plain).collect();
        all.extend(schema.images().iter().map(images::field));
        all.extend(fields.into_iter().map(plain));
        Self {
            root,
            schema,
            arrow: Arc::new(ArrowSchema::new(all)),
            fps,
            open: None,
            files: 0,
            index: 0,
            stats: FrameStats::new(schema),
        }
    }

    pub(super) fn write(&mut self, episode: &Episode, episode_index: usize) -> Result<EpisodeLocation, DatasetError> {
        let path = self.root.join(format!(
            "data/chunk-{:03}/file-{:03}.parquet",
            self.files / FILES_PER_CHUNK,
            self.files % FILES_PER_CHUNK
        ));
        check_actions(episode, self.root)?;
        self.stats.add(episode);
        let batch = self
            .batch(episode, episode_index)
            .map_err(|error| DatasetError::write(&path, error))?;
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => {
                let row = batch.get_array_memory_size() / batch.num_rows().max(1);
                let rows = ROW_GROUP_BYTES / row.max(1);
                self.open.insert(writer(&path, &self.arrow, rows)?)
            }
        };
        writer
            .write(&batch)
            .map_err(|error| DatasetError::write(&path, error))?;
        let location = EpisodeLocation {
            len: episode.len(),
            file: self.files,
            rows: self.index..self.index + episode.len() as i64,
        };
        self.index = location.rows.end;
        if writer.bytes_written() + writer.in_progress_size() >= FILE_BYTES {
            self.end_file()?;
        }
        Ok(location)
    }

    fn batch(&self, episode: &Episode, episode_index: usize) -> Result<RecordBatch, ArrowError> {
        let len = episode.len();
        let flat = |values: Vec<f32>, width: usize| -> Result<ArrayRef, ArrowError> {
            let values = Arc::new(Float32Array::from(values));
            if width == 1 {
                return Ok(values);
            }
            let item = Field::new_list_field(DataType::Float32, true).into();
            let width = i32::try_from(width).unwrap_or(i32::MAX);
            Ok(Arc::new(FixedSizeListArray::try_new(item, width, values, None)?))
        };
        let transitions = || episode.transitions();
        let longs =
            |value: &dyn Fn(usize) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..len).map(value))) };
        let flags = |value: &dyn Fn(Transition<'_>) -> bool| -> ArrayRef {
            Arc::new(BooleanArray::from_iter(
                transitions().map(|transition| Some(value(transition))),
            ))
        };
        let observations: Vec<f32> = transitions()
            .flat_map(|transition| transition.observation().iter().copied())
            .collect();
        let observations = flat(observations, self.schema.observation_width())?;
        let actions: Vec<f32> = transitions()
            .flat_map(|transition| transition.action().map(|value| value as f32))
            .collect();
        let rewards = transitions().map(|transition| transition.reward() as f32);
        let times = (0..len).map(|frame| (frame as f64 / f64::from(self.fps)) as f32);
        // `LeRobot` makes a tensor of each value that is no string, which a missing one cannot be.
        let labels = transitions().map(|transition| transition.controller().unwrap_or_default());
        let controllers = Arc::new(StringArray::from_iter_values(labels));
        let mut columns = Vec::new();
        if self.schema.observation_width() > 0 {
            columns.extend([observations.clone(), observations]);
        }
        for index in 0..self.schema.images().len() {
            columns.push(images::array(episode, index)?);
        }
        let others: [ArrayRef; 13] = [
            flat(actions, self.schema.action_width())?,
            Arc::new(Float32Array::from_iter_values(rewards)),
            flags(&|transition| transition.is_last()),
            flags(&|transition| transition.terminated()),
            flags(&|transition| transition.truncated()),
            longs(&|_| episode.info().agent_id),
            longs(&|step| episode.transition(step).tick()),
            controllers,
            Arc::new(Float32Array::from_iter_values(times)),
            longs(&|step| step as i64),
            longs(&|_| episode_index as i64),
            longs(&|step| self.index + step as i64),
            longs(&|_| 0),
        ];
        columns.extend(others);
        RecordBatch::try_new(self.arrow.clone(), columns)
    }

    fn end_file(&mut self) -> Result<(), DatasetError> {
        if let Some(writer) = self.open.take() {
            commit(writer, self.root)?;
            self.files += 1;
        }
        Ok(())
    }

    /// Finishes the last file. Returns the number of frames, and their statistics for `stats.json`.
    pub(super) fn finish(mut self) -> Result<(i64, Value), DatasetError> {
        self.end_file()?;
        Ok((self.index, self.stats.to_json()))
    }
}

/// Statistics of the values in the frames, in the precision in which they are written.
struct FrameStats {
    observation: Vec<ValueProfile>,
    /// The name of each image in `LeRobot`, and its pixels.
    images: Vec<(String, ImageHistogram)>,
    frames: u64,
    action: Vec<ValueProfile>,
    reward: ValueProfile,
}

impl FrameStats {
    fn new(schema: &Schema) -> Self {
        Self {
            observation: vec![ValueProfile::default(); schema.observation_width()],
            images: schema
                .images()
                .iter()
                .map(|image| (images::name(image), ImageHistogram::new(image)))
                .collect(),
            frames: 0,
            action: vec![ValueProfile::default(); schema.action_width()],
            reward: ValueProfile::default(),
        }
    }

    fn add(&mut self, episode: &Episode) {
        for transition in episode.transitions() {
            for (feature, value) in self.observation.iter_mut().zip(transition.observation()) {
                feature.add(f64::from(*value));
            }
            for (index, (_, histogram)) in self.images.iter_mut().enumerate() {
                histogram.add(transition.image(index));
            }
            self.frames += 1;
            for (part, value) in self.action.iter_mut().zip(transition.action()) {
                part.add(f64::from(value as f32));
            }
            self.reward.add(f64::from(transition.reward() as f32));
        }
    }

    /// The statistics for normalisation. The mean and the deviation are of the finite values.
    fn to_json(&self) -> Value {
        let of = |columns: &[ValueProfile]| {
            let each = |value: fn(&ValueProfile) -> f64| columns.iter().map(value).collect::<Vec<_>>();
            json!({
                "min": each(|column| column.min),
                "max": each(|column| column.max),
                "mean": each(|column| column.mean),
                "std": each(|column| column.deviation),
                "count": [columns.first().map_or(0, |column| column.count + column.non_finite)],
            })
        };
        let mut stats = Map::new();
        if !self.observation.is_empty() {
            for name in STATES {
                stats.insert(name.to_owned(), of(&self.observation));
            }
        }
        for (name, histogram) in &self.images {
            stats.insert(name.clone(), image_stats(histogram, self.frames));
        }
        stats.insert("action".to_owned(), of(&self.action));
        stats.insert("next.reward".to_owned(), of(core::slice::from_ref(&self.reward)));
        Value::Object(stats)
    }
}

/// The statistics of an image: of each channel, with the shape `[channels, 1, 1]`, in the range 0 to 1 of a decoded image.
fn image_stats(histogram: &ImageHistogram, frames: u64) -> Value {
    let channels: Vec<_> = histogram.profiles().collect();
    let each = |value: fn(&ValueProfile) -> f64| {
        channels
            .iter()
            .map(|channel| [[value(channel) / 255.0]])
            .collect::<Vec<_>>()
    };
    json!({
        "min": each(|channel| channel.min),
        "max": each(|channel| channel.max),
        "mean": each(|channel| channel.mean),
        "std": each(|channel| channel.deviation),
        "count": [frames],
    })
}

/// Refuses integers that `f32`, the type of `action`, would round. Fractions are rounded.
fn check_actions(episode: &Episode, to: &Path) -> Result<(), DatasetError> {
    let schema = episode.schema();
    let is_float = |column: &Column| matches!(column.dtype, DType::F32 | DType::F64);
    if schema.action().iter().all(is_float) {
        return Ok(());
    }
    let columns = || {
        schema
            .action()
            .iter()
            .flat_map(|column| core::iter::repeat_n(column, column.width()))
    };
    for transition in episode.transitions() {
        let rounded = columns()
            .zip(transition.action())
            .find(|(column, value)| !is_float(column) && f64::from(*value as f32) != *value);
        if let Some((column, value)) = rounded {
            let reason = format!(
                "the action `{}` is {value} in episode {}, step {}, and LeRobot's actions are `f32`, which would round it: record \
                 the choice as a smaller number",
                column.name,
                episode.info().episode_id,
                transition.step()
            );
            return Err(DatasetError::write(to, reason));
        }
    }
    Ok(())
}
