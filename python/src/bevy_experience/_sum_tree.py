"""A binary tree of sums, which draws leaves in proportion to their values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class SumTree:
    """Values of leaves, and in each inner node the sum of its two children.

    An update and a draw take O(log n) steps for each leaf, and are vectorized over the leaves.

    Parameters
    ----------
    leaves : int
        The number of leaves; their values are 0.
    """

    def __init__(self, leaves: int) -> None:
        self._first = 1 << max(leaves - 1, 1).bit_length()
        # Node 1 is the root, and the children of node i are 2 i and 2 i + 1.
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(self._nodes[1])

    def __getitem__(self, leaves: NDArray[np.int64]) -> NDArray[np.float64]:
        values: NDArray[Any] = self._nodes[self._first + leaves]
        return values

    def set(self, leaves: NDArray[np.int64], values: NDArray[np.float64] | float) -> None:
        """Set the values of leaves. Of a leaf that is named twice, the last value stays."""
        nodes = self._first + np.asarray(leaves)
        self._nodes[nodes] = values
        # Sums are made anew, so that rounding errors do not add up. A node that several leaves share is made
        # several times, which takes less time than finding them.
        for _ in range(self._first.bit_length() - 1):
            left = nodes & -2
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes.take(left) + self._nodes.take(left + 1)

    def fill(self, start: int, stop: int, value: float) -> None:
        """Set the values of the leaves from ``start`` to before ``stop`` to one value."""
        if start == stop:
            return
        first, last = self._first + start, self._first + stop - 1
        self._nodes[first : last + 1] = value
        while first > 1:
            first, last = first >> 1, last >> 1
            children = self._nodes[2 * first : 2 * last + 2]
            np.add(children[::2], children[1::2], out=self._nodes[first : last + 1])

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw leaves in proportion to their values, one from each of ``count`` equal ranges of the sum."""
        points = (np.arange(count) + rng.random(count)) / count * self.total
        leaves = self._find(points)
        while (is_empty := self._nodes.take(leaves) == 0).any():
            # Rounding led to a leaf without a value.
            leaves[is_empty] = self._find(rng.random(np.count_nonzero(is_empty)) * self.total)
        return leaves - self._first

    def _find(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the node of the leaf at each point of the sum."""
        nodes = np.ones(len(points), np.int64)
        for _ in range(self._first.bit_length() - 1):
            nodes *= 2
            left = self._nodes.take(nodes)
            goes_right = points >= left
            points = points - left * goes_right
            nodes += goes_right
        return nodes
