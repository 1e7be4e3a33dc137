"""Trains a game with one discrete action by PPO, in one file without a library of trainers, in the style of CleanRL.

python python/examples/train_ppo.py target/release/examples/environment
"""

from __future__ import annotations

import argparse
import time
from collections import deque

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

from bevy_experience.env import vector

STEPS, EPOCHS, MINIBATCHES = 128, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY = 0.95, 0.95, 0.2, 0.01


class Agent(nn.Module):
    """A policy and a value, of two layers each."""

    def __init__(self, features: int, actions: int) -> None:
        super().__init__()

        def network(outputs: int) -> nn.Sequential:
            layers = [nn.Linear(features, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)]
            return nn.Sequential(*layers)

        self.actor, self.critic = network(actions), network(1)


def main() -> None:
    """Train, and print the mean return of each update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("game", nargs="+", help="the program of the game and its arguments")
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    envs = vector(arguments.game, arguments.games)
    space = envs.single_observation_space
    low, high = torch.tensor(space.low), torch.tensor(space.high)

    def scaled(observations: np.ndarray) -> torch.Tensor:
        return (torch.as_tensor(observations) - low) / (high - low) * 2 - 1

    agent = Agent(space.shape[0], envs.single_action_space.n)
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3, eps=1e-5)
    games = arguments.games
    observations, _ = envs.reset(seed=arguments.seed)
    current = scaled(observations)
    running, returns = np.zeros(games), deque(maxlen=200)
    start = time.monotonic()
    for update in range(arguments.steps // (STEPS * games)):
        rows = {name: [] for name in ("observation", "action", "logp", "reward", "value", "next", "done")}
        for _ in range(STEPS):
            with torch.no_grad():
                policy, value = Categorical(logits=agent.actor(current)), agent.critic(current).squeeze(-1)
                action = policy.sample()
            observations, reward, terminated, truncated, infos = envs.step(action.numpy())
            done = terminated | truncated
            following = scaled(observations)
            # The value of what follows: of the final observation where an episode was cut, and 0 where it has ended.
            after = following.clone()
            for index in np.flatnonzero(done):
                after[index] = scaled(infos["final_obs"][index])
            with torch.no_grad():
                next_value = agent.critic(after).squeeze(-1) * torch.as_tensor(~terminated)
            values = (
                current,
                action,
                policy.log_prob(action),
                torch.as_tensor(reward),
                value,
                next_value,
                torch.as_tensor(done),
            )
            for name, tensor in zip(rows, values, strict=True):
                rows[name].append(tensor.float() if name != "action" else tensor)
            running += reward
            returns.extend(running[done])
            running[done] = 0
            current = following
        batch = {name: torch.stack(tensors) for name, tensors in rows.items()}
        advantage = torch.zeros(STEPS, games)
        last = torch.zeros(games)
        for step in reversed(range(STEPS)):
            delta = batch["reward"][step] + GAMMA * batch["next"][step] - batch["value"][step]
            last = delta + GAMMA * LAMBDA * (1 - batch["done"][step]) * last
            advantage[step] = last
        target = (advantage + batch["value"]).flatten()
        flat = {name: tensor.flatten(0, 1) for name, tensor in batch.items()}
        flat_advantage = advantage.flatten()
        for _ in range(EPOCHS):
            for part in torch.randperm(STEPS * games).chunk(MINIBATCHES):
                policy = Categorical(logits=agent.actor(flat["observation"][part]))
                ratio = (policy.log_prob(flat["action"][part]) - flat["logp"][part]).exp()
                chosen = flat_advantage[part]
                chosen = (chosen - chosen.mean()) / (chosen.std() + 1e-8)
                gain = torch.min(ratio * chosen, ratio.clamp(1 - CLIP, 1 + CLIP) * chosen).mean()
                error = (agent.critic(flat["observation"][part]).squeeze(-1) - target[part]).pow(2).mean()
                loss = 0.5 * error - gain - ENTROPY * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        mean = np.mean(returns) if returns else float("nan")
        steps = (update + 1) * STEPS * games
        print(f"{steps:8d} steps {time.monotonic() - start:6.1f} s mean return {mean:7.2f}", flush=True)
    envs.close()


if __name__ == "__main__":
    main()
