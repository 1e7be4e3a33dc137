//! [`StoreClient`]: the requests to an object store, each of which blocks its caller.
//!
//! Requests run on the threads of a runtime of their own, so that they can be made from any thread, also from one that belongs to
//! another runtime. Settings and credentials are those of the environment, read once for each bucket.

use super::{
    address::StoreAddress,
    error::{StoreError, StoreErrorKind, check_endpoints},
};
use crate::sink::{FileChecksum, layout};
use bytes::Bytes;
use core::{future::Future, ops::Range, time::Duration};
use futures_util::TryStreamExt;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
    UpdateVersion,
    aws::{AmazonS3Builder, Checksum},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    path::Path as Key,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
};
use tokio::runtime::Runtime;

/// Files up to this size are uploaded by one request. Larger ones are uploaded in parts of this size.
pub(crate) const PART_BYTES: usize = 16 << 20;
/// How often a wait for an answer looks whether it should stop.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes that are read from the end of a file when it is opened: the footer of most shards.
const TAIL_BYTES: u64 = 64 << 10;
/// Ends of files that are kept.
const MAX_TAILS: usize = 1024;
/// Shards whose listing is kept, about 200 bytes each. Others cost a request of their own when they are opened.
const MAX_LISTED: usize = 65_536;

static CLIENTS: Mutex<Option<HashMap<String, Arc<StoreClient>>>> = Mutex::new(None);

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    // The feature of reqwest that chooses no implementation of TLS panics without one. Another part of the program may have
    // chosen one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("experience-store")
        .enable_all()
        .build()
});

/// The requests to one bucket.
#[derive(Debug)]
pub(crate) struct StoreClient {
    address: StoreAddress,
    store: Arc<dyn ObjectStore>,
    /// The ends of files, by key.
    tails: Mutex<HashMap<String, FileTail>>,
    /// Shards as they were listed last, by key.
    listed: Mutex<HashMap<String, StoredObject>>,
    /// Set by an owner that wants its requests to end.
    stop: Option<Arc<AtomicBool>>,
}

/// The end of a file, and its identity.
#[derive(Clone, Debug)]
pub(super) struct FileTail {
    pub(super) size: u64,
    pub(super) e_tag: Option<String>,
    /// The last bytes.
    pub(super) bytes: Bytes,
}

/// A file or document in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredObject {
    pub(crate) size: u64,
    pub(crate) e_tag: Option<String>,
    pub(crate) version: Option<String>,
    /// Milliseconds since 1970, by the clock of the store.
    pub(crate) modified: i64,
}

impl From<ObjectMeta> for StoredObject {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            size: meta.size,
            e_tag: meta.e_tag,
            version: meta.version,
            modified: meta.last_modified.timestamp_millis(),
        }
    }
}

/// When a document is written.
#[derive(Clone, Debug)]
pub(crate) enum Put {
    /// Always.
    Replace,
    /// If there is none.
    Create,
    /// If it is still the one that was read.
    Update(StoredObject),
}

