//! Compares shards with the checksums in the accounts of their runs.

use super::{RewrittenShard, Rule, Validation};
use crate::{
    DatasetError, RecordingData, RunAccount, ShardAccount, shard::ShardReader, sink::FileChecksum, store::source,
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Checks the shards of a run that were read completely, and are not in `unreadable`.
pub(super) fn check_checksums(
    recording: &RecordingData,
    run: &RunAccount,
    unreadable: &HashSet<PathBuf>,
    validation: &mut Validation,
) -> Result<(), DatasetError> {
    for shard in &run.shards {
        let Some(name) = shard.name(run.run) else { continue };
        let path = name.path(recording.path());
        if source::exists(&path) && !unreadable.contains(&path) {
            check_shard(recording, &path, shard, validation)?;
        }
    }
    Ok(())
}

fn check_shard(
    recording: &RecordingData,
    path: &Path,
    shard: &ShardAccount,
    validation: &mut Validation,
) -> Result<(), DatasetError> {
    match shard_state(recording, path, shard)? {
        ShardState::AsWritten => {}
        ShardState::Rewritten(by) => validation.rewritten.push(RewrittenShard {
            file: path.to_owned(),
            by,
        }),
        ShardState::Damaged(what) => {
            let what = format!("{what}: it is damaged; restore it from a copy");
            validation.add(Rule::File, path, (None, None), what);
        }
    }
    Ok(())
}

/// A shard beside the checksum in the account of its run.
pub(crate) enum ShardState {
    /// It has this checksum, is missing, or the account states none.
    AsWritten,
    /// Another program has rewritten it, this one.
    Rewritten(String),
    /// It is damaged: how the checksums differ.
    Damaged(String),
}

/// Reads the shard at `path`, which its account lists as `listed`, and compares the checksums.
pub(crate) fn shard_state(
    recording: &RecordingData,
    path: &Path,
    listed: &ShardAccount,
) -> Result<ShardState, DatasetError> {
    let Some(listed) = listed.checksum else {
        return Ok(ShardState::AsWritten);
    };
    let found = FileChecksum::read(path).map_err(DatasetError::io("read", path))?;
    if found == listed {
        return Ok(ShardState::AsWritten);
    }
    // Damage changes neither the length nor, unless it hits these few bytes, the name of the writer.
    let Some(shard) = ShardReader::open(recording.schema(), path)? else {
        return Ok(ShardState::AsWritten);
    };
    let writer = shard.created_by().to_owned();
    if found.bytes != listed.bytes && !is_own(&writer) {
        return Ok(ShardState::Rewritten(writer));
    }
    Ok(ShardState::Damaged(format!(
        "its checksum is {:08x} over {} bytes, and it was written with {:08x} over {}",
        found.crc32c, found.bytes, listed.crc32c, listed.bytes
    )))
}

/// Whether a shard was written by this crate, in any version.
fn is_own(writer: &str) -> bool {
    writer.starts_with("bevy_experience ")
}
