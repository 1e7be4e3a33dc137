//! The folders to which the sinks of this process write, so that two sinks of one recording in one folder are refused at set-up.
//!
//! The account of a run refuses the second one too, when it is opened: after set-up, when all that it records is dropped.

use super::{layout, recording_folder, run_id};
use experience_core::{schema::Schema, transition::RunId};
use experience_export::SinkError;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

static CLAIMED: Mutex<BTreeSet<(PathBuf, RunId)>> = Mutex::new(BTreeSet::new());

/// The right of a sink to write a run to the folder of a recording, until it is dropped.
#[derive(Debug)]
pub(super) struct FolderClaim {
    key: (PathBuf, RunId),
}

impl FolderClaim {
    /// Replaces `claim` by that of a new run, which has not written to the recording before.
    ///
    /// # Errors
    /// If it has, or if another sink has the folder.
    pub(super) fn renew(claim: &mut Option<Self>, root: &Path, schema: &Schema, run: RunId) -> Result<(), SinkError> {
        if let Some(folder) = recording_folder::find(root, schema)? {
            run_id::check_unused(&folder, run)?;
        }
        // Before it is taken again, where a sink is checked twice.
        *claim = None;
        *claim = Self::take(root, schema, run);
        match claim {
            Some(_) => Ok(()),
            None => Err(run_id::used(
                &root.join(layout::folder_name(schema.name())),
                run,
                "writes",
            )),
        }
    }

    /// Claims the folder of `schema` in the dataset `root`, which may be missing; `None` if another sink has it.
    fn take(root: &Path, schema: &Schema, run: RunId) -> Option<Self> {
        let key = (resolved(root).join(layout::folder_name(schema.name())), run);
        let is_new = claimed().insert(key.clone());
        // Not created where another sink has the key, because a claim that is dropped gives it back.
        is_new.then(|| Self { key })
    }
}

impl Drop for FolderClaim {
    fn drop(&mut self) {
        claimed().remove(&self.key);
    }
}

fn claimed() -> MutexGuard<'static, BTreeSet<(PathBuf, RunId)>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = PathBuf::new();
    for ancestor in path.ancestors() {
        if let Ok(existing) = fs::canonicalize(ancestor) {
            return existing.join(missing);
        }
        if let Some(name) = ancestor.file_name() {
            missing = Path::new(name).join(missing);
        }
    }
    path
}
