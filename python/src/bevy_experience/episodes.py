"""Episodes: the rows of one life of a player, with the final observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .batch import Batch
from .schema import Schema

if TYPE_CHECKING:
    from .transitions import Transitions


@dataclass(frozen=True)
class Episode:
    """An episode of T transitions, or a part of one that a filter of rows selected.

    Attributes
    ----------
    episode_id, agent_id, run : int
        Its id, its player, and the process that recorded it.
    match_id : int or None
        The match within the process.
    continues : int or None
        The episode that this one continues, after a split or a gap.
    terminated : bool
        Whether the world ended it. Otherwise it was truncated, and a value function bootstraps from
        the last observation.
    end_reason : str or None
        Why it ended; ``None`` for a part that stops before the end of its episode.
    first_step : int
        The step of the first transition, 0 in a whole episode.
    tags : frozenset of str
        Its tags.
    observations : numpy.ndarray
        ``float32 [T + 1, F]``, the last of them from before the reset.
    images : dict of str to numpy.ndarray
        ``uint8 [T + 1, H, W, C]``, by name.
    actions : dict of str to numpy.ndarray
        ``[T, *shape]`` of each head, in its own type.
    rewards : numpy.ndarray
        ``float64 [T]``.
    action_masks : numpy.ndarray or None
        ``bool [T + 1, K]``.
    columns : Batch
        All other columns of the rows: ``tick``, ``ticks``, ``timestamp``, ``reward.<term>``,
        ``info.<name>`` and so on, ``[T, ...]``.
    """

    schema: Schema
    episode_id: int
    agent_id: int
    run: int
    match_id: int | None
    continues: int | None
    terminated: bool
    end_reason: str | None
    first_step: int
    tags: frozenset[str]
    observations: NDArray[np.float32]
    images: dict[str, NDArray[np.uint8]]
    actions: dict[str, NDArray[Any]]
    rewards: NDArray[np.float64]
    action_masks: NDArray[np.bool_] | None
    columns: Batch

    def __len__(self) -> int:
        return len(self.rewards)

    def __repr__(self) -> str:
        return (
            f"Episode({self.episode_id}, {len(self)} transitions of agent {self.agent_id}, "
            f"return {self.total_reward:.6g}, {self.end_reason})"
        )

    @property
    def truncated(self) -> bool:
        """Whether only the recording ended."""
        return not self.terminated

    @property
    def total_reward(self) -> float:
        """The sum of its rewards."""
        return float(self.rewards.sum())

    @property
    def flat_actions(self) -> NDArray[np.float32]:
        """All values of the actions, ``float32 [T, A]``; see `Batch.flat_action`."""
        return self.columns.flat_action


class Episodes(Sequence[Episode]):
    """The episodes of a selection, one for each segment. Memory holds those that are used."""

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions

    def __len__(self) -> int:
        return len(self._transitions.segments)

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> list[Episode]: ...
    def __getitem__(self, index: int | slice) -> Episode | list[Episode]:
        if isinstance(index, slice):
            return [self._episode(position) for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"episode {index} of {len(self)}")
        return self._episode(position)

    @property
    def table(self) -> dict[str, NDArray[Any]]:
        """One value for each episode, ``[len(self)]``.

        ``episode_id``, ``agent_id``, ``run``, ``match_id``, ``continues`` (the last two are masked
        arrays), ``terminated``, ``truncated``, ``end_reason`` (strings), ``length`` and ``return``
        (those of the whole episode, also where a part is selected).
        """
        source = self._transitions._source
        episode = self._transitions.segments.episode
        names = ("episode_id", "agent_id", "run", "match_id", "continues", "terminated")
        table = {name: source.episode_column(name, episode) for name in (*names, "truncated", "length", "return")}
        words = np.array(source.store.labels("end_reason"), object)
        codes = source.store["episodes.end_reason"].take(episode)
        table["end_reason"] = words[codes] if len(words) else np.zeros(0, object)
        return table

    def _episode(self, position: int) -> Episode:
        transitions = self._transitions
        source, segments = transitions._source, transitions.segments
        start, stop = int(segments.start[position]), int(segments.stop[position])
        episode = segments.episode[position : position + 1]
        schema, store = source.schema, source.store
        rows = np.arange(start, stop)
        final = source.gather(tuple(name for name in source.names if name.startswith("next_")), rows[-1:])

        def with_final(name: str) -> NDArray[Any]:
            return np.concatenate((store[name][start:stop], final[f"next_{name}"]))

        row_columns = {
            name: store[name][start:stop] for name in source.names if name in store and not name.startswith("next_")
        }
        columns = Batch(schema, row_columns)

        def one(name: str) -> int | None:
            value = source.episode_column(name, episode)[0]
            return None if value is np.ma.masked else int(value)

        is_whole_end = bool(source.is_last(rows[-1:])[0])
        reason = store.labels("end_reason")[int(store["episodes.end_reason"][episode[0]])]
        episode_id = one("episode_id") or 0
        return Episode(
            schema=schema,
            episode_id=episode_id,
            agent_id=one("agent_id") or 0,
            run=one("run") or 0,
            match_id=one("match_id"),
            continues=one("continues"),
            terminated=bool(store["terminated"][stop - 1]),
            end_reason=reason if is_whole_end else None,
            first_step=int(store["step"][start]),
            tags=transitions._tags().get(episode_id, frozenset()),
            observations=(
                with_final("observation") if "observation" in store else np.zeros((stop - start + 1, 0), np.float32)
            ),
            images={image.name: with_final(f"observation.{image.name}") for image in schema.images},
            actions=columns.actions,
            rewards=store["reward"][start:stop],
            action_masks=with_final("action_mask") if schema.action_mask else None,
            columns=columns,
        )
