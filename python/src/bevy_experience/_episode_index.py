"""Finds the episodes in the rows of a shard, and checks that each of them is whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._conform import Values

_MAX_RUN = 0x7FFF_FFFF


class EpisodeRuleError(Exception):
    """Rows break a rule of episodes. The message is a sentence."""


class EpisodeRows(NamedTuple):
    """The episodes that end in a batch of rows."""

    of_row: NDArray[np.int32]
    """The index of each row's episode."""
    last: NDArray[np.int64]
    """The last row of each episode, within the batch."""
    table: Mapping[str, Values]
    """The episode columns, one value for each episode."""
    terminated: NDArray[np.bool_]
    first_row: NDArray[np.int64]
    """The first row of each episode, within the recording."""
    length: NDArray[np.int64]


class EpisodeIndex:
    """Counts rows and episodes. An episode may span batches; it never spans shards."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows that were committed."""
        self.episodes = 0
        """Whole episodes that were committed."""
        self._open: dict[str, tuple[int, bool]] | None = None
        self._open_rows = 0
        self._open_return = 0.0
        self._pending: tuple[EpisodeRows, dict[str, tuple[int, bool]] | None] | None = None

    def add(
        self,
        keys: Mapping[str, Values],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        step: NDArray[np.int32],
    ) -> EpisodeRows:
        """Divide the rows of a batch into episodes. Changes nothing before `commit`."""
        count = len(step)
        last = terminated | truncated
        first = np.ones(count, bool)
        first[1:] = last[:-1]
        if count and self._open is not None:
            first[0] = False
        ids = keys["episode_id"].data
        if (terminated & truncated).any():
            episode = ids[terminated & truncated][0]
            raise EpisodeRuleError(f"episode {episode} is both terminated and truncated")
        for name in ("episode_id", "agent_id", "run", "continues"):
            self._check_same(ids, name, keys[name], first)
        self._check_steps(ids, step, first)
        run = keys["run"].data
        if ((run < 0) | (run > _MAX_RUN)).any():
            wrong = (run < 0) | (run > _MAX_RUN)
            reason = f"episode {ids[wrong][0]} is of run {run[wrong][0]}, which is not a valid run"
            raise EpisodeRuleError(reason)
        ends = np.flatnonzero(last)
        of_row = (self.episodes + np.cumsum(last) - last).astype(np.int32)
        end_rows = self.rows + ends
        open_from = self.rows - self._open_rows
        first_row = np.concatenate(([open_from], end_rows + 1))[: len(ends)].astype(np.int64)
        # The rows of an episode agree in these columns, so its last row stands for all.
        table = {
            name: Values(values.data[ends], None if values.valid is None else values.valid[ends])
            for name, values in keys.items()
        }
        episodes = EpisodeRows(of_row, ends, table, terminated[ends], first_row, end_rows + 1 - first_row)
        open_keys = {name: _at(values, -1) for name, values in keys.items()} if count else {}
        self._pending = (episodes, None if count and last[-1] else open_keys or self._open)
        return episodes

    def returns(self, episodes: EpisodeRows, reward: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the rewards of each episode, ``float64 [episodes]``; call it once for each batch."""
        count = len(episodes.last)
        if not count:
            self._open_return += float(reward.sum())
            return np.zeros(0)
        starts = np.concatenate(([0], episodes.last[:-1] + 1))
        sums = np.add.reduceat(reward[: episodes.last[-1] + 1], starts)
        sums[0] += self._open_return
        self._open_return = float(reward[episodes.last[-1] + 1 :].sum())
        return np.asarray(sums)

    def commit(self, rows: int) -> None:
        """Count the rows of the last batch."""
        assert self._pending is not None
        episodes, self._open = self._pending
        ends = episodes.last
        self.rows += rows
        self.episodes += len(ends)
        self._open_rows = rows - int(ends[-1]) - 1 if len(ends) else self._open_rows + rows

    def finish(self) -> None:
        """End a shard, in which no episode may be open."""
        if self._open is not None:
            raise EpisodeRuleError(f"episode {self._open['episode_id'][0]} has no last row")

    def rollback(self) -> tuple[int, int]:
        """Drop the open episode. Returns the numbers of rows and episodes that are left."""
        self.rows -= self._open_rows
        self._open, self._open_rows, self._open_return = None, 0, 0.0
        return self.rows, self.episodes

    def _check_same(self, ids: NDArray[np.int64], name: str, values: Values, first: NDArray[np.bool_]) -> None:
        differs = values.data[1:] != values.data[:-1]
        if values.valid is not None:
            differs |= values.valid[1:] != values.valid[:-1]
        wrong = np.flatnonzero(differs & ~first[1:])
        if len(wrong):
            raise EpisodeRuleError(f"episode {ids[wrong[0]]} has no last row")
        if len(ids) and self._open is not None and _at(values, 0) != self._open[name]:
            raise EpisodeRuleError(f"episode {self._open['episode_id'][0]} has no last row")

    def _check_steps(self, ids: NDArray[np.int64], step: NDArray[np.int32], first: NDArray[np.bool_]) -> None:
        position = np.arange(len(step))
        begin = np.maximum.accumulate(np.where(first, position, 0)) if len(step) else position
        expected = position - begin
        if self._open is not None and len(step):
            carried = ~np.logical_or.accumulate(first)
            expected = expected + np.where(carried, self._open_rows, 0)
        wrong = np.flatnonzero(step != expected)
        if len(wrong):
            row = wrong[0]
            raise EpisodeRuleError(f"episode {ids[row]} has step {step[row]} where step {expected[row]} should be")


def _at(values: Values, row: int) -> tuple[int, bool]:
    valid = values.valid is None or bool(values.valid[row])
    return int(values.data[row]) if valid else 0, valid
