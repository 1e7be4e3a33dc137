"""`Env`: the one player of a game as an environment of Gymnasium."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .._extras import extra
from ..errors import UnsuitableError
from ._game import Game, checked_seed
from ._players import PlayerCodec
from ._session import Session, Step

_Base: Any = extra("gymnasium", "env").Env


class Env(_Base):  # type: ignore[misc]
    """A Bevy game with one player.

    The parameters are those of `ParallelEnv`, as is `join`. After the end of an episode, `reset` without a seed goes on
    with the next one, which the game begins by itself.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]] | None,
        *,
        recording: str | None = None,
        seed: int | None = None,
        mask_in_observation: bool = False,
        variables: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        start_timeout: float = 60.0,
        step_timeout: float = 60.0,
        render_mode: None = None,
        **listen: Any,
    ) -> None:
        self.render_mode = render_mode
        self._game = Game(
            command,
            recording=recording,
            seed=seed,
            variables=variables,
            cwd=cwd,
            start_timeout=start_timeout,
            step_timeout=step_timeout,
            **listen,
        )
        self.schema = self._game.schema
        self._codec = PlayerCodec(self.schema, mask_in_observation=mask_in_observation)
        self._session = Session(self._game, self._codec)
        self.observation_space = self._codec.observation_space()
        self.action_space = self._codec.action_space()
        self._agent: int | None = None

    @classmethod
    def join(
        cls,
        address: str = "grpc://127.0.0.1:7712",
        *,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        **options: Any,
    ) -> Env:
        """Listen at an address, and wait for a running game; see `ParallelEnv.join`."""
        return cls(None, address=address, token=token, tls=tls, **options)

    @property
    def episode_id(self) -> int | None:
        """The id of the running episode, as in the column ``episode_id`` of a dataset; ``None`` between two."""
        return None if self._agent is None else self._session.episodes[self._agent]

    @property
    def tick(self) -> int:
        """The tick of the game that comes next, whose action `step` decides."""
        return self._session.decision.tick

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Returns
        -------
        observation, info
            The first of the episode.
        """
        seed = checked_seed(seed)
        super().reset(seed=seed)
        first = self._session.begin(seed)
        if len(first) != 1:
            self.close()
            raise UnsuitableError(f"the game has {len(first)} players, and `Env` is for one: use `ParallelEnv`")
        self._agent, (observation, info) = next(iter(first.items()))
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make the step to the next decision of the game.

        Returns
        -------
        observation, reward, terminated, truncated, info
            The observation of an end is the final one.
        """
        self.send(action)
        step = self.wait()
        return step.observation, step.reward, step.terminated, step.truncated, step.info

    def send(self, action: Any) -> None:
        """Begin a step, which `wait` ends: several games can step at once."""
        if self._agent is None:
            raise UnsuitableError("the episode has ended or none has begun: call `reset`")
        self._session.send({self._agent: action})

    def wait(self) -> Step:
        """End a step that `send` has begun."""
        agent = self._agent
        if agent is None:
            raise UnsuitableError("no step has begun: call `send`")
        step = self._session.receive()[agent]
        if step.terminated or step.truncated:
            self._agent = None
        return step

    def render(self) -> None:
        """Do nothing: the game draws itself."""

    def close(self) -> None:
        """End the game that was started, or the connection to the one that was joined."""
        self._game.close()
