//! The primitives that the ring is built on: the standard library's, or loom's when a model checks it.

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

/// Loads and synchronises with the release that stored the value, also from memory that can only be read.
///
/// Of read-only memory Rust allows relaxed loads alone (`std::sync::atomic`, "Atomic accesses to read-only memory"), and
/// names this pair for whoever needs to acquire. On x86-64 it is the same plain load as the other.
#[inline(always)]
pub(super) fn acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// Locks, whether or not somebody panicked while holding the lock: a cursor is never left half written.
#[cfg(any(loom, not(portable_copy)))]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The same for sanitizers, which cannot look into the standard library: there a thread waits that finds the lock taken,
/// and seems to enter without having been let in.
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

/// Waits a little for another thread. The first waits are short; after `turns` of them the processor is given away.
pub(super) fn wait(turns: u32) {
    #[cfg(loom)]
    {
        let _ = turns;
        loom::thread::yield_now();
    }
    #[cfg(not(loom))]
    if turns < 16 {
        core::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}
