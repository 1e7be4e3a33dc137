//! NUMA nodes on Linux: enumeration, and round-robin assignment of buffers.
#![expect(unsafe_code, reason = "`mbind` is a bare system call")]

use core::{
    ffi::{c_int, c_ulong},
    sync::atomic::{AtomicUsize, Ordering},
};
use memmap2::MmapRaw;
use std::sync::LazyLock;

/// The nodes that have memory; others have only processors.
static NODES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    ["has_memory", "online"]
        .iter()
        .filter_map(|name| std::fs::read_to_string(format!("/sys/devices/system/node/{name}")).ok())
        .find_map(|list| parse_list(&list))
        .unwrap_or_default()
});

/// Round-robin counter.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The maximum number of nodes that Linux can be built for: `1 << CONFIG_NODES_SHIFT`.
const MAX_NODES: usize = 1024;

/// Prefers the next node for pages of the mapping that were not written yet. False where there is one node, or the process
/// may not choose.
pub(super) fn bind_to_next(map: &MmapRaw) -> bool {
    let [_, _, ..] = NODES.as_slice() else {
        return false;
    };
    bind(map, NODES[NEXT.fetch_add(1, Ordering::Relaxed) % NODES.len()])
}

/// Prefers a node for the mapping. Preferred instead of bound, so that a full node does not get the process killed.
fn bind(map: &MmapRaw, node: usize) -> bool {
    let mask = mask(node);
    let bits = mask.len() * c_ulong::BITS as usize;
    // SAFETY: address and length are those of a live mapping that this process owns, and the policy affects only the node of
    // pages. The mask has as many bits as are passed: the kernel reads one less than that number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            map.as_mut_ptr(),
            map.len(),
            libc::MPOL_PREFERRED as c_int,
            mask.as_ptr(),
            bits + 1,
            0,
        )
    };
    result == 0
}

/// A mask with one bit set.
fn mask(node: usize) -> Vec<c_ulong> {
    let bits = c_ulong::BITS as usize;
    let mut mask = vec![0; node / bits + 1];
    mask[node / bits] = 1 << (node % bits);
    mask
}

/// Parses a list such as `0-3,8,10-11`. `None` when it is malformed, or a node is out of range.
fn parse_list(list: &str) -> Option<Vec<usize>> {
    let mut nodes = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MAX_NODES {
            return None;
        }
        nodes.extend(first..=last);
    }
    Some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes_are_parsed() {
        assert_eq!(parse_list("0\n"), Some(vec![0]));
        assert_eq!(parse_list("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse_list("1023"), Some(vec![1023]));
    }

    #[test]
    fn malformed_lists_are_none() {
        for list in [
            "",
            "\n",
            "a",
            "3-1",
            "0-",
            "-1",
            "0,,1",
            "1024",
            "0-99999999999999999999",
            "0 1",
        ] {
            assert_eq!(parse_list(list), None, "{list:?}");
        }
    }

    #[test]
    fn masks_have_one_bit() {
        assert_eq!(mask(0), [1]);
        assert_eq!(mask(5), [1 << 5]);
        assert_eq!(mask(c_ulong::BITS as usize), [0, 1]);
        assert_eq!(mask(2 * c_ulong::BITS as usize + 3), [0, 0, 8]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes system calls")]
    fn a_mapping_is_bound_to_existing_nodes_only() {
        let map = MmapRaw::from(memmap2::MmapOptions::new().len(1 << 16).map_anon().unwrap());
        assert!(!bind(&map, MAX_NODES - 1), "no test machine has that many nodes");
        let Some(&node) = NODES.first() else { return };
        if !bind(&map, node) {
            let error = std::io::Error::last_os_error();
            // A container may forbid it: see `MemoryUse::unbound`.
            let forbidden = [libc::EPERM, libc::ENOSYS, libc::EINVAL];
            assert!(
                error.raw_os_error().is_some_and(|code| forbidden.contains(&code)),
                "{error}"
            );
        }
    }
}
