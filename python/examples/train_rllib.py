"""Trains a game with PPO of RLlib, and prints the mean return of the episodes.

python python/examples/train_rllib.py target/release/examples/environment

Each env runner starts games of its own, so it also runs on a cluster where all machines have the program. Without
runners, the own process of the trainer plays. With `--multi-agent`, all players of a game are agents with one policy.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

from bevy_experience.env import Env, ParallelEnv


def make(config: dict[str, Any]) -> Any:
    """Start a game, as an environment with one agent or with many."""
    if config["multi_agent"]:
        return ParallelPettingZooEnv(ParallelEnv(config["command"]))
    return Env(config["command"])


def main() -> None:
    """Train, and print a line for each iteration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("game", nargs="+", help="the program of the game and its arguments")
    parser.add_argument("--runners", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--multi-agent", action="store_true")
    arguments = parser.parse_args()
    register_env("bevy", make)
    settings = {"command": arguments.game, "multi_agent": arguments.multi_agent}
    config = (
        PPOConfig()
        .environment("bevy", env_config=settings)
        # A sampling that takes longer than the default of one minute is dropped, on a machine that is busy too.
        .env_runners(num_env_runners=arguments.runners, sample_timeout_s=600)
        .training(
            lr=1e-3, gamma=0.95, train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=6, entropy_coeff=0.01
        )
    )
    if arguments.multi_agent:
        config.multi_agent(policies={"player"}, policy_mapping_fn=lambda agent, episode, **_: "player")
    algorithm = config.build_algo()
    start = time.monotonic()
    for _ in range(arguments.iterations):
        result = algorithm.train()["env_runners"]
        steps = result.get("num_env_steps_sampled_lifetime", 0)
        mean = result.get("episode_return_mean", float("nan"))
        print(f"{steps:8.0f} steps {time.monotonic() - start:6.1f} s mean return {mean:7.2f}", flush=True)
    algorithm.stop()


if __name__ == "__main__":
    main()
