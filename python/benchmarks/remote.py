"""Decisions a second of a remote policy in lockstep, and steps a second of an environment beside one in pure Python.

Beside the decisions are the round trips of a plain Flight client and server, with messages of the same size.

cargo build --release -p experience_remote --example round_trips
cargo build --release --example environment --features remote
python python/benchmarks/remote.py target/release/examples
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
from pyarrow import flight

from bevy_experience.env import Decision, Env, Hello, PolicyServer, vector


class PlainServer(flight.FlightServerBase):  # type: ignore[misc]
    """Answers each batch with one of as many actions, which was made before."""

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Answer until the client ends the exchange."""
        schema = pa.schema([("action", pa.list_(pa.float64(), 3)), ("behavior_logp", pa.float64())])
        answers: dict[int, Any] = {}
        writer.begin(schema)
        while True:
            try:
                rows = reader.read_chunk().data.num_rows
            except StopIteration:
                return
            if rows not in answers:
                content = {"action": [[0.0] * 3] * rows, "behavior_logp": [0.0] * rows}
                answers[rows] = pa.RecordBatch.from_pydict(content, schema)
            writer.write_batch(answers[rows])


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


def processor_seconds() -> tuple[float, float]:
    """Processor time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, children = (usage.ru_utime + usage.ru_stime for usage in usages)
    return own, children


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


def vector_steps_a_second(envs: Any, seconds: float) -> float:
    """Step all games with random actions."""
    rng = np.random.default_rng(0)
    envs.reset(seed=0)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        envs.step(rng.integers(4, size=envs.num_envs))
        steps += envs.num_envs
    return steps / (time.perf_counter() - start)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of `round_trips` and `environment`")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()

    def decide(decision: Decision, game: Hello) -> Any:
        return np.zeros((decision.players, game.schema.action_width))

    plain = PlainServer("grpc://127.0.0.1:0")
    with PolicyServer(decide, "grpc://127.0.0.1:0") as server:
        for players in (1, 16, 1000):
            for address, mode in ((server.address, []), (f"grpc://127.0.0.1:{plain.port}", ["bare"])):
                command = [arguments.programs / "round_trips", address, players, arguments.seconds, *mode]
                before = processor_seconds()
                subprocess.run([str(part) for part in command], check=True)
                decider, client = (after - first for after, first in zip(processor_seconds(), before, strict=True))
                print(f"  processor time: {decider:.2f} s of the server, {client:.2f} s of the client")
    plain.shutdown()
    game = [arguments.programs / "environment"]
    if not game[0].exists():
        return
    env = Env(game)
    print(f"environment: {steps_a_second(env, arguments.seconds):.0f} steps a second")
    env.close()
    print(f"the same game in Python: {steps_a_second(PythonGrid(), arguments.seconds):.0f} steps a second")
    for games in (4, 8):
        envs = vector(game, games)
        print(f"{games} games: {vector_steps_a_second(envs, arguments.seconds):.0f} steps a second")
        envs.close()
        envs = gymnasium.vector.SyncVectorEnv([PythonGrid] * games)
        print(
            f"{games} of the same game in Python: {vector_steps_a_second(envs, arguments.seconds):.0f} steps a second"
        )


if __name__ == "__main__":
    main()