impl StoreClient {
    /// The client of the store that holds the file at `path`, and the key of that file.
    pub(crate) fn of_file(path: &Path) -> io::Result<(Arc<Self>, String)> {
        let Some(address) = StoreAddress::of_file(path) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path is not within an object store",
            ));
        };
        let client = Self::of(&address)?;
        Ok((client, address.prefix))
    }

    /// The client of the bucket of `address`.
    pub(crate) fn of(address: &StoreAddress) -> Result<Arc<Self>, StoreError> {
        let mut clients = lock(&CLIENTS);
        let clients = clients.get_or_insert_default();
        if let Some(client) = clients.get(&address.root()) {
            return Ok(client.clone());
        }
        check_endpoints(address.scheme, std::env::vars_os())?;
        // Builders look for the runtime.
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let store = build(address).map_err(|error| StoreError::describe(address, &error))?;
        let client = Arc::new(Self::new(address.clone(), store));
        clients.insert(address.root(), client.clone());
        Ok(client)
    }

    fn new(address: StoreAddress, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            address,
            store,
            tails: Mutex::default(),
            listed: Mutex::default(),
            stop: None,
        }
    }

    /// Uses `store` for the bucket of `address`.
    #[cfg(test)]
    pub(crate) fn register(address: &StoreAddress, store: Arc<dyn ObjectStore>) {
        let client = Arc::new(Self::new(address.clone(), store));
        let mut clients = lock(&CLIENTS);
        clients.get_or_insert_default().insert(address.root(), client);
    }

    /// The same client, whose requests end when `stop` is set.
    pub(crate) fn with_stop(&self, stop: Arc<AtomicBool>) -> Self {
        Self {
            address: self.address.clone(),
            store: self.store.clone(),
            tails: Mutex::default(),
            listed: Mutex::default(),
            stop: Some(stop),
        }
    }

    /// Waits for the answer to a request.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::channel();
        let task = runtime()?.spawn(async move {
            let _ = sender.send(request.await);
        });
        loop {
            let answer = match &self.stop {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => receiver.recv_timeout(STOP_INTERVAL),
            };
            match answer {
                Ok(answer) => return answer.map_err(|error| StoreError::describe(&self.address, &error)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Acquire)) {
                        task.abort();
                        return Err(StoreError::new(StoreErrorKind::Stopped, "the upload was stopped"));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StoreError::new(
                        StoreErrorKind::Unavailable,
                        "the client of the store panicked",
                    ));
                }
            }
        }
    }

    fn key(&self, key: &str) -> Result<Key, StoreError> {
        Key::parse(key).map_err(|error| StoreError::describe(&self.address, &error.into()))
    }

    /// Reads a document.
    pub(crate) fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.get_object(key).map(|(bytes, _)| bytes)
    }

    /// Reads a document, and its identity.
    pub(crate) fn get_object(&self, key: &str) -> Result<(Bytes, StoredObject), StoreError> {
        let (store, key) = (self.store.clone(), self.key(key)?);
        self.wait(async move {
            let found = store.get(&key).await?;
            let meta = found.meta.clone();
            Ok((found.bytes().await?, meta.into()))
        })
    }

    /// Reads a part of a file, which must still be the one of `e_tag`.
    pub(super) fn get_range(&self, key: &str, range: Range<u64>, e_tag: Option<String>) -> Result<Bytes, StoreError> {
        let (store, location) = (self.store.clone(), self.key(key)?);
        let options = GetOptions::new()
            .with_range(Some(GetRange::Bounded(range)))
            .with_if_match(e_tag);
        let read = self.wait(async move { store.get_opts(&location, options).await?.bytes().await });
        read.map_err(|error| match error.kind() {
            StoreErrorKind::Conflict => {
                self.forget_tail(key);
                StoreError::new(
                    StoreErrorKind::Conflict,
                    "another program has replaced it while it was read; open the dataset again",
                )
            }
            _ => error,
        })
    }

    /// The end of a file, which is kept: it is the footer of a shard.
    pub(super) fn tail(&self, key: &str) -> Result<FileTail, StoreError> {
        let kept = lock(&self.tails).get(key).cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let listed = lock(&self.listed).get(key).cloned();
        let tail = match listed.map(|found| self.read_tail(key, found)) {
            // Another program has replaced it since it was listed.
            Some(Err(error)) if error.kind() == StoreErrorKind::Conflict => self.read_tail(key, self.head(key)?),
            Some(read) => read,
            None => self.read_tail(key, self.head(key)?),
        }?;
        let mut tails = lock(&self.tails);
        if tails.len() >= MAX_TAILS {
            tails.clear();
        }
        tails.insert(key.to_owned(), tail.clone());
        Ok(tail)
    }

    /// Requests for the last bytes of a file of unknown size are answered differently by stores, and not at all by some.
    fn read_tail(&self, key: &str, found: StoredObject) -> Result<FileTail, StoreError> {
        let StoredObject { size, e_tag, .. } = found;
        let bytes = match size {
            0 => Bytes::new(),
            _ => self.get_range(key, size.saturating_sub(TAIL_BYTES)..size, e_tag.clone())?,
        };
        Ok(FileTail { size, e_tag, bytes })
    }

    fn forget_tail(&self, key: &str) {
        lock(&self.listed).remove(key);
        lock(&self.tails).remove(key);
    }

    /// The size and identity of a file.
    pub(crate) fn head(&self, key: &str) -> Result<StoredObject, StoreError> {
        let (store, key) = (self.store.clone(), self.key(key)?);
        self.wait(async move { Ok(store.head(&key).await?.into()) })
    }

    /// Writes a document.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>, when: Put) -> Result<StoredObject, StoreError> {
        let (store, location, bytes) = (self.store.clone(), self.key(key)?, bytes.into());
        self.forget_tail(key);
        let size = bytes.len() as u64;
        let mode = match when {
            Put::Replace => PutMode::Overwrite,
            Put::Create => PutMode::Create,
            Put::Update(StoredObject { e_tag, version, .. }) => PutMode::Update(UpdateVersion { e_tag, version }),
        };
        let result = self.wait(async move { store.put_opts(&location, bytes.into(), PutOptions::from(mode)).await })?;
        Ok(StoredObject {
            size,
            e_tag: result.e_tag,
            version: result.version,
            modified: 0,
        })
    }

    /// Uploads the file at `path`, in parts if it is large, and compares it with its checksum before the object
    /// appears. It appears as a whole or not at all. An upload that has failed is aborted.
    pub(crate) fn put_file(
        &self,
        key: &str,
        path: &Path,
        expected: Option<FileChecksum>,
    ) -> Result<StoredObject, UploadError> {
        let mut file = File::open(path).map_err(UploadError::Disk)?;
        let size = file.metadata().map_err(UploadError::Disk)?.len();
        let mut checksum = FileChecksum::default();
        let mut part = read_part(&mut file).map_err(UploadError::Disk)?;
        checksum.add(&part);
        if size <= PART_BYTES as u64 {
            check(checksum, expected)?;
        }
        if size <= PART_BYTES as u64 {
            return Ok(self.put(key, part, Put::Replace)?);
        }
        self.forget_tail(key);
        let (store, location) = (self.store.clone(), self.key(key)?);
        let mut upload = self.wait(async move { store.put_multipart(&location).await })?;
        let mut uploaded = 0_u64;
        let outcome = loop {
            uploaded += part.len() as u64;
            if let Err(error) = self.wait(upload.put_part(PutPayload::from(part))) {
                break Err(error.into());
            }
            part = match read_part(&mut file) {
                Ok(next) if next.is_empty() => break check(checksum, expected),
                Ok(next) => next,
                Err(error) => break Err(UploadError::Disk(error)),
            };
            checksum.add(&part);
        };
        match outcome {
            Ok(()) => {
                let result = self.wait(async move { upload.complete().await })?;
                Ok(StoredObject {
                    size: uploaded,
                    e_tag: result.e_tag,
                    version: result.version,
                    modified: 0,
                })
            }
            Err(error) => {
                // Without an answer, the parts stay in the store, unseen, until its rule for incomplete uploads removes them.
                let _ = self.wait(async move { upload.abort().await });
                Err(error)
            }
        }
    }

    /// Deletes an object. One that is gone is no error.
    pub(crate) fn delete(&self, key: &str) -> Result<(), StoreError> {
        let (store, location) = (self.store.clone(), self.key(key)?);
        self.forget_tail(key);
        match self.wait(async move { store.delete(&location).await }) {
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    /// The names of the objects and prefixes directly below the prefix `key`.
    pub(crate) fn names(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let (store, prefix) = (self.store.clone(), self.key(key)?);
        let listed = self.wait(async move { store.list_with_delimiter(Some(&prefix)).await })?;
        // A listing states the sizes of shards, which then need no request of their own.
        let shards: Vec<_> = listed
            .objects
            .iter()
            .filter(|object| object.location.as_ref().ends_with(layout::SHARD))
            .collect();
        let shards = shards
            .into_iter()
            .map(|object| (object.location.to_string(), object.clone().into()));
        extend_bounded(&mut lock(&self.listed), shards, MAX_LISTED);
        let objects = listed.objects.iter().map(|object| &object.location);
        let names = objects.chain(&listed.common_prefixes);
        Ok(names.filter_map(|name| name.filename().map(str::to_owned)).collect())
    }

    /// Whether there is an object below the prefix `key`.
    pub(crate) fn has_any(&self, key: &str) -> Result<bool, StoreError> {
        let (store, prefix) = (self.store.clone(), self.key(key)?);
        self.wait(async move { Ok(store.list(Some(&prefix)).try_next().await?.is_some()) })
    }
}

/// Adds entries to a map that holds at most `limit`: the earlier ones are removed first, and what does not fit is left out.
fn extend_bounded<V>(map: &mut HashMap<String, V>, entries: impl ExactSizeIterator<Item = (String, V)>, limit: usize) {
    if map.len() + entries.len() > limit {
        map.clear();
    }
    map.extend(entries.take(limit));
}

/// An error of the upload of a file.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The file could not be read.
    Disk(io::Error),
    Store(StoreError),
    /// The file is not the one that was written, for this reason.
    Damaged(String),
}

