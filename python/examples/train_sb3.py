"""Trains a game with PPO of Stable-Baselines3, and prints the mean return of the episodes.

cargo build --release --example environment --features remote
python python/examples/train_sb3.py target/release/examples/environment
"""

from __future__ import annotations

import argparse
import time
from collections import deque

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from bevy_experience.env.sb3 import VecEnv


class Curve(BaseCallback):
    """Prints a line for each rollout, and stops at a mean return."""

    def __init__(self, goal: float | None) -> None:
        super().__init__()
        self.goal = goal
        self.returns: deque[float] = deque(maxlen=200)
        self.start = time.monotonic()

    def _on_step(self) -> bool:
        self.returns.extend(info["episode"]["r"] for info in self.locals["infos"] if "episode" in info)
        return True

    def _on_rollout_end(self) -> None:
        mean = np.mean(self.returns) if self.returns else float("nan")
        print(
            f"{self.num_timesteps:8d} steps {time.monotonic() - self.start:6.1f} s mean return {mean:7.2f}", flush=True
        )


def main() -> None:
    """Train, and play 200 episodes with the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("game", nargs="+", help="the program of the game and its arguments")
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    env = VecMonitor(VecEnv(arguments.game, arguments.games))
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=128,
        batch_size=256,
        learning_rate=1e-3,
        ent_coef=0.01,
        gamma=0.95,
        seed=arguments.seed,
    )
    model.learn(arguments.steps, callback=Curve(None))
    observations = env.reset()
    returns: list[float] = []
    while len(returns) < 200:
        actions, _ = model.predict(observations, deterministic=True)
        observations, _, _, infos = env.step(actions)
        returns.extend(info["episode"]["r"] for info in infos if "episode" in info)
    print(f"greedy: mean return {np.mean(returns):.2f} over {len(returns)} episodes")
    env.close()


if __name__ == "__main__":
    main()
