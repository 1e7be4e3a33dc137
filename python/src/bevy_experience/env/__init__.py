"""Environments over a Bevy game, for trainers that step.

The game is not rewritten: it is the one that records, with ``RemotePolicy::from_env()`` as its policy.
Needs the extra ``env``.

Examples
--------
>>> from bevy_experience.env import ParallelEnv
>>> env = ParallelEnv(["target/release/arena", "--remote", "env"])  # doctest: +SKIP
>>> observations, infos = env.reset(seed=1)  # doctest: +SKIP
>>> actions = {agent: env.action_space(agent).sample() for agent in env.agents}  # doctest: +SKIP
>>> observations, rewards, terminations, truncations, infos = env.step(actions)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

from ._exchange import Decision, Exchange, GameClosedError, Hello
from ._server import GameServer
from .policy_server import Actions, PolicyServer

__all__ = [
    "Actions",
    "Decision",
    "Env",
    "Exchange",
    "GameClosedError",
    "GameServer",
    "Hello",
    "ParallelEnv",
    "PolicyServer",
    "VectorEnv",
    "vector",
]

# Each needs a package that the others do not.
_LAZY = {"Env": "single", "ParallelEnv": "parallel", "VectorEnv": "_vector"}


def vector(command: Any, games: int, **options: Any) -> Any:
    """Start several games with one player each, as a ``gymnasium.vector.VectorEnv``; see `VectorEnv`."""
    from ._vector import vector as start_vector

    return start_vector(command, games, **options)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
