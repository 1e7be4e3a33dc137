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
//! | `observation.images.<name>` | an image, as PNG: the dtype `image`. Needs the crate's feature `png` |
//! | `action` | the whole action, packed as `f32`; a discrete action is its number |
//! | `next.reward`, `next.done` | the reward, and whether the episode ended |
//! | `next.terminated`, `next.truncated` | the kind of the end |
//! | `timestamp`, `frame_index`, `episode_index`, `index`, `task_index` | the position of the frame |
//! | `agent_id`, `tick` | as in the recording |
//! | `controller` | what chose the action, a string: empty where the recording has no label |
//!
//! A recording of images alone has no `observation.state`. Images have 1 to 4 channels. Videos are not written, because they need
//! an encoder: `LeRobot` itself converts a dataset of images to one of videos.
//!
//! Final observations are omitted, because a frame holds the observation before an action.

mod frame_rate;
mod frames;
mod images;

use crate::{DatasetError, Progress, RecordingData, dataset_builder::create_folder, progress::ProgressMeter};
use arrow_array::{
    ArrayRef, Int64Array, ListArray, RecordBatch, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use experience_core::schema::{Column, Schema};
use experience_export::disk::{self, atomic::AtomicFile};
use frames::{EpisodeLocation, FrameWriter};
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

/// The names of the observation: policies without a camera expect both.
const STATES: [&str; 2] = ["observation.state", "observation.environment_state"];

/// Writes a recording as a `LeRobot` dataset (v3.0) to the folder `to`, which is missing or empty. `task` describes what was
/// played. `fps` is the number of frames per second; `None` takes it from the accounts of the runs, and checks it against the
/// timestamps of every episode. The time of a frame is its index divided by `fps`: frames are not resampled.
///
/// `watch` is called with the progress.
///
/// # Errors
/// If the recording is damaged, or has no action or no episode; if an image cannot be a PNG, or the feature `png` is off; if its
/// transitions differ in duration, because `LeRobot` requires a fixed frame rate; if no episode has `fps` frames per second by
/// its timestamps; if `fps` is not given, and the runs have no common tick rate, one that is not an integer, or an
/// episode whose timestamps follow another; if an integer in the action is not exact as `f32`; or if `to` is not empty or cannot
/// be written.
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
    images::check(schema).map_err(|reason| DatasetError::write(to, reason))?;
    let fps = frame_rate::frames_per_second(recording, fps, to)?;
    let folder = create_folder(to)?;
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut frames = FrameWriter::new(folder.temporary_path(), schema, fps);
    let mut episodes = Vec::new();
    for episode in recording.episodes() {
        let episode = episode?;
        episodes.push(frames.write(&episode, episodes.len())?);
        meter.add(episode.len());
    }
    let (total, stats) = frames.finish()?;
    let meta = folder.temporary_path().join("meta");
    write_parquet(
        &meta.join("episodes/chunk-000/file-000.parquet"),
        &episodes_batch(&episodes, task)?,
    )?;
    write_parquet(&meta.join("tasks.parquet"), &tasks_batch(task)?)?;
    write_json(&meta.join("stats.json"), &stats)?;
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
    if schema.observation_width() > 0 {
        for name in STATES {
            features.insert(name.to_owned(), vector(schema.feature_names()));
        }
    }
    features.extend(schema.images().iter().map(images::feature));
    for (name, feature) in [
        ("action", vector(actions)),
        ("next.reward", scalar("float32")),
        ("next.done", scalar("bool")),
        ("next.terminated", scalar("bool")),
        ("next.truncated", scalar("bool")),
        ("agent_id", scalar("int64")),
        ("tick", scalar("int64")),
        ("controller", scalar("string")),
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
