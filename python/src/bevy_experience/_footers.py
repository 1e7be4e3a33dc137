"""Reads the summaries in the footers of shards. The layout is in the page `dataset` of the book."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schema import Schema
from .summary import Moments, Summary, class_labels, of_counts, reward_names

KEY = b"bevy_experience.summary"
_VERSION = 1
# Other programs keep the metadata of a file whose rows they have changed.
_WRITER = "bevy_experience "


def read(schema: Schema, metadata: Any) -> Summary | None:
    """Read the summary of a shard, or return ``None`` if it has none that can be used.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    metadata : pyarrow.parquet.FileMetaData
        The footer.
    """
    text = (metadata.metadata or {}).get(KEY)
    if text is None or not str(metadata.created_by or "").startswith(_WRITER):
        return None
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            return None
        return _parse(schema, int(metadata.num_rows), document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _parse(schema: Schema, rows: int, document: dict[str, Any]) -> Summary:
    _check(document["transitions"] == rows)
    moments = (
        _moments(schema.features, document["observation"], rows),
        _moments(reward_names(schema), document["reward"], rows),
    )
    expected = class_labels(schema)
    counts = {}
    for action, (index, (_, labels)) in zip(document["action"], expected.items(), strict=True):
        counted = np.array(action["counts"], np.int64)
        _check(action["index"] == index and counted.shape == (len(labels),))
        _check(bool((counted >= 0).all()) and action["others"] >= 0)
        _check(int(counted.sum()) + action["others"] == rows)
        counts[index] = (counted, int(action["others"]))
    controllers = [*document["controllers"].items(), (None, document["unlabelled"])]
    _check(all(steps >= 0 for _, steps in controllers) and sum(steps for _, steps in controllers) == rows)
    return of_counts(schema, rows, moments, counts, controllers)


def _moments(names: tuple[str, ...], block: dict[str, Any], rows: int) -> Moments:
    width = len(names)
    low, high, mean, squares = (_numbers(block[name], width) for name in ("min", "max", "mean", "squares"))
    bits = np.frombuffer(base64.b64decode(block["binary"], validate=True), np.uint8)
    _check(len(bits) == (width + 7) // 8)
    non_finite = np.zeros(width, np.int64)
    for index, count in block["non_finite"].items():
        _check(0 <= int(index) < width and 0 <= count <= rows)
        non_finite[int(index)] = count
    slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
    _check(bool(((low - slack <= mean) & (mean <= high + slack) & (squares >= 0)).all()))
    return Moments(
        names=names,
        count=rows - non_finite,
        non_finite=non_finite,
        min=low,
        max=high,
        mean=mean,
        squares=squares,
        binary=np.unpackbits(bits, bitorder="little")[:width].astype(bool),
    )


def _numbers(text: str, width: int) -> NDArray[np.float64]:
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f8").astype(np.float64)
    _check(len(numbers) == width and bool(np.isfinite(numbers).all()))
    return numbers


def _check(is_valid: bool) -> None:
    if not is_valid:
        raise ValueError("the summary is not that of the shard")
