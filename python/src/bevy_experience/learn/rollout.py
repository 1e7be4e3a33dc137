"""Rollouts: transitions that have arrived in batches of streams, in the order of their episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..batch import Batch
from ..schema import Schema

VERSION, LOGP = "info.policy_version", "info.behavior_logp"


def columns(schema: Schema) -> tuple[str, ...]:
    """Name the columns that a learner needs of a recording."""
    actions = tuple(f"action.{name}" for name in schema.heads) if schema.has_parts else ("action",)
    mask = ("action_mask",) if schema.action_mask else ()
    whole = ("reward", "terminated", "truncated", "run", "episode_id", "step", VERSION, LOGP)
    return ("observation", "next_observation", *actions, *mask, *whole)


@dataclass(frozen=True)
class Rollout:
    """Transitions in the order of their episodes.

    Attributes
    ----------
    batch : Batch
        The columns of the transitions.
    follows : numpy.ndarray
        Rows that are followed by the next one of the same episode, ``bool [N]``.
    lag : numpy.ndarray
        How many versions older the policy is that has acted, ``int64 [N]``.
    """

    batch: Batch
    follows: NDArray[np.bool_]
    lag: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lag)


@dataclass(frozen=True)
class Dropped:
    """Transitions that were left out.

    Attributes
    ----------
    old : int
        The policy that has acted is too old, or no version of this learner.
    undecided : int
        No policy has decided the action, so it has no probability.
    """

    old: int = 0
    undecided: int = 0


def assemble(parts: Iterable[tuple[int, Batch]], version: int, max_lag: int) -> tuple[Rollout | None, Dropped]:
    """Join batches, leave out what the learner cannot use, and order the rest.

    Parameters
    ----------
    parts : iterable of (int, Batch)
        Batches with `columns`, each with the number of the game that it is from.
    version : int
        The version of the newest policy.
    max_lag : int
        How many versions older a policy may be for its transitions to be used.

    Returns
    -------
    rollout : Rollout or None
        ``None`` if nothing is left.
    dropped : Dropped
        What was left out.
    """
    batches = list(parts)
    if not batches:
        return None, Dropped()
    schema, names = batches[0][1].schema, tuple(batches[0][1])
    found = {name: np.concatenate([batch[name] for _, batch in batches]) for name in names}
    game = np.concatenate([np.full(len(batch["step"]), number) for number, batch in batches])
    lag = version - found[VERSION].astype(np.int64)
    decided = (found[VERSION] > 0) & np.isfinite(found[LOGP])
    recent = (lag >= 0) & (lag <= max_lag)
    (rows,) = (decided & recent).nonzero()
    dropped = Dropped(int((decided & ~recent).sum()), int((~decided).sum()))
    if not len(rows):
        return None, dropped
    keys = [found[name][rows] for name in ("step", "episode_id", "run")]
    order = np.lexsort((*keys, game[rows]))
    step, episode, run = (key[order] for key in keys)
    rows = rows[order]
    same = (step[1:] == step[:-1] + 1) & (episode[1:] == episode[:-1]) & (run[1:] == run[:-1])
    same &= game[rows][1:] == game[rows][:-1]
    batch = Batch(schema, {name: values[rows] for name, values in found.items()})
    ended = batch.terminated | batch.truncated
    return Rollout(batch, np.append(same, False) & ~ended, lag[rows]), dropped
