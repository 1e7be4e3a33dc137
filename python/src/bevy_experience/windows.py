"""Windows: sequences of one length for models that read several steps, padded at episode ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from .batch import Batch
from .errors import UnsuitableError
from .returns import check_discount, returns_to_go

if TYPE_CHECKING:
    from .transitions import Index, Transitions


class WindowSettings(TypedDict, total=False):
    """The settings of `Windows`."""

    stride: int
    pad: Literal["left", "right", "drop"]
    gamma: float
    columns: Iterable[str] | None


class Windows:
    """Sequences of ``length`` consecutive transitions, which never join two episodes.

    ``windows[index]`` is a `Batch` of arrays ``[B, L, ...]``, with three columns in addition:
    ``mask`` (``bool [B, L]``, which steps are real), ``return_to_go`` (``float64 [B, L]``, the sum
    of the rewards from a step to the end of its segment) and ``step`` (``int32 [B, L]``, the step
    within the episode). Padding is 0.

    Parameters
    ----------
    transitions : Transitions
        The selection.
    length : int
        The number of steps in a window.
    stride : int
        The distance between the first rows of two windows of a segment.
    pad : {"left", "right", "drop"}
        Whether padding precedes the steps (a window ends at each ``stride``-th row, as a policy with
        a memory of ``length`` steps sees it) or follows them (a window begins at each). ``"drop"``
        leaves out windows that do not fit into a segment.
    gamma : float
        The discount of ``return_to_go``.
    columns : iterable of str, optional
        The columns; by default those of a transition without what follows it.
    """

    def __init__(
        self,
        transitions: Transitions,
        length: int,
        *,
        stride: int = 1,
        pad: Literal["left", "right", "drop"] = "left",
        gamma: float = 1.0,
        columns: Iterable[str] | None = None,
    ) -> None:
        if length < 1 or stride < 1:
            raise UnsuitableError(f"length={length}, stride={stride}: both must be 1 or more")
        if pad not in ("left", "right", "drop"):
            raise UnsuitableError(f'pad={pad!r}: it is "left", "right" or "drop"')
        check_discount(gamma)
        source = transitions._source
        default = (name for name in source.default_names if not name.startswith("next_"))
        names = tuple(default if columns is None else columns)
        source.check(names)
        self._transitions = transitions
        self._names = tuple(dict.fromkeys((*names, "step")))
        self._length = length
        self._stride = stride
        self._is_left = pad == "left"
        self._gamma = gamma
        segments = transitions.segments
        rows = segments.stop - segments.start
        whole = np.maximum(rows - length + stride, 0) // stride
        counts = whole if pad == "drop" else -(-rows // stride)
        self._offset = np.concatenate(([0], np.cumsum(counts)))

    def __len__(self) -> int:
        return int(self._offset[-1])

    @cached_property
    def _returns(self) -> NDArray[np.float64]:
        return returns_to_go(self._transitions, self._gamma)

    def __getitem__(self, index: Index) -> Batch:
        transitions = self._transitions
        segments = transitions.segments
        positions = _check(index, len(self))
        segment = np.searchsorted(self._offset, positions, side="right") - 1
        anchor = segments.offset[segment] + (positions - self._offset[segment]) * self._stride
        first = anchor - self._length + 1 if self._is_left else anchor
        cells = first[:, None] + np.arange(self._length)
        low, high = segments.offset[segment, None], segments.offset[segment + 1, None]
        mask = (cells >= low) & (cells < high)
        flat = np.where(mask, cells, low).reshape(-1)
        gathered = transitions._gather(self._names, flat)
        columns = {name: values.reshape(*mask.shape, *values.shape[1:]) for name, values in gathered.items()}
        for values in columns.values():
            values[~mask] = np.ma.masked if np.ma.isMaskedArray(values) else None if values.dtype == object else 0
        columns["return_to_go"] = np.where(mask, self._returns.take(flat).reshape(mask.shape), 0.0)
        columns["mask"] = mask
        return Batch(transitions.schema, columns)

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Iterate over all windows once; see `Transitions.batches`."""
        count = len(self)
        order = np.random.default_rng(seed).permutation(count) if shuffle else np.arange(count)
        for start in range(0, count - size + 1 if drop_last else count, size):
            yield self[order[start : start + size]]


def _check(index: Index, count: int) -> NDArray[np.int64]:
    if isinstance(index, slice):
        return np.arange(*index.indices(count))
    positions = np.asarray(index).reshape(-1)
    if positions.dtype == bool:
        return np.flatnonzero(positions)
    if len(positions) and (positions.min() < -count or positions.max() >= count):
        raise IndexError(f"a window of {count} is out of range")
    return np.where(positions < 0, positions + count, positions).astype(np.int64)
