"""Writes the model of the benchmark `policy`: two layers of 128 with random weights, one discrete and one continuous head.

    python benches/policy/make.py

Needs numpy and onnx. With onnxruntime it also measures the same batches there.
"""

import json
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

FEATURES = [f"{name}[{index}]" for name in ("place", "motion", "aim", "strength") for index in range(4)]
HEADS = [
    {"name": "intent.turn", "output": "action.intent.turn", "kind": "box", "dtype": "float32", "shape": [], "std": [0.1]},
    {
        "name": "intent.deed",
        "output": "action.intent.deed",
        "kind": "discrete",
        "dtype": "int64",
        "shape": [],
        "n": 3,
        "labels": ["Hold", "Shoot", "Dash"],
    },
]


def model() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def dense(before: str, inputs: int, outputs: int, name: str) -> str:
        for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            values = (rng.normal(size=shape) / np.sqrt(inputs)).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"{name}.{part}"))
        nodes.append(helper.make_node("Gemm", [before, f"{name}.weight", f"{name}.bias"], [name], name=name, transB=1))
        return name

    def relu(before: str) -> str:
        nodes.append(helper.make_node("Relu", [before], [f"{before}.relu"], name=f"{before}.relu"))
        return f"{before}.relu"

    hidden = relu(dense("observation", len(FEATURES), 128, "first"))
    hidden = relu(dense(hidden, 128, 128, "second"))
    outputs = []
    for head in HEADS:
        width = head.get("n", 1)
        name = dense(hidden, 128, width, head["output"])
        outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", width]))
    observed = helper.make_tensor_value_info("observation", onnx.TensorProto.FLOAT, ["batch", len(FEATURES)])
    graph = helper.make_graph(nodes, "player", [observed], outputs, weights)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = {
        "format": "1",
        "recording": "player",
        "schema_hash": "0" * 16,
        "features": json.dumps(FEATURES),
        "heads": json.dumps(HEADS),
        "action_mask": "0",
    }
    helper.set_model_props(found, {f"bevy_experience.{key}": value for key, value in content.items()})
    return found


def measure(path: Path) -> None:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for players in (1, 16, 100, 1000):
        batch = {"observation": np.zeros((players, len(FEATURES)), np.float32)}
        times = []
        for _ in range(2000):
            start = time.perf_counter()
            session.run(None, batch)
            times.append(time.perf_counter() - start)
        print(f"onnxruntime, {players} players: {np.median(times) * 1e6:.1f} µs")


if __name__ == "__main__":
    path = Path(__file__).with_name("player.onnx")
    path.write_bytes(model().SerializeToString())
    measure(path)
