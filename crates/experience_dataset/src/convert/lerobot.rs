//! Converts a recording to a `LeRobot` v3.0 dataset, one frame per transition, with the feature names that its policies expect.
//!
//! ```text
//! meta/info.json, meta/stats.json, meta/tasks.parquet
//! meta/episodes/chunk-000/file-000.parquet
//! data/chunk-000/file-000.parquet
//! ```
//!
//! | column | |
//! |---|---|
//! | `observation.state`, `observation.environment_state` | the observation: policies without a camera expect both names |
//! | `action` | the whole action, packed as `f32`; a discrete action is its number |
//! | `next.reward`, `next.done` | the reward, and whether the episode ended |
//! | `next.terminated`, `next.truncated` | the kind of the end |
//! | `timestamp`, `frame_index`, `episode_index`, `index`, `task_index` | the position of the frame |
//! | `agent_id`, `tick` | as in the recording |
//!
//! Final observations are omitted, because a frame holds the observation before an action.

use crate::sink::ROW_GROUP_BYTES;
use crate::{
    DatasetError, Profile, Progress, RecordingData, ValueProfile, dataset_builder::create_folder,
    progress::ProgressMeter,
};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use core::ops::Range;
use experience_core::{
    schema::{Column, Schema},
    transition::Episode,
};
use experience_export::disk::{self, atomic::AtomicFile};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, path::Path, sync::Arc};

/// The size of a file in bytes, and the number of files in a chunk, as in `LeRobot` itself.
const FILE_BYTES: usize = 100 << 20;
const FILES_PER_CHUNK: usize = 1000;

/// Writes a recording as a `LeRobot` dataset (v3.0) to the folder `to`, which is missing or empty. `task` describes what was
/// played. `fps` is the number of frames per second; `None` takes it from the accounts of the runs.
///
/// `watch` is called with the progress.
///
/// # Errors
/// If the recording is damaged, or has no action or no episode; if its transitions differ in duration, because `LeRobot`
/// requires a fixed frame rate; if `fps` is unknown or not an integer; or if `to` is not empty or cannot be written.
pub fn to_lerobot(
    recording: &RecordingData,
    to: &Path,
    task: &str,
    fps: Option<u32>,
    watch: &mut dyn FnMut(Progress),
) -> Result<(), DatasetError> {
    let refused = |reason: &str| DatasetError::write(to, reason);
    let schema = recording.schema();
    if schema.action_width() == 0 {
        return Err(refused("the recording has no action, and LeRobot requires one"));
    }
    let ticks = ticks_per_frame(recording, to)?;
    let fps = frames_per_second(recording, ticks, fps, to)?;
    let folder = create_folder(to)?;
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut profile = Profile::new(schema);
    let mut frames = FrameWriter::new(folder.temporary_path(), schema, fps);
    let mut episodes = Vec::new();
    for episode in recording.episodes() {
        let episode = episode?;
        profile.add(&episode);
        episodes.push(frames.write(&episode, episodes.len())?);
        meter.add(episode.len());
    }
    let total = frames.finish()?;
    let meta = folder.temporary_path().join("meta");
    write_parquet(
        &meta.join("episodes/chunk-000/file-000.parquet"),
        &episodes_batch(&episodes, task)?,
    )?;
    write_parquet(&meta.join("tasks.parquet"), &tasks_batch(task)?)?;
    write_json(&meta.join("stats.json"), &stats(&profile))?;
    let info = json!({
        "codebase_version": "v3.0",
        "robot_type": schema.name(),
        "total_episodes": episodes.len(),
        "total_frames": total,
        "total_tasks": 1,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": FILE_BYTES >> 20,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": { "train": format!("0:{}", episodes.len()) },
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": null,
        "features": features(schema),
    });
    write_json(&meta.join("info.json"), &info)?;
    folder.commit().map_err(DatasetError::io("create", to))
}

/// The number of ticks that every transition lasts. The last of an episode may be shorter.
fn ticks_per_frame(recording: &RecordingData, to: &Path) -> Result<u32, DatasetError> {
    let mut common = None;
    let mut longest_last = None;
    for episode in recording.episodes() {
        let episode = episode?;
        for transition in episode.transitions() {
            let ticks = transition.ticks();
            if transition.is_last() {
                longest_last = longest_last.max(Some(ticks));
            } else if *common.get_or_insert(ticks) != ticks {
                let reason = format!(
                    "episode {} has a transition of {ticks} ticks and another of {}, and LeRobot requires a fixed frame rate: \
                     convert the recording with `densify` first",
                    episode.info().episode_id,
                    common.unwrap_or(ticks)
                );
                return Err(DatasetError::write(to, reason));
            }
        }
    }
    common
        .or(longest_last)
        .map(|ticks| ticks.max(1))
        .ok_or_else(|| DatasetError::write(to, "the recording has no episode"))
}

