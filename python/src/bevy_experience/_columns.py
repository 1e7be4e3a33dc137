"""The columns of a shard that the cache is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._conform import Values, binary, numbers
from .schema import Column, Schema


@dataclass(frozen=True)
class ColumnSource:
    """A column of a shard, and its type and shape in the cache.

    ``kind`` is ``"number"``, or ``"bytes"`` for images.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    nullable: bool = False
    kind: Literal["number", "bytes"] = "number"
    is_list: bool = False

    @classmethod
    def of(cls, prefix: str, column: Column) -> ColumnSource:
        """Describe the column ``<prefix>.<name>`` of a head or an info column."""
        name = f"{prefix}.{column.name}"
        return cls(name, column.dtype, column.shape, is_list=bool(column.shape))

    @property
    def can_be_nan(self) -> bool:
        """Whether the column has values of the game that can be NaN, which pandas writes as missing.

        Not ``reward``: a row that a join has not found has none either, and is refused.
        """
        return self.dtype.kind == "f" and self.name not in ("timestamp", "reward")

    def convert(self, array: Any) -> Values:
        """Convert the column of a batch: ``dtype [rows, *shape]``."""
        width = int(np.prod(self.shape, dtype=np.int64))
        if self.kind == "bytes":
            values = binary(self.name, array, width, nullable=self.nullable)
        else:
            values = numbers(
                self.name,
                array,
                self.dtype,
                width if self.is_list else None,
                nullable=self.nullable,
                can_be_nan=self.can_be_nan,
            )
        return Values(values.data.reshape(len(array), *self.shape), values.valid)


_I64, _I32, _F64, _F32 = (np.dtype(name) for name in ("int64", "int32", "float64", "float32"))
_BOOL, _U8 = np.dtype("bool"), np.dtype("uint8")

EPISODE_COLUMNS = (
    ColumnSource("episode_id", _I64),
    ColumnSource("agent_id", _I64),
    ColumnSource("run", _I64),
    ColumnSource("match_id", _I64, nullable=True),
    ColumnSource("continues", _I64, nullable=True),
)
"""Columns with one value for each episode."""

FLAG_COLUMNS = (ColumnSource("terminated", _BOOL), ColumnSource("truncated", _BOOL))


def row_columns(schema: Schema) -> list[ColumnSource]:
    """List the columns with a value in each row, which the cache holds as they are."""
    width = schema.observation_width
    columns = [
        ColumnSource("step", _I32),
        ColumnSource("tick", _I64),
        ColumnSource("ticks", _I32),
        ColumnSource("timestamp", _F64),
    ]
    if width:
        columns.append(ColumnSource("observation", _F32, (width,), is_list=True))
    columns.extend(ColumnSource(f"observation.{image.name}", _U8, image.shape, kind="bytes") for image in schema.images)
    if schema.has_parts:
        columns.extend(ColumnSource.of("action", head) for head in schema.heads.values())
    elif schema.is_single_discrete:
        columns.append(ColumnSource("action", _I64))
    elif schema.action_width:
        columns.append(ColumnSource("action", _F32, (schema.action_width,), is_list=True))
    columns.append(ColumnSource("reward", _F64))
    columns.extend(ColumnSource(f"reward.{term}", _F32) for term in schema.reward_terms)
    if schema.action_mask:
        columns.append(ColumnSource("action_mask", _BOOL, (schema.action_mask,), is_list=True))
    if width:
        columns.append(ColumnSource("changed", _U8, ((width + 7) // 8,), is_list=True))
    columns.extend(ColumnSource.of("info", column) for column in schema.info if column.width > 0)
    return columns


def final_columns(schema: Schema) -> list[ColumnSource]:
    """List the columns of an episode's final observation."""
    columns = []
    if schema.observation_width:
        columns.append(ColumnSource("next_observation", _F32, (schema.observation_width,), nullable=True, is_list=True))
    columns.extend(
        ColumnSource(f"next_observation.{image.name}", _U8, image.shape, nullable=True, kind="bytes")
        for image in schema.images
    )
    if schema.action_mask:
        columns.append(ColumnSource("next_action_mask", _BOOL, (schema.action_mask,), is_list=True))
    return columns
