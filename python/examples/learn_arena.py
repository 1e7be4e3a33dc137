"""Improves a policy of the arena while it plays: transitions arrive in streams, and the arenas load each new ONNX file.

``examples/arena/learn.sh`` starts the arenas and this learner. By hand, in any order:

    arena --policy data/learn/policy.onnx=8 --sample --stream 127.0.0.1:7711 --realtime --matches 8
    python python/examples/learn_arena.py --dataset data/arena --policy data/learn/policy.onnx --stream 127.0.0.1:7711

The dataset gives the columns and their normalization. The learner begins with a random network, with the file of
``--begin``, or where it was stopped (``--resume``). It writes a line of JSON for each update to ``--log``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import bevy_experience
from bevy_experience.errors import UnsuitableError
from bevy_experience.learn import ActorCritic, Learner, LearnerSettings, StreamRows, assemble
from bevy_experience.train.restore import version_of

PROBE = 256
"""Observations with which each file is compared with torch."""


def parse() -> argparse.Namespace:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset of the arena")
    parser.add_argument("--recording", default="fighter")
    parser.add_argument("--policy", type=Path, required=True, help="the ONNX file that the arenas watch")
    parser.add_argument("--controller", help="what acts; all versions of the policy, as the arenas name the file")
    parser.add_argument("--stream", action="append", required=True, help="an arena's address; several times if needed")
    parser.add_argument("--begin", type=Path, help="begin with the policy of this file, not with a random one")
    parser.add_argument("--resume", action="store_true", help="go on where the learner of this `--policy` was stopped")
    parser.add_argument("--ignore", action="append", default=[], help="a feature that a random network does not see")
    parser.add_argument("--hidden", default="128,128", help="widths of the layers")
    parser.add_argument("--deviation", type=float, default=0.5, help="of a random network's numbers")
    parser.add_argument("--least-deviation", type=float, default=0.0, help="of the numbers of `--begin`")
    parser.add_argument("--transitions", type=int, default=5_000_000, help="ends after this many")
    parser.add_argument("--minutes", type=float, default=60.0, help="ends after this time")
    parser.add_argument("--batch", type=int, default=32_768, help="transitions of an update")
    parser.add_argument("--max-lag", type=int, default=4, help="versions by which a transition's policy may be older")
    parser.add_argument("--patience", type=float, default=15.0, help="seconds after which a file is written again")
    defaults = LearnerSettings()
    for name in LearnerSettings.__dataclass_fields__:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.rstrip('_').replace('_', '-')}", dest=name, type=type(value), default=value)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="lines of JSON; beside the policy by default")
    parser.add_argument("--plot", type=Path, help="a picture of the returns, if matplotlib is installed")
    return parser.parse_args()


class Loop:
    """A learner, the streams that it follows, and the file that it writes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        recording = bevy_experience.open(arguments.dataset)[arguments.recording]
        self.schema = recording.schema
        settings = LearnerSettings(**{name: getattr(arguments, name) for name in LearnerSettings.__dataclass_fields__})
        hidden = [int(width) for width in arguments.hidden.split(",")]
        if arguments.begin:
            least = arguments.least_deviation
            self.network = ActorCritic.from_file(arguments.begin, self.schema, hidden, least_deviation=least)
        else:
            self.network = ActorCritic.random(
                self.schema,
                recording.normalization(),
                hidden,
                ignored=arguments.ignore,
                deviation=arguments.deviation,
            )
        self.learner = Learner(self.network, settings, arguments.seed)
        self.probe = recording[: min(PROBE, len(recording))].observation
        self.version, self.transitions = 0, 0
        self.checkpoint = arguments.policy.with_suffix(".pt")
        self.log = arguments.log or arguments.policy.with_suffix(".jsonl")
        if arguments.resume and self.checkpoint.exists():
            state = torch.load(self.checkpoint)
            self.network.load_state_dict(state["network"])
            self.learner.optimizer.load_state_dict(state["optimizer"])
            for group in self.learner.optimizer.param_groups:
                group["lr"] = settings.learning_rate
            self.version, self.transitions, self.learner.updates = state["counts"]
        else:
            self.log.unlink(missing_ok=True)
            if arguments.policy.exists():
                # Versions go on, so that those of an arena that still plays the old file are older.
                self.version = min(version_of(arguments.policy) or 0, 1 << 40)
        self.written = 0.0
        self.write()
        controller = arguments.controller or f"policy:{arguments.policy}@*"
        self.rows = StreamRows(arguments.stream, self.schema, [controller], capacity=2 * arguments.batch)

    def write(self) -> None:
        """Write the next version of the file, and how to go on with it."""
        try:
            self.network.export(self.arguments.policy, self.probe, self.version + 1)
        except UnsuitableError as error:
            # The arenas play on with the version before, whose rows the next update corrects.
            print(f"version {self.version + 1} was not written: {error}", flush=True)
            return
        self.version += 1
        self.written = time.monotonic()
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
            "counts": (self.version, self.transitions, self.learner.updates),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def run(self) -> None:
        """Learn until the end."""
        arguments, begin = self.arguments, time.monotonic()
        first, waiting, dropped_old, dropped_undecided = self.transitions, [], 0, 0
        while self.transitions < arguments.transitions and time.monotonic() - begin < 60 * arguments.minutes:
            waiting += self.rows.take(arguments.batch - sum(len(batch.reward) for _, batch in waiting), 1.0)
            self.transitions = first + self.rows.received
            arrived = sum(len(batch.reward) for _, batch in waiting)
            if arrived < arguments.batch:
                continue
            rollout, dropped = assemble(waiting, self.version, arguments.max_lag)
            waiting = []
            dropped_old += dropped.old
            dropped_undecided += dropped.undecided
            if rollout is None or len(rollout) < arguments.batch // 8:
                self.write_again()
                continue
            measures = self.learner.update(rollout)
            self.write()
            episodes, missed = self.rows.episodes(), self.rows.missed
            line = {
                "update": self.learner.updates,
                "version": self.version,
                "seconds": round(time.monotonic() - begin, 1),
                "transitions": self.transitions,
                "rows": len(rollout),
                "episodes": episodes.episodes,
                "mean_return": episodes.mean_return,
                "mean_length": episodes.mean_length,
                "mean_reward": float(rollout.batch.reward.mean()),
                "lag": float(rollout.lag.mean()),
                "dropped_old": dropped_old,
                "dropped_undecided": dropped_undecided,
                "skipped": self.rows.skipped,
                "missed": missed.transitions,
                "restarts": missed.restarts,
                **measures,
                "deviations": self.network.deviations(),
            }
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if self.learner.updates % 10 == 1:
                print(
                    f"{line['transitions']:10,} transitions, version {self.version}: mean return "
                    f"{line['mean_return']:.2f} of {line['episodes']} episodes, lag {line['lag']:.1f}, "
                    f"kl {line['kl']:.4f}, explained variance {line['explained_variance']:.2f}",
                    flush=True,
                )
        self.rows.close()

    def write_again(self) -> None:
        """Write the file again, under another version, where the arenas have not loaded it."""
        if time.monotonic() - self.written < self.arguments.patience:
            return
        print(
            f"no arena plays version {self.version}: the newest that came are {self.rows.newest}; it is written again. "
            "See what the arenas say about the file",
            flush=True,
        )
        self.write()


def plot(log: Path, picture: Path) -> None:
    """Draw the mean return of episodes against transitions."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if line["episodes"] > 0]
    transitions, returns, episodes = (
        np.array([line[name] for line in lines]) for name in ("transitions", "mean_return", "episodes")
    )
    width = max(1, len(lines) // 50)
    smooth = np.convolve(returns * episodes, np.ones(width), "valid") / np.convolve(episodes, np.ones(width), "valid")
    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(transitions / 1e6, returns, color="#a8c0e8", linewidth=0.8, label="episodes between two updates")
    axes.plot(transitions[width - 1 :] / 1e6, smooth, color="#24508f", label=f"mean of {width} updates")
    axes.set(xlabel="transitions [millions]", ylabel="mean return of an episode")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Run the loop, and draw its log."""
    arguments = parse()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    loop = Loop(arguments)
    try:
        loop.run()
    except KeyboardInterrupt:
        loop.rows.close()
    if arguments.plot:
        plot(loop.log, arguments.plot)


if __name__ == "__main__":
    main()
