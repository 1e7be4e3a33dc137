//! Checks that a run id was not used in a recording before: episode ids and file names are made of it.

use super::{account::RunAccount, account::RunStatus, files::io_error, layout, shard_name::ShardName};
use experience_core::transition::RunId;
use experience_export::SinkError;
use std::{fs, io, path::Path};

/// Checks that `run` has no account, no journal, no segments and no shard in the folder `recording`, which may be missing.
///
/// The files of a process that died with the same id are left as they are, so that they can be recovered.
pub(super) fn check_unused(recording: &Path, run: RunId) -> Result<(), SinkError> {
    match RunAccount::read(recording, run) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(account) if account.status != RunStatus::Running => return Err(used(recording, run, "wrote")),
        _ => return Err(used(recording, run, "writes")),
    }
    if layout::journal_folder(recording, run).exists() || layout::segments_folder(recording, run).exists() {
        return Err(used(recording, run, "writes"));
    }
    let data = recording.join(layout::DATA);
    let entries = match fs::read_dir(&data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io_error("list", &data))?,
    };
    for entry in entries {
        let name = entry.map_err(io_error("list", &data))?.file_name();
        if name
            .to_str()
            .and_then(ShardName::parse)
            .is_some_and(|shard| shard.run() == run)
        {
            return Err(used(recording, run, "wrote"));
        }
    }
    Ok(())
}

/// The error for a run that `writes` or `wrote` to a recording.
pub(super) fn used(recording: &Path, run: RunId, does: &'static str) -> SinkError {
    SinkError::RunExists {
        run,
        path: recording.to_owned(),
        does,
    }
}
