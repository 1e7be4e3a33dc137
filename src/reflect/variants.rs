//! Discriminant table of a fieldless enum: maps discriminants to variant indices, filled from live values.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

/// The variants of an enum by discriminant.
///
/// Type information lists the variants without their discriminants, and a value cannot be constructed from the name of
/// its variant. So the first value with a discriminant is read through `Reflect`, and its variant is stored here.
/// Threads can read and insert concurrently, because all of them insert the same variant for a discriminant.
#[derive(Debug)]
pub(super) struct VariantTable {
    /// For each discriminant below 256, 1 + its variant, or 0 if unknown.
    small: Box<[AtomicU16; 256]>,
    /// For each variant, its discriminant if that is 256 or greater.
    large: Box<[LargeDiscriminant]>,
}

#[derive(Debug, Default)]
struct LargeDiscriminant {
    is_known: AtomicBool,
    value: AtomicU64,
}

impl VariantTable {
    pub(super) fn new(variants: usize) -> Self {
        Self {
            small: Box::new([const { AtomicU16::new(0) }; 256]),
            large: (0..variants).map(|_| LargeDiscriminant::default()).collect(),
        }
    }

    /// The variant of `discriminant`; `None` until it is inserted.
    #[inline]
    pub(super) fn get(&self, discriminant: u64) -> Option<usize> {
        if let Some(entry) = self.small_entry(discriminant) {
            return usize::from(entry.load(Ordering::Relaxed)).checked_sub(1);
        }
        self.large.iter().position(|large| {
            // Pairs with the release store in `insert`: the value of a known entry has been written.
            large.is_known.load(Ordering::Acquire) && large.value.load(Ordering::Relaxed) == discriminant
        })
    }

    /// Stores the variant of `discriminant`. A variant that is outside of the table is ignored.
    pub(super) fn insert(&self, discriminant: u64, variant: usize) {
        if let Some(entry) = self.small_entry(discriminant) {
            let code = variant.checked_add(1).and_then(|code| u16::try_from(code).ok());
            entry.store(code.unwrap_or(0), Ordering::Relaxed);
        } else if let Some(large) = self.large.get(variant) {
            large.value.store(discriminant, Ordering::Relaxed);
            large.is_known.store(true, Ordering::Release);
        }
    }

    #[inline]
    fn small_entry(&self, discriminant: u64) -> Option<&AtomicU16> {
        self.small.get(usize::try_from(discriminant).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_discriminants_do_not_collide() {
        let table = VariantTable::new(3);
        for discriminant in [0, 255, 256, u64::MAX] {
            assert_eq!(table.get(discriminant), None);
        }
        table.insert(0, 2);
        table.insert(256, 0);
        table.insert(u64::MAX, 1);
        assert_eq!(table.get(0), Some(2));
        assert_eq!(table.get(256), Some(0));
        assert_eq!(table.get(u64::MAX), Some(1));
        assert_eq!(table.get(1), None);
        assert_eq!(table.get(257), None);
    }

    #[test]
    fn a_variant_outside_of_the_table_is_ignored() {
        let table = VariantTable::new(1);
        table.insert(1000, 5);
        table.insert(3, usize::MAX);
        assert_eq!((table.get(1000), table.get(3)), (None, None));
    }
}
