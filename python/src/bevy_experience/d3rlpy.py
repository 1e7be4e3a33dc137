"""Adapter to d3rlpy. Needs the extra ``d3rlpy``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._extras import action_array, chosen_action, extra, is_discrete, observation_only
from .transitions import Transitions


def to_mdp_dataset(transitions: Transitions, *, action: str | None = None, flat: bool = False) -> Any:
    """Make a dataset of d3rlpy.

    d3rlpy holds it in memory, and does not use the last transition of a truncated episode.

    Parameters
    ----------
    transitions : Transitions
        The transitions.
    action : str, optional
        The head to use, where the action has discrete and continuous ones.
    flat : bool
        Whether to use all heads as ``float32``, discrete ones as the index of their class.

    Returns
    -------
    d3rlpy.dataset.MDPDataset
        Observations ``float32 [N, F]``, actions ``[N, A]``, ``int64`` if they are discrete.
    """
    d3rlpy = extra("d3rlpy", "d3rlpy")
    schema = transitions.schema
    observation_only(schema)
    action = chosen_action(schema, action, flat=flat)
    batch = transitions.take(slice(None))
    values = action_array(batch, action, flat=flat).reshape(len(transitions), -1)
    discrete = is_discrete(schema, action, flat=flat)
    space = d3rlpy.ActionSpace.DISCRETE if discrete else d3rlpy.ActionSpace.CONTINUOUS
    head = schema.heads[action] if action else next(iter(schema.heads.values()))
    return d3rlpy.dataset.MDPDataset(
        observations=batch.observation,
        actions=values.astype(np.int64 if discrete else np.float32),
        rewards=batch.reward.astype(np.float32),
        terminals=batch.terminated.astype(np.float32),
        timeouts=batch.truncated.astype(np.float32),
        action_space=space,
        # d3rlpy counts the classes that occur, which may not be all.
        action_size=max(2, head.space.n) if discrete else None,
    )