fn check(found: FileChecksum, expected: Option<FileChecksum>) -> Result<(), UploadError> {
    match expected {
        Some(expected) if expected != found => Err(UploadError::Damaged(format!(
            "its checksum is {:08x} over {} bytes, and it was written with {:08x} over {}",
            found.crc32c, found.bytes, expected.crc32c, expected.bytes
        ))),
        _ => Ok(()),
    }
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn read_part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(part)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Result<&'static Runtime, StoreError> {
    RUNTIME.as_ref().map_err(|error| {
        StoreError::new(
            StoreErrorKind::Unavailable,
            format!("the threads of the store's client cannot be started: {error}"),
        )
    })
}

/// The store of `address`, with the settings of the environment.
fn build(address: &StoreAddress) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Requests are repeated for some seconds here, and for as long as the store is away by the uploader.
    let retry = RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    };
    Ok(match address.scheme {
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&address.bucket)
                .with_retry(retry)
                .build()?,
        ),
        "az" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(&address.bucket)
                .with_retry(retry)
                .build()?,
        ),
        _ => Arc::new(
            AmazonS3Builder::from_env()
                .with_bucket_name(&address.bucket)
                // The store compares it with what has arrived.
                .with_checksum_algorithm(Checksum::SHA256)
                .with_retry(retry)
                .build()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_listings_is_bounded() {
        let mut listed = HashMap::new();
        for folder in 0..10 {
            let entries: Vec<_> = (0..4).map(|index| (format!("{folder}/{index}"), index)).collect();
            extend_bounded(&mut listed, entries.into_iter(), 10);
            assert!(listed.len() <= 10 && listed.contains_key(&format!("{folder}/0")));
        }
        let many: Vec<_> = (0..40).map(|index| (index.to_string(), index)).collect();
        extend_bounded(&mut listed, many.into_iter(), 10);
        assert_eq!(listed.len(), 10);
    }
}
