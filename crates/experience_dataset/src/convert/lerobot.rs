//! `LeRobot` v3.0: a frame a row, with the names that its policies look for.
//!
//! ```text
//! meta/info.json, meta/stats.json, meta/tasks.parquet
//! meta/episodes/chunk-000/file-000.parquet
//! data/chunk-000/file-000.parquet
//! ```
//!
//! | column | |
//! |---|---|
//! | `observation.state`, `observation.environment_state` | the observation: policies without a camera want both names |
//! | `action` | the whole action, packed as `f32`; a choice is its number |
//! | `next.reward`, `next.done` | what came of it |
//! | `next.terminated`, `next.truncated` | which kind of end it was |
//! | `timestamp`, `frame_index`, `episode_index`, `index`, `task_index` | where the frame stands |
//! | `agent_id`, `tick` | whose it is, and when it was |
//!
//! Final observations have no place there: a frame is what was seen before an action.

use crate::{
    DatasetError, Profile, Progress, RecordingData, ValueProfile,
    atomic::{Beside, NewFolder},
    progress::Meter,
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
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, io::Write, path::Path, sync::Arc};

/// What a file holds before the next one is begun, as `LeRobot` has it itself.
const FILE_BYTES: usize = 100 << 20;
const FILES_OF_A_CHUNK: usize = 1000;

/// Writes a recording as a `LeRobot` dataset (v3.0) into the folder `to`. `task` says in words what was played, and `fps` how
/// many frames are in a second; without it, it is taken from the accounts of the runs.
///
/// `watch` is told how far it is.
///
/// # Errors
/// When the recording is damaged, or has no action or no episode; when its transitions last differently long, since frames are
/// evenly spaced there; when `fps` is not known, or no whole number; when `to` is not new or empty, or cannot be written.
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
        return Err(refused("the recording has no action, and LeRobot wants one"));
    }
    let ticks = even_ticks(recording, to)?;
    let fps = frames_a_second(recording, ticks, fps, to)?;
    let folder = NewFolder::begin(to)?;
    let mut meter = Meter::new(recording.transitions()?, watch);
    let mut profile = Profile::new(schema);
    let mut frames = Frames::new(folder.path(), schema, fps);
    let mut episodes = Vec::new();
    for episode in recording.episodes() {
        let episode = episode?;
        profile.add(&episode);
        episodes.push(frames.write(&episode, episodes.len())?);
        meter.add(episode.len());
    }
    let total = frames.finish()?;
    let meta = folder.path().join("meta");
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
        "chunks_size": FILES_OF_A_CHUNK,
        "data_files_size_in_mb": FILE_BYTES >> 20,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": { "train": format!("0:{}", episodes.len()) },
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": null,
        "features": features(schema),
    });
    write_json(&meta.join("info.json"), &info)?;
    folder.land()
}

/// How many ticks every transition lasts; the last of an episode may be shorter.
fn even_ticks(recording: &RecordingData, to: &Path) -> Result<u32, DatasetError> {
    let mut all = None;
    let mut of_last = None;
    for episode in recording.episodes() {
        let episode = episode?;
        for transition in episode.transitions() {
            let ticks = transition.ticks();
            if transition.is_last() {
                of_last = of_last.max(Some(ticks));
            } else if *all.get_or_insert(ticks) != ticks {
                let reason = format!(
                    "episode {} has a transition of {ticks} ticks beside one of {}, and frames are evenly spaced there: fill in \
                     the skipped ticks first, with `densify`",
                    episode.info().episode_id,
                    all.unwrap_or(ticks)
                );
                return Err(DatasetError::write(to, reason));
            }
        }
    }
    all.or(of_last)
        .map(|ticks| ticks.max(1))
        .ok_or_else(|| DatasetError::write(to, "the recording has no episode"))
}

fn frames_a_second(recording: &RecordingData, ticks: u32, told: Option<u32>, to: &Path) -> Result<u32, DatasetError> {
    if let Some(fps) = told {
        return if fps > 0 {
            Ok(fps)
        } else {
            Err(DatasetError::write(
                to,
                "0 frames a second are none; name how many there are",
            ))
        };
    }
    let mut rates = recording.runs()?.into_iter().map(|run| run.tick_rate);
    let rate = rates.next().flatten();
    let is_one = rates.all(|other| other == rate);
    let fps = rate.filter(|_| is_one).map(|rate| rate / f64::from(ticks));
    match fps {
        Some(fps) if fps >= 1.0 && (fps - fps.round()).abs() < 1e-6 && fps < 1e6 => Ok(fps.round() as u32),
        Some(fps) => {
            let reason = format!("it would have {fps} frames a second, and LeRobot wants a whole number: name one");
            Err(DatasetError::write(to, reason))
        }
        None => Err(DatasetError::write(
            to,
            "the accounts of the runs do not agree on a tick rate: name how many frames are in a second",
        )),
    }
}

