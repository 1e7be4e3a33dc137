//! Turns a write beyond the process's limit of file sizes into an error.
//!
//! On Unix such a write (`RLIMIT_FSIZE`, `ulimit -f`) raises `SIGXFSZ`, whose default action ends the process. With any handler
//! the write fails with `EFBIG` instead. The handler is installed once, before the first file is created, for the whole process.
//! It does nothing itself, and calls a handler that was installed before it.

#[cfg(unix)]
pub(super) fn report_as_error() {
    use std::sync::{Arc, Once};
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let signal = signal_hook::consts::SIGXFSZ;
        // The flag is not read: that the signal has a handler is enough.
        if let Err(error) = signal_hook::flag::register(signal, Arc::default()) {
            tracing::warn!("a write beyond the limit of file sizes will end the process: {error}");
        }
    });
}

#[cfg(not(unix))]
pub(super) fn report_as_error() {}
