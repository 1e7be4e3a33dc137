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
        while len(nodes) and nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            # Sums are made anew, so that rounding errors do not add up.
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw leaves in proportion to their values, one from each of ``count`` equal ranges of the sum."""
        points = (np.arange(count) + rng.random(count)) / count * self.total
        nodes = np.ones(count, np.int64)
        while len(nodes) and nodes[0] < self._first:
            left = self._nodes[2 * nodes]
            # Rounding must not lead to a subtree without a value.
            goes_right = (points >= left) & (self._nodes[2 * nodes + 1] > 0)
            points = np.where(goes_right, points - left, np.minimum(points, left))
            nodes = 2 * nodes + goes_right
        return nodes - self._first
