//! Prefetch instructions: hints that memory will be accessed soon.
//!
//! A capture reads and writes one small region per player, thousands of regions in total: more memory than the caches
//! hold, and more streams than hardware prefetchers track. The capture loop knows the addresses some players ahead,
//! prefetches them, and encodes the current player while the lines arrive.
//!
//! Prefetches are issued on x86-64. On other targets, and under Miri, these functions do nothing.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "`prefetchw` has no safe wrapper in the standard library, and `_mm_prefetch` is unsafe"
    )
)]

/// Size of a cache line in bytes.
const LINE: usize = 64;

/// Prefetches `bytes` bytes from `start` for reading. `start` may be any address, since a prefetch never faults.
#[inline(always)]
pub fn range(start: *const u8, bytes: usize) {
    for_each_line(start, bytes, line);
}

/// Prefetches a slice for reading.
#[inline(always)]
pub fn slice<T>(values: &[T]) {
    range(values.as_ptr().cast(), size_of_val(values));
}

/// Prefetches a slice for writing.
///
/// The lines are requested in exclusive state. After a read prefetch, the first write to a line that another core has
/// read lately would wait once more, until that core's copy is invalidated.
#[inline(always)]
pub fn slice_for_write<T>(values: &[T]) {
    for_each_line(values.as_ptr().cast(), size_of_val(values), prefetch_line_for_write);
}

#[inline(always)]
fn for_each_line(start: *const u8, bytes: usize, prefetch: impl Fn(*const u8)) {
    let mut offset = 0;
    while offset < bytes {
        prefetch(start.wrapping_add(offset));
        offset += LINE;
    }
    // Where `start` is not aligned to a line, the last bytes can lie in one line more.
    prefetch(start.wrapping_add(bytes).wrapping_sub(1));
}

/// Prefetches the line at `address` for reading.
#[inline(always)]
pub fn line(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch performs no access and never faults, so any address is allowed. SSE is part of the x86-64
        // baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

#[inline(always)]
fn prefetch_line_for_write(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch performs no access and never faults, so any address is allowed. x86-64 processors without the
    // instruction execute it as a no-op (Intel SDM volume 2, PREFETCHW; AMD APM volume 3, PREFETCH).
    unsafe {
        core::arch::asm!(
            "prefetchw [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
