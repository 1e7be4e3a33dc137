"""`VectorEnv`: several games with one player each, which step at once, for Gymnasium."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._extras import extra
from .single import Env

_gymnasium_vector: Any = extra("gymnasium.vector", "env")
_utils: Any = extra("gymnasium.vector.utils", "env")


class VectorEnv(_gymnasium_vector.VectorEnv):  # type: ignore[misc]
    """Several games with one player each.

    An episode that ends is followed by the next one in the same step (``AutoresetMode.SAME_STEP``): its final
    observation is in ``infos["final_obs"]``, and the info of its last step in ``infos["final_info"]``.

    Parameters
    ----------
    envs : sequence of Env
        The games.
    """

    def __init__(self, envs: Sequence[Env]) -> None:
        self.envs = list(envs)
        self.num_envs = len(self.envs)
        self.metadata = {"render_modes": [], "autoreset_mode": _gymnasium_vector.AutoresetMode.SAME_STEP}
        self.render_mode = None
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = _utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = _utils.batch_space(self.single_action_space, self.num_envs)
        self._observations = _utils.create_empty_array(self.single_observation_space, self.num_envs, np.zeros)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in each game, with the seeds `seed`, `seed` + 1 and so on if it is one number."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [None if seed is None else int(seed) + index for index in range(self.num_envs)]
        else:
            seeds = list(seed)
        infos: dict[str, Any] = {}
        observations = []
        for index, (env, each) in enumerate(zip(self.envs, seeds, strict=True)):
            observation, info = env.reset(seed=each)
            observations.append(observation)
            infos = self._add_info(infos, info, index)
        return self._stack(observations), infos

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Make a step in each game."""
        for env, action in zip(self.envs, _utils.iterate(self.action_space, actions), strict=True):
            env.send(action)
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        infos: dict[str, Any] = {}
        observations = []
        for index, env in enumerate(self.envs):
            step = env.wait()
            rewards[index], terminated[index], truncated[index] = step.reward, step.terminated, step.truncated
            observation, info = step.observation, step.info
            if step.terminated or step.truncated:
                infos = self._add_info(infos, {"final_obs": observation, "final_info": info}, index)
                observation, info = env.reset()
            observations.append(observation)
            infos = self._add_info(infos, info, index)
        return self._stack(observations), rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """End the games."""
        for env in self.envs:
            env.close()

    def _stack(self, observations: list[Any]) -> Any:
        stacked = _utils.concatenate(self.single_observation_space, observations, self._observations)
        return deepcopy(stacked)


def vector(command: Sequence[str | os.PathLike[str]], games: int, **options: Any) -> VectorEnv:
    """Start several games with one player each.

    Parameters
    ----------
    command : sequence of str
        The program of the game and its arguments.
    games : int
        The number of games, each a process.
    **options
        As those of `Env`. With a `seed`, the games have the seeds `seed`, `seed` + 1 and so on.

    Returns
    -------
    VectorEnv
        A ``gymnasium.vector.VectorEnv``.
    """
    return VectorEnv(start(command, games, **options))


def start(command: Sequence[str | os.PathLike[str]], games: int, **options: Any) -> list[Env]:
    """Start several games, and close all if one does not start."""
    seed = options.pop("seed", None)
    envs: list[Env] = []
    try:
        for index in range(games):
            envs.append(Env(command, seed=None if seed is None else seed + index, **options))  # noqa: PERF401
    except BaseException:
        for env in envs:
            env.close()
        raise
    return envs
