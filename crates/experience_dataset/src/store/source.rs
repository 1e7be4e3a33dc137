//! Reads files and lists folders of a dataset, on the disk or in an object store.
//!
//! A path within a store begins with the address of a dataset. Errors of a store are [`io::Error`]s without a number of the system,
//! and [`is_store_error`] tells them from damage.

use super::address;
use experience_export::disk;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::Path,
};

/// Opens a file for reading from its beginning to its end.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        // The ends of shards are kept. Other files change.
        if path.extension().is_some_and(|extension| extension == "parquet") {
            return super::shard_file::ShardFile::open(path)?.reader();
        }
        return Ok(Box::new(io::Cursor::new(read(path)?)));
    }
    refuse(path)?;
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// Reads a document.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        let (client, key) = super::client::StoreClient::of_file(path)?;
        return Ok(client.get(&key)?.into());
    }
    refuse(path)?;
    disk::read(path)
}

/// The names of the files and folders in the folder `path`, in no order.
pub(crate) fn list(path: &Path) -> io::Result<Vec<OsString>> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        let (client, key) = super::client::StoreClient::of_file(path)?;
        return Ok(client.names(&key)?.into_iter().map(OsString::from).collect());
    }
    refuse(path)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name());
    }
    Ok(names)
}

/// The size of a file in bytes.
pub(crate) fn size(path: &Path) -> io::Result<u64> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        let (client, key) = super::client::StoreClient::of_file(path)?;
        return Ok(client.head(&key)?.size);
    }
    refuse(path)?;
    Ok(fs::metadata(path)?.len())
}

/// Whether there is a file. In a store, one that cannot be asked for is taken to be there, so that no state is derived from an error.
pub(crate) fn exists(path: &Path) -> bool {
    if address::is_store(path) {
        return !size(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    }
    path.exists()
}

/// Whether there is a file, and not a folder.
pub(crate) fn is_file(path: &Path) -> bool {
    if address::is_store(path) {
        return size(path).is_ok();
    }
    path.is_file()
}

/// Replaces a document as a whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        let (client, key) = super::client::StoreClient::of_file(path)?;
        client.put(&key, content.to_vec(), super::client::Put::Replace)?;
        return Ok(());
    }
    refuse(path)?;
    disk::replace(path, content)
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(feature = "object_store")]
    if address::is_store(path) {
        let (client, key) = super::client::StoreClient::of_file(path)?;
        return Ok(client.delete(&key)?);
    }
    refuse(path)?;
    disk::remove(path)
}

/// Copies a file to the disk, and syncs the copy.
#[cfg(feature = "parquet")]
pub(crate) fn copy_to_disk(from: &Path, to: &Path) -> io::Result<()> {
    if address::is_store(from) {
        let mut copy = disk::atomic::AtomicFile::create(to)?;
        io::copy(&mut super::shard_file::ShardFile::open(from)?.reader()?, &mut copy)?;
        return copy.commit();
    }
    disk::copy(from, to)
}

/// Whether there is nothing at `path`, not even a link whose target is missing.
pub(crate) fn is_gone(path: &Path) -> bool {
    if address::is_store(path) {
        return size(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    }
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether an error is one of a store, which says nothing about the content of a file.
pub(crate) fn is_store_error(error: &io::Error) -> bool {
    #[cfg(feature = "object_store")]
    {
        error
            .get_ref()
            .and_then(|source| source.downcast_ref::<super::error::StoreError>())
            .is_some()
    }
    #[cfg(not(feature = "object_store"))]
    {
        let _ = error;
        false
    }
}

/// Without the feature `object_store`, no path within a store is passed on: the functions that take addresses refuse them.
fn refuse(path: &Path) -> io::Result<()> {
    match address::is_store(path) {
        true => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the feature `object_store` is not enabled",
        )),
        false => Ok(()),
    }
}
