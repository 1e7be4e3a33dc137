"""Sessions of games whose players decide in different ticks, without a game."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow.flight")
pytest.importorskip("gymnasium", "1.0")
pytest.importorskip("pettingzoo")

from bevy_experience.env._session import Session


class Decision:
    """A decision with players ``(agent, episode, step)``, and the ends ``(agent, episode)`` of episodes."""

    def __init__(self, players: list[tuple[int, int, int]], ends: list[tuple[int, int]] = ()) -> None:
        self.players = len(players)
        rows = [*players, *((agent, episode, 0) for agent, episode in ends)]
        self.agent_id, self.episode_id, self.step = np.array(rows, np.int64).reshape(-1, 3).T
        self.outcome = np.array([0] * len(players) + [1] * len(ends), np.uint8)
        self.reward = np.zeros(len(rows))

    def __len__(self) -> int:
        return len(self.agent_id)

    def end_reason(self, row: int) -> str:
        return "goal"


class Game:
    """Plays a list of decisions. A reset goes on with the one that is for it."""

    def __init__(self, decisions: list[Decision], after_reset: Decision) -> None:
        self._decisions = iter(decisions)
        self._after_reset = after_reset
        self.resets = 0
        self.decision = next(self._decisions)

    def send(self, actions: Any, decided: Any) -> None:
        pass

    def keep(self) -> None:
        pass

    def receive(self) -> Decision:
        return next(self._decisions)

    def reset(self, seed: int | None) -> None:
        self.resets += 1
        self.decision = self._after_reset


def session(decisions: list[Decision], after_reset: Decision) -> tuple[Session, Game]:
    game = Game(decisions, after_reset)
    codec = SimpleNamespace(
        observation=lambda decision, row: int(decision.episode_id[row]),
        info=lambda decision, row: {"step": int(decision.step[row])},
        write_action=lambda action, row: None,
        schema=SimpleNamespace(action_width=1),
    )
    return Session(game, codec), game


AGAIN = Decision([(1, 31, 0), (2, 32, 0)])


def test_players_that_decide_in_turn_wait_for_each_other() -> None:
    """Intervals of four ticks, of which those of the second player begin two ticks later."""
    played, _ = session([Decision([(1, 11, 0)]), Decision([(2, 12, 0)]), Decision([(1, 11, 1)])], AGAIN)
    assert {agent: info["step"] for agent, (_, info) in played.begin(None).items()} == {1: 0}
    played.send({1: 0})
    steps = played.receive()
    assert steps[1].info["waits"] and steps[1].observation == 11 and steps[2].info["step"] == 0
    # Only the second player decides now.
    played.send({1: 0, 2: 0})
    steps = played.receive()
    assert steps[2].info["waits"] and not steps[1].info.get("waits") and steps[1].info["step"] == 1


def test_a_player_in_the_middle_of_an_interval_is_in_the_middle_of_its_episode() -> None:
    ends_of_both = [
        Decision([(1, 11, 0), (2, 12, 0)]),
        # The first player has ended, and decides in its next episode at once, as no agent.
        Decision([(1, 21, 0), (2, 12, 1)], [(1, 11)]),
        Decision([], []),
        # The second has ended, and begins. The first is within an interval.
        Decision([(2, 22, 0)], [(2, 12)]),
    ]
    played, game = session(ends_of_both, AGAIN)
    played.begin(None)
    for _ in range(3):
        if played.episodes:
            played.send(dict.fromkeys(played.episodes, 0))
            played.receive()
    assert played.episodes == {} and game.resets == 0
    first = played.begin(None)
    assert game.resets == 1 and played.episodes == {1: 31, 2: 32} and len(first) == 2
    # Both have just begun.
    played.begin(None)
    assert game.resets == 1


def test_a_player_that_has_left_is_not_waited_for() -> None:
    decisions = [Decision([(1, 11, 0), (2, 12, 0)]), Decision([(1, 21, 0)], [(1, 11), (2, 12)])]
    played, game = session(decisions, AGAIN)
    played.begin(None)
    played.send({1: 0, 2: 0})
    steps = played.receive()
    assert steps[1].terminated and steps[2].terminated
    assert list(played.begin(None)) == [1] and game.resets == 0
