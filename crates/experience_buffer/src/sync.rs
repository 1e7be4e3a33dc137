//! Atomics, fences and locks of the standard library, or loom's when a model is checked.

#[cfg(loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering, fence},
};

/// An acquire load that is also sound on read-only memory, such as a file that is mapped for reading.
///
/// Rust allows only relaxed loads of read-only memory, and documents this pair in place of an acquire load
/// (`std::sync::atomic`, "Atomic accesses to read-only memory"). On x86-64 both compile to one plain load.
#[inline(always)]
pub(super) fn acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// Locks, and ignores poisoning: no panic leaves what the buffers' locks guard half written.
#[cfg(any(loom, not(portable_copy)))]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As the other one, for sanitizers. The standard library is not instrumented, so a thread that blocks on a lock would seem
/// to enter without synchronization; this one never blocks.
#[cfg(all(portable_copy, not(loom)))]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}
