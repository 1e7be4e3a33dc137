//! Whether the values of rows are finite, many at a time.

use core::ops::Range;
use experience_core::schema::{Column, DType, Schema};

/// The floats of a row.
#[derive(Default)]
pub(super) struct Floats {
    /// Many words, for which a loop with vectors is worth its beginning and its end.
    runs: Vec<(Range<usize>, Floating<1>)>,
    /// So many words at once, because that takes a few instructions.
    eights: Vec<Floating<8>>,
    ones: Vec<Floating<1>>,
}

/// `N` words of a row, with floats in the same places of each.
struct Floating<const N: usize> {
    /// The first of them.
    word: usize,
    /// The bits of the floats' exponents.
    exponents: u64,
    /// The lowest bit of each exponent. Added to an exponent whose bits are all set, and to no other, it sets the bit
    /// above, which is that of the sign.
    lowest: u64,
}

/// The sign bits of two singles, or of a double and one that no double has.
const SIGNS: u64 = 1 << 63 | 1 << 31;

impl<const N: usize> Floating<N> {
    fn new(word: usize, exponents: u64) -> Self {
        Self {
            word,
            exponents,
            lowest: exponents & !(exponents << 1),
        }
    }

    /// Sets a sign bit where one of the floats in the word is infinite or no number.
    #[inline(always)]
    fn carry(&self, word: u64) -> u64 {
        (word & self.exponents).wrapping_add(self.lowest)
    }

    /// The same for all words of these rows.
    #[inline(always)]
    fn carries(&self, rows: &[u64], row_words: usize) -> u64 {
        let words = |row: &[u64]| row[self.word..].first_chunk::<N>().copied().unwrap_or([0; N]);
        rows.chunks_exact(row_words).fold(0, |carries, row| {
            words(row)
                .iter()
                .fold(carries, |carries, &word| carries | self.carry(word))
        })
    }
}

impl Floats {
    /// Those of a recording's observation, action and reward terms.
    pub(super) fn new(schema: &Schema) -> Self {
        const LOW: u64 = f32::INFINITY.to_bits() as u64;
        const DOUBLE: u64 = f64::INFINITY.to_bits();
        let layout = schema.layout();
        let mut exponents = vec![0; layout.row_words()];
        let mut singles = |bytes: Range<usize>| {
            for half in bytes.start / 4..bytes.end / 4 {
                exponents[half / 2] |= if half % 2 == usize::from(cfg!(target_endian = "little")) {
                    LOW << 32
                } else {
                    LOW
                };
            }
        };
        singles(layout.observation());
        singles(layout.reward_terms());
        let action = || schema.action().iter().zip(layout.action_offsets());
        let bytes = |column: &Column, start: usize| start..start + column.width() * column.dtype.size();
        for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F32) {
            singles(bytes(column, start));
        }
        for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F64) {
            let bytes = bytes(column, start);
            exponents[bytes.start / 8..bytes.end / 8].fill(DOUBLE);
        }
        /// Words that are many.
        const MANY: usize = 64;
        let mut floats = Self::default();
        let mut word = 0;
        while word < exponents.len() {
            let here = exponents[word];
            let same = exponents[word..].iter().take_while(|&&next| next == here).count();
            if here != 0 && same >= MANY {
                floats.runs.push((word..word + same, Floating::new(word, here)));
                word += same;
            } else if here != 0 && exponents[word..].starts_with(&[here; 8]) {
                floats.eights.push(Floating::new(word, here));
                word += 8;
            } else {
                if here != 0 {
                    floats.ones.push(Floating::new(word, here));
                }
                word += 1;
            }
        }
        floats
    }

    /// Whether all of them are finite in all of these rows, which a float is unless all bits of its exponent are set.
    /// Nothing ends early: nearly always there is nothing to find.
    #[inline]
    pub(super) fn are_finite(&self, rows: &[u64], row_words: usize) -> bool {
        let mut carries = 0;
        for (words, floats) in &self.runs {
            for row in rows.chunks_exact(row_words) {
                for &word in &row[words.clone()] {
                    carries |= floats.carry(word);
                }
            }
        }
        let eights = self.eights.iter().map(|floats| floats.carries(rows, row_words));
        let ones = self.ones.iter().map(|floats| floats.carries(rows, row_words));
        eights.chain(ones).fold(carries, |all, carries| all | carries) & SIGNS == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::schema::Space;

    #[test]
    fn every_float_of_a_row_is_looked_at_and_nothing_else() {
        let column = |name, dtype| Column::scalar(name, dtype, Space::unbounded());
        for features in [1, 2, 3, 16, 17, 40, 127, 200] {
            let schema = Schema::new("test")
                .with_observation((0..features).map(|n| Column::feature(format!("x{n}"))))
                .with_action_mask(40)
                .with_action([
                    column("a", DType::F32),
                    column("b", DType::I64),
                    column("c", DType::F64),
                    column("d", DType::I32),
                ])
                .with_reward_terms(["e"]);
            let layout = schema.layout();
            let (floats, words) = (Floats::new(&schema), layout.row_words());
            let singles: Vec<usize> = layout
                .observation()
                .step_by(4)
                .chain([layout.action_offsets()[0], layout.reward_terms().start])
                .collect();
            let double = layout.action_offsets()[2];
            let row = |at: usize, value: &[u8]| {
                let mut row = vec![0_u64; layout.row_words()];
                bytemuck::cast_slice_mut::<_, u8>(&mut row)[at..at + value.len()].copy_from_slice(value);
                row
            };
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                for at in (0..layout.row_bytes()).step_by(4) {
                    let found = !floats.are_finite(&row(at, &value.to_ne_bytes()), words);
                    // The upper half of a double is an infinite single's bits when it is large, which is no error.
                    assert_eq!(found, singles.contains(&at), "{features} {at}");
                }
            }
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!floats.are_finite(&row(double, &value.to_ne_bytes()), words));
            }
            for value in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0] {
                assert!(
                    singles
                        .iter()
                        .all(|&at| floats.are_finite(&row(at, &value.to_ne_bytes()), words))
                );
            }
            for value in [f64::MAX, f64::MIN, -0.0] {
                assert!(floats.are_finite(&row(double, &value.to_ne_bytes()), words));
            }
        }
    }
}