/// Where an episode's frames are.
struct Placed {
    len: usize,
    file: usize,
    rows: Range<i64>,
}

/// Writes frames into files.
struct Frames<'a> {
    root: &'a Path,
    schema: &'a Schema,
    arrow: Arc<ArrowSchema>,
    fps: u32,
    open: Option<ArrowWriter<Beside>>,
    files: usize,
    index: i64,
}

impl<'a> Frames<'a> {
    fn new(root: &'a Path, schema: &'a Schema, fps: u32) -> Self {
        let list = |width: usize| match width {
            // A list of one is no list to it.
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

    fn write(&mut self, episode: &Episode, episode_index: usize) -> Result<Placed, DatasetError> {
        let path = self.root.join(format!(
            "data/chunk-{:03}/file-{:03}.parquet",
            self.files / FILES_OF_A_CHUNK,
            self.files % FILES_OF_A_CHUNK
        ));
        let batch = self
            .batch(episode, episode_index)
            .map_err(|error| DatasetError::write(&path, error))?;
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => self.open.insert(writer(&path, &self.arrow)?),
        };
        writer
            .write(&batch)
            .map_err(|error| DatasetError::write(&path, error))?;
        let placed = Placed {
            len: episode.len(),
            file: self.files,
            rows: self.index..self.index + episode.len() as i64,
        };
        self.index = placed.rows.end;
        if writer.bytes_written() + writer.in_progress_size() >= FILE_BYTES {
            self.end_file()?;
        }
        Ok(placed)
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
        let seen: Vec<f32> = transitions()
            .flat_map(|transition| transition.observation().iter().copied())
            .collect();
        let seen = flat(seen, self.schema.observation_width())?;
        let acted: Vec<f32> = transitions()
            .flat_map(|transition| transition.action().map(|value| value as f32))
            .collect();
        let rewards = transitions().map(|transition| transition.reward() as f32);
        let times = (0..len).map(|frame| (frame as f64 / f64::from(self.fps)) as f32);
        RecordBatch::try_new(
            self.arrow.clone(),
            vec![
                seen.clone(),
                seen,
                flat(acted, self.schema.action_width())?,
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
            let file = writer
                .into_inner()
                .map_err(|error| DatasetError::write(self.root, error))?;
            file.land()?;
            self.files += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<i64, DatasetError> {
        self.end_file()?;
        Ok(self.index)
    }
}

fn writer(path: &Path, schema: &Arc<ArrowSchema>) -> Result<ArrowWriter<Beside>, DatasetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let file = Beside::create(path)?;
    ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|error| DatasetError::write(path, error))
}

fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<(), DatasetError> {
    let mut writer = writer(path, &batch.schema())?;
    writer.write(batch).map_err(|error| DatasetError::write(path, error))?;
    writer
        .into_inner()
        .map_err(|error| DatasetError::write(path, error))?
        .land()
}

fn write_json(path: &Path, value: &Value) -> Result<(), DatasetError> {
    let mut file = Beside::create(path)?;
    file.write(|to| writeln!(to, "{value:#}"))?;
    file.land()
}

/// The table of episodes.
fn episodes_batch(episodes: &[Placed], task: &str) -> Result<RecordBatch, DatasetError> {
    let longs = |value: &dyn Fn(usize, &Placed) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            episodes.iter().enumerate().map(|(index, placed)| value(index, placed)),
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
        ("length", longs(&|_, placed| placed.len as i64)),
        (
            "data/chunk_index",
            longs(&|_, placed| (placed.file / FILES_OF_A_CHUNK) as i64),
        ),
        (
            "data/file_index",
            longs(&|_, placed| (placed.file % FILES_OF_A_CHUNK) as i64),
        ),
        ("dataset_from_index", longs(&|_, placed| placed.rows.start)),
        ("dataset_to_index", longs(&|_, placed| placed.rows.end)),
        ("meta/episodes/chunk_index", longs(&|_, _| 0)),
        ("meta/episodes/file_index", longs(&|_, _| 0)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| DatasetError::write(Path::new("meta/episodes"), error))
}

/// The table of tasks, which is read with pandas: the words are its index.
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

/// What each column is, in the words of `info.json`.
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

/// What normalisation needs.
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
