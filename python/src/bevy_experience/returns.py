"""Returns: discounted sums of rewards, and transitions of several steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .batch import Batch
from .errors import UnsuitableError

if TYPE_CHECKING:
    from ._segments import Indices
    from .transitions import Index, Transitions


def check_discount(gamma: float) -> None:
    """Raise if ``gamma`` is no discount."""
    if not 0 <= gamma <= 1:
        raise UnsuitableError(f"gamma={gamma}: a discount is from 0 to 1")


def discounted(reward: NDArray[np.float64], gamma: float, *, bootstrap: float = 0.0) -> NDArray[np.float64]:
    """Compute the return after each step of one episode.

    Parameters
    ----------
    reward : numpy.ndarray
        ``float64 [T]``.
    gamma : float
        The discount of a transition.
    bootstrap : float
        The value of the final observation of a truncated episode.

    Returns
    -------
    numpy.ndarray
        ``float64 [T]``: ``returns[t] = reward[t] + gamma * returns[t + 1]``.
    """
    returns = np.zeros(len(reward))
    following = bootstrap
    for step in range(len(reward) - 1, -1, -1):
        following = float(reward[step]) + gamma * following
        returns[step] = following
    return returns


def returns_to_go(transitions: Transitions, gamma: float = 1.0) -> NDArray[np.float64]:
    """Compute the return after each row, to the end of its segment.

    The rest of a truncated episode is not in it: add the value of the final observation.

    Returns
    -------
    numpy.ndarray
        ``float64 [len(transitions)]``.
    """
    check_discount(gamma)
    reward = transitions["reward"]
    offset = transitions.segments.offset
    returns = np.empty(len(transitions))
    for start, stop in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        part = reward[start:stop]
        returns[start:stop] = part[::-1].cumsum()[::-1] if gamma == 1 else discounted(part, gamma)
    return returns


class NStep:
    """Transitions of up to n steps each, one for each row of a selection.

    ``nstep[index]`` is a `Batch` with the columns of a transition, in which ``reward`` is
    ``sum(gamma**k * reward[t + k])``, ``next_observation`` is that after the last of the steps, and
    ``terminated`` and ``truncated`` speak of it. Fewer steps are summed at the end of an episode or
    of a segment. Further columns are ``steps`` (``int64 [B]``, the number of steps) and ``discount``
    (``float64 [B]``): the target of a value function is
    ``reward + discount * value(next_observation)``, and ``discount`` is 0 after a termination and
    not after a truncation.

    Parameters
    ----------
    transitions : Transitions
        The selection.
    n : int
        The number of steps.
    gamma : float
        The discount.
    per_tick : bool
        Whether ``gamma`` is the discount of a tick and not of a transition, for recordings whose
        transitions last several ticks: with a decision interval, or where only changes are recorded.
    """

    def __init__(self, transitions: Transitions, n: int, gamma: float, *, per_tick: bool = False) -> None:
        if n < 1:
            raise UnsuitableError(f"n={n}: a transition has 1 step or more")
        check_discount(gamma)
        self._transitions = transitions
        self._n = n
        self._gamma = gamma
        self._per_tick = per_tick

    def __len__(self) -> int:
        return len(self._transitions)

    def __getitem__(self, index: Index) -> Batch:
        return self.take(index)

    def take(self, index: Index, *, columns: Iterable[str] | None = None) -> Batch:
        """Copy some transitions; see `Transitions.take`. ``columns`` are in addition."""
        transitions = self._transitions
        source, segments = transitions._source, transitions.segments
        positions = transitions._positions(index)
        first = segments.rows(positions)
        stop = segments.stop[segments.of(positions)]
        reward, discount, last = self._sum(first, stop)
        names = source.default_names if columns is None else tuple(columns)
        source.check(names)
        outcome = tuple(
            name
            for name in (*names, "terminated", "truncated")
            if name.startswith("next_") or name in ("terminated", "truncated")
        )
        batch = source.gather(tuple(name for name in names if name not in outcome), first)
        batch.update(source.gather(outcome, last))
        if transitions._is_cut:
            batch["truncated"] |= (last + 1 == stop) & ~batch["terminated"]
        batch["reward"] = reward
        batch["discount"] = np.where(batch["terminated"], 0.0, discount)
        batch["steps"] = last - first + 1
        return Batch(transitions.schema, batch)

    def _sum(self, first: Indices, stop: Indices) -> tuple[NDArray[np.float64], NDArray[np.float64], Indices]:
        """Sum the rewards of the rows from ``first``, up to n of them and before ``stop``."""
        store = self._transitions._source.store
        reward, ticks = store["reward"], store["ticks"]
        total, discount, last = np.zeros(len(first)), np.ones(len(first)), first.copy()
        for step in range(self._n):
            rows = first + step
            inside = rows < stop
            rows = np.where(inside, rows, first)
            total += np.where(inside, discount * reward.take(rows), 0.0)
            factor = self._gamma ** ticks.take(rows) if self._per_tick else self._gamma
            discount = np.where(inside, discount * factor, discount)
            last = np.where(inside, rows, last)
        return total, discount, last
