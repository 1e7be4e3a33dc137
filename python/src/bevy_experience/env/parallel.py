"""`ParallelEnv`: all players of a game as agents of PettingZoo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._extras import extra
from ._game import Game
from ._players import PlayerCodec
from ._session import Session, Step

_Base: Any = extra("pettingzoo", "env").ParallelEnv


class ParallelEnv(_Base):  # type: ignore[misc]
    """The players of a Bevy game as agents, which act at once.

    An agent is a player in an episode, named ``<recording>_<agent id>``. It leaves when its episode ends. With
    `rejoin`, the next episode of its player joins as ``<recording>_<agent id>.<n>``; otherwise the
    player keeps its action until `reset`. A name with a number is in `possible_agents` while its agent is there.

    Parameters
    ----------
    command : sequence of str
        The program of the game and its arguments. It is started as a child, and ends with the environment.
    recording : str, optional
        The recording whose players are the agents. Needed if several recordings have a remote policy.
    seed : int, optional
        The seed with which the game starts: ``environment_seed()`` in the game.
    mask_in_observation : bool
        Whether an observation is a ``Dict`` of ``observation`` and ``action_mask``. The mask is in the infos anyhow.
    rejoin : bool
        Whether players come back in their next episode.
    variables, cwd
        Further environment variables of the child, and its folder.
    start_timeout, step_timeout : float
        Seconds until the game must have connected, and until it must have made a step.
    render_mode : None
        The game draws itself.
    """

    metadata = {"name": "bevy_experience", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]] | None,
        *,
        recording: str | None = None,
        seed: int | None = None,
        mask_in_observation: bool = False,
        rejoin: bool = False,
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
        self._observation_space = self._codec.observation_space()
        self._rejoins = rejoin
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._returns: dict[int, int] = {}
        self._spaces: dict[str, Any] = {}
        self.agents: list[str] = []
        self.possible_agents = [self._default_name(agent) for agent in sorted(self._session.players())]

    @classmethod
    def join(
        cls,
        address: str = "grpc://127.0.0.1:7712",
        *,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        **options: Any,
    ) -> ParallelEnv:
        """Listen at an address, and wait for a running game: ``RemotePolicy::new(address).lockstep()``.

        Parameters
        ----------
        address : str
            Where to listen: ``grpc://host:port``.
        token : str, optional
            What the game must know. Needed for an address that other machines reach.
        tls : tuple of bytes, optional
            The certificate chain and the private key, in PEM, for ``grpc+tls://``.
        **options
            As those of the class.
        """
        return cls(None, address=address, token=token, tls=tls, **options)

    @property
    def episode_ids(self) -> dict[str, int]:
        """The id of the running episode of each agent, as in the column ``episode_id`` of a dataset."""
        return {name: self._session.episodes[self._ids[name]] for name in self.agents}

    @property
    def tick(self) -> int:
        """The tick of the game that comes next, whose actions `step` decides."""
        return self._session.decision.tick

    def observation_space(self, agent: str) -> Any:
        """Return the space of the observations of an agent: the same for all."""
        return self._observation_space

    def action_space(self, agent: str) -> Any:
        """Return the space of the actions of an agent, with a random state of its own."""
        if agent not in self._spaces:
            self._spaces[agent] = self._codec.action_space()
        return self._spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin anew. Without a seed, a game whose players have all just begun an episode goes on with it.

        Returns
        -------
        observations, infos : dict
            By agent.
        """
        first = self._session.begin(seed)
        for agent in [agent for agent in self._names if self._returns.get(agent)]:
            self._leave(agent)
        self._ids.clear()
        self._names.clear()
        self._returns.clear()
        observations, infos = {}, {}
        for agent in sorted(first):
            name = self._name(agent)
            observations[name], infos[name] = first[agent]
        self.agents = list(observations)
        return observations, infos

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Make the step to the next decision of the game.

        Returns
        -------
        observations, rewards, terminations, truncations, infos : dict
            By agent: those that acted, and those that have joined. The observation of an agent that has
            ended is its final one, as is ``infos[agent]["final_observation"]``.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        self._session.send({self._ids[name]: action for name, action in actions.items() if name in self._ids})
        steps = self._session.receive()
        observations: dict[str, Any] = {}
        rewards: dict[str, float] = {}
        terminations: dict[str, bool] = {}
        truncations: dict[str, bool] = {}
        infos: dict[str, dict[str, Any]] = {}
        for agent, step in self._in_order(steps):
            name = self._name(agent)
            observations[name] = step.observation
            rewards[name] = step.reward
            terminations[name] = step.terminated
            truncations[name] = step.truncated
            infos[name] = step.info
            if step.terminated or step.truncated:
                self._leave(agent)
        self.agents = [name for name in observations if not (terminations[name] or truncations[name])]
        return observations, rewards, terminations, truncations, infos

    def render(self) -> None:
        """Do nothing: the game draws itself."""

    def close(self) -> None:
        """End the game that was started, or the connection to the one that was joined."""
        self.agents = []
        self._game.close()

    def _default_name(self, agent: int) -> str:
        return f"{self.schema.name}_{agent}"

    def _name(self, agent: int) -> str:
        name = self._names.get(agent)
        if name is None:
            name = self._default_name(agent)
            if self._returns.get(agent):
                name = f"{name}.{self._returns[agent]}"
            self._names[agent] = name
            self._ids[name] = agent
            if name not in self.possible_agents:
                self.possible_agents.append(name)
        return name

    def _in_order(self, steps: dict[int, Step]) -> Iterator[tuple[int, Step]]:
        """The steps by agent. With `rejoin`, an end is followed by the begin of the next episode."""
        for agent in sorted(steps):
            step = steps[agent]
            yield agent, step
            if self._rejoins and (step.terminated or step.truncated):
                again = self._session.join_again(agent)
                if again is not None:
                    yield agent, again

    def _leave(self, agent: int) -> None:
        name = self._names.pop(agent)
        self._ids.pop(name, None)
        if self._returns.get(agent):
            # Such a name does not come back before `reset`.
            self.possible_agents.remove(name)
            self._spaces.pop(name, None)
        if self._rejoins:
            self._returns[agent] = self._returns.get(agent, 0) + 1
