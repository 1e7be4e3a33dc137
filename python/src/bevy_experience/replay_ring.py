"""The last transitions of a stream, on the side of the trainer."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._sum_tree import SumTree
from .batch import Batch
from .errors import UnsuitableError
from .schema import Schema

if TYPE_CHECKING:
    from typing_extensions import Self

    from .stream import Stream

_SMALLEST_PRIORITY = 1e-6
"""Keeps transitions without an error drawable."""


class PrioritizedBatch(NamedTuple):
    """Transitions that were drawn by their priorities."""

    batch: Batch
    """The transitions, ``(B, ...)``."""
    ids: NDArray[np.int64]
    """Their ids, ``int64 [B]``, for `ReplayRing.update_priorities`."""
    weights: NDArray[np.float32]
    """Importance weights, ``float32 [B]``, of which the largest is 1."""


class ReplayRing:
    """The last ``capacity`` transitions, with uniform and prioritized sampling.

    Prioritized sampling is the proportional variant of Schaul, Quan, Antonoglou and Silver,
    "Prioritized Experience Replay", ICLR 2016 (arXiv:1511.05952): transition i is drawn with a
    probability in proportion to ``priority[i] ** alpha``, and weighted by ``(n P(i)) ** -beta``,
    divided by the largest weight of the batch. New transitions have the largest priority so far.

    All methods can be called from any thread.

    Parameters
    ----------
    capacity : int
        The number of transitions.
    alpha : float
        How much priorities matter; 0 draws uniformly.
    seed : int, optional
        The seed of the draws.
    """

    def __init__(self, capacity: int, *, alpha: float = 0.6, seed: int | None = None) -> None:
        if capacity < 1:
            raise UnsuitableError(f"a ring of {capacity} transitions: `capacity` must be 1 or more")
        if alpha < 0:
            raise UnsuitableError(f"`alpha` is {alpha}, and must be 0 or more")
        self.capacity = capacity
        self.alpha = alpha
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._grown = threading.Condition(self._lock)
        self._schema: Schema | None = None
        self._columns: dict[str, NDArray[Any]] = {}
        self._valid = np.zeros(capacity, np.bool_)
        # The number of valid slots.
        self._count = 0
        # Made when it is first needed: draws without priorities need none.
        self._tree: SumTree | None = None
        self._largest = 1.0
        self._added = 0
        self._thread: threading.Thread | None = None
        self._stream: Stream | None = None
        self._error: BaseException | None = None
        self._is_over = False

    def __len__(self) -> int:
        """Return the number of transitions that can be drawn."""
        with self._lock:
            return self._count

    @property
    def added(self) -> int:
        """The number of transitions that were added so far."""
        return self._added

    def add(self, batch: Batch) -> None:
        """Add the transitions of a batch. The oldest ones are overwritten."""
        rows = len(next(iter(batch.values())))
        with self._lock:
            self._allocate(batch)
            read = max(rows - self.capacity, 0)
            # At most two parts: up to the last slot, and from the first one on.
            while read < rows:
                start = (self._added + read) % self.capacity
                count = min(rows - read, self.capacity - start)
                self._write(batch, read, slice(start, start + count))
                read += count
            self._added += rows
            self._grown.notify_all()

    def _write(self, batch: Batch, first: int, slots: slice) -> None:
        """Write the rows of a batch from ``first`` on into consecutive slots."""
        count = slots.stop - slots.start
        for name, stored in self._columns.items():
            stored[slots] = batch[name][first : first + count]
        self._count += count - int(np.count_nonzero(self._valid[slots]))
        self._valid[slots] = True
        if self._tree is not None:
            self._tree.fill(slots.start, slots.stop, self._largest**self.alpha)

    def _allocate(self, batch: Batch) -> None:
        if self._schema is None:
            self._schema = batch.schema
            for name, values in batch.items():
                make = np.ma.zeros if np.ma.isMaskedArray(values) else np.zeros
                self._columns[name] = make((self.capacity, *values.shape[1:]), values.dtype)
        elif self._schema.hash != batch.schema.hash or set(self._columns) != set(batch):
            raise UnsuitableError("the batch has other columns than the ring: use a ring for each recording")

    def forget(self, episodes: Iterable[int]) -> None:
        """Remove the transitions of episodes that were discarded. Needs the column ``episode_id``."""
        ids = np.fromiter(episodes, np.int64)
        with self._lock:
            if not len(ids) or "episode_id" not in self._columns:
                return
            (slots,) = (self._valid & np.isin(self._columns["episode_id"], ids)).nonzero()
            self._valid[slots] = False
            self._count -= len(slots)
            if self._tree is not None:
                self._tree.set(slots, 0.0)

    def sample(self, size: int) -> Batch:
        """Draw transitions uniformly, with replacement: arrays of shape ``(size, ...)``."""
        with self._lock:
            self._check()
            filled = min(self._added, self.capacity)
            slots = self._rng.integers(0, filled, size)
            if self._count < filled and not self._valid[slots].all():
                slots = self._rng.choice(self._valid.nonzero()[0], size)
            return self._take(slots)

    def sample_prioritized(self, size: int, *, beta: float = 0.4) -> PrioritizedBatch:
        """Draw transitions by their priorities.

        Parameters
        ----------
        size : int
            The number of transitions.
        beta : float
            How far the weights correct the bias of the draws: 0 not at all, 1 fully.
        """
        with self._lock:
            self._check()
            tree = self._priorities()
            slots = tree.draw(size, self._rng)
            probabilities = tree[slots] / tree.total
            weights = (self._count * probabilities) ** -beta
            # The newest transition that is stored in each slot.
            last = self._added - 1
            ids = last - (last - slots) % self.capacity
            return PrioritizedBatch(self._take(slots), ids, (weights / weights.max()).astype(np.float32))

    def update_priorities(self, ids: NDArray[np.int64], priorities: NDArray[Any]) -> None:
        """Set priorities, such as the absolute errors of a critic, ``[B]``.

        Transitions that were overwritten or forgotten since they were drawn are left out.
        """
        ids, priorities = np.asarray(ids), np.asarray(priorities, np.float64).reshape(-1)
        if ids.shape != priorities.shape or not np.isfinite(priorities).all() or (priorities < 0).any():
            raise UnsuitableError("priorities are finite numbers of 0 or more, one for each id")
        priorities = np.maximum(priorities, _SMALLEST_PRIORITY)
        with self._lock:
            slots = ids % self.capacity
            stays = (ids >= self._added - self.capacity) & (ids < self._added) & self._valid[slots]
            self._priorities().set(slots[stays], priorities[stays] ** self.alpha)
            if stays.any():
                self._largest = max(self._largest, float(priorities[stays].max()))

    def _priorities(self) -> SumTree:
        if self._tree is None:
            # No priority was set before, so all transitions have the same.
            self._tree = SumTree(self.capacity)
            self._tree.set(self._valid.nonzero()[0], self._largest**self.alpha)
        return self._tree

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._count:
            raise UnsuitableError("the ring is empty: call `wait` before it is drawn from")

    def _take(self, slots: NDArray[Any]) -> Batch:
        assert self._schema is not None
        return Batch(self._schema, {name: values.take(slots, axis=0) for name, values in self._columns.items()})

    def follow(self, stream: Stream) -> Self:
        """Fill the ring from a stream, in a thread that ends with the stream or with `close`.

        Discarded episodes are forgotten. An error of the stream is raised by the next draw.
        """
        if self._thread is not None:
            raise UnsuitableError("the ring follows a stream already: use a ring for each stream")
        self._stream = stream
        # At once, because a stream of an idle game may have no next batch.
        self.forget(stream.take_withdrawn())
        stream._on_withdrawn = self.forget
        self._thread = threading.Thread(target=self._fill, args=(stream,), name="replay-ring", daemon=True)
        self._thread.start()
        return self

    def _fill(self, stream: Stream) -> None:
        try:
            for batch in stream:
                self.add(batch)
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                self._is_over = True
                self._grown.notify_all()

    def wait(self, transitions: int, timeout: float | None = None) -> bool:
        """Wait until so many transitions were added. Returns whether they were.

        Returns early if the stream that the ring follows ends.
        """
        with self._lock:
            self._grown.wait_for(lambda: self._added >= transitions or self._is_over, timeout)
            if self._error is not None:
                raise self._error
            return self._added >= transitions

    def close(self) -> None:
        """End the stream that the ring follows, and its thread."""
        if self._stream is not None:
            self._stream.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
