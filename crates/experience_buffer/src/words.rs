//! Copies between plain words and words that another thread may be writing.
//!
//! A seqlock's reader copies words while its writer may be overwriting them, and throws the copy away if so. In Rust's
//! memory model the copy must therefore be made of atomic accesses, and relaxed ones suffice. Compilers never merge
//! those, so a copy goes word by word, which takes 1.4 times as long as `memcpy` for a row of 256 bytes. What is wanted
//! is the byte-wise atomic `memcpy` of Hans Boehm's proposal P1478 (ISO C++ WG21, 2022), which Rust does not have yet; on
//! x86-64, where it matters most, the machine's own vector instructions stand in for it.

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

/// Stores `from` into `to`, relaxed, past the caches where the processor can do that: for many words that are not read soon.
/// A cache would first load what is about to be overwritten, and push out what is still needed.
///
/// No fence orders these, but [`settle`].
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

/// Orders what was [`stream`]ed before: other threads see it before whatever is stored from here on. That takes as long as the
/// last of it is under way.
#[inline(always)]
pub(super) fn settle() {
    vector::settle();
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

/// Loads floats of which two lie in each word, as many as `to` holds, relaxed.
///
/// # Panics
/// When `from` does not hold them exactly, but for half a word at its end.
#[inline(always)]
pub(super) fn load_floats(to: &mut [f32], from: &[AtomicU64]) {
    assert!(to.len().div_ceil(2) == from.len(), "a row of another width");
    if !vector::load_floats(to, from) {
        let (pairs, last) = to.as_chunks_mut();
        let mut from = from.iter();
        for (to, from) in pairs.iter_mut().zip(&mut from) {
            let pair: [f32; 2] = bytemuck::cast(from.load(Ordering::Relaxed));
            *to = pair;
        }
        if let ([last], Some(from)) = (last, from.next()) {
            [*last, _] = bytemuck::cast::<u64, [f32; 2]>(from.load(Ordering::Relaxed));
        }
    }
}

/// Copies with vector instructions, and says whether it did. Checkers (loom, Miri, sanitizers) cannot look into them and
/// get the plain loops, by `cfg(loom)`, `cfg(miri)` and `--cfg portable_copy`.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri, portable_copy))))]
mod vector {
    #![expect(
        unsafe_code,
        reason = "vector instructions that another thread's stores may race with"
    )]

    use super::AtomicU64;
    use core::arch::asm;

    /// Bytes of a block.
    const BLOCK: usize = 64;

    #[inline(always)]
    pub(super) fn store(to: &[AtomicU64], from: &[u64]) -> bool {
        debug_assert_eq!(to.len(), from.len());
        // Atomics may be written through a shared reference's pointer: they are `UnsafeCell`s.
        let to = to.as_ptr().cast::<u64>().cast_mut();
        // SAFETY: both are `from.len()` words long (asserted by the caller).
        unsafe { copy(to, from.as_ptr(), from.len()) }
    }

    /// Stores with the instructions that go past the caches. They store 16 aligned bytes each.
    #[inline(always)]
    pub(super) fn stream(to: &[AtomicU64], from: &[u64]) -> bool {
        debug_assert_eq!(to.len(), from.len());
        let to = to.as_ptr().cast::<u64>().cast_mut();
        let bytes = size_of_val(from);
        if bytes < BLOCK || !bytes.is_multiple_of(16) || !to.addr().is_multiple_of(16) {
            return false;
        }
        // SAFETY: both are `bytes` long (asserted by the caller), a multiple of 16 and at least a block, and `to` is aligned.
        // Every access is inside: the first loop copies all whole blocks, and the second what is left, 16 bytes at a time.
        // What is said in `copy_block` of accesses that race holds of these, but for the order: stores past the caches may
        // be seen before earlier stores and after later ones (Intel SDM volume 1, 10.4.6.2). Before earlier ones they are
        // not, because of the `sfence`; the block counts as accessing any memory, so the compiler keeps that order, too.
        // For later ones there is `settle`.
        unsafe {
            asm!(
                "sfence",
                "2:",
                "movups {a}, [{from} + {place}]",
                "movups {b}, [{from} + {place} + 16]",
                "movups {c}, [{from} + {place} + 32]",
                "movups {d}, [{from} + {place} + 48]",
                "movntps [{to} + {place}], {a}",
                "movntps [{to} + {place} + 16], {b}",
                "movntps [{to} + {place} + 32], {c}",
                "movntps [{to} + {place} + 48], {d}",
                "add {place}, 64",
                "cmp {place}, {blocks}",
                "jb 2b",
                "jmp 4f",
                "3:",
                "movups {a}, [{from} + {place}]",
                "movntps [{to} + {place}], {a}",
                "add {place}, 16",
                "4:",
                "cmp {place}, {bytes}",
                "jb 3b",
                from = in(reg) from.as_ptr(),
                to = in(reg) to,
                blocks = in(reg) bytes / BLOCK * BLOCK,
                bytes = in(reg) bytes,
                place = inout(reg) 0_usize => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            );
        }
        true
    }

    #[inline(always)]
    pub(super) fn settle() {
        // SAFETY: it accesses nothing, and only makes later stores wait for earlier ones; SSE is part of every x86-64. It
        // counts as accessing any memory, so the compiler moves no store across it.
        unsafe { asm!("sfence", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    pub(super) fn load(to: &mut [u64], from: &[AtomicU64]) -> bool {
        debug_assert_eq!(to.len(), from.len());
        // SAFETY: both are `from.len()` words long (asserted by the caller).
        unsafe { copy(to.as_mut_ptr(), from.as_ptr().cast(), from.len()) }
    }

    #[inline(always)]
    pub(super) fn load_floats(to: &mut [f32], from: &[AtomicU64]) -> bool {
        debug_assert_eq!(to.len().div_ceil(2), from.len());
        // SAFETY: `from` has at least `to.len()` floats (asserted by the caller).
        unsafe { copy(to.as_mut_ptr(), from.as_ptr().cast(), to.len()) }
    }

    /// Copies `len` values unless they are fewer than a block. The last block overlaps the one before, if it must: its
    /// values are then copied twice, which is no different from copying them once a little later.
    ///
    /// # Safety
    /// `len` values at `from` can be read and `len` values at `to` can be written, and at most one of the two sides is
    /// accessed by other threads meanwhile: atomically, or as here.
    #[inline(always)]
    unsafe fn copy<T: bytemuck::Pod>(to: *mut T, from: *const T, len: usize) -> bool {
        let block = const { BLOCK / size_of::<T>() };
        let Some(last) = len.checked_sub(block) else {
            return false;
        };
        if len > 2 * block && std::arch::is_x86_feature_detected!("avx") {
            // SAFETY: `last` and another block are more than a wide one, and the processor has the instructions.
            unsafe { copy_wide(to.cast(), from.cast(), (last - block) * size_of::<T>()) };
            return true;
        }
        let mut place = 0;
        while place < last {
            // SAFETY: `place + block` is less than `len`.
            unsafe { copy_block(to.add(place).cast(), from.add(place).cast()) };
            place += block;
        }
        // SAFETY: `last + block` is `len`.
        unsafe { copy_block(to.add(last).cast(), from.add(last).cast()) };
        true
    }

    /// Copies `last` bytes and two blocks, 32 at a time: processors store one vector a cycle, however wide it is.
    ///
    /// # Safety
    /// As for [`copy`], with so many bytes, on a processor with AVX. `last` is not 0.
    #[inline(always)]
    unsafe fn copy_wide(to: *mut u8, from: *const u8, last: usize) {
        // SAFETY: the loop copies the pairs of blocks that begin before `last`, and then the one at `last` is copied; all of
        // it is in the two ranges. What is said in `copy_block` of accesses that race holds of these. All vector registers
        // are given as changed, because the last instruction clears their upper halves, without which older code that
        // follows would wait for them.
        unsafe {
            asm!(
                "2:",
                "vmovups ymm0, [{from} + {place}]",
                "vmovups ymm1, [{from} + {place} + 32]",
                "vmovups ymm2, [{from} + {place} + 64]",
                "vmovups ymm3, [{from} + {place} + 96]",
                "vmovups [{to} + {place}], ymm0",
                "vmovups [{to} + {place} + 32], ymm1",
                "vmovups [{to} + {place} + 64], ymm2",
                "vmovups [{to} + {place} + 96], ymm3",
                "sub {place}, -128",
                "cmp {place}, {last}",
                "jb 2b",
                "vmovups ymm0, [{from} + {last}]",
                "vmovups ymm1, [{from} + {last} + 32]",
                "vmovups ymm2, [{from} + {last} + 64]",
                "vmovups ymm3, [{from} + {last} + 96]",
                "vmovups [{to} + {last}], ymm0",
                "vmovups [{to} + {last} + 32], ymm1",
                "vmovups [{to} + {last} + 64], ymm2",
                "vmovups [{to} + {last} + 96], ymm3",
                "vzeroupper",
                from = in(reg) from,
                to = in(reg) to,
                last = in(reg) last,
                place = inout(reg) 0_usize => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack),
            );
        }
    }

    /// # Safety
    /// As for [`copy`], with `BLOCK` bytes.
    #[inline(always)]
    unsafe fn copy_block(to: *mut u8, from: *const u8) {
        // SAFETY: every access is inside the two blocks. Where another thread accesses one of them too, an access of
        // Rust's would be undefined behaviour, but these are the machine's: a racing vector access gives some mixture of
        // old and new bytes, as the same number of relaxed accesses to single bytes would, and callers accept any
        // mixture. The block counts as reading and writing any memory (there is no `nomem` and no `readonly`), so the
        // compiler moves neither fences nor stamps across it, and x86-64 keeps the order of ordinary vector loads and of
        // ordinary vector stores (Intel SDM volume 3, 9.2.2). SSE2 is part of every x86-64.
        unsafe {
            asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movups [{to}], {a}",
                "movups [{to} + 16], {b}",
                "movups [{to} + 32], {c}",
                "movups [{to} + 48], {d}",
                from = in(reg) from,
                to = in(reg) to,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        }
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
    pub(super) fn stream(_: &[AtomicU64], _: &[u64]) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn settle() {}

    #[inline(always)]
    pub(super) fn load_floats(_: &mut [f32], _: &[AtomicU64]) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn load(_: &mut [u64], _: &[AtomicU64]) -> bool {
        false
    }
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
