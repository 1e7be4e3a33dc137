"""Trains a game with PPO of RLlib, and prints the mean return of the episodes.

python python/examples/train_rllib.py target/release/examples/environment

Each env runner starts games of its own, so it also runs on a cluster where all machines have the program.
"""

from __future__ import annotations

import argparse

from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from bevy_experience.env import Env


def main() -> None:
    """Train, and print a line for each iteration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("game", nargs="+", help="the program of the game and its arguments")
    parser.add_argument("--runners", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=30)
    arguments = parser.parse_args()
    register_env("bevy", lambda config: Env(config["command"]))
    config = (
        PPOConfig()
        .environment("bevy", env_config={"command": arguments.game})
        .env_runners(num_env_runners=arguments.runners)
        .training(
            lr=1e-3, gamma=0.95, train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=6, entropy_coeff=0.01
        )
    )
    algorithm = config.build_algo()
    for iteration in range(arguments.iterations):
        result = algorithm.train()["env_runners"]
        steps = result.get("num_env_steps_sampled_lifetime", 0)
        print(
            f"{iteration:4d} {steps:10.0f} steps, mean return {result.get('episode_return_mean', float('nan')):7.2f}",
            flush=True,
        )
    algorithm.stop()


if __name__ == "__main__":
    main()
