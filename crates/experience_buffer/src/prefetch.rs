//! Hints to the processor's caches.
//!
//! A capture goes over more memory than the caches hold, in many places side by side: too many for the processor to
//! foresee. Whoever knows what comes next says so, and goes on with something else meanwhile.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the instruction is not in the standard library's safe part")
)]

/// Bytes that a cache holds together.
const LINE: usize = 64;

/// Has `bytes` bytes from `start` on brought near, for accesses that come soon. It changes nothing but how long they take,
/// wherever `start` points to.
#[inline(always)]
pub fn range(start: *const u8, bytes: usize) {
    for_lines(start, bytes, line);
}

/// The same for values that are there.
#[inline(always)]
pub(crate) fn slice<T>(values: &[T]) {
    range(values.as_ptr().cast(), size_of_val(values));
}

/// Has values brought near that will be written, and taken from the other cores: what one of them has read lately would
/// otherwise be fetched first and asked for again when it is written.
#[inline(always)]
pub(crate) fn slice_for_write<T>(values: &[T]) {
    for_lines(values.as_ptr().cast(), size_of_val(values), line_to_write);
}

#[inline(always)]
fn for_lines(start: *const u8, bytes: usize, each: impl Fn(*const u8)) {
    let mut offset = 0;
    while offset < bytes {
        each(start.wrapping_add(offset));
        offset += LINE;
    }
    each(start.wrapping_add(bytes).wrapping_sub(1));
}

/// The same for the one line that `at` is in.
#[inline(always)]
pub fn line(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch accesses nothing and never faults, so it may be given any address; SSE is part of every
        // x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

#[inline(always)]
fn line_to_write(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above: it accesses nothing and never faults, whatever the address. Processors of x86-64 that do not know
    // this hint take the instruction for one that does nothing (Intel SDM volume 2, PREFETCHW; AMD APM volume 3, PREFETCH).
    unsafe {
        core::arch::asm!("prefetchw [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}
