//! Which variant of an enum without data a discriminant stands for.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

/// Learns, from live values, which discriminant belongs to which variant.
///
/// Type information names the variants, but not their discriminants, and a value of a variant cannot be made from its name.
/// So the first value with a discriminant is looked at through reflection, and the answer is kept. Any number of
/// threads may read and learn at once: what they learn about one discriminant is the same.
#[derive(Debug)]
pub(super) struct VariantTable {
    /// For each discriminant below 256, its variant plus one, or 0 where it is not known yet.
    near: Box<[AtomicU16; 256]>,
    /// For each variant, a discriminant from 256 upwards.
    far: Box<[Far]>,
}

#[derive(Debug, Default)]
struct Far {
    known: AtomicBool,
    discriminant: AtomicU64,
}

impl VariantTable {
    pub(super) fn new(variants: usize) -> Self {
        Self {
            near: Box::new([const { AtomicU16::new(0) }; 256]),
            far: (0..variants).map(|_| Far::default()).collect(),
        }
    }

    /// The variant that `discriminant` stands for, if a value with it has been seen.
    #[inline]
    pub(super) fn get(&self, discriminant: u64) -> Option<usize> {
        if let Some(near) = usize::try_from(discriminant)
            .ok()
            .and_then(|index| self.near.get(index))
        {
            return usize::from(near.load(Ordering::Relaxed)).checked_sub(1);
        }
        self.far.iter().position(|far| {
            // Acquire pairs with the release in `learn`: a known entry's discriminant has been written.
            far.known.load(Ordering::Acquire) && far.discriminant.load(Ordering::Relaxed) == discriminant
        })
    }

    /// Keeps that `discriminant` stands for `variant`.
    pub(super) fn learn(&self, discriminant: u64, variant: usize) {
        if let Some(near) = usize::try_from(discriminant)
            .ok()
            .and_then(|index| self.near.get(index))
        {
            let entry = variant.checked_add(1).and_then(|entry| u16::try_from(entry).ok());
            near.store(entry.unwrap_or(0), Ordering::Relaxed);
        } else if let Some(far) = self.far.get(variant) {
            far.discriminant.store(discriminant, Ordering::Relaxed);
            far.known.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_discriminants_are_learned_apart() {
        let table = VariantTable::new(3);
        for discriminant in [0, 255, 256, u64::MAX] {
            assert_eq!(table.get(discriminant), None);
        }
        table.learn(0, 2);
        table.learn(256, 0);
        table.learn(u64::MAX, 1);
        assert_eq!(table.get(0), Some(2));
        assert_eq!(table.get(256), Some(0));
        assert_eq!(table.get(u64::MAX), Some(1));
        assert_eq!(table.get(1), None);
        assert_eq!(table.get(257), None);
    }

    #[test]
    fn a_variant_beyond_the_table_is_not_learned() {
        let table = VariantTable::new(1);
        table.learn(1000, 5);
        table.learn(3, usize::MAX);
        assert_eq!((table.get(1000), table.get(3)), (None, None));
    }
}
