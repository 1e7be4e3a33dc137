"""Reads a policy from an ONNX file that `export` wrote, to train it further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._extras import extra
from ..errors import UnsuitableError
from ..normalization import Normalization
from ..schema import Schema
from .policy import Policy


def version_of(path: Path) -> int | None:
    """Return the version in the metadata of a file; ``None`` if it has none."""
    text = _properties(_load(path)).get("version")
    return None if text is None else int(text)


def restore(path: Path, schema: Schema) -> tuple[Policy, dict[str, list[float]]]:
    """Read a policy.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    schema : Schema
        The schema of the recording that it will act for.

    Returns
    -------
    policy : Policy
        The network. Features that it does not see stay unseen.
    deviations : dict of str to list of float
        The deviation of each element of the continuous heads, in the units of the action.

    Raises
    ------
    UnsuitableError
        If the file is of a recording with other features or heads, or no file of `export`.
    """
    model = _load(path)
    numpy_helper = extra("onnx.numpy_helper", "train")
    notes = _properties(model)
    weights = {weight.name: np.array(numpy_helper.to_array(weight)) for weight in model.graph.initializer}
    heads = json.loads(notes.get("heads", "[]"))
    described = [(head["name"], head.get("n"), tuple(head["shape"])) for head in heads]
    wanted = [(name, head.space.n if head.is_discrete else None, head.shape) for name, head in schema.heads.items()]
    if tuple(json.loads(notes.get("features", "[]"))) != schema.features or described != wanted:
        raise UnsuitableError(f"`{path}` is of a recording with other features or heads than `{schema.name}`")
    try:
        return _policy(schema, weights), {
            head["name"]: [float(deviation) for deviation in head["std"]] for head in heads if head["kind"] == "box"
        }
    except (KeyError, RuntimeError) as error:
        raise UnsuitableError(f"`{path}` is no file of `bevy-experience train`: {error}") from error


def _policy(schema: Schema, weights: dict[str, NDArray[np.float32]]) -> Policy:
    bodies = sorted(
        (name for name in weights if name.startswith("hidden.") and name.endswith(".weight")),
        key=lambda name: int(name.split(".")[1]),
    )
    width = schema.observation_width
    unknown = np.zeros(width, np.float32)
    scale = Normalization(
        schema.features, weights["mean"], weights["deviation"], unknown, unknown, np.zeros(width, np.bool_), 0
    )
    first = weights[bodies[0]] if bodies else np.ones((1, width), np.float32)
    policy = Policy(schema, scale, [len(weights[name]) for name in bodies], np.flatnonzero(~first.any(axis=0)).tolist())
    with torch.no_grad():
        for name in bodies:
            layer = policy.body[int(name.split(".")[1])]
            layer.weight.copy_(torch.from_numpy(weights[name]))
            layer.bias.copy_(torch.from_numpy(weights[name.replace("weight", "bias")]))
        for index, (name, head) in enumerate(schema.heads.items()):
            output = f"action.{name}" if head.is_discrete else f"action.{name}.standard"
            policy.outputs[index].weight.copy_(torch.from_numpy(weights[f"{output}.weight"]))
            policy.outputs[index].bias.copy_(torch.from_numpy(weights[f"{output}.bias"]))
            if not head.is_discrete:
                for part in ("factor", "offset"):
                    getattr(policy, f"{part}_{index}").copy_(torch.from_numpy(weights[f"action.{name}.{part}"]))
    return policy


def _load(path: Path) -> Any:
    onnx = extra("onnx", "train")
    try:
        return onnx.load(path)
    except OSError:
        raise
    except Exception as error:
        # The parser of protocol buffers has exceptions of its own.
        raise UnsuitableError(f"`{path}` is no ONNX file: {error}") from error


def _properties(model: Any) -> dict[str, str]:
    prefix = "bevy_experience."
    return {
        entry.key.removeprefix(prefix): entry.value for entry in model.metadata_props if entry.key.startswith(prefix)
    }
