//! CRC-32C of any part of a file, in constant time for each part.
//!
//! A checksum is linear: that of a part follows from those of the two prefixes that end where the part begins and ends. So a
//! search that tries every offset, each with any length, takes time in proportion to the file. The arithmetic is that of
//! `crc32_combine` in [zlib](https://zlib.net).

/// The polynomial of CRC-32C, with the coefficient of x⁰ in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Bytes between two prefixes whose checksum is stored.
const STRIDE: usize = 64;

/// The checksums of the parts of one file.
pub(super) struct SubstringSums<'a> {
    bytes: &'a [u8],
    /// Checksums of the prefixes of 0, 1, 2, … strides.
    prefixes: Vec<u32>,
    /// `powers[k][n]` is x to the power of 8 · n · 256ᵏ: appending that many bytes multiplies a checksum by it.
    powers: [[u32; 256]; 4],
}

impl<'a> SubstringSums<'a> {
    /// Reads all of `bytes`, which are shorter than 4 GiB.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut prefixes = vec![0];
        for stride in bytes.chunks_exact(STRIDE) {
            prefixes.push(crc32c::crc32c_append(prefixes[prefixes.len() - 1], stride));
        }
        let mut powers = [[1 << 31; 256]; 4];
        let mut base = 1 << 23;
        for power in &mut powers {
            for n in 1..power.len() {
                power[n] = multiply(base, power[n - 1]);
            }
            base = multiply(base, power[255]);
        }
        Self {
            bytes,
            prefixes,
            powers,
        }
    }

    /// The CRC-32C of some bytes with the checksum `head`, followed by `len` bytes from offset `at` on.
    pub(super) fn after(&self, head: u32, at: usize, len: usize) -> u32 {
        let shift = (len as u32).to_le_bytes();
        let mut shifted = self.prefix(at) ^ head;
        for (power, n) in self.powers.iter().zip(shift) {
            if n > 0 {
                shifted = multiply(power[usize::from(n)], shifted);
            }
        }
        self.prefix(at + len) ^ shifted
    }

    fn prefix(&self, end: usize) -> u32 {
        let whole = end / STRIDE;
        crc32c::crc32c_append(self.prefixes[whole], &self.bytes[whole * STRIDE..end])
    }
}

/// The product of two polynomials, modulo [`POLYNOMIAL`].
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..u32::BITS).rev() {
        product ^= b & ((a >> bit) & 1).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_every_part_is_that_of_its_bytes() {
        let bytes: Vec<u8> = (0..300_u32).map(|byte| ((byte * byte) >> 3) as u8).collect();
        let sums = SubstringSums::new(&bytes);
        let head = b"head";
        for at in 0..bytes.len() {
            for len in 0..=bytes.len() - at {
                let part = [head, &bytes[at..at + len]].concat();
                assert_eq!(
                    sums.after(crc32c::crc32c(head), at, len),
                    crc32c::crc32c(&part),
                    "{at}, {len}"
                );
            }
        }
        let long = vec![7; 70_000];
        let sums = SubstringSums::new(&long);
        assert_eq!(sums.after(0, 3, 69_000), crc32c::crc32c(&long[3..69_003]));
    }
}
