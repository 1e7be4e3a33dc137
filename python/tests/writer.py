"""Writes small datasets as the format says, with pyarrow alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bevy_experience._siphash import siphash24

BOX = {"type": "Box", "low": None, "high": None}
UNIT = {"type": "Box", "low": 0.0, "high": 1.0}


def column(name: str, dtype: str = "f32", shape: tuple[int, ...] = (), space: Any = None, labels: Any = None) -> dict:
    found = {"name": name, "dtype": dtype, "shape": list(shape), "space": space or BOX}
    return found | ({"labels": list(labels)} if labels else {})


def discrete(n: int, labels: tuple[str, ...] = ()) -> dict:
    return {"type": "Discrete", "n": n} | ({"labels": list(labels)} if labels else {})


OBSERVATION = [
    column("position.x"),
    column("body.health", space={"type": "Box", "low": 0.0, "high": 100.0}),
    column("coin[0].present", space=UNIT),
    column("mode", shape=(3,), space=UNIT, labels=("Idle", "Run", "Hide")),
    column("armed", space=UNIT),
    column("charge", space=UNIT),
]
FEATURES = 8
MIXED = [
    column("steer", shape=(2,), space={"type": "Box", "low": -1.0, "high": 1.0}),
    column("deed", "i64", space=discrete(3, ("Hold", "Shoot", "Dash"))),
    column("boost", "bool", space=discrete(2)),
]
CONTINUOUS = [column("steer", shape=(2,)), column("throttle")]
DISCRETE = [column("deed", "u8", space=discrete(3, ("Hold", "Shoot", "Dash")))]

NUMPY = {"f32": "float32", "f64": "float64", "i64": "int64", "u8": "uint8", "u64": "uint64", "bool": "bool"}


def schema(**parts: Any) -> dict:
    """The `schema` of `experience.json`, with the order of its fields and what is left out."""
    found = {"name": parts.get("name", "fighter")}
    if "version" in parts:
        found["version"] = parts["version"]
    found["observation"] = parts.get("observation", OBSERVATION)
    found["action"] = parts.get("action", MIXED)
    found["action_mask"] = parts.get("action_mask", 0)
    found["info"] = parts.get("info", [])
    found["reward_terms"] = parts.get("reward_terms", ["alive", "hit"])
    if "images" in parts:
        found["images"] = parts["images"]
    return found


def schema_hash(definition: dict) -> str:
    return f"{siphash24(json.dumps(definition, separators=(',', ':'), ensure_ascii=False).encode()):016x}"


@dataclass
class Life:
    """An episode to write."""

    agent: int = 1
    length: int = 5
    terminated: bool = True
    reason: str = "death"
    run: int = 0x2A
    match: int | None = 0
    number: int | None = None
    continues: int | None = None
    tags: tuple[str, ...] = ()
    controllers: list[int] | None = None
    ticks: int = 1
    rewards: list[float] | None = None
    id: int = field(default=0, init=False)


def lives(count: int, rng: np.random.Generator, **settings: Any) -> list[Life]:
    return [
        Life(
            agent=int(rng.integers(5)), length=int(rng.integers(1, 9)), terminated=bool(rng.random() < 0.5), **settings
        )
        for _ in range(count)
    ]


def width(columns: list[dict]) -> int:
    return sum(int(np.prod(c["shape"], dtype=int)) for c in columns)


def fixed(values: np.ndarray, item: pa.DataType | None = None) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), item)
    kind = pa.list_(pa.field("item", flat.type, False), values.shape[1])
    return (
        pa.FixedSizeListArray.from_arrays(flat, type=kind)
        if pa.__version__ >= "15"
        else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    )


def head_values(head: dict, rows: int, rng: np.random.Generator) -> np.ndarray:
    shape = (rows, *head["shape"])
    if head["space"]["type"] == "Discrete":
        values = rng.integers(head["space"]["n"], size=shape)
    else:
        values = rng.uniform(-1, 1, size=shape)
    return values.astype(NUMPY[head["dtype"]])


def rows_of(definition: dict, life: Life, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of one episode, as the writer of the format makes them."""
    count, features = life.length, width(definition["observation"])
    frames = observations(definition["observation"], count + 1, rng)
    last = np.arange(count) == count - 1
    rewards = np.array(life.rewards, float) if life.rewards is not None else rng.normal(size=count).round(3)
    ticks = np.arange(count) * life.ticks + 100
    table: dict[str, Any] = {
        "episode_id": np.full(count, life.id),
        "agent_id": np.full(count, life.agent),
        "match_id": pa.array([life.match] * count, pa.int64()),
        "run": np.full(count, life.run),
        "step": np.arange(count, dtype=np.int32),
        "tick": ticks,
        "ticks": np.full(count, life.ticks, np.int32),
        "timestamp": ticks / 60.0,
    }
    if features:
        table["observation"] = fixed(frames[:-1])
    images = {
        image["name"]: rng.integers(0, 256, (count + 1, *image["shape"]), dtype=np.uint8)
        for image in definition.get("images", ())
    }
    for name, frames_of_image in images.items():
        table[f"observation.{name}"] = pa.array([bytes(frame) for frame in frames_of_image[:-1]], pa.binary())
    heads = {head["name"]: head_values(head, count, rng) for head in definition["action"]}
    kinds = {head["space"]["type"] for head in definition["action"]}
    is_single = len(heads) == 1 and kinds == {"Discrete"} and not definition["action"][0]["shape"]
    if is_single:
        table["action"] = next(iter(heads.values())).astype(np.int64)
    elif heads:
        table["action"] = fixed(np.concatenate([v.reshape(count, -1).astype(np.float32) for v in heads.values()], 1))
        if len(kinds) > 1 or any(head["dtype"] != "f32" for head in definition["action"]):
            for head in definition["action"]:
                values = heads[head["name"]]
                table[f"action.{head['name']}"] = fixed(values.reshape(count, -1)) if head["shape"] else values
    table["reward"] = rewards
    for term in definition["reward_terms"]:
        table[f"reward.{term}"] = rng.normal(size=count).astype(np.float32)
    if features * 4 > 1024:
        lists = [frames[row + 1].tolist() if last[row] else None for row in range(count)]
        table["next_observation"] = pa.array(lists, pa.list_(pa.field("item", pa.float32(), False)))
    elif features:
        table["next_observation"] = fixed(frames[1:])
    for name, frames_of_image in images.items():
        table[f"next_observation.{name}"] = pa.array(
            [bytes(frames_of_image[row + 1]) if last[row] else None for row in range(count)], pa.binary()
        )
    table["terminated"] = last & life.terminated
    table["truncated"] = last & (not life.terminated)
    reasons = [None] * (count - 1) + [life.reason]
    table["end_reason"] = pa.array(reasons, pa.string()).dictionary_encode()
    if definition["action_mask"]:
        masks = rng.random((count + 1, definition["action_mask"])) < 0.7
        table["action_mask"], table["next_action_mask"] = fixed(masks[:-1]), fixed(masks[1:])
    if features:
        bits = frames[1:].view(np.uint32) != np.ascontiguousarray(frames[:-1]).view(np.uint32)
        table["changed"] = fixed(np.packbits(bits, axis=1, bitorder="little"))
    for info in definition["info"]:
        values = head_values(info, count, rng)
        if info["name"] == "controller" and life.controllers is not None:
            values = np.array(life.controllers, np.int64)
        table[f"info.{info['name']}"] = fixed(values) if values.ndim > 1 else values
    table["continues"] = pa.array([life.continues] * count, pa.int64())
    return table


