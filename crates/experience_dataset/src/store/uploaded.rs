//! [`UploadedShard`]: which shards of a run are in a store, beside the shards that are not.
//!
//! A run that is uploaded is written to a folder of its own, a dataset, whose shards are removed when the store has them. What
//! remains of a shard is a record in the folder [`UPLOADED`], with the ids of its episodes: the run can be recovered without its
//! shards, and writes no episode of its journal twice.

use crate::sink::{ShardAccount, shard_name::ShardName};
use experience_core::transition::RunId;
use experience_export::disk;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The folder of the records, in that of a recording.
const UPLOADED: &str = "uploaded";
const RECORD: &str = ".json";

/// A shard that is in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UploadedShard {
    pub(crate) shard: ShardAccount,
    /// The ids of its episodes.
    pub(crate) episodes: Vec<i64>,
    /// The largest tick of its rows.
    pub(crate) last_tick: Option<i64>,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    pub(crate) state: StoredState,
}

/// Whether the store still has a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoredState {
    Stored,
    /// Retention is deleting it.
    Retiring,
    /// Retention has deleted it.
    Retired,
}

/// The file of the record of a shard.
fn path(recording: &Path, name: ShardName) -> PathBuf {
    recording.join(UPLOADED).join(format!("{name}{RECORD}"))
}

/// Whether a shard is in the store, or was.
pub(crate) fn is_uploaded(recording: &Path, name: ShardName) -> bool {
    path(recording, name).exists()
}

/// The records of the shards of a run, in the order of their numbers.
pub(crate) fn read_all(recording: &Path, run: RunId) -> io::Result<BTreeMap<ShardName, UploadedShard>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(recording.join(UPLOADED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name
            .to_str()
            .and_then(|name| ShardName::parse(name.strip_suffix(RECORD)?));
        let Some(name) = name.filter(|name| name.run() == run) else {
            continue;
        };
        let path = path(recording, name);
        let record: UploadedShard = serde_json::from_slice(&disk::read(&path)?).map_err(|error| {
            let reason = format!("`{}` is damaged: {error}; restore it from a copy", path.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        found.insert(name, record);
    }
    Ok(found)
}

/// Writes the record of a shard. It outlives a loss of power.
#[cfg(feature = "object_store")]
pub(crate) fn write(recording: &Path, name: ShardName, record: &UploadedShard) -> io::Result<()> {
    let folder = recording.join(UPLOADED);
    if !folder.is_dir() {
        disk::create_folders(&folder)?;
    }
    let mut json = serde_json::to_vec(record)?;
    json.push(b'\n');
    disk::replace(&path(recording, name), &json)
}
