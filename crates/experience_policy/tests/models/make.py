"""Writes the models of the tests: one that the trainer of the Python package exports, and damaged copies of it.

    PYTHONPATH=python/src:python/tests python crates/experience_policy/tests/models/make.py

Needs torch, onnx, numpy and pyarrow.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from writer import Life, schema, write

import bevy_experience as bx
from bevy_experience.train import Settings, export, fit

HERE = Path(__file__).parent


def save(model: onnx.ModelProto, name: str) -> None:
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def damaged(name: str, change) -> None:
    """A copy of the model with a change."""
    model = onnx.load(HERE / "fighter.onnx")
    change(model)
    save(model, name)


def set_property(model: onnx.ModelProto, key: str, value: str) -> None:
    for entry in model.metadata_props:
        if entry.key == f"bevy_experience.{key}":
            entry.value = value


def nan_weight(model: onnx.ModelProto) -> None:
    weight = next(weight for weight in model.graph.initializer if weight.name == "hidden.0.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, :2] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))


def other_features(model: onnx.ModelProto) -> None:
    names = json.loads(next(entry.value for entry in model.metadata_props if entry.key.endswith("features")))
    set_property(model, "features", json.dumps([*names[:-1], "mana"]))


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = "deed"
    for node in model.graph.node:
        node.output[:] = ["deed" if name == "action.deed" else name for name in node.output]


def narrow_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def newer_operators(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Teleport"


def wide_output(model: onnx.ModelProto) -> None:
    """An output whose declared shape is right, and whose values are not."""
    node = next(node for node in model.graph.node if node.output[0] == "action.boost")
    node.input[1:] = ["action.deed.weight", "action.deed.bias"]


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BEVY_EXPERIENCE_CACHE"] = f"{folder}/cache"
        lives = [Life(length=20) for _ in range(30)]
        write(Path(folder) / "dataset", lives, schema(action_mask=0))
        recording = bx.open(Path(folder) / "dataset")["fighter"]
        train, valid = recording.split(0.8, 0.2)
        fitted = fit(train, valid, Settings(hidden=(8, 8), epochs=3, batch_size=64))
        observation = valid[:].observation[:16]
        export(fitted, recording.schema, HERE / "fighter.onnx", observation)
    with torch.no_grad():
        outputs = [output.numpy() for output in fitted.policy(torch.from_numpy(observation))]
    content = {
        "schema": schema(action_mask=0),
        "observation": observation.tolist(),
        "outputs": [output.tolist() for output in outputs],
    }
    (HERE / "fighter.json").write_text(json.dumps(content))
    damaged("nan_weight", nan_weight)
    damaged("other_features", other_features)
    damaged("no_metadata", lambda model: model.ClearField("metadata_props"))
    damaged("no_output", rename_output)
    damaged("narrow_input", narrow_input)
    damaged("newer_operators", newer_operators)
    damaged("unknown_operator", unknown_operator)
    damaged("wide_output", wide_output)


if __name__ == "__main__":
    main()
