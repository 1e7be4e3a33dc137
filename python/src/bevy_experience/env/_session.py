"""The players of a game as agents: steps, ends, joins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableError
from ._exchange import Decision
from ._game import Game
from ._players import PlayerCodec, has_final_observation, is_terminated, is_truncated

# Decisions without a player of an episode, after which a reset is given up.
_MAX_WAIT = 100_000


@dataclass
class Step:
    """What a step brought to one agent."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Session:
    """The agents of a game, which are the players whose episodes have begun and not ended."""

    def __init__(self, game: Game, codec: PlayerCodec) -> None:
        self.game = game
        self.codec = codec
        self._decision: Decision
        # The open episode and the last observation of each agent.
        self.episodes: dict[int, int] = {}
        self._observations: dict[int, Any] = {}
        self.finished: set[int] = set()
        # The open episodes of all players, also of those that are no agents or do not decide in this tick.
        self._open: dict[int, int] = {}
        self._note(game.decision)

    @property
    def decision(self) -> Decision:
        """The decision that the game waits for."""
        return self._decision

    def players(self) -> dict[int, int]:
        """The rows of the players that need an action and are in an episode, by agent id."""
        decision = self._decision
        return {int(decision.agent_id[row]): row for row in range(decision.players) if decision.episode_id[row] >= 0}

    def _note(self, decision: Decision) -> Decision:
        """Make a decision the present one."""
        self._decision = decision
        for row in range(len(decision)):
            agent, episode = int(decision.agent_id[row]), int(decision.episode_id[row])
            if row < decision.players and episode >= 0:
                self._open[agent] = episode
            elif row < decision.players or self._open.get(agent) == episode:
                self._open.pop(agent, None)
        return decision

    def _is_at_begin(self) -> bool:
        """Whether all players in an episode have just begun it. Those that do not decide now are in the middle."""
        players = self.players()
        return self._open.keys() <= players.keys() and all(self._decision.step[row] == 0 for row in players.values())

    def begin(self, seed: int | None) -> dict[int, tuple[Any, dict[str, Any]]]:
        """Begin anew. Returns the first observation and the info of each agent."""
        # Games begin the next episode by themselves. If no player is in the middle of one, nothing has to be reset.
        if seed is not None or not self.players() or not self._is_at_begin():
            try:
                self.game.reset(seed)
            finally:
                self._open.clear()
                self._note(self.game.decision)
        for _ in range(_MAX_WAIT):
            players = self.players()
            if players:
                break
            self.game.keep()
            self._note(self.game.receive())
        else:
            raise UnsuitableError(
                "no player is in an episode: spawn players when the game begins anew, with `PolicyControlled`"
            )
        self.episodes.clear()
        self.finished.clear()
        self._observations.clear()
        return {agent: self._join(agent, row) for agent, row in players.items()}

    def _join(self, agent: int, row: int) -> tuple[Any, dict[str, Any]]:
        observation = self.codec.observation(self._decision, row)
        self.episodes[agent] = int(self._decision.episode_id[row])
        self._observations[agent] = observation
        return observation, self.codec.info(self._decision, row)

    def send(self, actions: dict[int, Any]) -> None:
        """Answer with the actions of agents. Other players keep their actions."""
        decision = self._decision
        values = np.zeros((decision.players, self.codec.schema.action_width))
        decided = np.zeros(decision.players, bool)
        for row in range(decision.players):
            agent = int(decision.agent_id[row])
            if agent in actions and self.episodes.get(agent) == decision.episode_id[row]:
                self.codec.write_action(actions[agent], values[row])
                decided[row] = True
        self.game.send(values, decided)

    def receive(self) -> dict[int, Step]:
        """Wait for the next decision. Returns what the step brought to each agent, with those that have joined."""
        while True:
            self._note(self.game.receive())
            steps = self._steps()
            if steps or not self.episodes:
                return steps
            # Only players that are no agents have got anything.
            self.game.keep()

    def _steps(self) -> dict[int, Step]:
        decision = self._decision
        steps: dict[int, Step] = {}
        for row in range(decision.players, len(decision)):
            agent = int(decision.agent_id[row])
            if self.episodes.get(agent) == decision.episode_id[row]:
                steps[agent] = self._end(agent, row)
        is_any_live = False
        joined: dict[int, int] = {}
        for agent, row in self.players().items():
            episode = self.episodes.get(agent)
            if episode is None:
                if agent not in self.finished:
                    joined[agent] = row
                continue
            is_any_live = True
            observation = self.codec.observation(decision, row)
            info = self.codec.info(decision, row)
            if episode == decision.episode_id[row]:
                self._observations[agent] = observation
                steps[agent] = Step(observation, float(decision.reward[row]), False, False, info)
            elif agent not in steps:
                # Its end was missed.
                steps[agent] = self._lost(agent, "gap")
        if not steps and not is_any_live and not joined:
            return steps
        for agent in [agent for agent in self.episodes if agent not in steps]:
            # It does not decide in this tick.
            steps[agent] = Step(self._observations[agent], 0.0, False, False, {"agent_id": agent, "waits": True})
        for agent, row in joined.items():
            observation, info = self._join(agent, row)
            steps[agent] = Step(observation, 0.0, False, False, info)
        return steps

    def _end(self, agent: int, row: int) -> Step:
        decision = self._decision
        code = int(decision.outcome[row])
        if has_final_observation(code):
            observation = self.codec.observation(decision, row)
        else:
            observation = self._observations[agent]
        info = self.codec.info(decision, row)
        info["end_reason"] = decision.end_reason(row)
        info["final_observation"] = observation
        self._finish(agent)
        return Step(observation, float(decision.reward[row]), is_terminated(code), is_truncated(code), info)

    def _lost(self, agent: int, reason: str) -> Step:
        observation = self._observations[agent]
        self._finish(agent)
        info = {"agent_id": agent, "end_reason": reason, "final_observation": observation}
        return Step(observation, 0.0, False, True, info)

    def _finish(self, agent: int) -> None:
        del self.episodes[agent]
        del self._observations[agent]
        self.finished.add(agent)

    def join_again(self, agent: int) -> Step | None:
        """Let an agent that has finished in this decision join in it, if its next episode has begun."""
        self.finished.discard(agent)
        row = self.players().get(agent)
        if row is None:
            return None
        observation, info = self._join(agent, row)
        return Step(observation, 0.0, False, False, info)

    def rejoin(self, agent: int) -> tuple[Any, dict[str, Any]]:
        """Wait until an agent that has finished is in its next episode, which the game begins by itself.

        Returns
        -------
        tuple
            Its first observation and the info.
        """
        self.finished.discard(agent)
        for _ in range(_MAX_WAIT):
            row = self.players().get(agent)
            if row is not None:
                return self._join(agent, row)
            if self.episodes:
                raise UnsuitableError(
                    f"agent {agent} is not in its next episode at once, and others are in theirs: use `ParallelEnv`"
                )
            self.game.keep()
            self._note(self.game.receive())
        raise UnsuitableError(f"agent {agent} does not come back after its episode has ended: use `ParallelEnv`")
