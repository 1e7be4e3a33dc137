"""`VecEnv`: several games with one player each, for Stable-Baselines3."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._extras import extra
from ._vector import start
from .single import Env

_Base: Any = extra("stable_baselines3.common.vec_env", "sb3").VecEnv


class VecEnv(_Base):  # type: ignore[misc]
    """Several games with one player each, which step at once.

    An episode that ends is followed by the next one in the same step. Its final observation is in
    ``infos[i]["terminal_observation"]``, and ``infos[i]["TimeLimit.truncated"]`` says that it was cut, so that values
    are bootstrapped.

    Parameters
    ----------
    command : sequence of str
        The program of the game and its arguments.
    games : int
        The number of games, each a process.
    **options
        As those of `Env`.
    """

    def __init__(self, command: Sequence[str | os.PathLike[str]], games: int = 1, **options: Any) -> None:
        self.envs = start(command, games, **options)
        super().__init__(games, self.envs[0].observation_space, self.envs[0].action_space)

    def reset(self) -> Any:
        """Begin an episode in each game, with the seeds of `seed`."""
        observations = []
        for index, env in enumerate(self.envs):
            observation, self.reset_infos[index] = env.reset(seed=self._seeds[index])
            observations.append(observation)
        self._reset_seeds()
        self._reset_options()
        return _stack(observations)

    def step_async(self, actions: Any) -> None:
        """Begin a step in each game."""
        for env, action in zip(self.envs, actions, strict=True):
            env.send(action)

    def step_wait(self) -> Any:
        """End the steps."""
        rewards, dones = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        observations, infos = [], []
        for index, env in enumerate(self.envs):
            step = env.wait()
            observation, info = step.observation, step.info
            rewards[index], dones[index] = step.reward, step.terminated or step.truncated
            info["TimeLimit.truncated"] = step.truncated and not step.terminated
            if dones[index]:
                info["terminal_observation"] = observation
                observation, self.reset_infos[index] = env.reset()
            observations.append(observation)
            infos.append(info)
        return _stack(observations), rewards, dones, infos

    def close(self) -> None:
        """End the games."""
        for env in self.envs:
            env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of each game."""
        return [getattr(env, attr_name) for env in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of each game."""
        for env in self._chosen(indices):
            setattr(env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of each game."""
        return [getattr(env, method_name)(*args, **kwargs) for env in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Whether each game is wrapped: none is."""
        return [False for _ in self._chosen(indices)]

    def _chosen(self, indices: Any) -> Iterable[Env]:
        return [self.envs[index] for index in self._get_indices(indices)]


def _stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)