def observations(columns: list[dict], frames: int, rng: np.random.Generator) -> np.ndarray:
    parts = []
    for c in columns:
        n = int(np.prod(c["shape"], dtype=int))
        if c.get("labels"):
            part = np.eye(n, dtype=np.float32)[rng.integers(n, size=frames)]
        elif c["space"] == UNIT and c["name"] != "charge":
            part = rng.integers(2, size=(frames, n)).astype(np.float32)
        elif c["space"] == UNIT:
            part = rng.random((frames, n)).astype(np.float32)
        else:
            part = (rng.normal(size=(frames, n)) * 10 + 50).astype(np.float32)
        parts.append(part)
    return np.concatenate(parts, axis=1) if parts else np.zeros((frames, 0), np.float32)


def write(
    root: Path,
    episodes: list[Life],
    definition: dict | None = None,
    *,
    folder: str | None = None,
    per_shard: int = 4,
    seed: int = 0,
    counts: dict[str, int] | None = None,
    status: str = "closed",
    row_group: int = 1000,
    extra: Any = None,
) -> Path:
    """Write a recording to the dataset `root`. Returns its folder."""
    definition = definition or schema()
    rng = np.random.default_rng(seed)
    recording = root / (folder or definition["name"])
    for part in ("data", "runs"):
        (recording / part).mkdir(parents=True, exist_ok=True)
    identity = schema_hash(definition)
    document = {"format": 1, "recording": definition["name"], "schema_hash": identity, "schema": definition}
    (recording / "experience.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))
    numbers: dict[int, int] = {}
    by_run: dict[int, list[Life]] = {}
    for life in episodes:
        number = life.number if life.number is not None else numbers.get(life.run, 0)
        numbers[life.run] = number + 1
        life.id = (life.run << 32) | number
        by_run.setdefault(life.run, []).append(life)
    for run, of_run in by_run.items():
        shards = []
        for index in range(0, len(of_run), per_shard):
            part = of_run[index : index + per_shard]
            tables = [pa.table(rows_of(definition, life, rng)) for life in part]
            table = pa.concat_tables(tables).unify_dictionaries() if tables else None
            if extra is not None:
                table = extra(table)
            table = table.replace_schema_metadata({"bevy_experience.schema_hash": identity})
            name = f"{run:08x}-{len(shards):05}.parquet"
            pq.write_table(table, recording / "data" / name, row_group_size=row_group)
            shards.append({"file": name, "episodes": len(part), "transitions": table.num_rows, "committed": 1})
        total = sum(life.length for life in of_run)
        account = {"recorded": total, "exported": total, "dropped": 0, "discarded": 0, "pending": 0}
        account |= {"episodes": len(of_run), "empty_episodes": 0, "orphaned_rewards": 0, "non_finite": 0}
        account |= {"ignored_ends": 0, "refused_agents": 0} | (counts or {})
        (recording / "runs" / f"{run:08x}.json").write_text(
            json.dumps(
                {
                    "run": run,
                    "recording": definition["name"],
                    "schema_hash": identity,
                    "status": status,
                    "tick_rate": 60.0,
                    "seed": None,
                    "build": None,
                    "writer": "bevy_experience 0.1.0",
                    "started": 1.0,
                    "updated": 2.0,
                    "ended": None if status == "running" else 2.0,
                    "account": account,
                    "shards": shards,
                }
            )
        )
        tags = [(life, tag) for life in of_run for tag in life.tags]
        if tags:
            lines = [json.dumps({"episode_id": life.id, "agent_id": life.agent, "tag": tag}) for life, tag in tags]
            (recording / "runs" / f"{run:08x}.tags.jsonl").write_text("\n".join(lines) + "\n")
    return recording
