//! Vectorized test for NaN and infinity over many rows, on the exponent bits of the floats.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "long runs are scanned with instructions that not all processors have"
    )
)]

use core::ops::Range;
use experience_core::schema::{Column, DType, Schema};

/// The floats of a row that must be finite: observation, float actions and reward terms.
#[derive(Default)]
pub(super) struct FiniteScan {
    /// Long runs of equal words, scanned by a vectorized loop.
    runs: Vec<(Range<usize>, WordScan<1>)>,
    /// Few equal words, unrolled: a vectorized loop of that length costs more than it saves.
    eights: Vec<WordScan<8>>,
    fours: Vec<WordScan<4>>,
    twos: Vec<WordScan<2>>,
    singles: Vec<WordScan<1>>,
}

/// Scans `N` consecutive words of a row that hold floats at the same bits.
struct WordScan<const N: usize> {
    /// Index of the first word in the row.
    word: usize,
    /// The exponent bits of the floats in a word.
    exponents: u64,
    /// The lowest bit of each exponent. If all bits of an exponent are set, the float is infinite or NaN, and this
    /// addend carries into the bit above the exponent, which is the sign bit. It carries for no other exponent.
    lowest: u64,
}

/// The sign bits of two `f32`. The upper one is also the sign bit of an `f64`, whose exponent never carries into the
/// lower.
const SIGN_BITS: u64 = 1 << 63 | 1 << 31;

impl<const N: usize> WordScan<N> {
    fn new(word: usize, exponents: u64) -> Self {
        Self {
            word,
            exponents,
            lowest: exponents & !(exponents << 1),
        }
    }

    /// Has a sign bit set if a float in `word` is not finite.
    #[inline(always)]
    fn carry(&self, word: u64) -> u64 {
        (word & self.exponents).wrapping_add(self.lowest)
    }

    /// The carries of all rows, combined by OR.
    #[inline(always)]
    fn carries(&self, rows: &[u64], stride: usize) -> u64 {
        let words = |row: &[u64]| row[self.word..].first_chunk::<N>().copied().unwrap_or([0; N]);
        rows.chunks_exact(stride).fold(0, |carries, row| {
            words(row)
                .iter()
                .fold(carries, |carries, &word| carries | self.carry(word))
        })
    }
}

impl FiniteScan {
    pub(super) fn new(schema: &Schema) -> Self {
        /// Minimum number of equal words for which a vectorized loop is faster.
        const RUN_WORDS: usize = 64;
        let exponents = exponent_bits(schema);
        let mut scan = Self::default();
        let mut word = 0;
        while word < exponents.len() {
            let bits = exponents[word];
            let equal = exponents[word..].iter().take_while(|&&next| next == bits).count();
            word += match (bits, equal) {
                (0, _) => equal,
                (_, RUN_WORDS..) => {
                    scan.runs.push((word..word + equal, WordScan::new(word, bits)));
                    equal
                }
                (_, 8..) => {
                    scan.eights.push(WordScan::new(word, bits));
                    8
                }
                (_, 4..) => {
                    scan.fours.push(WordScan::new(word, bits));
                    4
                }
                (_, 2..) => {
                    scan.twos.push(WordScan::new(word, bits));
                    2
                }
                _ => {
                    scan.singles.push(WordScan::new(word, bits));
                    1
                }
            };
        }
        scan
    }

    /// Whether all floats are finite in all rows, which are `stride` words apart. Has no early exit: usually all are.
    #[inline]
    pub(super) fn is_finite(&self, rows: &[u64], stride: usize) -> bool {
        let mut carries = 0;
        for (words, scan) in &self.runs {
            for row in rows.chunks_exact(stride) {
                carries |= scan.run(&row[words.clone()]);
            }
        }
        for scan in &self.eights {
            carries |= scan.carries(rows, stride);
        }
        for scan in &self.fours {
            carries |= scan.carries(rows, stride);
        }
        for scan in &self.twos {
            carries |= scan.carries(rows, stride);
        }
        for scan in &self.singles {
            carries |= scan.carries(rows, stride);
        }
        carries & SIGN_BITS == 0
    }
}

impl WordScan<1> {
    /// The carries of consecutive words, combined by OR.
    #[inline]
    fn run(&self, words: &[u64]) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions with which the function is compiled.
            return unsafe { self.run_with_avx2(words) };
        }
        self.run_of(words)
    }

    /// As [`run_of`](Self::run_of), compiled with vectors of twice the length.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn run_with_avx2(&self, words: &[u64]) -> u64 {
        self.run_of(words)
    }

    #[inline(always)]
    fn run_of(&self, words: &[u64]) -> u64 {
        words.iter().fold(0, |carries, &word| carries | self.carry(word))
    }
}

/// For each word of a row, the exponent bits of the floats in it.
fn exponent_bits(schema: &Schema) -> Vec<u64> {
    const F32_EXPONENT: u64 = f32::INFINITY.to_bits() as u64;
    const F64_EXPONENT: u64 = f64::INFINITY.to_bits();
    let layout = schema.layout();
    let mut exponents = vec![0; layout.row_words()];
    let mut add_f32 = |bytes: Range<usize>| {
        for index in bytes.start / 4..bytes.end / 4 {
            let is_upper_half = index % 2 == usize::from(cfg!(target_endian = "little"));
            exponents[index / 2] |= F32_EXPONENT << if is_upper_half { 32 } else { 0 };
        }
    };
    add_f32(layout.observation());
    add_f32(layout.reward_terms());
    let action = || schema.action().iter().zip(layout.action_offsets());
    let bytes = |column: &Column, start: usize| start..start + column.width() * column.dtype.size();
    for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F32) {
        add_f32(bytes(column, start));
    }
    for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F64) {
        let bytes = bytes(column, start);
        exponents[bytes.start / 8..bytes.end / 8].fill(F64_EXPONENT);
    }
    exponents
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::schema::Space;

    #[test]
    fn every_float_of_a_row_is_scanned_and_nothing_else() {
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
            let (scan, words) = (FiniteScan::new(&schema), layout.row_words());
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
                    let found = !scan.is_finite(&row(at, &value.to_ne_bytes()), words);
                    // The upper half of a double is an infinite single's bits when it is large, which is no error.
                    assert_eq!(found, singles.contains(&at), "{features} {at}");
                }
            }
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!scan.is_finite(&row(double, &value.to_ne_bytes()), words));
            }
            for value in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0] {
                assert!(
                    singles
                        .iter()
                        .all(|&at| scan.is_finite(&row(at, &value.to_ne_bytes()), words))
                );
            }
            for value in [f64::MAX, f64::MIN, -0.0] {
                assert!(scan.is_finite(&row(double, &value.to_ne_bytes()), words));
            }
        }
    }
}
