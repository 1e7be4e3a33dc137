//! A store in memory with one planned fault.

use core::fmt;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path as Key,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What happens to the request of a plan and those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFault {
    /// The request fails and changes nothing. Later requests succeed.
    Refused,
    /// The request is executed, and its answer is lost. Later requests succeed.
    AnswerLost,
    /// This and all later requests fail: the process that makes them is dead, or the store is.
    Gone,
    /// The request is executed, its answer is lost, and all later requests fail.
    GoneAfter,
}

pub(super) const FAULTS: [StoreFault; 4] = [
    StoreFault::Refused,
    StoreFault::AnswerLost,
    StoreFault::Gone,
    StoreFault::GoneAfter,
];

/// A store in memory with one planned fault.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub(super) inner: Arc<InMemory>,
    /// The number of requests so far.
    pub(super) requests: AtomicUsize,
    /// The number of the request with the fault.
    pub(super) at: usize,
    pub(super) fault: StoreFault,
}

impl FaultyStore {
    /// What happens to this request: whether it is executed, and whether it succeeds.
    fn next(&self) -> (bool, bool) {
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        let (is_it, is_later) = (request == self.at, request > self.at);
        match self.fault {
            StoreFault::Refused => (!is_it, !is_it),
            StoreFault::AnswerLost => (true, !is_it),
            StoreFault::Gone => (!is_it && !is_later, !is_it && !is_later),
            StoreFault::GoneAfter => (!is_later, !is_it && !is_later),
        }
    }

    fn error() -> object_store::Error {
        object_store::Error::Generic {
            store: "test",
            source: "a planned fault".into(),
        }
    }

    async fn run<T>(&self, request: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let (is_executed, succeeds) = self.next();
        if !is_executed {
            return Err(Self::error());
        }
        let answer = request.await;
        if succeeds { answer } else { Err(Self::error()) }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.run(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.run(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult> {
        self.run(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        match self.next() {
            (true, true) => self.inner.delete_stream(locations),
            _ => Box::pin(futures_util::stream::once(async { Err(Self::error()) })),
        }
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.run(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.run(self.inner.copy_opts(from, to, options)).await
    }
}
