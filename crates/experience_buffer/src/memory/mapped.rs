//! Anonymous memory mappings, optionally bound to a NUMA node or on huge pages.

use super::MemoryUse;
use crate::{BufferError, sync::AtomicU64};
use core::ptr::NonNull;
use memmap2::{MmapOptions, MmapRaw};
#[cfg(target_os = "linux")]
use std::sync::LazyLock;

/// The `len` words that begin at the byte `start` of a mapping.
///
/// # Panics
/// When they are not aligned, or the mapping is shorter.
pub(super) fn words(map: &MmapRaw, start: usize, len: usize) -> NonNull<[AtomicU64]> {
    assert!(
        start.is_multiple_of(align_of::<AtomicU64>()) && len <= (map.len() - start) / size_of::<AtomicU64>(),
        "words are inside of their mapping"
    );
    let first = map.as_mut_ptr().wrapping_add(start).cast::<AtomicU64>();
    NonNull::slice_from_raw_parts(NonNull::new(first).expect("the address of a mapping is not null"), len)
}

/// A zeroed anonymous mapping.
pub(super) struct AnonymousMap {
    map: MmapRaw,
    start: usize,
    memory: MemoryUse,
}

impl AnonymousMap {
    /// Maps `bytes`, bound to a NUMA node or on huge pages where that is requested and possible.
    ///
    /// # Errors
    /// When there is not enough memory, or the process has too many mappings.
    pub(super) fn new(bytes: usize, bound: bool, huge_pages: bool) -> Result<Self, BufferError> {
        let out_of_memory = || BufferError::OutOfMemory { bytes };
        let page = huge_pages.then(huge_page).flatten().filter(|&page| page <= bytes);
        // Longer, to begin at a huge page. Pages that are not touched take no memory.
        let len = bytes.checked_add(page.unwrap_or(0)).ok_or_else(out_of_memory)?;
        let map = MmapOptions::new().len(len).map_anon().map_err(|_| out_of_memory())?;
        let map = MmapRaw::from(map);
        let address = map.as_mut_ptr().addr();
        let start = page.map_or(0, |page| address.next_multiple_of(page) - address);
        let mut memory = MemoryUse {
            huge_pages: page.map_or(0, |page| huge_bytes(&map, start, bytes, page)),
            ..MemoryUse::default()
        };
        let kind = if !bound {
            &mut memory.heap
        } else if bind(&map) {
            &mut memory.numa
        } else {
            &mut memory.unbound
        };
        *kind = bytes;
        Ok(Self { map, start, memory })
    }

    pub(super) fn words(&self, len: usize) -> NonNull<[AtomicU64]> {
        words(&self.map, self.start, len)
    }

    pub(super) fn memory(&self) -> MemoryUse {
        self.memory
    }
}

/// The size of a huge page, where a process can request them.
fn huge_page() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        static HUGE_PAGE: LazyLock<Option<usize>> = LazyLock::new(|| {
            let read = |name| std::fs::read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{name}")).ok();
            let page: usize = read("hpage_pmd_size")?.trim().parse().ok()?;
            (page.is_power_of_two() && !read("enabled")?.contains("[never]")).then_some(page)
        });
        *HUGE_PAGE
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Requests huge pages. Returns the bytes for which the system agreed: a last page that is not full is an ordinary one.
fn huge_bytes(map: &MmapRaw, start: usize, bytes: usize, page: usize) -> usize {
    #[cfg(target_os = "linux")]
    if map.advise_range(memmap2::Advice::HugePage, start, bytes).is_ok() {
        return bytes - bytes % page;
    }
    let _ = (map, start, bytes, page);
    0
}

/// Binds the mapping to the next NUMA node. False where that is not possible.
fn bind(map: &MmapRaw) -> bool {
    #[cfg(target_os = "linux")]
    return super::numa::bind_to_next(map);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = map;
        false
    }
}
