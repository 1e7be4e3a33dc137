"""Follows the streams of some games, and holds the newest transitions for a learner."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..batch import Batch
from ..errors import StreamError
from ..schema import Schema
from ..stream import Missed, Stream, stream
from .rollout import VERSION, columns

_PAUSE = 0.5
"""Seconds between the end of a stream and the next subscription."""


@dataclass(frozen=True)
class EpisodeSummary:
    """Episodes that have ended, and were received from their beginning.

    Attributes
    ----------
    episodes : int
        How many.
    mean_return, mean_length : float
        Means of the sums of rewards, and of the numbers of transitions; NaN without an episode.
    """

    episodes: int
    mean_return: float
    mean_length: float


class StreamRows:
    """The newest transitions of some games.

    A thread for each game subscribes to its stream, waits for games that are not there yet, and subscribes
    again when one has ended. Where a learner is slower than its games, the oldest batches are skipped.

    Parameters
    ----------
    addresses : sequence of str
        The addresses of the games' ``StreamSink``.
    schema : Schema
        The schema of the recording, which the games must have.
    controllers : iterable of str
        What acts: ``"policy:fighter@*"`` for all versions of a policy. Other transitions are not sent.
    capacity : int
        The most rows that wait for the learner.
    token : str, optional
        The token of the games.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        schema: Schema,
        controllers: Iterable[str],
        *,
        capacity: int = 100_000,
        token: str | None = None,
    ) -> None:
        self.received = self.skipped = 0
        """Rows that have arrived, and those of them that no learner has taken."""
        self.newest: dict[int, int] = {}
        """The newest version of a policy that each game has played."""
        self._schema, self._controllers, self._token = schema, tuple(controllers), token
        self._capacity = capacity
        self._waiting: deque[tuple[int, Batch]] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._error: StreamError | None = None
        self._is_closed = False
        self._returns: list[_OpenEpisodes] = [_OpenEpisodes() for _ in addresses]
        self._streams: dict[int, Stream] = {}
        self._missed = Missed()
        self._threads = [
            threading.Thread(target=self._follow, args=(number, address), daemon=True, name=f"stream of {address}")
            for number, address in enumerate(addresses)
        ]
        for thread in self._threads:
            thread.start()

    def take(self, minimum: int, timeout: float) -> list[tuple[int, Batch]]:
        """Return all batches that wait, once they have ``minimum`` rows, or after ``timeout`` seconds.

        Returns
        -------
        list of (int, Batch)
            Each batch with the number of its game. There may be fewer rows after the timeout.

        Raises
        ------
        StreamError
            If a game refuses the subscription, or was started again with other columns.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._rows >= minimum or self._error is not None, timeout)
            if self._error is not None:
                raise self._error
            found = list(self._waiting)
            self._waiting.clear()
            self._rows = 0
            return found

    @property
    def missed(self) -> Missed:
        """What the games had sent when a thread was too slow, over all of them."""
        with self._changed:
            total = self._missed
            for found in self._streams.values():
                total = _sum(total, found.missed)
            return total

    def episodes(self) -> EpisodeSummary:
        """Summarize the episodes that have ended since the last call."""
        with self._changed:
            ended = [episode for game in self._returns for episode in game.take()]
        if not ended:
            return EpisodeSummary(0, float("nan"), float("nan"))
        returns, lengths = zip(*ended, strict=True)
        return EpisodeSummary(len(ended), float(np.mean(returns)), float(np.mean(lengths)))

    def close(self) -> None:
        """End the subscriptions."""
        with self._changed:
            self._is_closed = True
            streams = list(self._streams.values())
        for found in streams:
            found.close()
        for thread in self._threads:
            thread.join(5)

    def _follow(self, number: int, address: str) -> None:
        while not self._is_closed:
            found = stream(
                address,
                self._schema.name,
                unit="transitions",
                controllers=self._controllers,
                columns=columns(self._schema),
                token=self._token,
                patience=None,
            )
            with self._changed:
                self._streams[number] = found
            try:
                if found.schema.hash != self._schema.hash:
                    raise StreamError(
                        f"the game at `{address}` records other columns of `{self._schema.name}` than the learner "
                        "knows: give the learner a dataset of this game"
                    )
                for batch in found:
                    self._add(number, batch)
                    self._withdraw(found.take_withdrawn())
            except StreamError as error:
                with self._changed:
                    self._error = self._error or error
                    self._changed.notify_all()
                return
            # The game has closed its recording. Another may follow at this address.
            with self._changed:
                self._missed = _sum(self._missed, self._streams.pop(number).missed)
            time.sleep(_PAUSE)

    def _add(self, number: int, batch: Batch) -> None:
        with self._changed:
            self._returns[number].add(batch)
            self._waiting.append((number, batch))
            rows = len(batch.reward)
            self.received += rows
            self._rows += rows
            self.newest[number] = max(self.newest.get(number, 0), int(batch[VERSION].max()))
            while self._rows > self._capacity and len(self._waiting) > 1:
                _, oldest = self._waiting.popleft()
                self._rows -= len(oldest.reward)
                self.skipped += len(oldest.reward)
            self._changed.notify_all()

    def _withdraw(self, episodes: list[int]) -> None:
        """Remove the rows of episodes whose players do not consent to be recorded."""
        if not episodes:
            return
        with self._changed:
            kept: deque[tuple[int, Batch]] = deque()
            for number, batch in self._waiting:
                stays = ~np.isin(batch["episode_id"], episodes)
                if stays.any():
                    kept.append((number, Batch(batch.schema, {name: batch[name][stays] for name in batch})))
            self._waiting = kept
            self._rows = sum(len(batch.reward) for _, batch in kept)


class _OpenEpisodes:
    """The sums of rewards of a game's episodes."""

    def __init__(self) -> None:
        self._run: int | None = None
        self._open: dict[int, tuple[float, int]] = {}
        self._ended: list[tuple[float, int]] = []

    def add(self, batch: Batch) -> None:
        names = ("run", "episode_id", "step", "reward")
        ended = batch.terminated | batch.truncated
        for run, episode, step, reward, is_end in zip(
            *(batch[name].tolist() for name in names), ended.tolist(), strict=True
        ):
            if run != self._run:
                # The game was started again: its open episodes do not go on.
                self._run, self._open = run, {}
            total, expected = self._open.pop(episode, (0.0, 0))
            if step != expected:
                # Its beginning or a part of it was missed.
                continue
            if is_end:
                self._ended.append((total + reward, step + 1))
            else:
                self._open[episode] = (total + reward, step + 1)

    def take(self) -> list[tuple[float, int]]:
        ended, self._ended = self._ended, []
        return ended


def _sum(one: Missed, other: Missed) -> Missed:
    return Missed(one.transitions + other.transitions, one.episodes + other.episodes, one.restarts + other.restarts)
