"""Splits: parts of a selection, none of which holds data that leaks into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ._siphash import siphash24
from .errors import UnsuitableError

if TYPE_CHECKING:
    from .transitions import Transitions

Group = Literal["episode", "agent", "run", "match"]


def split(
    transitions: Transitions, fractions: Sequence[float], *, by: Group = "episode", seed: int = 0
) -> tuple[Transitions, ...]:
    """Divide a selection into parts of about these fractions of its transitions.

    Rows that tell of each other are in one part. Episodes that continue each other always are,
    because the one begins where the other ends, also if an episode between them was filtered out.
    The order of the groups depends on their ids and the seed alone, so that a part changes little
    when runs are added to the dataset. ``experience split`` writes the same parts of a whole
    recording to datasets of their own.

    Parameters
    ----------
    transitions : Transitions
        The selection.
    fractions : sequence of float
        The size of each part. If their sum is less than 1, the rest is left out.
    by : {"episode", "agent", "run", "match"}
        What is in one part. ``"episode"`` does not divide an episode; episodes of one match then are
        in several parts, and players in them observe each other. ``"agent"`` keeps the episodes of a
        player together; players without an id of their own, which have negative ids, are different
        ones in each run. ``"match"`` keeps all players of a match together, and ``"run"`` those of
        a process. Episodes without a match are grouped by their run.
    seed : int
        The seed of the order.

    Returns
    -------
    tuple of Transitions
        One selection for each fraction.

    Raises
    ------
    UnsuitableError
        If there are fewer groups than parts, or the fractions are not positive numbers whose sum is
        at most 1.
    """
    if not fractions or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
        raise UnsuitableError(f"the fractions {tuple(fractions)}: give positive numbers whose sum is at most 1")
    if by not in ("episode", "agent", "run", "match"):
        raise UnsuitableError(f'by={by!r}: it is "episode", "agent", "run" or "match"')
    segments = transitions.segments
    group_of_episode, names = _groups(transitions, by)
    group = group_of_episode[segments.episode]
    sizes = np.bincount(group, segments.stop - segments.start, minlength=len(names))
    present = np.flatnonzero(sizes)
    if len(present) < len(fractions):
        raise UnsuitableError(
            f"{len(present)} {by if len(present) == 1 else _PLURALS[by]} cannot be divided into {len(fractions)} "
            "parts: record more, or split by something smaller"
        )
    order = np.array(sorted(present, key=lambda index: (_rank(names[index], seed), int(names[index]))))
    part_of_group = np.full(len(names), -1)
    part_of_group[order] = _parts(sizes[order], fractions)
    part = part_of_group[group]
    return tuple(transitions._with(segments.select(part == index)) for index in range(len(fractions)))


def _parts(sizes: NDArray[np.float64], fractions: Sequence[float]) -> NDArray[np.int64]:
    """Assign groups, in their order, to parts: by the middle of each in the sum of the sizes."""
    middle = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    edges = np.cumsum(fractions)
    # A part takes the rest of the rounding errors.
    edges[-1] = np.inf if abs(edges[-1] - 1) < 1e-9 else edges[-1]
    part = np.searchsorted(edges, middle, side="right")
    part[part == len(fractions)] = -1
    for empty in range(len(fractions)):
        if not (part == empty).any():
            # The largest part that has several groups, or what is left out, gives one.
            counts = np.bincount(part + 1, minlength=len(fractions) + 1)
            counts[1:][counts[1:] < 2] = 0
            part[np.flatnonzero(part == counts.argmax() - 1)[0]] = empty
    return np.asarray(part)


def _rank(name: str, seed: int) -> int:
    """Compute a number that orders groups, the same as in `experience split`."""
    return siphash24(f"{seed}/{name}".encode())


def _groups(transitions: Transitions, by: Group) -> tuple[NDArray[np.int64], list[str]]:
    """Number the groups of all episodes of the recording, and name each by its smallest member."""
    source = transitions._source
    store = source.store
    everything = np.arange(store.episodes)
    columns = {name: source.episode_column(name, everything) for name in _COLUMNS}
    ids, agents, runs = (columns[name].tolist() for name in ("episode_id", "agent_id", "run"))
    # Masked values become `None`.
    matches, continues = (columns[name].tolist() for name in ("match_id", "continues"))
    joined = _DisjointSets()
    for index, episode in enumerate(ids):
        joined.add(f"episode {episode}")
        if continues[index] is not None:
            joined.join(f"episode {episode}", f"episode {continues[index]}")
        key = {
            "episode": f"episode {episode}",
            "agent": f"agent {agents[index]}" if agents[index] >= 0 else f"agent {agents[index]} of run {runs[index]}",
            "run": f"run {runs[index]}",
            "match": f"match {matches[index]} of run {runs[index]}",
        }[by]
        joined.join(f"episode {episode}", key)
    members: dict[str, str] = {}
    roots = [joined.find(f"episode {episode}") for episode in ids]
    for root, episode in zip(roots, ids, strict=True):
        # Episode ids grow with time, so the name stays when episodes are added.
        known = members.get(root)
        if known is None or int(known) > episode:
            members[root] = str(episode)
    numbers = {root: number for number, root in enumerate(members)}
    return np.array([numbers[root] for root in roots], np.int64), list(members.values())


_PLURALS: dict[Group, str] = {"episode": "episodes", "agent": "agents", "match": "matches", "run": "runs"}
_COLUMNS = ("episode_id", "agent_id", "run", "match_id", "continues")


class _DisjointSets:
    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def add(self, item: str) -> None:
        self._parent.setdefault(item, item)

    def find(self, item: str) -> str:
        self.add(item)
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: str, b: str) -> None:
        self._parent[self.find(a)] = self.find(b)
