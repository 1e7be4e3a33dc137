"""SipHash-2-4 with a zero key, the hash of a schema."""

from __future__ import annotations

import struct

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def siphash24(data: bytes) -> int:
    """Hash bytes with SipHash-2-4 and a key of zeros.

    Parameters
    ----------
    data : bytes
        The message.

    Returns
    -------
    int
        The hash, 64 bits.
    """
    state = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    whole = len(data) - len(data) % 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    words = struct.unpack(f"<{whole // 8 + 1}Q", data[:whole] + last)
    for word in words:
        a, b, c, d = state
        state = _rounds(a, b, c, d ^ word, 2)
        a, b, c, d = state
        state = (a ^ word, b, c, d)
    a, b, c, d = state
    a, b, c, d = _rounds(a, b, c ^ 0xFF, d, 4)
    return a ^ b ^ c ^ d


def _rounds(a: int, b: int, c: int, d: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        a = (a + b) & _MASK
        b = ((b << 13) | (b >> 51)) & _MASK
        b ^= a
        a = ((a << 32) | (a >> 32)) & _MASK
        c = (c + d) & _MASK
        d = ((d << 16) | (d >> 48)) & _MASK
        d ^= c
        a = (a + d) & _MASK
        d = ((d << 21) | (d >> 43)) & _MASK
        d ^= a
        c = (c + b) & _MASK
        b = ((b << 17) | (b >> 47)) & _MASK
        b ^= c
        c = ((c << 32) | (c >> 32)) & _MASK
    return a, b, c, d
