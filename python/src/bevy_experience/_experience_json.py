"""Reads ``experience.json``, the schema of a recording, and verifies its hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._siphash import siphash24
from .errors import DamagedError
from .schema import Schema

NAME = "experience.json"
_FORMAT = 1
# A schema of more values a row comes from a damaged file.
_MAX_ROW_VALUES = 1 << 26


class _Number(str):
    """A number as it is written: its digits are part of the hash."""

    __slots__ = ()


def read_schema(folder: Path) -> Schema:
    """Read the schema of the recording in ``folder``.

    Raises
    ------
    DamagedError
        If the file is no JSON, is of another format, or its schema has another hash than it states.
    """
    path = folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, IsADirectoryError) as error:
        raise DamagedError(path, str(error)) from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        reason = f"its format is {found}, and this version of the package knows only {_FORMAT}"
        raise DamagedError(path, reason)
    raw = json.loads(path.read_text(encoding="utf-8"), parse_float=_Number, parse_int=_Number)
    try:
        stated = str(document["schema_hash"])
        found = f"{siphash24(_compact(raw['schema']).encode()):016x}"
        if stated != found:
            raise DamagedError(path, "its schema does not have the hash that it lists")
        schema = Schema.parse(document["schema"], stated, document.get("lists", ()))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, f"{type(error).__name__}: {error}") from None
    values = schema.observation_width + schema.action_width + schema.action_mask
    values += sum(column.width for column in (*schema.info, *schema.images))
    if values + len(schema.reward_terms) > _MAX_ROW_VALUES:
        raise DamagedError(path, f"the columns hold {values} values a row")
    if any(column.dtype != "float32" for column in schema.observation):
        raise DamagedError(path, "an observation column is not `f32`")
    width = schema.observation_width
    for found in schema.lists:
        if not (0 <= found.start <= found.stop <= width and 0 <= found.overflow < width):
            raise DamagedError(path, f"the list `{found.name}` is not in an observation of {width} values")
    return schema


def _compact(value: Any) -> str:
    """JSON without spaces, in which numbers are as they were written."""
    if isinstance(value, dict):
        items = (f"{json.dumps(key, ensure_ascii=False)}:{_compact(item)}" for key, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    if isinstance(value, _Number):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