fn frames_per_second(
    recording: &RecordingData,
    ticks: u32,
    requested: Option<u32>,
    to: &Path,
) -> Result<u32, DatasetError> {
    if let Some(fps) = requested {
        return if fps > 0 {
            Ok(fps)
        } else {
            Err(DatasetError::write(to, "`fps` is 0; choose a positive number"))
        };
    }
    let mut rates = recording.runs()?.into_iter().map(|run| run.tick_rate);
    let rate = rates.next().flatten();
    let is_one = rates.all(|other| other == rate);
    let fps = rate.filter(|_| is_one).map(|rate| rate / f64::from(ticks));
    match fps {
        Some(fps) if fps >= 1.0 && (fps - fps.round()).abs() < 1e-6 && fps < 1e6 => Ok(fps.round() as u32),
        Some(fps) => {
            let reason =
                format!("it has {fps} frames per second, and LeRobot requires an integer: choose one with `fps`");
            Err(DatasetError::write(to, reason))
        }
        None => Err(DatasetError::write(
            to,
            "the accounts of the runs have no common tick rate: choose the frames per second with `fps`",
        )),
    }
}

/// The location of an episode's frames.
struct EpisodeLocation {
    len: usize,
    file: usize,
    rows: Range<i64>,
}

/// Writes frames to Parquet files.
struct FrameWriter<'a> {
    root: &'a Path,
    schema: &'a Schema,
    arrow: Arc<ArrowSchema>,
    fps: u32,
    open: Option<ArrowWriter<AtomicFile>>,
    files: usize,
    index: i64,
}

impl<'a> FrameWriter<'a> {
    fn new(root: &'a Path, schema: &'a Schema, fps: u32) -> Self {
        let list = |width: usize| match width {
            // `LeRobot` stores a vector of one value as a scalar.
            1 => DataType::Float32,
            _ => DataType::FixedSizeList(
                Field::new_list_field(DataType::Float32, true).into(),
                i32::try_from(width).unwrap_or(i32::MAX),
            ),
        };
        let fields = [
            ("observation.state", list(schema.observation_width())),
            ("observation.environment_state", list(schema.observation_width())),
            ("action", list(schema.action_width())),
            ("next.reward", DataType::Float32),
            ("next.done", DataType::Boolean),
            ("next.terminated", DataType::Boolean),
            ("next.truncated", DataType::Boolean),
            ("agent_id", DataType::Int64),
            ("tick", DataType::Int64),
            ("timestamp", DataType::Float32),
            ("frame_index", DataType::Int64),
            ("episode_index", DataType::Int64),
            ("index", DataType::Int64),
            ("task_index", DataType::Int64),
        ];
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, kind)| Field::new(name, kind, true))
            .collect();
        Self {
            root,
            schema,
            arrow: Arc::new(ArrowSchema::new(fields)),
            fps,
            open: None,
            files: 0,
            index: 0,
        }
    }

    fn write(&mut self, episode: &Episode, episode_index: usize) -> Result<EpisodeLocation, DatasetError> {
        let path = self.root.join(format!(
            "data/chunk-{:03}/file-{:03}.parquet",
            self.files / FILES_PER_CHUNK,
            self.files % FILES_PER_CHUNK
        ));
        let batch = self
            .batch(episode, episode_index)
            .map_err(|error| DatasetError::write(&path, error))?;
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => {
                let row = batch.get_array_memory_size() / batch.num_rows().max(1);
                self.open
                    .insert(writer(&path, &self.arrow, ROW_GROUP_BYTES / row.max(1))?)
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

    fn batch(&self, episode: &Episode, episode_index: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let len = episode.len();
        let flat = |values: Vec<f32>, width: usize| -> Result<ArrayRef, arrow_schema::ArrowError> {
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
        let flags = |value: &dyn Fn(experience_core::transition::Transition<'_>) -> bool| -> ArrayRef {
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
        RecordBatch::try_new(
            self.arrow.clone(),
            vec![
                observations.clone(),
                observations,
                flat(actions, self.schema.action_width())?,
                Arc::new(Float32Array::from_iter_values(rewards)),
                flags(&|transition| transition.is_last()),
                flags(&|transition| transition.terminated()),
                flags(&|transition| transition.truncated()),
                longs(&|_| episode.info().agent_id),
                longs(&|step| episode.transition(step).tick()),
                Arc::new(Float32Array::from_iter_values(times)),
                longs(&|step| step as i64),
                longs(&|_| episode_index as i64),
                longs(&|step| self.index + step as i64),
                longs(&|_| 0),
            ],
        )
    }

    fn end_file(&mut self) -> Result<(), DatasetError> {
        if let Some(writer) = self.open.take() {
            commit(writer, self.root)?;
            self.files += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<i64, DatasetError> {
        self.end_file()?;
        Ok(self.index)
    }
}

/// Begins a file whose row groups have at most `rows` rows.
fn writer(path: &Path, schema: &Arc<ArrowSchema>, rows: usize) -> Result<ArrowWriter<AtomicFile>, DatasetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(rows.max(1)))
        .build();
    let folder = disk::parent(path);
    disk::create_folders(folder).map_err(DatasetError::io("create", folder))?;
    let file = AtomicFile::create(path).map_err(DatasetError::io("create", path))?;
    ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|error| DatasetError::write(path, error))
}

fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<(), DatasetError> {
    let mut writer = writer(path, &batch.schema(), batch.num_rows())?;
    writer.write(batch).map_err(|error| DatasetError::write(path, error))?;
    commit(writer, path)
}

fn commit(writer: ArrowWriter<AtomicFile>, path: &Path) -> Result<(), DatasetError> {
    let mut file = writer.into_inner().map_err(|error| DatasetError::write(path, error))?;
    file.commit().map_err(DatasetError::io("write", path))
}

fn write_json(path: &Path, value: &Value) -> Result<(), DatasetError> {
    disk::replace(path, format!("{value:#}\n").as_bytes()).map_err(DatasetError::io("write", path))
}

/// The table of episodes.
fn episodes_batch(episodes: &[EpisodeLocation], task: &str) -> Result<RecordBatch, DatasetError> {
    let longs = |value: &dyn Fn(usize, &EpisodeLocation) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            episodes
                .iter()
                .enumerate()
                .map(|(index, location)| value(index, location)),
        ))
    };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for _ in episodes {
        tasks.values().append_value(task);
        tasks.append(true);
    }
    let tasks: ListArray = tasks.finish();
    let columns: [(&str, ArrayRef); 9] = [
        ("episode_index", longs(&|index, _| index as i64)),
        ("tasks", Arc::new(tasks)),
        ("length", longs(&|_, location| location.len as i64)),
        (
            "data/chunk_index",
            longs(&|_, location| (location.file / FILES_PER_CHUNK) as i64),
        ),
        (
            "data/file_index",
            longs(&|_, location| (location.file % FILES_PER_CHUNK) as i64),
        ),
        ("dataset_from_index", longs(&|_, location| location.rows.start)),
        ("dataset_to_index", longs(&|_, location| location.rows.end)),
        ("meta/episodes/chunk_index", longs(&|_, _| 0)),
        ("meta/episodes/file_index", longs(&|_, _| 0)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| DatasetError::write(Path::new("meta/episodes"), error))
}

