"""Segments: contiguous rows of one episode each, of which a selection consists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Segments:
    """Contiguous rows of one episode each, in the order of the rows.

    Attributes
    ----------
    episode : numpy.ndarray
        The index of each segment's episode, ``int64 [S]``.
    start, stop : numpy.ndarray
        The first row of each segment, and the row after its last, ``int64 [S]``.
    """

    episode: Indices
    start: Indices
    stop: Indices

    def __len__(self) -> int:
        return len(self.episode)

    @cached_property
    def offset(self) -> Indices:
        """The position of each segment's first row in the selection, and the number of all rows."""
        return np.concatenate(([0], np.cumsum(self.stop - self.start)))

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(self.offset[-1])

    @cached_property
    def is_contiguous(self) -> bool:
        """Whether the rows follow each other without a gap."""
        return bool((self.start[1:] == self.stop[:-1]).all())

    def of(self, index: Indices) -> Indices:
        """Return the segment of each position in the selection."""
        return np.searchsorted(self.offset, index, side="right") - 1

    def rows(self, index: Indices) -> Indices:
        """Return the row of each position in the selection."""
        if self.is_contiguous:
            return index + self.start[0] if len(self) and self.start[0] else index
        segment = self.of(index)
        rows: Indices = self.start[segment] + index - self.offset[segment]
        return rows

    def select(self, mask: NDArray[np.bool_]) -> Segments:
        """Return the segments of which ``mask``, ``bool [S]``, is true."""
        return Segments(self.episode[mask], self.start[mask], self.stop[mask])

    def cut(self, mask: NDArray[np.bool_]) -> Segments:
        """Keep the rows of which ``mask``, ``bool [count]``, is true. Segments are divided."""
        index = np.flatnonzero(mask)
        segment = self.of(index)
        rows = self.start[segment] + index - self.offset[segment]
        begins = np.ones(len(rows), bool)
        begins[1:] = (rows[1:] != rows[:-1] + 1) | (segment[1:] != segment[:-1])
        ends = np.append(begins[1:], True)[: len(rows)]
        return Segments(self.episode[segment[begins]], rows[begins], rows[ends] + 1)
