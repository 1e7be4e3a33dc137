//! Uploads of whole datasets, and of runs that wait on the disk.

use super::{
    address::{DatasetAddress, StoreAddress},
    client::{StoreClient, UploadError},
    error::{StoreError, StoreErrorKind},
    staged_run::UploadPlan,
    staging::{self, StagedUploads},
};
use crate::{DatasetError, RecoverSettings, sink::layout};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

fn store_of(to: &Path) -> Result<StoreAddress, DatasetError> {
    match DatasetAddress::parse(to) {
        Ok(DatasetAddress::Store(address)) => Ok(address),
        Ok(DatasetAddress::Folder(folder)) => Err(DatasetError::unsuitable(
            &folder,
            "it is not the address of an object store",
        )),
        Err(reason) => Err(DatasetError::unsuitable(Path::new("the address"), reason)),
    }
}

/// Checks that [`upload`] can begin at the address `to`: that it is valid, that the store takes the credentials, and that there is nothing
/// at it or below it.
///
/// # Errors
/// If one of these is not so.
pub fn check_upload(to: &Path) -> Result<(), DatasetError> {
    open_free(&store_of(to)?).map(|_| ())
}

/// The client of an address at and below which nothing is.
fn open_free(address: &StoreAddress) -> Result<Arc<StoreClient>, DatasetError> {
    let failed = |error: StoreError| DatasetError::io("write", &address.path())(error.into());
    let client = StoreClient::of(address).map_err(failed)?;
    // Objects below the address, or at it: the address of a file.
    let is_taken = || -> Result<bool, StoreError> {
        if client.has_any(&address.prefix)? {
            return Ok(true);
        }
        if address.prefix.is_empty() {
            return Ok(false);
        }
        match client.head(&address.prefix) {
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(false),
            found => found.map(|_| true),
        }
    };
    if is_taken().map_err(failed)? {
        return Err(DatasetError::write(
            &address.path(),
            "there is an object at it or below it already: name a new address",
        ));
    }
    Ok(client)
}

/// Uploads a file, or all files of a folder such as a dataset, to the address `to`, below which nothing may be yet. Hidden files are
/// left out. Accounts and the card are uploaded last, so that they name nothing that is not there.
///
/// # Errors
/// If there is something at the address, a file cannot be read, or the store refuses one. What was uploaded by then stays.
pub fn upload(from: &Path, to: &Path) -> Result<(), DatasetError> {
    let address = store_of(to)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: StoreError| DatasetError::io("write", &path)(error.into())
    };
    let client = open_free(&address)?;
    let mut files = Vec::new();
    if from.is_dir() {
        collect(from, String::new(), &mut files)?;
    } else {
        files.push((String::new(), from.to_owned()));
    }
    files.sort_by_key(|(name, _)| (rank(name), name.clone()));
    for (name, file) in files {
        let key = [address.prefix.as_str(), &name]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/");
        let shown = if name.is_empty() {
            address.path()
        } else {
            address.path().join(&name)
        };
        match client.put_file(&key, &file, None) {
            Ok(_) => {}
            Err(UploadError::Disk(error)) => return Err(DatasetError::io("read", &file)(error)),
            Err(UploadError::Store(error)) => return Err(failed(&shown)(error)),
            Err(UploadError::Damaged(reason)) => return Err(DatasetError::damaged(&file, reason)),
        }
    }
    Ok(())
}

/// The order of uploads: shards, then what names them, then the card.
fn rank(name: &str) -> u8 {
    match name.rsplit('/').next() {
        Some(layout::CARD) => 3,
        Some(last) if last.ends_with(layout::ACCOUNT) && name.contains("runs/") => 2,
        Some(layout::COMPACTION) => 0,
        _ => 1,
    }
}

fn collect(folder: &Path, prefix: String, files: &mut Vec<(String, PathBuf)>) -> Result<(), DatasetError> {
    for entry in fs::read_dir(folder).map_err(DatasetError::io("list", folder))? {
        let entry = entry.map_err(DatasetError::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        if entry.path().is_dir() {
            collect(&entry.path(), name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

/// Uploads the runs that wait on this host for the store at `to`, and whose processes died or could not finish: recovers them,
/// uploads what is left, and removes their folders. `staging` is the folder of [`DatasetSink::with_staging`](crate::DatasetSink), by
/// default its default. A game does the same at its start.
///
/// With [`RecoverSettings::include_unclear`], also runs whose process may be alive. Set it only if none of them is. Parts of journals that
/// could not be read stay in their folders, unless [`RecoverSettings::discard_damaged`] is set.
///
/// # Errors
/// If `to` is not the address of a store, or its settings in the environment are invalid.
pub fn upload_staged(
    to: &Path,
    staging: Option<&Path>,
    settings: &RecoverSettings,
) -> Result<StagedUploads, DatasetError> {
    let dataset = store_of(to)?;
    let client = StoreClient::of(&dataset).map_err(|error| DatasetError::io("open", &dataset.path())(error.into()))?;
    let staging = staging.map_or_else(staging::default_staging, Path::to_owned);
    let folder = staging::address_folder(&staging, &dataset);
    let plan = UploadPlan {
        dataset,
        client,
        heartbeat: Duration::from_secs(60),
        refuse_other_schema: false,
        keep_bytes: None,
    };
    Ok(staging::upload_left(&folder, None, settings, &plan, &|| false))
}
