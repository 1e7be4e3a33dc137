"""Decisions a second of a remote policy in lockstep, and steps a second of an environment beside one in pure Python.

cargo build --release -p experience_remote --example round_trips
cargo build --release --example environment --features remote
python python/benchmarks/remote.py target/release/examples
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from bevy_experience.env import Decision, Env, Hello, PolicyServer, vector


class PythonGrid(gymnasium.Env):
    """The game of ``examples/environment.rs`` in Python."""

    observation_space = gymnasium.spaces.Box(0.0, 6.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)
    moves = np.array([[-1, 0], [1, 0], [0, 1], [0, -1]], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.place = self.np_random.integers(0, 7, 2).astype(np.float32)
        self.steps = 0
        return self.place.copy(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move."""
        self.place = np.clip(self.place + self.moves[action], 0, 6)
        self.steps += 1
        return self.place.copy(), -1.0, bool((self.place == 3).all()), self.steps == 50, {}


def steps_a_second(env: Any, seconds: float) -> float:
    """Step with random actions."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        _, _, terminated, truncated, _ = env.step(int(rng.integers(4)))
        steps += 1
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - start)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of `round_trips` and `environment`")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()

    def decide(decision: Decision, game: Hello) -> Any:
        return np.zeros((decision.players, game.schema.action_width))

    with PolicyServer(decide, "grpc://127.0.0.1:0") as server:
        for players in (1, 16, 1000):
            command = [arguments.programs / "round_trips", server.address, str(players), str(arguments.seconds)]
            subprocess.run([str(part) for part in command], check=True)
    game = [arguments.programs / "environment"]
    if not game[0].exists():
        return
    env = Env(game)
    print(f"environment: {steps_a_second(env, arguments.seconds):.0f} steps a second")
    env.close()
    print(f"the same game in Python: {steps_a_second(PythonGrid(), arguments.seconds):.0f} steps a second")
    for games in (4, 8):
        envs = vector(game, games)
        envs.reset(seed=0)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < arguments.seconds:
            envs.step(np.zeros(games, np.int64))
            steps += games
        print(f"{games} games: {steps / (time.perf_counter() - start):.0f} steps a second")
        envs.close()


if __name__ == "__main__":
    main()