/// The table of tasks. `LeRobot` reads it with pandas, with the task as the index.
fn tasks_batch(task: &str) -> Result<RecordBatch, DatasetError> {
    let pandas = json!({
        "index_columns": ["task"],
        "column_indexes": [{ "name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": { "encoding": "UTF-8" } }],
        "columns": [
            { "name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null },
            { "name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null },
        ],
        "creator": { "library": "bevy_experience", "version": env!("CARGO_PKG_VERSION") },
        "pandas_version": "2.0.0",
    });
    let fields = vec![
        Field::new("task_index", DataType::Int64, true),
        Field::new("task", DataType::Utf8, true),
    ];
    let schema = ArrowSchema::new_with_metadata(fields, HashMap::from([("pandas".to_owned(), pandas.to_string())]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![0])),
        Arc::new(StringArray::from(vec![task])),
    ];
    RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|error| DatasetError::write(Path::new("meta/tasks.parquet"), error))
}

/// The features in `info.json`.
fn features(schema: &Schema) -> Value {
    let vector = |names: Vec<String>| json!({ "dtype": "float32", "shape": [names.len()], "names": names });
    let scalar = |dtype: &str| json!({ "dtype": dtype, "shape": [1], "names": null });
    let actions = schema.action().iter().flat_map(Column::element_names).collect();
    let mut features = Map::new();
    for (name, feature) in [
        ("observation.state", vector(schema.feature_names())),
        ("observation.environment_state", vector(schema.feature_names())),
        ("action", vector(actions)),
        ("next.reward", scalar("float32")),
        ("next.done", scalar("bool")),
        ("next.terminated", scalar("bool")),
        ("next.truncated", scalar("bool")),
        ("agent_id", scalar("int64")),
        ("tick", scalar("int64")),
        ("timestamp", scalar("float32")),
        ("frame_index", scalar("int64")),
        ("episode_index", scalar("int64")),
        ("index", scalar("int64")),
        ("task_index", scalar("int64")),
    ] {
        features.insert(name.to_owned(), feature);
    }
    Value::Object(features)
}

/// The statistics in `stats.json`, for normalisation.
fn stats(profile: &Profile) -> Value {
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
    let observation = of(&profile.observation);
    json!({
        "observation.state": observation,
        "observation.environment_state": observation,
        "action": of(&profile.action),
        "next.reward": of(core::slice::from_ref(&profile.reward)),
    })
}
