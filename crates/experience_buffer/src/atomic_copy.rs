//! Copies between plain words and atomic words that another thread may access at the same time.
//!
//! The reader of a seqlock copies words while the writer may be overwriting them, and discards the copy if so. In Rust's
//! memory model such a copy is made of atomic accesses, for which relaxed ordering suffices. Compilers do not merge atomic
//! accesses, so a loop over words is slower than `memcpy`. The byte-wise atomic `memcpy` of Hans Boehm's proposal P1478
//! (ISO C++ WG21, 2022) is not in Rust yet. On x86-64 with AVX, inline assembly takes its place; everywhere else, and for
//! checkers that cannot see into assembly (loom, Miri, and sanitizers with `--cfg portable_copy`), copies are loops of
//! relaxed loads and stores.
//!
//! # Why assembly
//! Nanoseconds to store and to load a row in a memory of 1024 rows, as ratios to `memcpy` (fastest of 60 rounds on a shared
//! two-core server, Intel Xeon with AVX-512). The ring has to keep a whole push below 1.4 times a copy.
//!
//! | bytes | this assembly | loop of relaxed accesses | `atomic-memcpy` 0.2.3, 32 bytes at a time |
//! |---|---|---|---|
//! | 64 | 0.67, 0.72 | 0.98, 1.10 | 1.02, 1.45 |
//! | 136 | 0.90, 0.77 | 0.92, 1.09 | 1.12, 1.11 |
//! | 256 | 1.03, 0.74 | 1.66, 1.62 | 1.69, 1.93 |
//! | 1024 | 0.91, 0.88 | 1.35, 2.27 | 1.30, 2.36 |
//! | 16384 | 1.06, 0.97 | 1.01, 1.29 | 1.00, 1.29 |
//!
//! [`stream`] stores blocks of 64 rows of 272 bytes into a memory of 16 to 256 MiB at 19 to 26 nanoseconds a row, where
//! [`store`] takes 36 to 45.

use super::sync::{AtomicU64, Ordering};

/// Stores `from` into `to`, relaxed.
///
/// # Panics
/// When the lengths differ.
#[inline(always)]
pub(super) fn store(to: &[AtomicU64], from: &[u64]) {
    assert!(to.len() == from.len(), "a row of another width");
    if !vector::store(to, from) {
        for (to, &from) in to.iter().zip(from) {
            to.store(from, Ordering::Relaxed);
        }
    }
}

/// Stores `from` into `to`, relaxed, past the caches where the processor supports that. For many words that are not read
/// soon: an ordinary store first loads the line that it overwrites, and evicts another one.
///
/// Only [`flush_streamed`] orders these stores with later ones.
///
/// # Panics
/// When the lengths differ.
#[inline(always)]
pub(super) fn stream(to: &[AtomicU64], from: &[u64]) {
    assert!(to.len() == from.len(), "a row of another width");
    if !vector::stream(to, from) {
        store(to, from);
    }
}

/// Makes everything [`stream`]ed before visible to other threads before any later store. Waits until the stores have left
/// the processor.
#[inline(always)]
pub(super) fn flush_streamed() {
    vector::flush_streamed();
}

/// Loads `from` into `to`, relaxed.
///
/// # Panics
/// When the lengths differ.
#[inline(always)]
pub(super) fn load(to: &mut [u64], from: &[AtomicU64]) {
    assert!(to.len() == from.len(), "a row of another width");
    if !vector::load(to, from) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.load(Ordering::Relaxed);
        }
    }
}

