//! [`SessionRuntime`]: the runtime of a session, on the thread that waits.

use std::{io, thread};
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of one thread, which may be used and dropped inside of another runtime. It is present until it is dropped.
pub(crate) struct SessionRuntime(Option<Runtime>);

impl SessionRuntime {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future on this thread. If the game itself runs inside of a Tokio runtime, which allows no second one on its threads, a
    /// thread is started for it.
    ///
    /// # Errors
    /// When no thread can be started, or it panics.
    pub(crate) fn block_on<F>(&self, future: F) -> io::Result<F::Output>
    where
        F: Future<Output: Send> + Send,
    {
        let Some(runtime) = &self.0 else {
            return Err(io::Error::other("the runtime is shut down"));
        };
        if Handle::try_current().is_err() {
            return Ok(runtime.block_on(future));
        }
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || runtime.block_on(future))?;
            let ended = thread.join();
            ended.map_err(|_| io::Error::other("the thread that waits for the server has panicked"))
        })
    }
}

impl Drop for SessionRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waits for nothing: a thread of another runtime must not.
            runtime.shutdown_background();
        }
    }
}
