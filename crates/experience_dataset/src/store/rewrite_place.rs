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
        fs::create_dir(&folder)?;
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
            let before = client.head(&key)?;
            let stored = client
                .put_file(&key, &self.file(shard), Some(checksum))
                .map_err(|error| match error {
                    UploadError::Disk(error) => error,
                    UploadError::Store(error) => error.into(),
                    UploadError::Damaged(reason) => io::Error::other(reason),
                })?;
            let has_versions = |version: &Option<String>| version.as_ref().is_some_and(|version| version != "null");
            Ok((has_versions(&before.version) || has_versions(&stored.version)).then(|| {
                format!(
                    "`{}` has versions: its bucket keeps the old content, version {}; delete that version by the store's own tools",
                    shard.display(),
                    before.version.as_deref().unwrap_or("null")
                )
            }))
        }
        #[cfg(not(feature = "object_store"))]
        {
            let _ = (shard, checksum);
            Ok(None)
        }
    }
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