/// Loads the first `to.len()` of the floats in `from`, two in each word, relaxed.
///
/// # Panics
/// When `from` has more or fewer words than these floats need.
#[inline(always)]
pub(super) fn load_floats(to: &mut [f32], from: &[AtomicU64]) {
    assert!(to.len().div_ceil(2) == from.len(), "a row of another width");
    if !vector::load(to, from) {
        let (pairs, odd) = to.as_chunks_mut::<2>();
        let (words, last) = from.split_at(pairs.len());
        for (to, from) in pairs.iter_mut().zip(words) {
            *to = bytemuck::cast(from.load(Ordering::Relaxed));
        }
        for (to, from) in odd.iter_mut().zip(last) {
            [*to, _] = bytemuck::cast::<_, [f32; 2]>(from.load(Ordering::Relaxed));
        }
    }
}

/// Copies with vector instructions. Functions return whether they copied.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri, portable_copy))))]
mod vector {
    #![expect(
        unsafe_code,
        reason = "vector instructions that may race with another thread's stores"
    )]

    use super::AtomicU64;
    use core::arch::asm;

    #[inline(always)]
    pub(super) fn store(to: &[AtomicU64], from: &[u64]) -> bool {
        debug_assert_eq!(to.len(), from.len());
        // Atomics contain an `UnsafeCell`, so a pointer from a shared reference may be written through.
        let to = to.as_ptr().cast_mut().cast();
        // SAFETY: both are `size_of_val(from)` bytes long (asserted by the caller), and only `to` is shared.
        unsafe { copy(to, from.as_ptr().cast(), size_of_val(from)) }
    }

    /// Loads as many values of the type `T`, `u64` or `f32`, as `to` holds.
    #[inline(always)]
    pub(super) fn load<T: bytemuck::Pod>(to: &mut [T], from: &[AtomicU64]) -> bool {
        let bytes = size_of_val(to);
        debug_assert!(bytes <= size_of_val(from));
        // SAFETY: `from` is at least `bytes` long (asserted by the caller), and only `from` is shared.
        unsafe { copy(to.as_mut_ptr().cast(), from.as_ptr().cast(), bytes) }
    }

    /// Copies `bytes` bytes, 64 at a time, unless they are fewer. The last 64 may overlap those before; the overlap is then
    /// copied twice.
    ///
    /// # Safety
    /// `bytes` bytes at `from` can be read and as many at `to` can be written. Other threads access at most one of the two
    /// ranges at the same time, by atomic accesses or by this function.
    #[inline(always)]
    unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) -> bool {
        let Some(last) = bytes.checked_sub(64) else {
            return false;
        };
        if !std::arch::is_x86_feature_detected!("avx") {
            return false;
        }
        // SAFETY: the processor has the instructions. The loop copies the 64 bytes at every multiple of 64 below `last`, and
        // the code behind it those at `last`: all accesses are inside of the two ranges. Where another thread accesses a
        // range too, an access of Rust's would be undefined behaviour, but these are the machine's: a racing vector access
        // results in a mixture of old and new bytes, as relaxed accesses to single bytes would, and callers accept any
        // mixture. The block counts as reading and writing any memory (there is no `nomem` and no `readonly`), so the
        // compiler moves neither fences nor stamps across it, and x86-64 keeps the order of ordinary vector loads and of
        // ordinary vector stores (Intel SDM volume 3, 9.2.2). All vector registers are clobbered, because `vzeroupper` clears
        // their upper halves, without which later SSE instructions would depend on them.
        unsafe {
            asm!(
                "jmp 3f",
                "2:",
                "vmovups ymm0, [{from} + {offset}]",
                "vmovups ymm1, [{from} + {offset} + 32]",
                "vmovups [{to} + {offset}], ymm0",
                "vmovups [{to} + {offset} + 32], ymm1",
                "add {offset}, 64",
                "3:",
                "cmp {offset}, {last}",
                "jb 2b",
                "vmovups ymm0, [{from} + {last}]",
                "vmovups ymm1, [{from} + {last} + 32]",
                "vmovups [{to} + {last}], ymm0",
                "vmovups [{to} + {last} + 32], ymm1",
                "vzeroupper",
                from = in(reg) from,
                to = in(reg) to,
                last = in(reg) last,
                offset = inout(reg) 0_usize => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack),
            );
        }
        true
    }

    /// Non-temporal stores take 16 aligned bytes each.
    #[inline(always)]
    pub(super) fn stream(to: &[AtomicU64], from: &[u64]) -> bool {
        debug_assert_eq!(to.len(), from.len());
        let to = to.as_ptr().cast_mut();
        let bytes = size_of_val(from);
        if bytes == 0 || !bytes.is_multiple_of(16) || !to.addr().is_multiple_of(16) {
            return false;
        }
        // SAFETY: both are `bytes` long (asserted by the caller), a multiple of 16 and not 0, and `to` is aligned; so every
        // access is inside. Races are as in `copy`, but for the order: non-temporal stores may become visible before earlier
        // stores and after later ones (Intel SDM volume 1, 10.4.6.2). The `sfence` keeps them behind earlier stores, and
        // `flush_streamed` before later ones; the block counts as accessing any memory, so the compiler keeps that order too.
        unsafe {
            asm!(
                "sfence",
                "2:",
                "movups {value}, [{from} + {offset}]",
                "movntps [{to} + {offset}], {value}",
                "add {offset}, 16",
                "cmp {offset}, {bytes}",
                "jb 2b",
                from = in(reg) from.as_ptr(),
                to = in(reg) to,
                bytes = in(reg) bytes,
                offset = inout(reg) 0_usize => _,
                value = out(xmm_reg) _,
                options(nostack),
            );
        }
        true
    }

    #[inline(always)]
    pub(super) fn flush_streamed() {
        // SAFETY: it accesses nothing, and only makes later stores wait for earlier ones; SSE is part of every x86-64. It
        // counts as accessing any memory, so the compiler moves no store across it.
        unsafe { asm!("sfence", options(nostack, preserves_flags)) };
    }
}

