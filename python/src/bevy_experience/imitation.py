"""Adapter to imitation. Needs the extra ``imitation``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._extras import action_array, chosen_action, extra, observation_only
from .transitions import Transitions

Scale = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def to_transitions(
    transitions: Transitions, *, action: str | None = None, flat: bool = False, scale: Scale | None = None
) -> Any:
    """Make transitions of imitation, in memory.

    Parameters
    ----------
    transitions : Transitions
        The transitions.
    action : str, optional
        The head to use, where the action has discrete and continuous ones.
    flat : bool
        Whether to use all heads as ``float32``, discrete ones as the index of their class.
    scale : callable, optional
        Is applied to the observations, such as `Normalization.apply`.

    Returns
    -------
    imitation.data.types.Transitions
        ``dones`` is ``terminated``: a truncation ends no episode of the world.
    """
    types = extra("imitation.data.types", "imitation")
    schema = transitions.schema
    observation_only(schema)
    action = chosen_action(schema, action, flat=flat)
    batch = transitions.take(slice(None))
    scaled = scale or (lambda values: values)
    return types.Transitions(
        obs=scaled(batch.observation),
        acts=action_array(batch, action, flat=flat),
        infos=np.array([{}] * len(transitions)),
        next_obs=scaled(batch.next_observation),
        dones=batch.terminated,
    )


def to_trajectories(
    transitions: Transitions, *, action: str | None = None, flat: bool = False, scale: Scale | None = None
) -> list[Any]:
    """Make one trajectory for each episode, in memory; see `to_transitions`.

    Returns
    -------
    list of imitation.data.types.TrajectoryWithRew
        ``terminal`` is whether the episode was terminated.
    """
    types = extra("imitation.data.types", "imitation")
    schema = transitions.schema
    observation_only(schema)
    action = chosen_action(schema, action, flat=flat)
    scaled = scale or (lambda values: values)
    return [
        types.TrajectoryWithRew(
            obs=scaled(episode.observations),
            acts=action_array(episode.columns, action, flat=flat),
            infos=None,
            terminal=episode.terminated,
            rews=episode.rewards.astype(np.float32),
        )
        for episode in transitions.episodes
    ]
