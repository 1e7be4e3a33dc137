"""The command ``bevy-experience``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .dataset import open_dataset
from .errors import ExperienceError, MissingExtraError, UnsuitableError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code: 0, 2 for wrong arguments, 3 for a failure."""
    parsed = _parser().parse_args(arguments)
    try:
        _train(parsed)
    except (ExperienceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bevy-experience", description="Train policies on recorded play")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    train = verbs.add_parser(
        "train",
        help="train a policy, and write it as ONNX",
        description="Train a policy by behaviour cloning or advantage-weighted regression, and write it as ONNX. "
        "A report and a picture are written beside it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument("dataset", help="the folder of the dataset, or its address")
    train.add_argument("--recording", help="the recording; may be left out if there is only one")
    train.add_argument("--out", type=Path, required=True, help="the file to write, such as fighter.onnx")
    train.add_argument(
        "--algorithm", choices=("bc", "awr"), default="bc", help="imitate all actions, or the better ones more"
    )
    train.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="train on some episodes: tag, end_reason, agent_id, run, controller, min_return, return_quantile=0.5,1 …",
    )
    train.add_argument("--hidden", type=_widths, default=(128, 128), help="widths of the dense layers")
    train.add_argument("--epochs", type=int, default=30, help="the most epochs")
    train.add_argument("--patience", type=int, default=4, help="epochs without a better held-out loss before the end")
    train.add_argument("--batch-size", type=int, default=512, help="rows of a batch")
    train.add_argument("--learning-rate", type=float, default=3e-3, help="that of Adam, which falls to 0 in the end")
    train.add_argument(
        "--class-power", type=float, default=0.5, help="weight of rare classes: frequency to the power of minus this"
    )
    train.add_argument("--gamma", type=float, default=0.99, help="the discount of awr")
    train.add_argument("--beta", type=float, default=1.0, help="the temperature of awr: less imitates the best alone")
    train.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FEATURE[,FEATURE]",
        help="features that the policy does not see, such as what its own last action was",
    )
    train.add_argument("--held-out", type=float, default=0.1, help="the share of episodes that are held out")
    train.add_argument(
        "--split-by", choices=("episode", "agent", "match", "run"), default="episode", help="what is not divided"
    )
    train.add_argument("--seed", type=int, default=0, help="the seed of the split, the network and the batches")
    train.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _train(arguments: argparse.Namespace) -> None:
    try:
        from .train import Settings, export, fit, report
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch", "train") from error

    dataset = open_dataset(arguments.dataset)
    if arguments.recording is None and len(dataset) != 1:
        raise UnsuitableError(f"the dataset has several recordings, choose one with --recording: {', '.join(dataset)}")
    recording = dataset[arguments.recording or next(iter(dataset))]
    selected = recording.where(**_conditions(arguments.where))
    print(recording.accounts)
    if not len(recording):
        raise UnsuitableError(f"`{recording.name}` has no transitions: record play until an episode ends")
    if not len(selected):
        raise UnsuitableError(f"no transition of `{recording.name}` meets the conditions: there is nothing to train on")
    parts = selected.split(1 - arguments.held_out, arguments.held_out, by=arguments.split_by, seed=arguments.seed)
    settings = Settings(
        algorithm=arguments.algorithm,
        hidden=arguments.hidden,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        patience=arguments.patience,
        learning_rate=arguments.learning_rate,
        class_power=arguments.class_power,
        gamma=arguments.gamma,
        beta=arguments.beta,
        ignored=tuple(name for names in arguments.ignore for name in names.split(",") if name),
        seed=arguments.seed,
    )
    print(f"trains on {len(parts[0]):,} transitions, and holds out {len(parts[1]):,}")
    fitted = fit(parts[0], parts[1], settings, progress=not arguments.quiet and sys.stderr.isatty())
    sample = parts[1].take(slice(0, 1024), columns=["observation"]).observation
    difference = export(fitted, recording.schema, arguments.out, sample)
    summary = report.text(fitted, recording.schema)
    arguments.out.with_suffix(".txt").write_text(summary, encoding="utf-8")
    arguments.out.with_suffix(".svg").write_text(report.picture(fitted, recording.schema), encoding="utf-8")
    print(summary, end="")
    print(f"wrote `{arguments.out}`; its outputs differ from torch's by {difference:.1e} at most")


def _widths(text: str) -> tuple[int, ...]:
    widths = tuple(int(width) for width in text.split(",") if width)
    if not widths or min(widths) < 1:
        raise argparse.ArgumentTypeError("give one width or several, such as 128,128")
    return widths


def _conditions(where: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` into arguments of `Transitions.where`."""
    conditions: dict[str, Any] = {}
    for condition in where:
        key, found, value = condition.partition("=")
        if not found:
            raise UnsuitableError(f"--where {condition}: write it as KEY=VALUE")
        if key not in _CONDITIONS:
            raise UnsuitableError(
                f"--where {condition}: there is no condition `{key}`; there are {', '.join(_CONDITIONS)}"
            )
        parse = _CONDITIONS[key]
        try:
            values = [parse(part) for part in value.split(",")]
        except ValueError:
            raise UnsuitableError(f"--where {condition}: `{value}` is not of the kind of `{key}`") from None
        conditions[key] = tuple(values) if len(values) > 1 else values[0]
    return conditions


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text] if text in ("true", "false") else bool(int(text))


_CONDITIONS: dict[str, Any] = {
    **dict.fromkeys(("tag", "without_tag", "end_reason", "controller"), str),
    **dict.fromkeys(("agent_id", "run", "episode_id", "min_length", "max_length"), int),
    **dict.fromkeys(("min_return", "max_return", "return_quantile"), float),
    "terminated": _flag,
}