#[cfg(not(all(target_arch = "x86_64", not(any(loom, miri, portable_copy)))))]
mod vector {
    use super::AtomicU64;

    #[inline(always)]
    pub(super) fn store(_: &[AtomicU64], _: &[u64]) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn load<T>(_: &mut [T], _: &[AtomicU64]) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn stream(_: &[AtomicU64], _: &[u64]) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn flush_streamed() {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole_and_nothing_beside_it() {
        // One of two neighbouring words begins with 16 aligned bytes.
        for (len, start, stored) in (0..70).flat_map(|len| {
            [1, 2]
                .into_iter()
                .flat_map(move |start| [(len, start, store as fn(&[AtomicU64], &[u64])), (len, start, stream)])
        }) {
            let from: Vec<u64> = (1..=len).collect();
            let shared: Vec<_> = (0..len + 3).map(|_| AtomicU64::new(u64::MAX)).collect();
            let inner = start..start + from.len();
            stored(&shared[inner.clone()], &from);
            assert_eq!(shared[inner.start - 1].load(Ordering::Relaxed), u64::MAX);
            assert_eq!(shared[inner.end].load(Ordering::Relaxed), u64::MAX);
            let mut to = vec![0; from.len() + 3];
            load(&mut to[inner.clone()], &shared[inner.clone()]);
            assert_eq!(&to[inner.clone()], &from);
            assert_eq!((to[inner.start - 1], to[inner.end]), (0, 0));
        }
    }

    #[test]
    fn floats_are_loaded_two_from_each_word() {
        for len in 0..70_u16 {
            let from: Vec<f32> = (1..=len + len % 2).map(f32::from).collect();
            let shared: Vec<AtomicU64> = bytemuck::pod_collect_to_vec(&from)
                .into_iter()
                .map(AtomicU64::new)
                .collect();
            let mut to = vec![0.0; usize::from(len) + 1];
            load_floats(&mut to[..usize::from(len)], &shared);
            assert_eq!(to[..usize::from(len)], from[..usize::from(len)]);
            assert_eq!(to[usize::from(len)], 0.0);
        }
    }
}
