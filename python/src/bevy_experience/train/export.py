"""Export of a policy to ONNX, with what a game needs to know about it, and a check of its outputs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from .._extras import extra
from ..errors import UnsuitableError
from ..schema import Column, Schema
from .fit import Fitted
from .policy import Policy

OPSET = 17
TOLERANCE = 1e-5
"""The largest difference between the file's outputs and torch's, relative to their size."""


def export(fitted: Fitted, schema: Schema, path: Path, observation: NDArray[np.float32]) -> float:
    """Write a policy to an ONNX file, and compare its outputs with torch's.

    The file has the input ``observation`` (``float32 [batch, F]``, as recorded) and the output
    ``action.<head>`` for each head: logits ``float32 [batch, elements * n]``, or means ``float32
    [batch, elements]`` in the units of the action. Its metadata says so: see `metadata`.

    Parameters
    ----------
    fitted : Fitted
        The policy.
    schema : Schema
        The schema of the recording.
    path : pathlib.Path
        The file. It is replaced when the new one is complete.
    observation : numpy.ndarray
        Observations for the comparison, ``float32 [B, F]``.

    Returns
    -------
    float
        The largest difference, relative to ``1 + |output|``.

    Raises
    ------
    UnsuitableError
        If the difference is above `TOLERANCE`. No file is written.
    """
    deviations = {name: score.deviation for name, score in fitted.scores.items()}
    return write(fitted.policy, deviations, schema, path, observation)


def write(
    policy: Policy,
    deviations: Mapping[str, Sequence[float]],
    schema: Schema,
    path: Path,
    observation: NDArray[np.float32],
    *,
    version: int | None = None,
) -> float:
    """Write a network as `export` does.

    ``deviations`` has the deviation of each element of the continuous heads, in the units of the
    action: a game that samples uses them. ``version``, above 0, is the number of the policy in the
    column ``info.policy_version``; without it, a game numbers the file by its content.
    """
    onnx = extra("onnx", "train")
    model = _model(onnx, policy, schema)
    onnx.helper.set_model_props(model, metadata(policy, deviations, schema, version))
    onnx.checker.check_model(model)
    difference = _difference(model, policy, observation)
    if not difference <= TOLERANCE:
        raise UnsuitableError(
            f"the outputs of the exported model differ from torch's by {difference:.2e}, more than {TOLERANCE:.0e}: "
            "a weight may be NaN; train with a lower learning rate"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(model.SerializeToString())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def metadata(
    policy: Policy, deviations: Mapping[str, Sequence[float]], schema: Schema, version: int | None = None
) -> dict[str, str]:
    """Describe a model for the game that runs it.

    Returns
    -------
    dict of str to str
        ``recording``, ``schema_hash``, ``features``, ``heads``, ``normalization``, ``command``,
        ``writer`` and, if given, ``version``, each with the prefix ``bevy_experience.``; lists and objects are JSON.
    """
    heads = [_describe(head, deviations) for head in schema.heads.values()]
    content = {
        "format": "1",
        "recording": schema.name,
        "schema_hash": schema.hash,
        "features": json.dumps(schema.features),
        "heads": json.dumps(heads),
        "action_mask": str(schema.action_mask),
        "normalization": json.dumps({"included": True, "mean": policy.mean.tolist(), "std": policy.deviation.tolist()}),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "writer": f"bevy-experience {__version__}, torch {torch.__version__}",
    }
    if version is not None:
        content["version"] = str(version)
    return {f"bevy_experience.{key}": value for key, value in content.items()}


def _describe(head: Column, deviations: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": head.name,
        "output": f"action.{head.name}",
        "kind": head.space.kind,
        "dtype": head.dtype.name,
        "shape": list(head.shape),
    }
    if head.is_discrete:
        return found | {"n": head.space.n, "labels": list(head.space.labels)}
    bounds = [None if np.isinf(bound) else bound for bound in (head.space.low, head.space.high)]
    # The deviation of a Gaussian policy: the error on held-out data.
    return found | {"low": bounds[0], "high": bounds[1], "std": list(deviations[head.name])}


def _model(onnx: Any, policy: Policy, schema: Schema) -> Any:
    """Build the graph: plain operators that every runtime has."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes, constants = [], []

    def constant(name: str, values: Any) -> str:
        constants.append(onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def dense(layer: Any, before: str, name: str, sees: Any = 1.0) -> str:
        weight = constant(f"{name}.weight", layer.weight.detach().numpy() * sees)
        bias = constant(f"{name}.bias", layer.bias.detach().numpy())
        return node("Gemm", [before, weight, bias], name, transB=1)

    centred = node("Sub", ["observation", constant("mean", policy.mean.numpy())], "centred")
    scaled = node("Div", [centred, constant("deviation", policy.deviation.numpy())], "scaled")
    hidden = node("Clip", [scaled, constant("clip.low", -10.0), constant("clip.high", 10.0)], "normalized")
    for index, layer in enumerate(policy.body):
        name = f"hidden.{index}"
        # The weights of features that it does not see are 0.
        sees = policy.sees.numpy() if index == 0 else 1.0
        hidden = node("Relu", [hidden], name) if isinstance(layer, torch.nn.ReLU) else dense(layer, hidden, name, sees)
    results = []
    for index, (head, layer) in enumerate(zip(schema.heads.values(), policy.outputs, strict=True)):
        name = f"action.{head.name}"
        if head.is_discrete:
            dense(layer, hidden, name)
        else:
            factor, offset = (getattr(policy, f"{part}_{index}").numpy() for part in ("factor", "offset"))
            standard = dense(layer, hidden, f"{name}.standard")
            product = node("Mul", [standard, constant(f"{name}.factor", factor)], f"{name}.product")
            node("Add", [product, constant(f"{name}.offset", offset)], name)
        results.append(helper.make_tensor_value_info(name, float32, ["batch", layer.out_features]))
    observed = helper.make_tensor_value_info("observation", float32, ["batch", schema.observation_width])
    graph = helper.make_graph(nodes, schema.name, [observed], results, constants)
    # An older version of the format, which more runtimes read.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _difference(model: Any, policy: Policy, observation: NDArray[np.float32]) -> float:
    """Compare the file's outputs with torch's, by ONNX's own reference implementation."""
    evaluator = extra("onnx.reference", "train").ReferenceEvaluator(model)
    found = evaluator.run(None, {"observation": observation})
    with torch.no_grad():
        expected = [output.numpy() for output in policy(torch.from_numpy(observation))]
    return max(
        float((np.abs(ours - theirs) / (1 + np.abs(theirs))).max())
        for ours, theirs in zip(found, expected, strict=True)
    )
