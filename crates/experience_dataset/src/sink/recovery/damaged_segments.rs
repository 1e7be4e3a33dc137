//! Damaged segments of journals: kept by recoveries in `damaged/<run>/`, listed, and removed on request.

use crate::sink::{files::io_error, layout};
use experience_export::{SinkError, disk, journal};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Removes the damaged segments that recoveries have kept. Returns the folders that held them.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn discard_damaged(folder: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let kept = damaged_journals(folder).map_err(io_error("list", folder))?;
    for journal in &kept {
        journal::remove(journal).map_err(io_error("remove", journal))?;
    }
    Ok(kept)
}

/// The folders with damaged segments of journals, one for each run.
pub(crate) fn damaged_journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    match fs::read_dir(folder.join(layout::DAMAGED)) {
        Ok(entries) => {
            for entry in entries {
                found.push(entry?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    found.sort();
    Ok(found)
}

/// Moves the journal out of the way, and removes its segments but for those in `damaged`. Returns the new folder.
pub(super) fn keep_damaged(folder: &Path, journal: &Path, damaged: &BTreeSet<u32>) -> Result<PathBuf, SinkError> {
    let all = folder.join(layout::DAMAGED);
    disk::create_folders(&all).map_err(io_error("create", &all))?;
    let name = journal.file_name().unwrap_or_default().to_string_lossy();
    let mut kept = all.join(&*name);
    for number in 1.. {
        if !kept.exists() {
            break;
        }
        kept = all.join(format!("{name}-{number}"));
    }
    // All of it at once: a recovery that is interrupted here must not find a half of the journal.
    disk::rename(journal, &kept).map_err(io_error("rename", journal))?;
    disk::sync_folder(&all);
    journal::remove_segments(&kept, |segment| !damaged.contains(&segment));
    journal::sweep(disk::parent(journal));
    Ok(kept)
}
