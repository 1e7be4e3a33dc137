//! [`RewritePlace`]: where the shards of a recording in a store are rewritten.

use super::address;
use crate::sink::{FileChecksum, shard_name::ShardName};
use experience_export::disk::atomic::AtomicFile;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A folder on the disk for new content of shards in a store. Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct RewritePlace {
    folder: PathBuf,
}

impl RewritePlace {
    /// `None` for a recording on the disk, whose shards are rewritten beside it.
    pub(crate) fn of(recording: &Path) -> io::Result<Option<Self>> {
        if !address::is_store(recording) {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("bevy_experience-{:016x}", rand::random::<u64>()));
        create_private(&folder)?;
        Ok(Some(Self { folder }))
    }

    fn file(&self, shard: &Path) -> PathBuf {
        // Any program may have named the shard. The name in the folder is one of this crate.
        let name = shard.file_name().and_then(|name| ShardName::parse(name.to_str()?));
        let name = name.map_or_else(|| format!("{:x}.parquet", hash(shard)), |name| name.to_string());
        self.folder.join(name)
    }

    /// Creates the file of the new content of a shard.
    pub(crate) fn create(&self, shard: &Path) -> io::Result<AtomicFile> {
        AtomicFile::create(&self.file(shard))
    }

    /// Replaces the shard in the store by its new content. Returns what the store may keep of the old one.
    pub(crate) fn upload(&self, shard: &Path, checksum: FileChecksum) -> io::Result<Option<String>> {
        #[cfg(feature = "object_store")]
        {
            use super::client::{StoreClient, UploadError};
            let (client, key) = StoreClient::of_file(shard)?;
            let before = client.head(&key)?.version;
            let stored = client
                .put_file(&key, &self.file(shard), Some(checksum))
                .map_err(|error| match error {
                    UploadError::Disk(error) => error,
                    UploadError::Store(error) => error.into(),
                    UploadError::Damaged(reason) => io::Error::other(reason),
                })?;
            let is_versioned =
                names_version(shard, before.as_deref()) || names_version(shard, stored.version.as_deref());
            Ok(is_versioned.then(|| describe_version(shard, before.as_deref())))
        }
        #[cfg(not(feature = "object_store"))]
        {
            let _ = (shard, checksum);
            Ok(None)
        }
    }
}

/// What the store may keep of the content of a file that is about to be replaced or removed. `None` for a file on the disk, and where the
/// store does not answer with a version.
pub(crate) fn kept_version(file: &Path) -> io::Result<Option<String>> {
    #[cfg(feature = "object_store")]
    if address::is_store(file) {
        let (client, key) = super::client::StoreClient::of_file(file)?;
        let version = client.head(&key)?.version;
        return Ok(names_version(file, version.as_deref()).then(|| describe_version(file, version.as_deref())));
    }
    let _ = file;
    Ok(None)
}

/// Whether the store keeps versions of a file, by the version that it has answered with.
#[cfg(feature = "object_store")]
fn names_version(file: &Path, version: Option<&str>) -> bool {
    // Google numbers the generations of every object, also in a bucket that keeps the last one alone.
    let is_numbered_anyhow = address::StoreAddress::of_file(file).is_some_and(|address| address.scheme == "gs");
    !is_numbered_anyhow && version.is_some_and(|version| version != "null")
}

#[cfg(feature = "object_store")]
fn describe_version(file: &Path, version: Option<&str>) -> String {
    format!(
        "`{}` has versions: its bucket keeps the old content, version {}; delete that version by the store's own tools",
        file.display(),
        version.unwrap_or("null")
    )
}

/// Creates a folder that other users of the machine cannot read: it will hold what players have done.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn hash(path: &Path) -> u64 {
    use core::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher24::new();
    hasher.write(path.as_os_str().as_encoded_bytes());
    hasher.finish()
}

impl Drop for RewritePlace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn other_users_cannot_read_the_place() {
        let place = RewritePlace::of(Path::new("memory://bucket/arena/player"))
            .unwrap()
            .unwrap();
        let mode = fs::metadata(&place.folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
